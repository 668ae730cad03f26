"""Auto-PGD: projected gradient descent that finds its own step size."""

import math
from functools import partial
from typing import Any, NamedTuple

from ... import checks, tasks
from ...backend import namespace
from ...checked import checked
from ...losses import objective
from ...models.protocol import vjp_x
from ...numerics import only, per_row
from ...parallel import in_chunks
from ...sets import L0
from ..callback import Iterate
from .best import KEEP, Best, counted, nothing_found
from .pgd import starts

MOMENTUM = 0.75  # α: the share of the new step
RHO = 0.75  # ρ: the share of steps that have to raise the loss


@checked(keep=KEEP)
def apgd(
    model,
    x,
    y,
    threat,
    *,
    steps=100,
    restarts=1,
    target=None,
    loss=None,
    start=None,
    rng=None,
    keep="success",
    until_wrong=False,
    callback=None,
):
    r"""PGD with momentum, and a step size that is halved example by example where it no longer pays.

    .. math::
        z^{[k+1]} = \mathcal{P}\left(\delta^{[k]} + \eta\, s(g)\right), \qquad
        \delta^{[k+1]} = \mathcal{P}\left(\delta^{[k]} + \alpha (z^{[k+1]} - \delta^{[k]})
                         + (1 - \alpha)(\delta^{[k]} - \delta^{[k-1]})\right)

    with :math:`\alpha = 0.75`, :math:`g = \nabla_\delta L(y, f(x + \delta^{[k]}))` and s(g) the steepest step of the
    ball, for ℓ∞ :math:`\mathrm{sign}(g)`, for ℓ2 :math:`g / \lVert g \rVert_2`. It begins with
    :math:`\eta = 2\epsilon`. At the checkpoints :math:`w_j = \lceil p_j N \rceil`, :math:`p_1 = 0.22`,
    :math:`p_{j+1} = p_j + \max(p_j - p_{j-1} - 0.03,\ 0.06)`, η is halved and the run goes on from its best δ for
    every example for which

    1. fewer than 75 % of the steps since the last checkpoint have raised the loss, or
    2. the highest loss is what it was at the last checkpoint, where η was not halved.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ. The paper has ℓ∞ and ℓ2. For ℓ0 a step size counts components and begins with k.
    steps : int
        N, gradient steps in each restart.
    restarts : int
        Runs from several starts; the best is kept example by example.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised, or what ``losses.objective`` makes of the loss.
    loss : Loss, optional
        Default: the model's own. ``losses.dlr`` is the paper's second one.
    start : array, shape (N, *D) or (restarts, N, *D), optional
        Where to begin, projected onto Δ(x). Default: zero without ``rng``, else drawn from Δ(x).
    rng : numpy.random.Generator or int, optional
        For random starts; an integer seeds a generator.
    keep : {"success", "loss"}
        Which iterate is returned: one that fools (or reaches its target) before one that does not and then the one of
        the higher loss, or the one of the highest loss alone. The run itself always goes on from its highest loss.
    until_wrong : bool
        Whether an example rests at its first δ with a prediction other than y, with a target too: for when only the
        worst case counts.
    callback : callable, optional
        Called with an ``Iterate`` (restart, step, δ, loss, step size) at every iterate; not together with
        ``until_wrong``.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate of all restarts, δ = 0 included; with ``until_wrong`` the first one that is misclassified,
        where there is one. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", algorithm 1.
    """
    if callback and until_wrong:
        raise ValueError("callback sees whole batches, and until_wrong=True drops examples: pass one of them")
    options = {"steps": steps, "target": target, "loss": loss, "keep": keep, "until_wrong": until_wrong}
    best = None
    for restart, delta in enumerate(starts(x, threat, start, restarts, rng)):
        best = _climb(model, x, y, threat, delta, best, restart=restart, callback=callback, **options)
    return best.delta


class _State(NamedTuple):
    """The examples that still climb, one row each."""

    row: Any  # where it is in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    delta_set: Any
    delta: Any  # δ[k]
    before: Any  # δ[k−1]
    value: Any
    g: Any
    top: Any  # the δ of the highest loss in this run
    top_value: Any
    top_g: Any
    found: Any  # the δ to return, over all runs
    fooled: Any
    found_value: Any
    eta: Any
    rises: Any  # steps since the last checkpoint that have raised the loss
    record: Any  # the highest loss at the last checkpoint
    halved: Any  # whether η was halved there

    @property
    def best(self):
        return Best(self.found, self.fooled, self.found_value)


@in_chunks
def _climb(model, x, y, threat, start, best, *, steps, target, loss, keep, until_wrong, restart, callback):
    """One restart (start None: from zero), on top of the best δ so far (None: δ = 0)."""
    loss, labels = objective(loss or model.loss, y, target)
    counts = partial(_any_error, model) if until_wrong else partial(counted, model, keep=keep)
    if best is None:
        best = nothing_found(x)
        z = checks.logits(model.logits(x))
        best = best.or_better(best.delta, counts(z, y, target), loss.value(z, labels))
    best = Best(*(a.copy() for a in best))
    state = _begin(x, y, target, labels, threat, best.delta * 0 if start is None else start, best)
    if until_wrong:
        state = only(~best.fooled, state)
    checkpoints, last = _checkpoints(steps), 0
    for k in range(steps + 1):
        if not len(state.row):
            break
        state = _look(model, loss, counts, state, with_gradient=k < steps)
        if callback:
            callback(Iterate(restart, k, state.delta, state.value, step_size=state.eta))
        if k == steps or (until_wrong and state.fooled.any()):
            for whole, part in zip(best, state.best, strict=True):
                whole[state.row] = part
        if until_wrong:
            state = only(~state.fooled, state)
        if k in checkpoints:
            state, last = _checked(state, k - last), k
        if k < steps:
            state = _step(state, first=k == 0)
    return best


def _any_error(model, z, y, target):
    """Whether the prediction is wrong, with a target too."""
    return tasks.of(model, z).is_fooled(z, y)


def _checkpoints(steps):
    """The w_j, with p_j in hundredths: as floats 0.22 + 0.19 may be more than 0.41."""
    p, gap, found = 22, 22, set()
    while p < 100:
        found.add(-(-p * steps // 100))
        gap = max(gap - 3, 6)
        p += gap
    return found


def _first_eta(delta_set):
    """2 ε; for ℓ0 k, for of a step in more components the projection need not keep the best."""
    return delta_set.radius if isinstance(delta_set.ball, L0) else 2 * delta_set.radius


def _begin(x, y, target, labels, delta_set, delta, best):
    xp = namespace(x)
    n, zero, low = len(x), xp.zeros_like(x), xp.full(len(x), -math.inf, x.dtype)
    return _State(
        row=xp.arange(n),
        x=x,
        y=y,
        target=target,
        labels=labels,
        delta_set=delta_set,
        delta=delta,
        before=delta,
        value=-low,
        g=zero,
        top=delta,
        top_value=low,
        top_g=zero,
        found=best.delta,
        fooled=best.fooled,
        found_value=best.value,
        eta=xp.zeros(n, x.dtype) + xp.asarray(_first_eta(delta_set), dtype=x.dtype),
        rises=xp.zeros(n, int),
        record=low,
        halved=xp.zeros(n, bool),
    )


def _look(model, loss, counts, state, with_gradient):
    """Loss and gradient at δ[k], and what is best so far."""
    xp, at, g = namespace(state.x), state.x + state.delta, state.g
    if with_gradient:
        z, pull = vjp_x(model, at)
        g = pull(loss.grad(z, state.labels))
    else:
        z = model.logits(at)
    value = loss.value(z, state.labels)
    higher = value > state.top_value
    row = per_row(higher, at)
    found, fooled, found_value = state.best.or_better(state.delta, counts(z, state.y, state.target), value)
    return state._replace(
        value=value,
        g=g,
        top=xp.where(row, state.delta, state.top),
        top_value=xp.where(higher, value, state.top_value),
        top_g=xp.where(row, g, state.top_g),
        found=found,
        fooled=fooled,
        found_value=found_value,
        rises=state.rises + (value > state.value),
    )


def _checked(state, since):
    """Conditions 1 and 2, ``since`` steps after the last checkpoint: halve η and go back to the best δ."""
    xp = namespace(state.x)
    stuck = state.rises < RHO * since
    stuck |= ~state.halved & (state.top_value == state.record)
    row = per_row(stuck, state.x)
    return state._replace(
        delta=xp.where(row, state.top, state.delta),
        g=xp.where(row, state.top_g, state.g),
        eta=xp.where(stuck, state.eta / 2, state.eta),
        rises=xp.zeros_like(state.rises),
        record=state.top_value,
        halved=stuck,
    )


def _step(state, first):
    """From δ[k] to δ[k+1]; the first step has no momentum."""
    delta = state.delta
    z = state.delta_set.ascend(delta, state.g, state.eta)
    if not first:
        z = delta + MOMENTUM * (z - delta) + (1 - MOMENTUM) * (delta - state.before)
        z = state.delta_set.project(z)
    return state._replace(delta=z, before=delta)
