"""The square attack: random search with windows of the image, which only needs logits."""

import math
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ... import checks, tasks
from ...backend import like, namespace
from ...checked import checked, in_norm
from ...losses import margin, objective, target_margin
from ...numerics import only, per_row, rows
from ...seeded import seeds_of, spread, uniform
from ...sets import L2, Linf, Range
from .queries import Examples, first_scores, ranked, search_in_chunks

HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries


@checked(model=checks.black_box, threat=in_norm(Linf, L2, Range), p=checks.share)
def square(model, x, y, threat, *, queries=5000, p=0.8, target=None, loss=None, rng=None, seeds=None):
    r"""Change a random square window to a corner of Δ(x); keep what raises the loss.

    For ℓ∞ the search begins with vertical stripes, each channel of a column at +ε or −ε. Then

    .. math:: \delta'_{W, c} = \pm\epsilon, \qquad
              \delta \leftarrow \delta' \text{ where } L(y, f(x + \delta')) > L(y, f(x + \delta)),

    cut off at the pixel range, for a window W of about a share p of the pixels at a random place, with one random sign
    for each channel c. The share is halved on the way. For ℓ2 the start is a grid of 5 × 5 bumps, and what a second
    window holds, and what the ball still has room for, is moved into W, in the shape of two bumps of opposite signs.

    Every place is as likely as in the paper, but a window, for ℓ2 the pair of windows, keeps away from those of the
    queries before (``seeded.spread``): independent places would leave parts of the image without one for long.

    Images are of shape (H, W, C). Examples of any other shape are taken for images of one row and one channel.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        Linf or L2, with or without a box.
    queries : int
        The most queries of an example; the first is x itself.
    p : float
        The share of pixels in the first windows.
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
        The first that is misclassified (or reaches its target), else that of the highest loss, δ = 0 included. dtype
        of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: Andriushchenko, Croce, Flammarion and Hein (2020), "Square Attack", algorithms 1 to 3. Of its code are the
    schedule of p, which has one step, at 500, more than the paper, and that the first bumps are turned at random. Its
    windows never reach the last row and column; here, as in the paper, they do.
    """
    window = _window_of(threat)
    seeds = seeds_of(len(x), rng, seeds, "square")
    ask, z, y, target = first_scores(model, x, y, target, queries, loss)
    loss, labels = objective(loss or (margin if target is None else target_margin), y, target)
    given = Examples(x, y, target, labels, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    search = partial(_search, ask=ask, window=window, loss=loss, queries=queries, p=p)
    return search_in_chunks(search, ask, given)


def _window_of(threat):
    return (_bumps, _moved) if isinstance(threat.ball, L2) else (_stripes, _corner)


def _radius(threat):
    """Return ε, or infinity for a Range, where the bounds limit the change of each component."""
    if np.ndim(threat.radius):
        raise ValueError(f"square needs one radius for all examples; the threat {threat} has one for each")
    return math.inf if isinstance(threat.ball, Range) else threat.radius


class _State(NamedTuple):
    """The examples that still stand, one row each; δ and its bounds as images (n, H, W, C)."""

    place: Any  # in the chunk
    owner: Any  # in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    low: Any
    high: Any
    delta: Any
    value: Any
    seeds: Any


def _search(given, *, ask, window, loss, queries, p):
    """The search for a chunk of examples; infinite is the value of what has fallen."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp, (start, change) = namespace(x), window
    eps = _radius(delta_set)
    state = _begin(delta_set, x, y, target, labels, seeds, owner)
    clean = _value(ask, loss, state, z)
    state = state._replace(value=clean)
    delta = state.delta.copy()
    state = only(clean < math.inf, state)
    for query in range(1, queries):
        if not len(state.place):
            break
        tried = start(eps, state) if query == 1 else change(eps, state, query, _share(p, query, queries))
        value = _value(ask, loss, state, ask.scores(state.x + tried.reshape(state.x.shape), state.owner))
        better = (value > state.value) | (query == 1)  # the stripes are where the search begins, better or not
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


def _begin(delta_set, x, y, target, labels, seeds, owner):
    xp = namespace(x)
    image = x.shape if x.ndim == 4 else (len(x), 1, rows(x).shape[1], 1)
    low, high = (side.reshape(image) for side in delta_set.bounds(x))
    return _State(xp.arange(len(x)), owner, x, y, target, labels, low, high, xp.zeros_like(low), None, seeds)


def _value(ask, loss, state, z):
    """The loss, infinite where the example has fallen."""
    return ranked(tasks.of(ask, z), loss.value(z, state.labels), z, state.y, state.target)


def _share(p, query, queries):
    """The share of pixels: halved at fixed parts of the search, whose first window is query 2."""
    return p / 2 ** sum(10_000 * (query - 2) / queries > at for at in HALVED_AT)


# ℓ∞


def _stripes(eps, state):
    n, _, w, c = state.delta.shape
    signs = _signs(uniform(state.seeds, 1, w * c), state).reshape(n, 1, w, c)
    return _clip(eps * signs + 0 * state.delta, state)


def _corner(eps, state, query, share):
    """A window at ±ε; where that changes nothing, at ∓ε."""
    _, h, w, c = state.delta.shape
    inside = _window(spread(state.seeds, query, 2), state, *_sides(share, h, w))
    signs = _signs(uniform(state.seeds, query, c), state)[:, None, None, :]
    xp = namespace(state.delta)
    tried = _clip(xp.where(inside, eps * signs, state.delta), state)
    same = rows(tried == state.delta).all(axis=1)
    return xp.where(per_row(same, tried) & inside, _clip(-eps * signs + 0 * tried, state), tried)


# ℓ2


def _bumps(eps, state):
    """A grid of about 5 × 5 bumps, turned at random, each channel with a random sign, scaled to the sphere."""
    n, h, w, c = state.delta.shape
    a, b = max(h // 5, 1), max(w // 5, 1)
    down, right = h // a, w // b
    u = uniform(state.seeds, 1, down * right * (c + 1)).reshape(n, down, right, c + 1) < 0.5
    signs = (1 - 2 * u[..., 1:]).repeat(a, axis=1).repeat(b, axis=2)
    grid = _turns(a, b)[u[..., 0].astype(int)].swapaxes(2, 3).reshape(n, a * down, b * right, 1)
    bumps = np.zeros((n, h, w, c))
    top, left = (h - a * down) // 2, (w - b * right) // 2
    bumps[:, top : top + a * down, left : left + b * right] = signs * grid
    return _clip(L2(eps).linear_max(like(bumps, state.delta)), state)


def _moved(eps, state, query, share):
    """What two windows hold and the ball has left, all of it in the first window, in a new shape."""
    xp, delta, (_, h, w, c) = namespace(state.delta), state.delta, state.delta.shape
    a, b = _sides(share, h, w, least=3)
    places, u = spread(state.seeds, query, 4), uniform(state.seeds, query, 1 + c)
    inside, emptied = (_window(corner, state, a, b) for corner in (places[:, :2], places[:, 2:]))
    old = xp.where(inside, delta, 0)
    eta = _placed(places, u[:, 0] < 0.5, state, a, b)
    shape = _signs(u[:, 1:], state)[:, None, None, :] * eta + _unit(old)
    spare = xp.maximum(eps**2 - (delta**2).sum(axis=(1, 2, 3), keepdims=True), 0) / c
    held = xp.where(inside | emptied, delta**2, 0).sum(axis=(1, 2), keepdims=True)
    new = _unit(xp.where(inside, shape, 0)) * xp.sqrt(held + spare)
    return _clip(xp.where(inside, new, xp.where(emptied, 0, delta)), state)


def _placed(place, turned, state, a, b):
    """η, or where turned its transpose if that fits, at the place of the first window; zero elsewhere."""
    _, h, w, _ = state.delta.shape
    top, left = _corners(place, state, a, b)
    i, j = (np.arange(side)[None] - corner[:, None] for side, corner in ((h, top), (w, left)))
    outside = ((i < 0) | (i >= a))[:, :, None] | ((j < 0) | (j >= b))[:, None, :]
    eta = _turns(a, b)[turned.astype(int)[:, None, None], i.clip(0, a - 1)[:, :, None], j.clip(0, b - 1)[:, None, :]]
    return like(np.where(outside, 0, eta)[..., None], state.delta)


def _turns(a, b):
    """η, and its transpose where that fits the window too, ``(2, a, b)``."""
    eta = _eta(a, b)
    return np.stack([eta, eta.T if a == b else eta])


@cache
def _eta(a, b):
    r"""Two bumps of opposite signs side by side, ``(a, b)``, of ℓ2 norm one.

    A bump is :math:`\sum_{k \geq d} (k + 1)^{-2}` at distance d, in rows or columns, from its centre.
    """
    if a < b:
        return _eta(b, a).T
    eta = np.concatenate([_bump(a // 2, b), -_bump(a - a // 2, b)])
    return eta / np.linalg.norm(eta)


def _bump(a, b):
    i, j = abs(np.arange(a) - a // 2), abs(np.arange(b) - b // 2)
    terms = 1 / np.arange(1, max(a // 2, b // 2) + 2) ** 2
    bump = terms[::-1].cumsum()[::-1][np.maximum(i[:, None], j)]
    return bump / max(np.linalg.norm(bump), 1e-12)  # a bump of no rows has no length


def _unit(v):
    """Each channel over its ℓ2 norm; zero stays zero."""
    xp = namespace(v)
    length = xp.sqrt((v * v).sum(axis=(1, 2), keepdims=True))
    return v / xp.where(length > 0, length, 1)


# Windows


def _sides(share, h, w, least=1):
    """Rows and columns of a window: a square where it fits, for ℓ2 of an odd side, at least 3."""
    side = max(round(math.sqrt(share * h * w)), least)
    side += least > 1 and side % 2 == 0
    a, b = min(side, h), min(side, w)
    if a < side:
        b = max(b, min(round(share * h * w / a), w))
    elif b < side:
        a = max(a, min(round(share * h * w / b), h))
    return a, b


def _window(u, state, a, b):
    """Where the window of a rows and b columns lies, ``(n, H, W, 1)``: its corner from two numbers in [0, 1)."""
    xp, (_, h, w, _) = namespace(state.delta), state.delta.shape
    top, left = (xp.asarray(corner)[:, None] for corner in _corners(u, state, a, b))
    i, j = xp.arange(h) - top, xp.arange(w) - left
    return (((i >= 0) & (i < a))[:, :, None] & ((j >= 0) & (j < b))[:, None, :])[..., None]


def _corners(u, state, a, b):
    _, h, w, _ = state.delta.shape
    return (u[:, 0] * (h - a + 1)).astype(int), (u[:, 1] * (w - b + 1)).astype(int)


def _signs(u, state):
    return like(np.where(u < 0.5, -1.0, 1.0), state.delta)


def _clip(delta, state):
    xp = namespace(delta)
    return xp.minimum(xp.maximum(delta, state.low), state.high)
