"""Projected gradient descent (on the slides' terms; it ascends the loss)."""

import math
from functools import partial

from ... import checks
from ...backend import namespace
from ...losses import objective
from ...models.protocol import loss_and_gradient
from ...numerics import per_row, rows
from ...parallel import map_chunks


def pgd(
    model,
    x,
    y,
    threat,
    *,
    steps=40,
    alpha=None,
    normalized=True,
    target=None,
    loss=None,
    start=None,
    restarts=1,
    rng=None,
    callback=None,
):
    r"""Step along the gradient of the loss, project back onto Δ(x), repeat; return the best iterate.

    .. math::
        \delta^{[t+1]} = \mathcal{P}\left(\delta^{[t]} + \alpha g\right), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[t]}))

    Normalised steps replace :math:`\alpha g` by the best step in the set scaled to radius α,
    :math:`\arg\max \langle g, v \rangle`: for ℓ∞ :math:`\alpha\, \mathrm{sign}(g)`, for ℓ2
    :math:`\alpha g / \lVert g \rVert_2`. With a pixel range the step uses only the room that is left at x + δ.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Ball or Boxed
        The perturbation set Δ.
    steps : int
        Gradient steps in each restart.
    alpha : float, optional
        Step size in the units of x (normalised steps) or of x² a unit of loss (plain ones). Default
        2.5 radius / steps.
    normalized : bool
        Whether steps have the same size whatever the gradient's. Plain steps are the slide's formula.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised.
    loss : Loss, optional
        Default: the model's own.
    start : array, shape (N, *D) or (restarts, N, *D), optional
        Where to begin, projected onto Δ(x). Default: zero without ``rng``, else drawn from Δ(x).
    restarts : int
        Runs from several starts; the best is kept example by example.
    rng : numpy.random.Generator, optional
        For random starts.
    callback : callable, optional
        Called with (restart, step, delta, loss), loss of shape ``(N,)``, at every iterate.

    Returns
    -------
    delta : array, shape (N, *D)
        The feasible iterate of the highest loss, δ = 0 included. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: slides "Projected Gradient Descent"; Madry et al. (2018), section 2.1.
    """
    checks.attack(model, x, y, threat, target)
    steps = checks.count("steps", steps, least=1)
    alpha = 2.5 * threat.radius / steps if alpha is None else checks.radius("alpha", alpha)
    restarts = checks.count("restarts", restarts, least=1)
    loss, y = objective(loss or model.loss, y, target)
    run = partial(_climb, model, threat, loss, steps, alpha, normalized)
    best = best_value = None
    for restart, delta in enumerate(_starts(x, threat, start, restarts, rng)):
        if callback:  # sees whole batches
            best, best_value = run(x, y, delta, best, best_value, callback=partial(callback, restart))
        else:
            best, best_value = map_chunks(run, model, x, y, delta, best, best_value)
    return best


def _climb(model, threat, loss, steps, alpha, normalized, x, y, delta, best, best_value, callback=None, momentum=None):
    """One restart from delta (None: zero), on top of the best δ and value so far (None: δ = 0)."""
    xp, delta_set = namespace(x), threat.at(x)
    if best is None:  # a start at zero is its own first iterate
        best, best_value = xp.zeros_like(x), -math.inf if delta is None else loss.value(model.logits(x), y)
    delta, velocity = xp.zeros_like(x) if delta is None else delta, 0
    for t in range(steps + 1):
        if t < steps:
            value, g = loss_and_gradient(model, loss, x + delta, y)
        else:
            value = loss.value(model.logits(x + delta), y)
        if callback:
            callback(t, delta, value)
        better = value > best_value
        best = delta if better.all() else xp.where(per_row(better, x), delta, best)
        best_value = xp.where(better, value, best_value)
        if t < steps:
            if momentum is not None:
                g = velocity = momentum * velocity + _unit_l1(g)
            delta = delta_set.ascend(delta, g, alpha) if normalized else delta_set.project(delta + alpha * g)
    return best, best_value


def _unit_l1(g):
    """g / ‖g‖₁ row by row; zero stays zero."""
    length = abs(rows(g)).sum(axis=1)
    return g / per_row(namespace(g).where(length > 0, length, 1), g)


def _starts(x, threat, start, restarts, rng):
    """The starting points, one restart after the other; None is zero."""
    if start is not None:
        checks.one_side(start, x)
        start = start[None] if start.ndim == x.ndim else start
        if start.shape != (restarts, *x.shape):
            raise ValueError(f"start has shape {start.shape}; {(restarts, *x.shape)} was expected")
        return (threat.at(x).project(delta.astype(x.dtype)) for delta in start)
    if rng is None:
        if restarts > 1:
            raise ValueError(f"restarts = {restarts} from one start are all the same: pass rng or start")
        return [None]
    return (threat.sample(rng, x) for _ in range(restarts))
