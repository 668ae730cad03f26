"""Projected gradient descent (on the slides' terms; it ascends the loss)."""

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

    Normalised steps replace :math:`\alpha g` by the best step in the set scaled to radius α,
    :math:`\arg\max \langle g, v \rangle`: for ℓ∞ :math:`\alpha\, \mathrm{sign}(g)`, for ℓ2
    :math:`\alpha g / \lVert g \rVert_2`. Between bounds the step uses only what they leave at x + δ.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
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
    rng : numpy.random.Generator or int, optional
        For random starts; an integer seeds a generator.
    keep : {"success", "loss"}
        Which iterate is best: one that fools (or reaches its target) before one that does not and then the one of the
        higher loss, or the one of the highest loss alone, as training wants it.
    callback : callable, optional
        Called with an ``Iterate`` (restart, step, δ, loss) at every iterate.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate of all restarts, δ = 0 included. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

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
    r"""Climb the loss from one start, and return the best iterate: one restart of :func:`pgd`.

    Parameters
    ----------
    model, x, y, threat, steps, alpha, normalized, target, loss, keep
        As for :func:`pgd`.
    start : array, shape (N, *D), optional
        A point of Δ(x). Default: zero.
    reach : float
        The length of all steps together, in radii, if alpha is None.
    best : Best, optional
        The best δ of the restarts before. Default: δ = 0.
    momentum : float, optional
        μ of momentum FGSM: the step is then along :math:`v \leftarrow \mu v + g / \lVert g \rVert_1`.
    restart : int
        The number of the restart, for the callback.
    callback : callable, optional
        Called with an ``Iterate`` at every iterate.

    Returns
    -------
    Best

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
    """g / ‖g‖₁ row by row; zero stays zero."""
    length = abs(rows(g)).sum(axis=1)
    return g / per_row(namespace(g).where(length > 0, length, 1), g)


def starts(x, threat, start, restarts, rng):
    """Return the starting points, one restart after the other; None is zero."""
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
