"""The L-BFGS attack, the first of all attacks on networks."""

import math
from functools import partial

import numpy as np
from scipy.optimize import minimize

from ... import checks
from ...checked import checked, one_of
from ...models.protocol import clean_logits, is_fooled, loss_and_gradient
from ...parallel import map_chunks
from ...sets import L2, bounds_of
from .hyperplane import rounding
from .targets import boundaries, where_standing


@checked(norm=one_of(L2))
def lbfgs(model, x, y, *, target, norm=L2, box=(0, 1), c=1.0, searches=12, steps=40, loss=None):
    r"""Minimise length plus loss at the target in the box, with the largest weight c on the length that still fools.

    .. math:: \min_r\ c \lVert r \rVert_2 + L(target, f(x + r)) \quad \text{such that} \quad l \leq x + r \leq u

    The larger c, the shorter r: c is multiplied by 10 while the minimiser fools and divided by 10 while it does not,
    and once it lies between two such values their geometric mean is tried. Each search begins at the shortest r that
    has fooled so far, or at 0; the last of them is returned. (The slide increases c until the target is reached, which
    is right for a c on the loss.)

    Each example is a problem of its own for ``scipy.optimize``, solved in float64.

    Parameters
    ----------
    model : Model
        On the host.
    x : array, shape (N, *D)
        float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels; only looked at to refuse what cannot be labels.
    target : array, shape (N,)
        Labels to reach.
    norm : {L2}
        There is no other; it is here because all attacks of this kind have it.
    box : (lower, upper), Set or None
        The range of x + r; or a Box, a Mask, a Range or an intersection of them.
    c : float
        The first weight.
    searches : int
        How many weights are tried for an example.
    steps : int
        At most so many iterations of L-BFGS-B for each of them.
    loss : Loss, optional
        Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x. Zero where x is at its target already, and zero where no weight led there; ``evaluate.judge`` tells
        the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Source: slide "L-BFGS targeted attack"; Szegedy et al. (2014), "Intriguing properties of neural networks",
    section 4.1.
    """
    checks.on_host("lbfgs", x)
    if target is None:
        raise TypeError("lbfgs is a targeted attack: target must be an array of labels, not None")
    standing = ~is_fooled(clean_logits(model, x), y, target)
    search = partial(_search_c, model, loss or model.loss, c, searches, steps)

    def one_by_one(*arrays):
        one = [[None if a is None else a[i : i + 1] for a in arrays] for i in range(len(arrays[0]))]
        return (np.concatenate([search(*a) for a in one]),)

    run = partial(map_chunks, one_by_one, model)
    return where_standing(standing, lambda *arrays: run(*arrays)[0], x, target, *bounds_of(box, x))


def _search_c(model, loss, c, searches, steps, x, target, low, high):
    """The shortest r that fools, shape ``(1, *D)``; zero if none was found."""
    best, shortest, fools, too_large = np.zeros_like(x), math.inf, None, None
    for _ in range(searches):
        r = _minimise(model, loss, c, steps, x, target, low, high, best)
        fooled, length = _clearly_fooled(model, x + r, target), L2.norm(r)[0]
        if fooled and length < shortest:
            best, shortest = r, length
        fools, too_large = (c, too_large) if fooled else (fools, c)
        c = _next(fools, too_large)
    return best


def _clearly_fooled(model, x, target):
    f, w = boundaries(model, x, target, target)
    return f[0, 0] > rounding(w[:, 0], x)[0]


def _next(fools, too_large):
    if too_large is None:
        return 10 * fools
    return too_large / 10 if fools is None else math.sqrt(fools * too_large)


def _minimise(model, loss, c, steps, x, target, low, high, start):
    r"""The r of :math:`c \lVert r \rVert_2 + L(target, f(x + r))`, from ``start``, in the dtype of x."""
    wide = x.astype(np.float64)

    def objective(flat):
        r = flat.reshape(x.shape)
        value, g = loss_and_gradient(model, loss, wide + r, target)
        length = np.linalg.norm(flat)
        return value[0] + c * length, (g + c * r / max(length, 1e-30)).ravel()

    bounds = None if low is None else list(zip(low.ravel(), high.ravel(), strict=True))
    start, options = start.ravel().astype(np.float64), {"maxiter": steps, "ftol": 1e-12, "gtol": 1e-9}
    r = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    r = r.reshape(x.shape).astype(x.dtype)
    return r if low is None else np.clip(r, low, high)
