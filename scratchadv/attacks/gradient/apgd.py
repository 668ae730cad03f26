"""Auto-PGD: projected gradient descent that adapts its step size."""

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

MOMENTUM = 0.75  # α: the weight of the new step
RHO = 0.75  # ρ: the share of steps that must raise the loss


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
    r"""Run PGD with momentum and a step size that is halved, example by example, when progress stalls.

    .. math::
        z^{[k+1]} = \mathcal{P}\left(\delta^{[k]} + \eta\, s(g)\right), \qquad
        \delta^{[k+1]} = \mathcal{P}\left(\delta^{[k]} + \alpha (z^{[k+1]} - \delta^{[k]})
                         + (1 - \alpha)(\delta^{[k]} - \delta^{[k-1]})\right)

    with :math:`\alpha = 0.75`, :math:`g = \nabla_\delta L(y, f(x + \delta^{[k]}))` and s(g) the steepest step of the
    ball: :math:`\mathrm{sign}(g)` for ℓ∞ and :math:`g / \lVert g \rVert_2` for ℓ2. The first step size is
    :math:`\eta = 2\epsilon`. The checkpoints are :math:`w_j = \lceil p_j N \rceil` with :math:`p_1 = 0.22` and
    :math:`p_{j+1} = p_j + \max(p_j - p_{j-1} - 0.03,\ 0.06)`. At a checkpoint η is halved, and the run continues from
    its best δ, for every example for which

    1. fewer than 75 % of the steps since the last checkpoint have raised the loss, or
    2. the highest loss has not changed since the last checkpoint, and η was not halved there.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ(x). The paper treats ℓ∞ and ℓ2. For ℓ0 the step size is a number of components and
        starts at k.
    steps : int
        The number N of gradient steps in each restart.
    restarts : int
        The number of runs from different starts; each example keeps the best δ of all runs.
    target : array, shape (N,), optional
        The labels to reach; the attack then maximises L(y) − L(target), or the targeted form that
        ``losses.objective`` gives to the loss.
    loss : Loss, optional
        The loss to climb. Default: the model's own. ``losses.dlr`` is the paper's second one.
    start : array, shape (N, *D) or (restarts, N, *D), optional
        The starting points, which are projected onto Δ(x). Default: zero without ``rng``, else random in Δ(x).
    rng : numpy.random.Generator or int, optional
        Draws the random starts; an integer seeds a new generator.
    keep : {"success", "loss"}
        Which iterate is returned. "success": an iterate that fools the model (or reaches its target), then the one of
        the highest loss. "loss": the one of the highest loss. The run itself always continues from its highest loss.
    until_wrong : bool
        Whether an example stops at its first δ with a prediction other than y, even if there is a target. Use it when
        only the worst case counts.
    callback : callable, optional
        Called with an ``Iterate`` (restart, step, δ, loss, step size) at every iterate; not together with
        ``until_wrong``.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate of all restarts, which may be δ = 0, in the dtype of x. With ``until_wrong``, the first
        misclassified iterate if there is one.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

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
    """The state of the run, one row for each example that has not stopped."""

    row: Any  # the row of the example in the batch
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
    found: Any  # the best δ of all runs
    fooled: Any
    found_value: Any
    eta: Any
    rises: Any  # the number of steps since the last checkpoint that raised the loss
    record: Any  # the highest loss at the last checkpoint
    halved: Any  # whether η was halved there

    @property
    def best(self):
        """The best δ of all runs, the one to return."""
        return Best(self.found, self.fooled, self.found_value)


@in_chunks
def _climb(model, x, y, threat, start, best, *, steps, target, loss, keep, until_wrong, restart, callback):
    """Run one restart from ``start`` (None: zero), and return the better of its result and the best δ so far."""
    loss, labels = objective(loss or model.loss, y, target)
    is_success = partial(_misclassified, model) if until_wrong else partial(counted, model, keep=keep)
    if best is None:
        best = nothing_found(x)
        z = checks.logits(model.logits(x))
        best = best.or_better(best.delta, is_success(z, y, target), loss.value(z, labels))
    best = Best(*(a.copy() for a in best))
    state = _initial_state(x, y, target, labels, threat, best.delta * 0 if start is None else start, best)
    if until_wrong:
        state = only(~best.fooled, state)
    checkpoints = _checkpoints(steps)
    last_checkpoint = 0
    for k in range(steps + 1):
        if not len(state.row):
            break
        state = _evaluate(model, loss, is_success, state, with_gradient=k < steps)
        if callback:
            callback(Iterate(restart, k, state.delta, state.value, step_size=state.eta))
        if k == steps or (until_wrong and state.fooled.any()):
            for in_batch, in_state in zip(best, state.best, strict=True):
                in_batch[state.row] = in_state
        if until_wrong:
            state = only(~state.fooled, state)
        if k in checkpoints:
            state = _halve_where_stuck(state, k - last_checkpoint)
            last_checkpoint = k
        if k < steps:
            state = _step(state, first=k == 0)
    return best


def _misclassified(model, z, y, target):
    """Return whether the prediction is not y, whatever the target."""
    return tasks.of(model, z).is_fooled(z, y)


def _checkpoints(steps):
    """Return the checkpoints w_j; p_j is counted in hundredths, because 0.22 + 0.19 may exceed 0.41 in floats."""
    p = gap = 22
    found = set()
    while p < 100:
        found.add(-(-p * steps // 100))
        gap = max(gap - 3, 6)
        p += gap
    return found


def _first_eta(delta_set):
    """Return 2 ε, or k for ℓ0, because the projection of a step in 2k components might not keep the best k."""
    return delta_set.radius if isinstance(delta_set.ball, L0) else 2 * delta_set.radius


def _initial_state(x, y, target, labels, delta_set, delta, best):
    """Return the state before the first step, in which any loss is the highest so far."""
    xp = namespace(x)
    n = len(x)
    zero = xp.zeros_like(x)
    low = xp.full(n, -math.inf, x.dtype)
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


def _evaluate(model, loss, is_success, state, with_gradient):
    """Return the state with the loss and the gradient at δ[k], and with the best δ updated."""
    xp = namespace(state.x)
    at = state.x + state.delta
    g = state.g
    if with_gradient:
        z, pull = vjp_x(model, at)
        g = pull(loss.grad(z, state.labels))
    else:
        z = model.logits(at)
    value = loss.value(z, state.labels)
    higher = value > state.top_value
    row = per_row(higher, at)
    found, fooled, found_value = state.best.or_better(state.delta, is_success(z, state.y, state.target), value)
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


def _halve_where_stuck(state, since):
    """Halve η and return to the best δ where condition 1 or 2 holds, ``since`` steps after the last checkpoint."""
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
    """Return the state with δ[k+1] in place of δ[k]; the first step has no momentum."""
    delta = state.delta
    z = state.delta_set.ascend(delta, state.g, state.eta)
    if not first:
        z = delta + MOMENTUM * (z - delta) + (1 - MOMENTUM) * (delta - state.before)
        z = state.delta_set.project(z)
    return state._replace(delta=z, before=delta)
