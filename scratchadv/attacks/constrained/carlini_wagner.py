"""The attacks of Carlini and Wagner: the smallest change in ℓ2, ℓ∞ or ℓ0, by Adam on a penalty."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...backend import namespace
from ...checked import checked, one_of
from ...losses import margin
from ...models.protocol import clean_logits, is_fooled, vjp_x
from ...numerics import per_row, rows, take
from ...parallel import map_chunks
from ...sets import L0, L2, Linf, bounds_of
from ...training.optim import Adam
from .targets import advantage, cut, where_standing

WIDER = 1.25  # how much the range of tanh is wider than the box: its slope at the edge is 0.36 of that in the middle
LARGEST = {Linf: 20, L0: 2e6}  # of c, as in the authors' code
PRECISION = 0.01  # of the ℓ∞ size


@checked(norm=one_of(L2, Linf, L0))
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
    x : array, shape (N, *D)
        float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        Labels t to reach.
    norm : {L2, Linf, L0}
        The ball class whose norm is made small.
    confidence : float
        κ >= 0: by how much the wrong logit has to win.
    box : (lower, upper), Set or None
        The range of x + δ, or a Box, a Mask, a Range or an intersection of them. Without one w is δ; where a side is
        infinite, w is δ too, cut off at the other side.
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
        If an argument does not fit; before any step.

    Source: Carlini and Wagner (2017), "Towards Evaluating the Robustness of Neural Networks", sections V and VI: f₆,
    the ℓ2, ℓ0 and ℓ∞ attacks.
    """
    low, high = bounds_of(box, x)
    descend = partial(_descend, model, norm, confidence, steps, lr)
    search = {L2: partial(_l2, searches), Linf: _linf, L0: partial(_l0, model)}[norm]

    def run(*arrays):
        return map_chunks(lambda x, *rest: (search(descend, c, Task(x, *rest)),), model, *arrays)[0]

    z = clean_logits(model, x)
    standing = ~is_fooled(z, y, target) | (advantage(z, y, target) < confidence)
    return where_standing(standing, run, x, y, target, low, high)


class Task(NamedTuple):
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


def _take(task, keep):
    return Task(*take(keep, *task))


def _l2(searches, descend, c, task):
    """A binary search for the smallest c whose run ends fooled."""
    xp, (zero, size) = namespace(task.x), _nothing(task.x)
    best, c, low, high = zero, xp.full_like(size, c), xp.zeros_like(size), size
    for _ in range(searches):
        best, size, held = descend(task._replace(c=c), zero, best, size)
        low, high = xp.where(held, low, c), xp.where(held, c, high)
        c = xp.where(xp.isfinite(high), (low + high) / 2, 10 * c)
    return best


def _linf(descend, first_c, task):
    """Ask for a smaller τ, again and again, between a size that fools and one that seems out of reach."""
    xp, (best, size) = namespace(task.x), _nothing(task.x)
    c = xp.full_like(size, first_c)
    best, size, _ = descend(task._replace(c=c, tau=size, enough=size), best, best, size)
    missed = xp.where(xp.isfinite(size), 0, size)
    while len(left := xp.flatnonzero(missed < (1 - PRECISION) * size)):
        most = size[left]
        tau = xp.maximum(0.9 * most, (missed[left] + most) / 2)
        enough = (tau + most) / 2
        asked = _take(task, left)._replace(c=c[left], tau=tau, enough=enough)
        edge = per_row(tau, best)
        best[left], size[left], _ = descend(asked, xp.clip(best[left], -edge, edge), best[left], most)
        higher = xp.where(size[left] <= enough, first_c, 10 * c[left])
        given_up = higher > LARGEST[Linf]
        missed[left] = xp.where(given_up, tau, missed[left])
        c[left] = xp.where(given_up, first_c, higher)
    return best


def _l0(model, descend, first_c, task):
    """Fix the components that matter least, and find the others again, until not one more can be fixed."""
    xp, (best, size) = namespace(task.x), _nothing(task.x)
    c, share, fixed = xp.full_like(size, first_c), xp.full_like(size, 0.3), xp.zeros_like(size)
    free, left = xp.ones(best.shape, dtype=bool), xp.arange(len(size))
    while len(left):
        asked = _take(task._replace(c=c, free=free, enough=xp.full_like(size, math.inf)), left)
        before = size[left]
        best[left], size[left], _ = descend(asked, best[left], best[left], before)
        found = size[left] < before
        retry = ~found & (10 * c[left] <= LARGEST[L0])
        c[left] = xp.where(retry, 10 * c[left], c[left])
        share[left] = xp.where(found | retry, share[left], share[left] / 2)
        again, left = left[found | ~retry & (fixed[left] > 1)], left[found | retry | (fixed[left] > 1)]
        if len(again):
            free[again], fixed[again] = _without_least(model, _take(task, again), best[again], share[again])
    return best


def _without_least(model, task, delta, share):
    """The components of δ but the share of them, one at least, that matters least, and how many those are."""
    xp = namespace(delta)
    z, pull = vjp_x(model, task.x + delta)
    score = rows(abs(pull(_slope(z, task)) * delta))
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


def _descend(model, norm, kappa, steps, lr, task, start, best, size):
    """A run of Adam from ``start``: the smallest δ that fools, its size, and whether the run ended fooled."""
    xp, adam, length = namespace(start), Adam(lr), norm.norm
    w = _to_w(start, task)
    best, size, held = best.copy(), size.copy(), xp.zeros(len(start), dtype=bool)
    left, lately, mark, state = xp.arange(len(start)), held, xp.full_like(size, math.inf), adam.start({"w": w})
    for step in range(steps):
        delta, slope = _to_delta(w, task)
        fooled, loss, g = _objective(model, task, kappa, delta)
        closer = fooled & (length(delta) < size[left])
        best[left[closer]], size[left[closer]] = delta[closer], length(delta)[closer]
        new, state = adam.step({"w": w}, {"w": g * slope}, state, (1 - step / steps) * _pace(lr, task, w))
        w, lately = _inside(new["w"], task), lately | fooled
        stop = xp.zeros_like(fooled) if task.enough is None else fooled & (size[left] <= task.enough)
        if (step + 1) % max(1, steps // 10) == 0:
            held[left] = lately
            stop = stop | ~lately & (loss > 0.9999 * mark)
            mark, lately = loss, xp.zeros_like(lately)
        if stop.any():
            go = ~stop
            task, w, left, mark, lately = _take(task, go), w[go], left[go], mark[go], lately[go]
            state = {name: a if name == "t" else a[go] for name, a in state.items()}
        if not len(left):
            break
    return best, size, held


def _objective(model, task, kappa, delta):
    """Whether x + δ is fooled, beyond rounding; D + c f; and its gradient by δ."""
    xp = namespace(delta)
    z, pull = vjp_x(model, task.x + delta)
    wins = advantage(z, task.y, task.target)
    largest = xp.where(xp.isfinite(z), abs(z), 0).reshape(len(z), -1).max(axis=1)
    rounding = 4 * np.finfo(z.dtype).eps * largest
    size, g = _distance(delta, task.tau)
    push = xp.where(wins <= kappa, task.c, 0)
    return (
        wins > kappa + rounding,
        size + task.c * xp.maximum(-wins, -kappa),
        g - pull(per_row(push, z) * _slope(z, task)),
    )


def _slope(z, task):
    """The derivative of the advantage by z."""
    return margin.grad(z, task.y) if task.target is None else -margin.grad(z, task.target)


def _distance(delta, tau):
    """D and its gradient."""
    xp = namespace(delta)
    if tau is None:
        return rows(delta * delta).sum(axis=1), 2 * delta
    excess = abs(delta) - per_row(tau, delta)
    return rows(xp.maximum(excess, 0)).sum(axis=1), xp.where(excess > 0, xp.sign(delta), 0)


def _pace(lr, task, w):
    """What the step size is multiplied by: in ℓ∞ so that it is at most τ / 10."""
    return 1.0 if task.tau is None else per_row(namespace(w).minimum(1, task.tau / (10 * lr)), w)


def _to_w(delta, task):
    """The w of δ; δ itself without a box."""
    if task.low is None:
        return delta
    xp = namespace(delta)
    closed, low, high = _closed(task)
    half = WIDER * (high - low) / 2
    u = xp.where(closed, (delta - (low + high) / 2) / xp.where(half > 0, half, 1), 0)
    return xp.where(closed, (xp.log1p(u) - xp.log1p(-u)) / 2, delta).astype(delta.dtype)


def _closed(task):
    """Where both sides of the box are finite, and the sides with zero elsewhere."""
    xp = namespace(task.low)
    closed = xp.isfinite(task.high - task.low)
    return closed, xp.where(closed, task.low, 0), xp.where(closed, task.high, 0)


def _to_delta(w, task):
    """δ, zero where it is fixed, and its derivative by w."""
    xp = namespace(w)
    delta, slope = w, xp.ones_like(w)
    if task.low is not None:
        closed, low, high = _closed(task)
        half, u = WIDER * (high - low) / 2, xp.tanh(w)
        delta = cut(xp.where(closed, (low + high) / 2 + half * u, w), task.low, task.high)
        slope = xp.where(closed, half * (1 - u * u), 1).astype(w.dtype)
    return (delta, slope) if task.free is None else (delta * task.free, slope * task.free)


def _inside(w, task):
    """w cut off where δ reaches the box."""
    if task.low is None:
        return w
    edge = math.atanh(1 / WIDER)
    return namespace(w).where(_closed(task)[0], namespace(w).clip(w, -edge, edge), cut(w, task.low, task.high))
