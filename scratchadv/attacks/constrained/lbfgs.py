"""The L-BFGS attack, the first attack on neural networks."""

import math

import numpy as np
import scipy

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
    r"""Minimise c times the length of r plus the loss at the target, for the largest c whose minimiser fools.

    .. math:: \min_r\ c \lVert r \rVert_2 + L(target, f(x + r)) \quad \text{such that} \quad l \leq x + r \leq u

    The larger c is, the shorter is r. c is multiplied by 10 while the minimiser fools the model and divided by 10 while
    it does not; once both kinds are known, the geometric mean of the two nearest values is tried. Each minimisation
    begins at the shortest r that has fooled the model so far, or at 0, and the shortest r is returned. (The slide
    increases c until the target is reached, because its c weights the loss.)

    ``scipy.optimize`` solves each example separately, in float64.

    Parameters
    ----------
    model : Model
        The model to attack, on the host.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels; they are only checked.
    target : array, shape (N,)
        The labels to reach.
    norm : {L2}
        The only norm of this attack; every attack that looks for the smallest change takes this argument.
    box : (lower, upper), Set or None
        The range of x + r, in the units of x; or a Box, a Mask, a Range or an intersection of them. None: unbounded.
    c : float
        The first weight.
    searches : int
        The number of weights that are tried for each example.
    steps : int
        The largest number of iterations of L-BFGS-B for each weight.
    loss : Loss, optional
        The loss L to minimise at the target. Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations r, in the dtype of x. They are zero where x is already classified as its target, and where no
        weight led there; ``evaluate.judge`` tells the two apart.

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
    """Search for the largest weight c whose minimiser fools the model, for one example, and return that minimiser.

    Parameters
    ----------
    model : Model
        The model to attack.
    loss : Loss
        The loss L at the target.
    c : float
        The first weight.
    x : array, shape (1, *D)
        The input.
    target : array, shape (1,)
        The label to reach.
    low, high : array, shape (1, *D), or None
        The lowest and the highest r that keep x + r in the box.
    searches, steps : int
        As for :func:`lbfgs`.

    Returns
    -------
    array, shape (1, *D)
        The shortest r that fools the model; zero if none was found.

    Source: Szegedy et al. (2014), section 4.1.
    """
    best = np.zeros_like(x)
    shortest = math.inf
    fools = too_large = None
    for _ in range(searches):
        r = minimiser(model, loss, c, x, target, low, high, best, steps=steps)
        if _clearly_fooled(model, x + r, target):
            fools = c
            length = L2.norm(r)[0]
            if length < shortest:
                best = r
                shortest = length
        else:
            too_large = c
        c = next_weight(fools, too_large)
    return best


def next_weight(fools, too_large):
    """Return the weight c to try next, between the largest c that fools and the smallest c that is too large.

    Parameters
    ----------
    fools, too_large : float or None
        The two weights; None where no such c is known yet. At least one of them is known.

    Returns
    -------
    float
        Ten times ``fools``, or a tenth of ``too_large``, or the geometric mean if both are known.
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
        The loss L at the target.
    c : float
        The weight of the length.
    x : array, shape (1, *D)
        The input.
    target : array, shape (1,)
        The label to reach.
    low, high : array, shape (1, *D), or None
        The lowest and the highest r that keep x + r in the box.
    start : array, shape (1, *D)
        The r at which the minimisation begins.
    steps : int
        The largest number of iterations.

    Returns
    -------
    array, shape (1, *D)
        The minimiser r, in the dtype of x.

    Source: slide "L-BFGS targeted attack"; Szegedy et al. (2014), section 4.1.
    """
    wide = x.astype(np.float64)

    def objective(flat):
        r = flat.reshape(x.shape)
        value, g = loss_and_gradient(model, loss, wide + r, target)
        length = np.linalg.norm(flat)
        return value[0] + c * length, (g + c * r / max(length, 1e-30)).ravel()

    bounds = None if low is None else list(zip(low.ravel(), high.ravel(), strict=True))
    start = start.ravel().astype(np.float64)
    options = {"maxiter": steps, "ftol": 1e-12, "gtol": 1e-9}
    r = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    r = r.reshape(x.shape).astype(x.dtype)
    return r if low is None else np.clip(r, low, high)


def _clearly_fooled(model, x, target):
    """Return whether the prediction is the target, by more than the rounding error."""
    f, w = boundaries(model, x, target, target)
    return f[0, 0] > rounding(w[:, 0], x)[0]
