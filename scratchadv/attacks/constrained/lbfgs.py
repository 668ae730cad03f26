"""The L-BFGS attack, the first of all attacks on networks."""

import math

import numpy as np
from scipy.optimize import minimize

from ... import checks, tasks
from ...checked import checked, one_of
from ...models.protocol import clean_logits, loss_and_gradient
from ...numerics import take
from ...parallel import in_chunks
from ...sets import L2, bounds_of
from .hyperplane import rounding
from .targets import boundaries


@checked(norm=one_of(L2))
@in_chunks
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
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels; only looked at to refuse what cannot be labels.
    target : array, shape (N,)
        The labels to reach. Default: any label but y.
    norm : {L2}
        The only norm of this attack; every attack that looks for the smallest change takes this argument.
    box : (lower, upper) or None
        The range of x + r.
    c : float
        The first weight.
    searches : int
        How many weights are tried for an example.
    steps : int
        At most so many iterations of L-BFGS-B for each of them.
    loss : Loss, optional
        The loss to climb. Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x. Zero where x is at its target already, and zero where no weight led there; ``evaluate.judge`` tells
        the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: slide "L-BFGS targeted attack"; Szegedy et al. (2014), "Intriguing properties of neural networks",
    section 4.1.
    """
    checks.on_host("lbfgs", x)
    if target is None:
        raise TypeError("lbfgs is a targeted attack: target must be an array of labels, not None")
    low, high = bounds_of(box, x)
    found = np.zeros_like(x)
    z = clean_logits(model, x)
    for i in np.flatnonzero(~tasks.of(model, z).is_fooled(z, y, target)):
        one = take(slice(i, i + 1), x, target, low, high)
        found[i] = largest_weight(model, loss or model.loss, c, *one, searches=searches, steps=steps)[0]
    return found


def largest_weight(model, loss, c, x, target, low, high, *, searches, steps):
    """Search for the largest weight c on the length whose minimiser still fools one example; return that minimiser.

    Parameters
    ----------
    model : Model
        The model to attack.
    loss : Loss
    c : float
        The first weight.
    x : array, shape (1, *D)
    target : array, shape (1,)
    low, high : array, shape (1, *D), or None
        The lowest and highest r that keep x + r in the box.
    searches, steps : int
        As for :func:`lbfgs`.

    Returns
    -------
    array, shape (1, *D)
        The shortest r that fools; zero if none was found.

    Source: Szegedy et al. (2014), section 4.1.
    """
    best, shortest, fools, too_large = np.zeros_like(x), math.inf, None, None
    for _ in range(searches):
        r = minimiser(model, loss, c, x, target, low, high, best, steps=steps)
        fooled, length = _clearly_fooled(model, x + r, target), L2.norm(r)[0]
        if fooled and length < shortest:
            best, shortest = r, length
        fools, too_large = (c, too_large) if fooled else (fools, c)
        c = next_weight(fools, too_large)
    return best


def next_weight(fools, too_large):
    """Return the weight c to try next: between the largest that fools and the smallest that is too large.

    Parameters
    ----------
    fools, too_large : float or None
        None where no such c is known yet; one of them is known.

    Returns
    -------
    float
        10 times or a tenth of the one that is known, or the geometric mean of both.
    """
    if too_large is None:
        return 10 * fools
    return too_large / 10 if fools is None else math.sqrt(fools * too_large)


def minimiser(model, loss, c, x, target, low, high, start, *, steps):
    r"""Return the r that minimises :math:`c \lVert r \rVert_2 + L(target, f(x + r))` for one example, by L-BFGS-B.

    Parameters
    ----------
    model : Model
        The model to attack.
    loss : Loss
    c : float
        The weight of the length.
    x : array, shape (1, *D)
    target : array, shape (1,)
    low, high : array, shape (1, *D), or None
        The lowest and highest r that keep x + r in the box.
    start : array, shape (1, *D)
        Where the search begins.
    steps : int
        At most so many iterations.

    Returns
    -------
    array, shape (1, *D)
        dtype of x.

    Source: slide "L-BFGS targeted attack"; Szegedy et al. (2014), section 4.1.
    """
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


def _clearly_fooled(model, x, target):
    f, w = boundaries(model, x, target, target)
    return f[0, 0] > rounding(w[:, 0], x)[0]
