"""Auto-PGD: projected gradient descent that finds its own step size."""

import math
from functools import partial
from typing import Any, NamedTuple

from ... import checks
from ...backend import namespace
from ...balls import L0, Boxed
from ...losses import objective
from ...models.protocol import labels_of
from ...numerics import per_row
from ...parallel import map_chunks
from .pgd import _starts

MOMENTUM = 0.75  # α: the share of the new step
RHO = 0.75  # ρ: the share of steps that have to raise the loss


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
    threat : Ball or Boxed
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
    rng : numpy.random.Generator, optional
        For random starts.
    until_wrong : bool
        Whether an example rests at its first δ with a prediction other than y, with a target too: for when only the
        worst case counts.
    callback : callable, optional
        Called with (restart, step, delta, loss, eta) at every iterate, the last two of shape ``(N,)``; not together
        with ``until_wrong``.

    Returns
    -------
    delta : array, shape (N, *D)
        The feasible iterate of the highest loss, δ = 0 included; with ``until_wrong`` the first one that is
        misclassified, where there is one. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", algorithm 1.
    """
    checks.attack(model, x, y, threat, target)
    steps = checks.count("steps", steps, least=1)
    restarts = checks.count("restarts", restarts, least=1)
    if callback and until_wrong:
        raise ValueError("callback sees whole batches, and until_wrong=True drops examples: pass one of them")
    loss, labels = objective(loss or model.loss, y, target)
    run = partial(_climb, model, threat, loss, steps, until_wrong)
    best = best_value = None
    for restart, delta in enumerate(_starts(x, threat, start, restarts, rng)):
        if callback:
            tell = partial(callback, restart)
            best, best_value = run(x, y, labels, delta, best, best_value, callback=tell)
        else:
            best, best_value = map_chunks(run, model, x, y, labels, delta, best, best_value)
    return best


class _State(NamedTuple):
    """The examples that still climb, one row each."""

    row: Any  # where it is in the batch
    x: Any
    y: Any
    labels: Any
    delta: Any  # δ[k]
    before: Any  # δ[k−1]
    value: Any
    g: Any
    best: Any  # of this run, with its value and gradient
    best_value: Any
    best_g: Any
    eta: Any
    rises: Any  # steps since the last checkpoint that have raised the loss
    record: Any  # the best value at the last checkpoint
    halved: Any  # whether η was halved there

    def only(self, keep):
        return self if keep.all() else _State(*(a[keep] for a in self))


def _climb(model, threat, loss, steps, until_wrong, x, y, labels, delta, best, best_value, callback=None):
    """One restart from delta (None: zero), on top of the best δ and value so far (None: δ = 0)."""
    xp, checkpoints, last = namespace(x), _checkpoints(steps), 0
    if best is None:  # a start at zero is its own first iterate
        best = xp.zeros_like(x)
        best_value = xp.full(len(x), -math.inf, x.dtype)
        if delta is not None:
            best_value = _value(loss, until_wrong, model.logits(x), y, labels)
    state = _begin(x, y, labels, best if delta is None else delta, _first_eta(threat))
    state = state.only(best_value < math.inf)
    for k in range(steps + 1):
        if not len(state.row):
            break
        state = _look(model, loss, until_wrong, state, with_gradient=k < steps)
        if callback:
            callback(k, state.delta, state.value, state.eta)
        standing = state.best_value < math.inf
        if k == steps or not standing.all():
            best, best_value = _merged(best, best_value, state)
            state = state.only(standing)
        if k in checkpoints:
            state, last = _checked(state, k - last), k
        if k < steps:
            state = _step(threat, state, first=k == 0)
    return best, best_value


def _checkpoints(steps):
    """The w_j, with p_j in hundredths: as floats 0.22 + 0.19 may be more than 0.41."""
    p, gap, found = 22, 22, set()
    while p < 100:
        found.add(-(-p * steps // 100))
        gap = max(gap - 3, 6)
        p += gap
    return found


def _first_eta(threat):
    """2 ε; for ℓ0 k, for of a step in more components the projection need not keep the best."""
    ball = threat.ball if isinstance(threat, Boxed) else threat
    return ball.k if isinstance(ball, L0) else 2 * ball.radius


def _begin(x, y, labels, delta, eta):
    xp = namespace(x)
    n, zero, low = len(x), xp.zeros_like(x), xp.full(len(x), -math.inf, x.dtype)
    return _State(
        row=xp.arange(n),
        x=x,
        y=y,
        labels=labels,
        delta=delta,
        before=delta,
        value=-low,
        g=zero,
        best=delta,
        best_value=low,
        best_g=zero,
        eta=xp.full(n, eta, x.dtype),
        rises=xp.zeros(n, int),
        record=low,
        halved=xp.zeros(n, bool),
    )


def _value(loss, until_wrong, z, y, labels):
    """The loss, and infinity where nothing is left to do."""
    value = loss.value(z, labels)
    return namespace(z).where(labels_of(z) != y, math.inf, value).astype(z.dtype) if until_wrong else value


def _look(model, loss, until_wrong, state, with_gradient):
    """Loss and gradient at δ[k], and what is best so far."""
    xp, at, g = namespace(state.x), state.x + state.delta, state.g
    if with_gradient:
        z, pull = model.vjp_x(at)
        g = pull(loss.grad(z, state.labels))
    else:
        z = model.logits(at)
    value = _value(loss, until_wrong, z, state.y, state.labels)
    better = value > state.best_value
    row = per_row(better, at)
    return state._replace(
        value=value,
        g=g,
        best=xp.where(row, state.delta, state.best),
        best_value=xp.where(better, value, state.best_value),
        best_g=xp.where(row, g, state.best_g),
        rises=state.rises + (value > state.value),
    )


def _checked(state, since):
    """Conditions 1 and 2, ``since`` steps after the last checkpoint: halve η and go back to the best δ."""
    xp = namespace(state.x)
    stuck = state.rises < RHO * since
    stuck |= ~state.halved & (state.best_value == state.record)
    row = per_row(stuck, state.x)
    return state._replace(
        delta=xp.where(row, state.best, state.delta),
        g=xp.where(row, state.best_g, state.g),
        eta=xp.where(stuck, state.eta / 2, state.eta),
        rises=xp.zeros_like(state.rises),
        record=state.best_value,
        halved=stuck,
    )


def _step(threat, state, first):
    """From δ[k] to δ[k+1]; the first step has no momentum."""
    delta, z = state.delta, _ascend(threat, state)
    if not first:
        z = delta + MOMENTUM * (z - delta) + (1 - MOMENTUM) * (delta - state.before)
        z = threat.at(state.x).project(z)
    return state._replace(delta=z, before=delta)


def _ascend(threat, state):
    """P(δ + η s(g)), the examples of one step size together: for ℓ1 and ℓ0 s depends on it."""
    x, delta, g, eta = state.x, state.delta, state.g, state.eta
    sizes = set(eta.tolist())
    if len(sizes) == 1:
        return threat.at(x).ascend(delta, g, sizes.pop())
    found = namespace(x).empty_like(delta)
    for size in sizes:
        some = eta == size
        found[some] = threat.at(x[some]).ascend(delta[some], g[some], size)
    return found


def _merged(best, best_value, state):
    """The best over the runs, with what this one has found."""
    better = state.best_value > best_value[state.row]
    found = state.row[better]
    best, best_value = best.copy(), best_value.copy()
    best[found], best_value[found] = state.best[better], state.best_value[better]
    return best, best_value
