"""The attacks of Carlini and Wagner: the smallest change in ℓ2, ℓ∞ or ℓ0, found by Adam on a penalised distance."""

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

WIDER = 1.25  # width of the range of tanh over that of the box; its slope at the edge is 0.36 of that in the middle
LARGEST = {Linf: 20, L0: 2e6}  # the largest c, as in the authors' code
PRECISION = 0.01  # relative precision of the ℓ∞ norm of δ


@checked(norm=one_of(L2, Linf, L0))
@in_chunks
def carlini_wagner(
    model, x, y, *, target=None, norm=L2, confidence=0.0, box=(0, 1), steps=200, searches=9, c=0.01, lr=0.05
):
    r"""Minimise the size of δ plus c times a penalty that vanishes where x + δ is misclassified, and search for c.

    .. math::
        \min_w\, D(\delta) + c\, f(x + \delta), \qquad
        f(x') = \max\left(\max_{i \neq t} Z(x')_i - Z(x')_t, -\kappa\right)

    and without a target :math:`f(x') = \max(Z(x')_y - \max_{i \neq y} Z(x')_i, -\kappa)`. The change of variables

    .. math:: x + \delta = \mathrm{clip}\left(\tfrac{l + u}{2} + 1.25\, \tfrac{u - l}{2} \tanh(w), [l, u]\right)

    keeps x + δ in the box. The paper has the factor 1 in place of 1.25; the slope at the pixel values 0 and 1 is then
    zero, so such pixels could not change. The three norms differ as follows.

    - ℓ2: :math:`D = \lVert \delta \rVert_2^2`. A binary search finds c; until a run fools the model, c is multiplied
      by 10.
    - ℓ∞: :math:`D = \sum_i \max(|\delta_i| - \tau, 0)`. Each run begins at the best δ so far, clipped to [−τ, τ], and
      tries a τ that is a tenth smaller. If no c succeeds, the next τ lies half way back, until the gap is 1 %.
    - ℓ0: :math:`D = \lVert \delta \rVert_2^2` on the components that are still free. Whenever x + δ fools the model,
      the components with the smallest :math:`|\nabla f(x + \delta)_i\, \delta_i|` are fixed at zero: at first 30 % of
      them, then half as many whenever no c succeeds, down to a single one.

    Each example has its own c and its own free components, and its run ends by itself: when no δ has fooled the model
    during a tenth of the steps and the loss has not improved by 0.01 %. Adam's step size decreases linearly to zero
    during a run, which replaces most of the paper's 10,000 steps.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        The labels t to reach. Default: any label but y.
    norm : {L2, Linf, L0}
        The class of the norm that is minimised.
    confidence : float
        The confidence κ >= 0: by how much the wrong logit must exceed all others.
    box : (lower, upper), Set or None
        The range of x + δ, in the units of x; or a Box, a Mask, a Range or an intersection of them. If it is None, δ is
        unbounded and w is δ. Where one side is infinite, w is δ too, clipped at the other side.
    steps : int
        The largest number of steps of Adam in one run.
    searches : int
        The number of runs of the binary search; for ℓ2 only.
    c : float
        The first c. It is multiplied by 10 where it was too small.
    lr : float
        Adam's first step size, in the units of w; half the width of the box is about 1. In ℓ∞ it is at most τ / 10.

    Returns
    -------
    delta : array, shape (N, *D)
        The smallest δ found that fools the model, in the dtype of x. It is zero where x itself fools the model with
        this confidence, and where no δ was found; predict again to tell the two apart.

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
    """The problem that a run of Adam solves, one row for each example; a field that it does not need is None."""

    x: Any
    y: Any
    target: Any
    low: Any  # the lowest and the highest δ
    high: Any
    c: Any = None
    tau: Any = None  # ℓ∞: the size of a component that costs nothing
    free: Any = None  # ℓ0: which components may change
    enough: Any = None  # the run ends at the first δ of at most this size that fools the model


def _l2(searches, descend, c, goal):
    """Search for the smallest c whose run ends with a δ that fools the model, by bisection."""
    xp = namespace(goal.x)
    zero, size = _no_delta_yet(goal.x)
    best = zero
    c = xp.full_like(size, c)
    low = xp.zeros_like(size)
    high = size
    for _ in range(searches):
        best, size, success = descend(goal._replace(c=c), zero, best, size)
        low = xp.where(success, low, c)
        high = xp.where(success, c, high)
        c = xp.where(xp.isfinite(high), (low + high) / 2, 10 * c)
    return best


def _linf(descend, first_c, goal):
    """Search for the smallest τ, between a size that fools the model and one for which no δ was found."""
    xp = namespace(goal.x)
    best, size = _no_delta_yet(goal.x)
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
    """Fix the components that matter least and search again with the others, until no further one can be fixed."""
    xp = namespace(goal.x)
    best, size = _no_delta_yet(goal.x)
    c = xp.full_like(size, first_c)
    share = xp.full_like(size, 0.3)
    fixed = xp.zeros_like(size)
    free = xp.ones(best.shape, dtype=bool)
    left = xp.arange(len(size))
    while len(left):
        (asked,) = take(left, goal._replace(c=c, free=free, enough=xp.full_like(size, math.inf)))
        before = size[left]
        best[left], size[left], _ = descend(asked, best[left], best[left], before)
        found = size[left] < before
        retry = ~found & (10 * c[left] <= LARGEST[L0])
        c[left] = xp.where(retry, 10 * c[left], c[left])
        share[left] = xp.where(found | retry, share[left], share[left] / 2)
        fix_more = left[found | ~retry & (fixed[left] > 1)]
        left = left[found | retry | (fixed[left] > 1)]
        if len(fix_more):
            goals = take(fix_more, goal)[0]
            free[fix_more], fixed[fix_more] = _without_least(model, goals, best[fix_more], share[fix_more])
    return best


def _without_least(model, goal, delta, share):
    """Return which components stay free when the given share, at least one, is fixed, and how many are fixed."""
    xp = namespace(delta)
    z, pull = vjp_x(model, goal.x + delta)
    score = rows(abs(pull(_advantage_grad(model, z, goal)) * delta))
    moved = rows(delta) != 0
    score = xp.where(moved, score, -1)
    rank = xp.argsort(xp.argsort(score, axis=1, kind="stable"), axis=1, kind="stable")
    count = moved.sum(axis=1)
    fixed = xp.maximum(1, (share * count).astype(int))
    return (rank >= (score.shape[1] - count + fixed)[:, None]).reshape(delta.shape), fixed


def _no_delta_yet(x):
    """Return δ = 0 and the size ∞, for examples without a δ that fools the model."""
    xp = namespace(x)
    return xp.zeros_like(x), xp.full(len(x), math.inf, dtype=x.dtype)


def _descend(model, goal, start, best, size, *, norm, kappa, steps, lr):
    """Run Adam from ``start``; return the smallest δ that fools, its size, and whether δ fooled in the last steps."""
    xp = namespace(start)
    best = best.copy()
    size = size.copy()
    success = xp.zeros(len(start), dtype=bool)
    left = xp.arange(len(start))
    fooled_lately = success
    last_loss = xp.full_like(size, math.inf)
    w = _to_w(start, goal)
    adam = Adam(lr)
    state = adam.start({"w": w})
    for step in range(steps):
        delta, slope = _to_delta(w, goal)
        fooled, loss, g = penalty(model, goal, kappa, delta)
        length = norm.norm(delta)
        closer = fooled & (length < size[left])
        best[left[closer]] = delta[closer]
        size[left[closer]] = length[closer]
        decay = (1 - step / steps) * _step_factor(lr, goal, w)
        new, state = adam.step({"w": w}, {"w": g * slope}, state, decay)
        w = _clip_w(new["w"], goal)
        fooled_lately = fooled_lately | fooled
        stop = xp.zeros_like(fooled) if goal.enough is None else fooled & (size[left] <= goal.enough)
        if (step + 1) % max(1, steps // 10) == 0:
            success[left] = fooled_lately
            stop = stop | ~fooled_lately & (loss > 0.9999 * last_loss)
            last_loss = loss
            fooled_lately = xp.zeros_like(fooled_lately)
        if stop.any():
            kept = only(~stop, (goal, w, left, last_loss, fooled_lately, state))
            goal, w, left, last_loss, fooled_lately, state = kept
        if not len(left):
            break
    return best, size, success


def penalty(model, goal, kappa, delta):
    r"""Return whether x + δ fools the model, the penalised distance D(δ) + c f(x + δ), and its gradient in δ.

    The wrong logit must exceed the others by more than κ and the rounding error.

    Parameters
    ----------
    model : Model
        The model to attack.
    goal : Goal
        The inputs, labels and weights c, n rows each.
    kappa : float
        The confidence κ.
    delta : array, shape (n, *D)
        The perturbations δ.

    Returns
    -------
    fooled : array of bool, shape (n,)
        Whether x + δ fools the model.
    value : array, shape (n,)
        The penalised distance.
    gradient : array, shape (n, *D)
        Its gradient in δ.

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
        g - pull(per_row(push, z) * _advantage_grad(model, z, goal)),
    )


def _advantage_grad(model, z, goal):
    """Return the gradient of the advantage with respect to the logits z."""
    return tasks.of(model, z).advantage_grad(z, goal.y, goal.target)


def _distance(delta, tau):
    """Return D(δ) and its gradient in δ."""
    xp = namespace(delta)
    if tau is None:
        return rows(delta * delta).sum(axis=1), 2 * delta
    excess = abs(delta) - per_row(tau, delta)
    return rows(xp.maximum(excess, 0)).sum(axis=1), xp.where(excess > 0, xp.sign(delta), 0)


def _step_factor(lr, goal, w):
    """Return the factor that limits the step size to τ / 10 in ℓ∞; 1 for other norms."""
    return 1.0 if goal.tau is None else per_row(namespace(w).minimum(1, goal.tau / (10 * lr)), w)


def _to_w(delta, goal):
    """Return the w that gives δ; without a box, w is δ."""
    if goal.low is None:
        return delta
    xp = namespace(delta)
    closed, low, high = _closed(goal)
    half = WIDER * (high - low) / 2
    u = xp.where(closed, (delta - (low + high) / 2) / xp.where(half > 0, half, 1), 0)
    return xp.where(closed, (xp.log1p(u) - xp.log1p(-u)) / 2, delta).astype(delta.dtype)


def _closed(goal):
    """Return where both sides of the box are finite, and the two sides with zero elsewhere."""
    xp = namespace(goal.low)
    closed = xp.isfinite(goal.high - goal.low)
    return closed, xp.where(closed, goal.low, 0), xp.where(closed, goal.high, 0)


def _to_delta(w, goal):
    """Return δ, zero where it is fixed, and its derivative with respect to w, component by component."""
    xp = namespace(w)
    delta = w
    slope = xp.ones_like(w)
    if goal.low is not None:
        closed, low, high = _closed(goal)
        half = WIDER * (high - low) / 2
        u = xp.tanh(w)
        delta = cut(xp.where(closed, (low + high) / 2 + half * u, w), goal.low, goal.high)
        slope = xp.where(closed, half * (1 - u * u), 1).astype(w.dtype)
    return (delta, slope) if goal.free is None else (delta * goal.free, slope * goal.free)


def _clip_w(w, goal):
    """Clip w where δ reaches the edge of the box."""
    if goal.low is None:
        return w
    edge = math.atanh(1 / WIDER)
    return namespace(w).where(_closed(goal)[0], namespace(w).clip(w, -edge, edge), cut(w, goal.low, goal.high))
