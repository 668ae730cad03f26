"""Projected gradient descent (on the slides' terms; it ascends the loss)."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ... import checks
from ...backend import namespace
from ...checked import checked, taking
from ...losses import objective
from ...models.protocol import vjp_x
from ...numerics import each, per_row, rows
from ...parallel import map_chunks
from .best import KEEP, Best, counted, nothing_found


@checked(keep=KEEP, callback=taking("restart", "step", "delta", "loss"))
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
        Called with (restart, step, delta, loss), loss of shape ``(N,)``, at every iterate.

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
    loss, labels = objective(loss or model.loss, y, target)
    climb = Climb(model, loss, steps, alpha, normalized, keep)
    best = None, None, None
    for restart, delta in enumerate(starts(x, threat, start, restarts, rng)):
        given = x, y, target, labels, threat.at(x), delta, *best
        if callback:  # sees whole batches
            best = replace(climb, callback=partial(callback, restart))(*given)
        else:
            best = map_chunks(climb, model, *given)
    return best[0]


@dataclass(frozen=True)
class Climb:
    """One restart of PGD, with the settings of :func:`pgd`; ``momentum`` is that of momentum FGSM.

    Where alpha is None, all steps together are as long as ``reach`` radii.
    """

    model: Any
    loss: Any
    steps: int
    alpha: float | None
    normalized: bool = True
    keep: str = "success"
    momentum: float | None = None
    callback: Any = None
    reach: float = 2.5

    def __call__(self, x, y, target, labels, delta_set, delta, *best):
        """Climb from delta (None: zero), on top of the best δ so far, whether it fools and its loss (None: δ = 0)."""
        best = self._clean(x, y, target, labels, delta) if best[0] is None else Best(*best)
        at_x = delta is None
        delta = namespace(x).zeros_like(x) if at_x else delta
        velocity = 0
        alpha = self.reach * delta_set.radius / self.steps if self.alpha is None else self.alpha
        for t in range(self.steps + 1):
            last = t == self.steps
            z, pull = (self.model.logits(x + delta), None) if last else vjp_x(self.model, x + delta)
            if at_x and t == 0:
                checks.logits(z)
            value = self.loss.value(z, labels)
            if self.callback:
                self.callback(t, delta, value)
            best = best.or_better(delta, counted(z, y, target, self.keep), value)
            if last:
                return best
            g = pull(self.loss.grad(z, labels))
            if self.momentum is not None:
                g = velocity = self.momentum * velocity + _unit_l1(g)
            if self.normalized:
                delta = delta_set.ascend(delta, g, alpha)
            else:
                delta = delta_set.project(delta + each(alpha, g) * g)

    def _clean(self, x, y, target, labels, delta):
        """δ = 0 as the best so far; where the climb begins there, its own first iterate will say how good that is."""
        best = nothing_found(x)
        if delta is None:
            return best
        z = checks.logits(self.model.logits(x))
        return best.or_better(best.delta, counted(z, y, target, self.keep), self.loss.value(z, labels))


def _unit_l1(g):
    """g / ‖g‖₁ row by row; zero stays zero."""
    length = abs(rows(g)).sum(axis=1)
    return g / per_row(namespace(g).where(length > 0, length, 1), g)


def starts(x, threat, start, restarts, rng):
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
