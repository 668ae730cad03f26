"""The square attack: random search with square windows of the image, which needs only scores."""

import math
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ... import checks, tasks
from ...backend import like, namespace
from ...checked import checked, in_norm
from ...losses import margin, objective, target_margin
from ...numerics import ndim, only, per_row, rows
from ...seeded import seeds_of, spread, uniform
from ...sets import L2, Linf, Range
from .queries import Examples, first_scores, ranked, search_in_chunks

HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # the queries, of 10,000, at which p is halved


@checked(model=checks.black_box, threat=in_norm(Linf, L2, Range), p=checks.share)
def square(model, x, y, threat, *, queries=5000, p=0.8, target=None, loss=None, rng=None, seeds=None):
    r"""Change δ in a random square window, keep the change if it raises the loss, and repeat.

    For ℓ∞ the search begins with vertical stripes: each channel of a column is +ε or −ε at random. Then

    .. math:: \delta'_{W, c} = \pm\epsilon, \qquad
              \delta \leftarrow \delta' \text{ where } L(y, f(x + \delta')) > L(y, f(x + \delta)),

    clipped to the pixel range, for a window W at a random place that contains a share p of the pixels, with one random
    sign for each channel c. The share p is halved several times during the search. For ℓ2 the start is a grid of 5 × 5
    bumps. A step sets δ to zero in a second window, and moves its squared norm, together with what the ball has left,
    into W in the shape of two bumps of opposite signs.

    All places are as likely as in the paper, but the windows of successive queries (for ℓ2, the pairs of windows) are
    spread over the image (``seeded.spread``), because independent places would leave parts of it uncovered for long.

    Images have shape (H, W, C). Examples of any other shape are treated as images with one row and one channel.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        Linf or L2, with or without a box, or a Range.
    queries : int
        The largest number of queries for each example; the first is about x itself.
    p : float
        The share of the pixels that the first windows contain.
    target : array, shape (N,), optional
        The labels to reach. Default: any label but y.
    loss : Loss, optional
        The loss to climb. Default: ``margin``, or ``target_margin`` with a target.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x: the first δ that is misclassified (or reaches its target); if there is
        none, the one of the highest loss, which may be δ = 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: Andriushchenko, Croce, Flammarion and Hein (2020), "Square Attack", algorithms 1 to 3. Two details follow
    the authors' code: the schedule of p has one more step than in the paper, at 500, and the first bumps are transposed
    at random. The windows of that code never reach the last row and column; here they do, as in the paper.
    """
    draw = _start_and_change(threat)
    seeds = seeds_of(len(x), rng, seeds, "square")
    victim, z, y, target = first_scores(model, x, y, target, queries, loss)
    loss, labels = objective(loss or (margin if target is None else target_margin), y, target)
    given = Examples(x, y, target, labels, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    search = partial(_search, victim=victim, draw=draw, loss=loss, queries=queries, p=p)
    return search_in_chunks(search, victim, given)


def _start_and_change(threat):
    """Return the functions that draw the first δ and its changes."""
    return (_bumps, _moved_window) if isinstance(threat.ball, L2) else (_stripes, _signed_window)


def _radius(threat):
    """Return ε, or infinity for a Range, where the bounds limit the change of each component."""
    if ndim(threat.radius):
        raise ValueError(f"square needs one radius for all examples; the threat {threat} has a radius for each example")
    return math.inf if isinstance(threat.ball, Range) else threat.radius


class _State(NamedTuple):
    """The state of the search, one row for each example that is not fooled yet; δ and its bounds are (n, H, W, C)."""

    place: Any  # the row in the chunk
    owner: Any  # the row in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    low: Any
    high: Any
    delta: Any
    value: Any
    seeds: Any


def _search(given, *, victim, draw, loss, queries, p):
    """Run the search for a chunk of examples; the value of an example that fools the model is ∞."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp = namespace(x)
    start, change = draw
    eps = _radius(delta_set)
    state = _initial_state(delta_set, x, y, target, labels, seeds, owner)
    clean = _ranked_loss(victim, loss, state, z)
    state = state._replace(value=clean)
    delta = state.delta.copy()
    state = only(clean < math.inf, state)
    for query in range(1, queries):
        if not len(state.place):
            break
        tried = start(eps, state) if query == 1 else change(eps, state, query, _share(p, query, queries))
        value = _ranked_loss(victim, loss, state, victim.scores(state.x + tried.reshape(state.x.shape), state.owner))
        better = (value > state.value) | (query == 1)  # the first δ is always kept: the search begins there
        state = state._replace(
            delta=xp.where(per_row(better, tried), tried, state.delta), value=xp.where(better, value, state.value)
        )
        fallen = state.value == math.inf
        if fallen.any():
            delta[state.place[fallen]] = state.delta[fallen]
            state = only(~fallen, state)
    better = state.value > clean[state.place]
    delta[state.place[better]] = state.delta[better]
    return delta.reshape(x.shape)


def _initial_state(delta_set, x, y, target, labels, seeds, owner):
    """Return the state with δ = 0, as images."""
    xp = namespace(x)
    image = x.shape if x.ndim == 4 else (len(x), 1, rows(x).shape[1], 1)
    low, high = (side.reshape(image) for side in delta_set.bounds(x))
    return _State(xp.arange(len(x)), owner, x, y, target, labels, low, high, xp.zeros_like(low), None, seeds)


def _ranked_loss(victim, loss, state, z):
    """Return the loss, or ∞ where the model is fooled."""
    return ranked(tasks.of(victim, z), loss.value(z, state.labels), z, state.y, state.target)


def _share(p, query, queries):
    """Return the share of pixels of a window, which is halved at fixed fractions of the search from query 2 on."""
    return p / 2 ** sum(10_000 * (query - 2) / queries > at for at in HALVED_AT)


# ℓ∞


def _stripes(eps, state):
    """Return vertical stripes of ±ε with random signs."""
    n, _, w, c = state.delta.shape
    signs = _signs(uniform(state.seeds, 1, w * c), state).reshape(n, 1, w, c)
    return _clip(eps * signs + 0 * state.delta, state)


def _signed_window(eps, state, query, share):
    """Return δ with a window set to ±ε, or to ∓ε where that changes nothing."""
    _, h, w, c = state.delta.shape
    inside = _window_mask(spread(state.seeds, query, 2), state, *_sides(share, h, w))
    signs = _signs(uniform(state.seeds, query, c), state)[:, None, None, :]
    xp = namespace(state.delta)
    tried = _clip(xp.where(inside, eps * signs, state.delta), state)
    same = rows(tried == state.delta).all(axis=1)
    return xp.where(per_row(same, tried) & inside, _clip(-eps * signs + 0 * tried, state), tried)


# ℓ2


def _bumps(eps, state):
    """Return a grid of about 5 × 5 bumps, transposed at random, with random signs for each channel, of norm ε."""
    n, h, w, c = state.delta.shape
    a = max(h // 5, 1)
    b = max(w // 5, 1)
    down = h // a
    right = w // b
    u = uniform(state.seeds, 1, down * right * (c + 1)).reshape(n, down, right, c + 1) < 0.5
    signs = (1 - 2 * u[..., 1:]).repeat(a, axis=1).repeat(b, axis=2)
    grid = _with_transpose(a, b)[u[..., 0].astype(int)].swapaxes(2, 3).reshape(n, a * down, b * right, 1)
    bumps = np.zeros((n, h, w, c))
    top = (h - a * down) // 2
    left = (w - b * right) // 2
    bumps[:, top : top + a * down, left : left + b * right] = signs * grid
    return _clip(L2(eps).linear_max(like(bumps, state.delta)), state)


def _moved_window(eps, state, query, share):
    """Return δ with the norm of two windows, and what the ball has left, moved into the first one in a new shape."""
    delta = state.delta
    xp = namespace(delta)
    _, h, w, c = delta.shape
    a, b = _sides(share, h, w, least=3)
    places = spread(state.seeds, query, 4)
    u = uniform(state.seeds, query, 1 + c)
    inside = _window_mask(places[:, :2], state, a, b)
    emptied = _window_mask(places[:, 2:], state, a, b)
    old = xp.where(inside, delta, 0)
    eta = _placed_bumps(places, u[:, 0] < 0.5, state, a, b)
    shape = _signs(u[:, 1:], state)[:, None, None, :] * eta + _unit(old)
    spare = xp.maximum(eps**2 - (delta**2).sum(axis=(1, 2, 3), keepdims=True), 0) / c
    held = xp.where(inside | emptied, delta**2, 0).sum(axis=(1, 2), keepdims=True)
    new = _unit(xp.where(inside, shape, 0)) * xp.sqrt(held + spare)
    return _clip(xp.where(inside, new, xp.where(emptied, 0, delta)), state)


def _placed_bumps(place, turned, state, a, b):
    """Return η, or its transpose where ``turned``, at the place of the first window, with zero elsewhere."""
    _, h, w, _ = state.delta.shape
    top, left = _top_left(place, state, a, b)
    i = np.arange(h)[None] - top[:, None]
    j = np.arange(w)[None] - left[:, None]
    outside = ((i < 0) | (i >= a))[:, :, None] | ((j < 0) | (j >= b))[:, None, :]
    i = i.clip(0, a - 1)[:, :, None]
    j = j.clip(0, b - 1)[:, None, :]
    eta = _with_transpose(a, b)[turned.astype(int)[:, None, None], i, j]
    return like(np.where(outside, 0, eta)[..., None], state.delta)


def _with_transpose(a, b):
    """Return η and its transpose, ``(2, a, b)``; η twice if the transpose does not fit the window."""
    eta = _eta(a, b)
    return np.stack([eta, eta.T if a == b else eta])


@cache
def _eta(a, b):
    r"""Return η: two bumps of opposite signs side by side, ``(a, b)``, of ℓ2 norm one.

    A bump is :math:`\sum_{k \geq d} (k + 1)^{-2}` at distance d, in rows or columns, from its centre.
    """
    if a < b:
        return _eta(b, a).T
    eta = np.concatenate([_bump(a // 2, b), -_bump(a - a // 2, b)])
    return eta / np.linalg.norm(eta)


def _bump(a, b):
    """Return one bump, ``(a, b)``, of ℓ2 norm one."""
    i = abs(np.arange(a) - a // 2)
    j = abs(np.arange(b) - b // 2)
    terms = 1 / np.arange(1, max(a // 2, b // 2) + 2) ** 2
    bump = terms[::-1].cumsum()[::-1][np.maximum(i[:, None], j)]
    return bump / max(np.linalg.norm(bump), 1e-12)  # a bump without rows has length zero


def _unit(v):
    """Divide each channel by its ℓ2 norm; zero channels stay zero."""
    xp = namespace(v)
    length = xp.sqrt((v * v).sum(axis=(1, 2), keepdims=True))
    return v / xp.where(length > 0, length, 1)


# Windows


def _sides(share, h, w, least=1):
    """Return the rows and columns of a window: a square if it fits; for ℓ2 the side is odd and at least 3."""
    side = max(round(math.sqrt(share * h * w)), least)
    side += least > 1 and side % 2 == 0
    a, b = min(side, h), min(side, w)
    if a < side:
        b = max(b, min(round(share * h * w / a), w))
    elif b < side:
        a = max(a, min(round(share * h * w / b), h))
    return a, b


def _window_mask(u, state, a, b):
    """Return the mask ``(n, H, W, 1)`` of a window of a rows and b columns, placed by two numbers in [0, 1)."""
    xp = namespace(state.delta)
    _, h, w, _ = state.delta.shape
    top, left = (xp.asarray(corner)[:, None] for corner in _top_left(u, state, a, b))
    i = xp.arange(h) - top
    j = xp.arange(w) - left
    return (((i >= 0) & (i < a))[:, :, None] & ((j >= 0) & (j < b))[:, None, :])[..., None]


def _top_left(u, state, a, b):
    """Return the first row and the first column of the windows, from two numbers in [0, 1)."""
    _, h, w, _ = state.delta.shape
    return (u[:, 0] * (h - a + 1)).astype(int), (u[:, 1] * (w - b + 1)).astype(int)


def _signs(u, state):
    """Return random signs from uniform numbers, in the dtype of δ."""
    return like(np.where(u < 0.5, -1.0, 1.0), state.delta)


def _clip(delta, state):
    """Clip δ to the bounds of Δ(x)."""
    xp = namespace(delta)
    return xp.minimum(xp.maximum(delta, state.low), state.high)
