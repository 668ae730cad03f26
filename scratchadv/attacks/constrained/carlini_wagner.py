"""The attacks of Carlini and Wagner: the smallest change in ℓ2, ℓ∞ or ℓ0, by Adam on a penalty."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ... import tasks
from ...backend import namespace
from ...checked import checked, one_of
from ...models.protocol import clean_logits, vjp_x
from ...numerics import only, per_row, rows, take
from ...parallel import in_chunks
from ...sets import L0, L2, Linf, bounds_of
from ...training.optim import Adam
from .targets import cut

WIDER = 1.25  # how much the range of tanh is wider than the box: its slope at the edge is 0.36 of that in the middle
LARGEST = {Linf: 20, L0: 2e6}  # of c, as in the authors' code
PRECISION = 0.01  # of the ℓ∞ size


@checked(norm=one_of(L2, Linf, L0))
@in_chunks
def carlini_wagner(
    model, x, y, *, target=None, norm=L2, confidence=0.0, box=(0, 1), steps=200, searches=9, c=0.01, lr=0.05
):
    r"""Minimise the size of δ plus c times how far x + δ is from being misclassified, and search for c.

    .. math::
        \min_w\, D(\delta) + c\, f(x + \delta), \qquad
        f(x') = \max\left(\max_{i \neq t} Z(x')_i - Z(x')_t, -\kappa\right)

    without a target :math:`f(x') = \max(Z(x')_y - \max_{i \neq y} Z(x')_i, -\kappa)`. The change of variables

    .. math:: x + \delta = \mathrm{clip}\left(\tfrac{l + u}{2} + 1.25\, \tfrac{u - l}{2} \tanh(w), [l, u]\right)

    keeps x + δ in the box; the range of tanh is wider than the box, since in the paper's own (1 in place of 1.25) the
    slope at 0 and 1 is zero, and such pixels could not move. By norm:

    - ℓ2: :math:`D = \lVert \delta \rVert_2^2`, and a binary search for c (times 10 until a run ends fooled).
    - ℓ∞: :math:`D = \sum_i \max(|\delta_i| - \tau, 0)`. Each run begins at the best δ so far, cut off at τ, and asks
      for a τ that is a tenth smaller; where no c succeeds, for one half way back, until the gap is 1 %.
    - ℓ0: :math:`D = \lVert \delta \rVert_2^2` on the components that are still free. Whenever x + δ is fooled, those of
      the smallest :math:`|\nabla f(x + \delta)_i\, \delta_i|` are fixed at δ = 0: at first 30 % of them, and where no c
      succeeds half as many, down to a single one.

    Each example has its own c, its own end of a run (when its loss has not improved by 0.01 % in a tenth of the steps
    and nothing fooled meanwhile) and its own free components. Adam's steps shrink linearly to zero in a run, which
    replaces most of the paper's 10,000 steps.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        Labels t to reach.
    norm : {L2, Linf, L0}
        The ball class whose norm is made small.
    confidence : float
        κ >= 0: by how much the wrong logit has to win.
    box : pair or None
        The lowest and the highest value of x + δ; None: unbounded, and w is δ. Where a side is infinite, w is δ too,
        cut off at the other side.
    steps : int
        Of Adam, at most, in one run.
    searches : int
        Runs of the binary search; ℓ2 only.
    c : float
        The first c. It is multiplied by 10 where it was too small.
    lr : float
        Adam's first step size, in units of w: a half of the box is about 1. In ℓ∞ at most a tenth of τ.

    Returns
    -------
    delta : array, shape (N, *D)
        The smallest δ seen that fools, dtype of x. Zero where x is fooled already (with that confidence), and where
        nothing was found: predict again to tell the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: Carlini and Wagner (2017), "Towards Evaluating the Robustness of Neural Networks", sections V and VI: f₆,
    the ℓ2, ℓ0 and ℓ∞ attacks.
    """
    descend = partial(_descend, model, norm=norm, kappa=confidence, steps=steps, lr=lr)
    search = {L2: partial(_l2, searches), Linf: _linf, L0: partial(_l0, model)}[norm]
    z = clean_logits(model, x)
    task = tasks.of(model, z)
    left = namespace(x).flatnonzero(~task.is_fooled(z, y, target) | (task.advantage(z, y, target) < confidence))
    delta = namespace(x).zeros_like(x)
    if len(left):
        delta[left] = search(descend, c, Goal(*take(left, x, y, target, *bounds_of(box, x))))
    return delta


class Goal(NamedTuple):
    """What a run of Adam is asked for, example by example; None where it does not matter."""

    x: Any
    y: Any
    target: Any
    low: Any  # of δ
    high: Any
    c: Any = None
    tau: Any = None  # ℓ∞: the size that costs nothing
    free: Any = None  # ℓ0: what may move
    enough: Any = None  # the run ends at a δ of this size that fools


def _l2(searches, descend, c, goal):
    """A binary search for the smallest c whose run ends fooled."""
    xp, (zero, size) = namespace(goal.x), _nothing(goal.x)
    best, c, low, high = zero, xp.full_like(size, c), xp.zeros_like(size), size
    for _ in range(searches):
        best, size, held = descend(goal._replace(c=c), zero, best, size)
        low, high = xp.where(held, low, c), xp.where(held, c, high)
        c = xp.where(xp.isfinite(high), (low + high) / 2, 10 * c)
    return best


def _linf(descend, first_c, goal):
    """Ask for a smaller τ, again and again, between a size that fools and one that seems out of reach."""
    xp, (best, size) = namespace(goal.x), _nothing(goal.x)
    c = xp.full_like(size, first_c)
    best, size, _ = descend(goal._replace(c=c, tau=size, enough=size), best, best, size)
    missed = xp.where(xp.isfinite(size), 0, size)
    while len(left := xp.flatnonzero(missed < (1 - PRECISION) * size)):
        most = size[left]
        tau = xp.maximum(0.9 * most, (missed[left] + most) / 2)
        enough = (tau + most) / 2
        asked = take(left, goal)[0]._replace(c=c[left], tau=tau, enough=enough)
        edge = per_row(tau, best)
        best[left], size[left], _ = descend(asked, xp.clip(best[left], -edge, edge), best[left], most)
        higher = xp.where(size[left] <= enough, first_c, 10 * c[left])
        given_up = higher > LARGEST[Linf]
        missed[left] = xp.where(given_up, tau, missed[left])
        c[left] = xp.where(given_up, first_c, higher)
    return best


def _l0(model, descend, first_c, goal):
    """Fix the components that matter least, and find the others again, until not one more can be fixed."""
    xp, (best, size) = namespace(goal.x), _nothing(goal.x)
    c, share, fixed = xp.full_like(size, first_c), xp.full_like(size, 0.3), xp.zeros_like(size)
    free, left = xp.ones(best.shape, dtype=bool), xp.arange(len(size))
    while len(left):
        (asked,) = take(left, goal._replace(c=c, free=free, enough=xp.full_like(size, math.inf)))
        before = size[left]
        best[left], size[left], _ = descend(asked, best[left], best[left], before)
        found = size[left] < before
        retry = ~found & (10 * c[left] <= LARGEST[L0])
        c[left] = xp.where(retry, 10 * c[left], c[left])
        share[left] = xp.where(found | retry, share[left], share[left] / 2)
        again, left = left[found | ~retry & (fixed[left] > 1)], left[found | retry | (fixed[left] > 1)]
        if len(again):
            free[again], fixed[again] = _without_least(model, take(again, goal)[0], best[again], share[again])
    return best


def _without_least(model, goal, delta, share):
    """The components of δ but the share of them, one at least, that matters least, and how many those are."""
    xp = namespace(delta)
    z, pull = vjp_x(model, goal.x + delta)
    score = rows(abs(pull(_slope(model, z, goal)) * delta))
    moved = rows(delta) != 0
    score = xp.where(moved, score, -1)
    rank = xp.argsort(xp.argsort(score, axis=1, kind="stable"), axis=1, kind="stable")
    count = moved.sum(axis=1)
    fixed = xp.maximum(1, (share * count).astype(int))
    return (rank >= (score.shape[1] - count + fixed)[:, None]).reshape(delta.shape), fixed


def _nothing(x):
    """No δ yet: zero, and its size as infinite."""
    xp = namespace(x)
    return xp.zeros_like(x), xp.full(len(x), math.inf, dtype=x.dtype)


def _descend(model, goal, start, best, size, *, norm, kappa, steps, lr):
    """A run of Adam from ``start``: the smallest δ that fools, its size, and whether the run ended fooled."""
    xp, adam, length = namespace(start), Adam(lr), norm.norm
    w = _to_w(start, goal)
    best, size, held = best.copy(), size.copy(), xp.zeros(len(start), dtype=bool)
    left, lately, mark, state = xp.arange(len(start)), held, xp.full_like(size, math.inf), adam.start({"w": w})
    for step in range(steps):
        delta, slope = _to_delta(w, goal)
        fooled, loss, g = penalty(model, goal, kappa, delta)
        closer = fooled & (length(delta) < size[left])
        best[left[closer]], size[left[closer]] = delta[closer], length(delta)[closer]
        new, state = adam.step({"w": w}, {"w": g * slope}, state, (1 - step / steps) * _pace(lr, goal, w))
        w, lately = _inside(new["w"], goal), lately | fooled
        stop = xp.zeros_like(fooled) if goal.enough is None else fooled & (size[left] <= goal.enough)
        if (step + 1) % max(1, steps // 10) == 0:
            held[left] = lately
            stop = stop | ~lately & (loss > 0.9999 * mark)
            mark, lately = loss, xp.zeros_like(lately)
        if stop.any():
            goal, w, left, mark, lately, state = only(~stop, (goal, w, left, mark, lately, state))
        if not len(left):
            break
    return best, size, held


def penalty(model, goal, kappa, delta):
    r"""Return whether x + δ fools beyond rounding, the penalised distance D(δ) + c f(x + δ), and its gradient by δ.

    Parameters
    ----------
    model : Model
        The model to attack.
    goal : Goal
        Images, labels and the weight c, n rows each.
    kappa : float
        The confidence κ.
    delta : array, shape (n, *D)

    Returns
    -------
    fooled : array of bool, shape (n,)
    value : array, shape (n,)
    gradient : array, shape (n, *D)

    Source: Carlini and Wagner (2017), sections V and VI.
    """
    xp = namespace(delta)
    z, pull = vjp_x(model, goal.x + delta)
    wins = tasks.of(model, z).advantage(z, goal.y, goal.target)
    largest = xp.where(xp.isfinite(z), abs(z), 0).reshape(len(z), -1).max(axis=1)
    rounding = 4 * np.finfo(z.dtype).eps * largest
    size, g = _distance(delta, goal.tau)
    push = xp.where(wins <= kappa, goal.c, 0)
    return (
        wins > kappa + rounding,
        size + goal.c * xp.maximum(-wins, -kappa),
        g - pull(per_row(push, z) * _slope(model, z, goal)),
    )


def _slope(model, z, goal):
    """The derivative of the advantage by z."""
    return tasks.of(model, z).advantage_grad(z, goal.y, goal.target)


def _distance(delta, tau):
    """D and its gradient."""
    xp = namespace(delta)
    if tau is None:
        return rows(delta * delta).sum(axis=1), 2 * delta
    excess = abs(delta) - per_row(tau, delta)
    return rows(xp.maximum(excess, 0)).sum(axis=1), xp.where(excess > 0, xp.sign(delta), 0)


def _pace(lr, goal, w):
    """What the step size is multiplied by: in ℓ∞ so that it is at most τ / 10."""
    return 1.0 if goal.tau is None else per_row(namespace(w).minimum(1, goal.tau / (10 * lr)), w)


def _to_w(delta, goal):
    """The w of δ; δ itself without a box."""
    if goal.low is None:
        return delta
    xp = namespace(delta)
    closed, low, high = _closed(goal)
    half = WIDER * (high - low) / 2
    u = xp.where(closed, (delta - (low + high) / 2) / xp.where(half > 0, half, 1), 0)
    return xp.where(closed, (xp.log1p(u) - xp.log1p(-u)) / 2, delta).astype(delta.dtype)


def _closed(goal):
    """Where both sides of the box are finite, and the sides with zero elsewhere."""
    xp = namespace(goal.low)
    closed = xp.isfinite(goal.high - goal.low)
    return closed, xp.where(closed, goal.low, 0), xp.where(closed, goal.high, 0)


def _to_delta(w, goal):
    """δ, zero where it is fixed, and its derivative by w."""
    xp = namespace(w)
    delta, slope = w, xp.ones_like(w)
    if goal.low is not None:
        closed, low, high = _closed(goal)
        half, u = WIDER * (high - low) / 2, xp.tanh(w)
        delta = cut(xp.where(closed, (low + high) / 2 + half * u, w), goal.low, goal.high)
        slope = xp.where(closed, half * (1 - u * u), 1).astype(w.dtype)
    return (delta, slope) if goal.free is None else (delta * goal.free, slope * goal.free)


def _inside(w, goal):
    """w cut off where δ reaches the box."""
    if goal.low is None:
        return w
    edge = math.atanh(1 / WIDER)
    return namespace(w).where(_closed(goal)[0], namespace(w).clip(w, -edge, edge), cut(w, goal.low, goal.high))
