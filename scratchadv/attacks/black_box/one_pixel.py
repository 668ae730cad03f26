"""The one-pixel attack: differential evolution of a few pixels, their places and their values."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import differential_evolution

from ... import checks, tasks
from ...backend import host, like, namespace
from ...checked import checked, in_norm, one_of, whole
from ...losses import margin, objective, target_margin
from ...numerics import only, rows, take
from ...seeded import normal, seeds_of, uniform
from ...sets import L0
from .queries import Examples, first_scores, ranked, search_in_chunks, several


@checked(
    model=checks.black_box,
    threat=in_norm(L0, boxed=True),
    population=whole(4),
    solver=one_of("batched", "scipy"),
)
def one_pixel(
    model,
    x,
    y,
    threat,
    *,
    queries=40_400,
    population=400,
    scale=0.5,
    solver="batched",
    target=None,
    loss=None,
    rng=None,
    seeds=None,
):
    r"""Evolve k pixels: a child takes a member's place where its loss is larger.

    .. math:: v_i' = v_{r_1} + F\,(v_{r_2} - v_{r_3}), \qquad v_i \leftarrow v_i' \text{ where } L(v_i') > L(v_i)

    with :math:`r_1, r_2, r_3` drawn from the population, all different. A member v holds row, column and C values for
    each pixel, all as shares of their range; a child is cut to it. At first places are uniform, and values are Gaussian
    around the middle of the range with half of it as deviation.

    Images are of shape (H, W, C). Examples of any other shape are taken for images of one row and one channel.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat.
    y : array, shape (N,)
        The true labels.
    threat : L0 in a box
        It counts components: for k pixels of C channels ``L0(k * C).within(0, 1)``.
    queries : int
        The most queries of an example; the first is x itself, and every generation costs ``population``.
    population : int
        Members, at least 4.
    scale : float
        F.
    solver : {"batched", "scipy"}
        The formula above for all examples at once, or ``scipy.optimize.differential_evolution`` from the same first
        generation, for one example after the other and in whole generations; that draws anew what a child would have
        to be cut to, and takes 5 members or more.
    target : array, shape (N,), optional
        The labels to reach. Default: any label but y.
    loss : Loss, optional
        Default: ``margin``, with a target ``target_margin``; for two pixels that both do not fool it may order them
        otherwise than the probability of the label does, which the paper takes.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        The first generation's best that is misclassified (or reaches its target), else that of the highest loss, δ = 0
        included. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Su, Vargas and Sakurai (2019), "One pixel attack for fooling deep neural
    networks", section 3, without crossover between child and member; its 400 members and 100 generations are the
    default.
    """
    pixels = _pixels(threat, x)
    population = checks.count("population", population, least=5 if solver == "scipy" else 4)
    seeds = seeds_of(len(x), rng, seeds, "one_pixel")
    ask, z, y, target = first_scores(model, x, y, target, queries, loss)
    loss, labels = objective(loss or (margin if target is None else target_margin), y, target)
    given = Examples(x, y, target, labels, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    options = {"queries": queries, "population": population, "scale": scale, "pixels": pixels}
    search = partial(SOLVERS[solver], ask=ask, loss=loss, **options)
    return search_in_chunks(search, several(ask, x, population), given)


def _pixels(threat, x):
    """How many whole pixels the threat allows, at most all of them."""
    checks.finite_box("the threat of one_pixel", *threat.bounds(x))
    height, width, channels = _image(x)
    if threat.radius < channels:
        raise ValueError(
            f"threat: L0({threat.radius}) holds no pixel of {channels} channels: L0({channels}) or more was expected"
        )
    return min(threat.radius // channels, height * width)


def _image(x):
    """Rows, columns and channels."""
    return x.shape[1:] if x.ndim == 4 else (1, rows(x).shape[1], 1)


class _State(NamedTuple):
    """The examples that still stand, one row each."""

    place: Any  # in the chunk
    owner: Any  # in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    seeds: Any
    delta_set: Any
    members: Any  # (n, S, k (2 + C)), shares in [0, 1]
    value: Any  # (n, S)


def _evolve(given, *, ask, loss, queries, population, scale, pixels):
    """The search for a chunk of examples."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp = namespace(x)
    clean = _value(ask, loss, z, y, target, labels)
    delta = xp.zeros_like(x)
    state = _State(xp.arange(len(x)), owner, x, y, target, labels, seeds, delta_set, None, clean[:, None])
    state, left, generation = only(clean < math.inf, state), queries - 1, 0
    while left and len(state.place):
        size = min(left, population)
        if generation:
            state = _selected(ask, loss, pixels, state, _children(state, generation, size, scale))
        else:
            first = _first(state, size, pixels)
            state = state._replace(members=first, value=_ask(ask, loss, pixels, state, first))
        left, generation = left - size, generation + 1
        fallen = state.value.max(axis=1) == math.inf
        state = _put_away(delta, pixels, state, fallen)
    if len(state.place) and generation:
        _put_away(delta, pixels, state, state.value.max(axis=1) > clean[state.place])
    return delta


class _Fooled(Exception):
    """Ends SciPy's search; holds the member that fools."""


def _by_scipy(given, *, ask, loss, queries, population, scale, pixels):
    """The search for a chunk of examples, one after the other, by SciPy."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp, generations = namespace(x), (queries - 1) // population
    clean = _value(ask, loss, z, y, target, labels)
    delta = xp.zeros_like(x)
    state = _State(xp.arange(len(x)), owner, x, y, target, labels, seeds, delta_set, None, clean[:, None])
    for i in range(len(x) if generations else 0):
        alone = only(xp.arange(len(x)) == i, state)
        if clean[i] < math.inf:
            value, best = _best_by_scipy(ask, loss, population, generations, scale, pixels, alone)
            if value > clean[i]:
                delta[i] = drawn(alone.delta_set, alone.x, like(best[None], x), pixels)[0]
    return delta


def _best_by_scipy(ask, loss, population, generations, scale, pixels, state):
    """The largest loss of one example, and the member that has it."""

    def energy(members):
        value = host(_ask(ask, loss, pixels, state, like(members.T[None], state.x)))[0]
        if value.max() == math.inf:
            raise _Fooled(members.T[value.argmax()])
        return -value

    first = host(_first(state, population, pixels))[0].astype(float)
    try:
        found = differential_evolution(
            energy,
            [(0, 1)] * first.shape[1],
            init=first,
            strategy="rand1bin",
            mutation=scale,
            recombination=1,
            maxiter=generations - 1,
            tol=0,
            polish=False,
            updating="deferred",
            vectorized=True,
            seed=np.random.default_rng(int(state.seeds[0])),
        )
    except _Fooled as fooled:
        return math.inf, fooled.args[0]
    return -float(found.fun), found.x


SOLVERS = {"batched": _evolve, "scipy": _by_scipy}


def _value(ask, loss, z, y, target, labels):
    """The loss, infinite where the example has fallen."""
    return ranked(tasks.of(ask, z), loss.value(z, labels), z, y, target)


def _first(state, size, pixels):
    n, c = len(state.place), _image(state.x)[-1]
    places = uniform(state.seeds, 0, size * pixels * 2).reshape(n, size, pixels, 2)
    values = 0.5 + 0.5 * normal(state.seeds, 1, size * pixels * c).reshape(n, size, pixels, c)
    members = np.concatenate([places, values.clip(0, 1)], axis=3)
    return like(members.reshape(n, size, -1), state.x)


def _children(state, generation, size, scale):
    """A child for each of the first ``size`` members."""
    xp, (n, s, _) = namespace(state.x), state.members.shape
    chosen = xp.asarray(_three(uniform(state.seeds, generation + 1, 3 * size).reshape(n, size, 3), s))
    first, second, third = (state.members[xp.arange(n)[:, None], chosen[:, :, i]] for i in range(3))
    return xp.clip(first + scale * (second - third), 0, 1)


def _three(u, s):
    """Three different numbers below s for each row of three in [0, 1): each skips those before it."""
    a, b, c = ((u[..., i] * (s - i)).astype(int) for i in range(3))
    b = b + (b >= a)
    low, high = (f(a, b) for f in (np.minimum, np.maximum))
    c = c + (c >= low)
    return np.stack([a, b, c + (c >= high)], axis=-1)


def _selected(ask, loss, pixels, state, children):
    """Each child in the place of its member where its loss is larger."""
    xp, size = namespace(state.x), children.shape[1]
    found = _ask(ask, loss, pixels, state, children)
    better = found > state.value[:, :size]
    members, value = state.members.copy(), state.value.copy()
    members[:, :size] = xp.where(better[..., None], children, members[:, :size])
    value[:, :size] = xp.where(better, found, value[:, :size])
    return state._replace(members=members, value=value)


def _ask(ask, loss, pixels, state, members):
    """The loss of every member, ``(n, S)``."""
    n, size, _ = members.shape
    each = namespace(members).arange(n).repeat(size)
    x, y, target, labels, owner, delta_set = take(
        each, state.x, state.y, state.target, state.labels, state.owner, state.delta_set
    )
    z = ask.scores(x + drawn(delta_set, x, members.reshape(n * size, -1), pixels), owner)
    return _value(ask, loss, z, y, target, labels).reshape(n, size)


def drawn(delta_set, x, members, pixels):
    """δ, shaped like x, for one member each: the pixels that it names get the values that it names."""
    xp, (h, w, c) = namespace(x), _image(x)
    low, high = (side.reshape(len(x), h, w, c) for side in delta_set.bounds(x))
    delta, row = xp.zeros((len(x), h, w, c), dtype=x.dtype), xp.arange(len(x))
    for pixel in members.reshape(len(x), pixels, 2 + c).swapaxes(0, 1):
        at = row, *(xp.minimum((pixel[:, i] * side).astype(int), side - 1) for i, side in enumerate((h, w)))
        delta[at] = low[at] + pixel[:, 2:] * (high[at] - low[at])
    return delta.reshape(x.shape)


def _put_away(delta, pixels, state, done):
    """Write the best of those that are done to δ; the others."""
    if done.any():
        ended = only(done, state)
        best = ended.members[namespace(done).arange(len(ended.place)), ended.value.argmax(axis=1)]
        delta[ended.place] = drawn(ended.delta_set, ended.x, best, pixels)
    return only(~done, state)
