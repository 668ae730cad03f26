"""Projected gradient descent, as the slides call it; it ascends the loss."""

from ... import checks
from ...backend import namespace
from ...checked import checked
from ...losses import objective
from ...models.protocol import vjp_x
from ...numerics import each, per_row, rows
from ...parallel import in_chunks
from ..callback import Iterate
from .best import KEEP, counted, nothing_found


@checked(keep=KEEP)
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
    keep="success",
    callback=None,
):
    r"""Step along the gradient of the loss, project back onto Δ(x), repeat; return the best iterate.

    .. math::
        \delta^{[t+1]} = \mathcal{P}\left(\delta^{[t]} + \alpha g\right), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[t]}))

    Normalised steps replace :math:`\alpha g` by the steepest step v of size α, which maximises
    :math:`\langle g, v \rangle` over the set scaled to radius α: for ℓ∞ it is :math:`\alpha\, \mathrm{sign}(g)`, and
    for ℓ2 :math:`\alpha g / \lVert g \rVert_2`. Between bounds the step uses only what they leave at x + δ.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ(x).
    steps : int
        The number of gradient steps in each restart.
    alpha : float, optional
        The step size, in the units of x for normalised steps, and in units of x² per unit of loss for plain steps.
        Default: 2.5 radius / steps.
    normalized : bool
        Whether all steps have size α, whatever the length of the gradient. Plain steps follow the slide's formula.
    target : array, shape (N,), optional
        The labels to reach; the attack then maximises L(y) − L(target).
    loss : Loss, optional
        The loss to climb. Default: the model's own.
    start : array, shape (N, *D) or (restarts, N, *D), optional
        The starting points, which are projected onto Δ(x). Default: zero without ``rng``, else random in Δ(x).
    restarts : int
        The number of runs from different starts; each example keeps the best δ of all runs.
    rng : numpy.random.Generator or int, optional
        Draws the random starts; an integer seeds a new generator.
    keep : {"success", "loss"}
        Which iterate counts as the best. "success": an iterate that fools the model (or reaches its target), then the
        one of the highest loss. "loss": the one of the highest loss, which is what training needs.
    callback : callable, optional
        Called with an ``Iterate`` (restart, step, δ, loss) at every iterate.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate of all restarts, which may be δ = 0, in the dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slides "Projected Gradient Descent"; Madry et al. (2018), section 2.1.
    """
    options = {"steps": steps, "alpha": alpha, "normalized": normalized, "target": target, "loss": loss, "keep": keep}
    best = None
    for restart, delta in enumerate(starts(x, threat, start, restarts, rng)):
        best = climb(model, x, y, threat, delta, best, restart=restart, callback=callback, **options)
    return best.delta


@in_chunks
def climb(
    model,
    x,
    y,
    threat,
    start=None,
    best=None,
    *,
    steps,
    alpha=None,
    reach=2.5,
    normalized=True,
    target=None,
    loss=None,
    keep="success",
    momentum=None,
    restart=0,
    callback=None,
):
    r"""Climb the loss from one start and return the best iterate: one restart of :func:`pgd`.

    Parameters
    ----------
    model, x, y, threat, steps, alpha, normalized, target, loss, keep
        As for :func:`pgd`.
    start : array, shape (N, *D), optional
        The starting points, inside Δ(x). Default: zero.
    reach : float
        The total length of all steps, as a multiple of the radius, if alpha is None.
    best : Best, optional
        The best δ of the earlier restarts. Default: δ = 0.
    momentum : float, optional
        The decay factor μ of momentum FGSM; the steps then follow
        :math:`v \leftarrow \mu v + g / \lVert g \rVert_1`.
    restart : int
        The number of the restart, for the callback.
    callback : callable, optional
        Called with an ``Iterate`` at every iterate.

    Returns
    -------
    Best
        The best δ of each example, whether it fools the model, and its loss.

    Source: slides "Projected Gradient Descent"; Madry et al. (2018), section 2.1.
    """
    loss, labels = objective(loss or model.loss, y, target)
    alpha = reach * threat.radius / steps if alpha is None else alpha
    at_zero = start is None
    delta = namespace(x).zeros_like(x) if at_zero else start
    velocity = 0
    if best is None:
        best = nothing_found(x)
        if not at_zero:
            z = checks.logits(model.logits(x))
            best = best.or_better(best.delta, counted(model, z, y, target, keep), loss.value(z, labels))
    for t in range(steps + 1):
        last = t == steps
        z, pull = (model.logits(x + delta), None) if last else vjp_x(model, x + delta)
        if at_zero and t == 0:
            checks.logits(z)
        value = loss.value(z, labels)
        if callback:
            callback(Iterate(restart, t, delta, value))
        best = best.or_better(delta, counted(model, z, y, target, keep), value)
        if last:
            return best
        g = pull(loss.grad(z, labels))
        if momentum is not None:
            g = velocity = momentum * velocity + _unit_l1(g)
        delta = threat.ascend(delta, g, alpha) if normalized else threat.project(delta + each(alpha, g) * g)


def _unit_l1(g):
    """Return g / ‖g‖₁, row by row; zero rows stay zero."""
    length = abs(rows(g)).sum(axis=1)
    return g / per_row(namespace(g).where(length > 0, length, 1), g)


def starts(x, threat, start, restarts, rng):
    """Return the starting points of each restart in turn; None means zero."""
    if start is not None:
        checks.one_side(start, x)
        start = start[None] if start.ndim == x.ndim else start
        if start.shape != (restarts, *x.shape):
            raise ValueError(f"start has shape {start.shape}; {(restarts, *x.shape)} was expected")
        return (threat.at(x).project(delta.astype(x.dtype)) for delta in start)
    if rng is None:
        if restarts > 1:
            raise ValueError(f"restarts = {restarts} from the same start would all be identical: pass rng or start")
        return [None]
    return (threat.sample(rng, x) for _ in range(restarts))
