"""The one-pixel attack: differential evolution of the places and the values of a few pixels."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy

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
    r"""Evolve k pixels: a child replaces its member of the population if its loss is larger.

    .. math:: v_i' = v_{r_1} + F\,(v_{r_2} - v_{r_3}), \qquad v_i \leftarrow v_i' \text{ where } L(v_i') > L(v_i)

    where :math:`r_1, r_2, r_3` are three different members, drawn at random. A member v holds the row, the column and C
    values for each pixel, all scaled to [0, 1]; a child is clipped to [0, 1]. In the first generation the places are
    uniform, and the values are Gaussian with mean 1/2 and standard deviation 1/2.

    Images have shape (H, W, C). Examples of any other shape are treated as images with one row and one channel.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat.
    y : array, shape (N,)
        The true labels.
    threat : L0 in a box
        The perturbation set Δ(x). ℓ0 counts components: ``L0(k * C).within(0, 1)`` allows k pixels of C channels.
    queries : int
        The largest number of queries for each example. The first is about x itself, and every generation costs
        ``population`` queries.
    population : int
        The number of members, at least 4.
    scale : float
        The scale F of the difference of two members.
    solver : {"batched", "scipy"}
        "batched" applies the formula above to all examples at once. "scipy" runs
        ``scipy.optimize.differential_evolution`` from the same first generation, one example after the other, in whole
        generations. It draws entries outside [0, 1] again instead of clipping them, and needs at least 5 members.
    target : array, shape (N,), optional
        The labels to reach. Default: any label but y.
    loss : Loss, optional
        The loss to climb. Default: ``margin``, or ``target_margin`` with a target. The paper minimises the probability
        of the label, which may rank members that do not fool the model in another order.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x: the best member of the first generation that has a misclassified one (or
        one that reaches its target); if there is none, the one of the highest loss, which may be δ = 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Su, Vargas and Sakurai (2019), "One pixel attack for fooling deep neural
    networks", section 3, without crossover between child and member. The paper's 400 members and 100 generations are
    the default.
    """
    pixels = _pixels(threat, x)
    population = checks.count("population", population, least=5 if solver == "scipy" else 4)
    seeds = seeds_of(len(x), rng, seeds, "one_pixel")
    victim, z, y, target = first_scores(model, x, y, target, queries, loss)
    loss, labels = objective(loss or (margin if target is None else target_margin), y, target)
    given = Examples(x, y, target, labels, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    options = {"queries": queries, "population": population, "scale": scale, "pixels": pixels}
    search = partial(SOLVERS[solver], victim=victim, loss=loss, **options)
    return search_in_chunks(search, several(victim, x, population), given)


def _pixels(threat, x):
    """Return how many pixels the threat allows to change, at most all of them."""
    checks.finite_box("the threat of one_pixel", *threat.bounds(x))
    height, width, channels = _image_shape(x)
    if threat.radius < channels:
        raise ValueError(
            f"threat: L0({threat.radius}) allows no pixel of {channels} channels; L0({channels}) or more was expected"
        )
    return min(threat.radius // channels, height * width)


def _image_shape(x):
    """Return the numbers of rows, columns and channels."""
    return x.shape[1:] if x.ndim == 4 else (1, rows(x).shape[1], 1)


class _State(NamedTuple):
    """The state of the search, one row for each example that is not fooled yet."""

    place: Any  # the row in the chunk
    owner: Any  # the row in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    seeds: Any
    delta_set: Any
    members: Any  # (n, S, k (2 + C)), with entries in [0, 1]
    value: Any  # (n, S)


def _evolve(given, *, victim, loss, queries, population, scale, pixels):
    """Run the search for a chunk of examples."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp = namespace(x)
    clean = _ranked_loss(victim, loss, z, y, target, labels)
    delta = xp.zeros_like(x)
    state = _State(xp.arange(len(x)), owner, x, y, target, labels, seeds, delta_set, None, clean[:, None])
    state = only(clean < math.inf, state)
    left = queries - 1
    generation = 0
    while left and len(state.place):
        size = min(left, population)
        if generation:
            state = _selected(victim, loss, pixels, state, _children(state, generation, size, scale))
        else:
            first = _first_generation(state, size, pixels)
            state = state._replace(members=first, value=_losses(victim, loss, pixels, state, first))
        left -= size
        generation += 1
        fallen = state.value.max(axis=1) == math.inf
        state = _write_best(delta, pixels, state, fallen)
    if len(state.place) and generation:
        _write_best(delta, pixels, state, state.value.max(axis=1) > clean[state.place])
    return delta


class _Fooled(Exception):
    """Ends the search of SciPy; its argument is the member that fools the model."""


def _by_scipy(given, *, victim, loss, queries, population, scale, pixels):
    """Run the search for a chunk of examples with SciPy, one example after the other."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp = namespace(x)
    generations = (queries - 1) // population
    clean = _ranked_loss(victim, loss, z, y, target, labels)
    delta = xp.zeros_like(x)
    state = _State(xp.arange(len(x)), owner, x, y, target, labels, seeds, delta_set, None, clean[:, None])
    for i in range(len(x) if generations else 0):
        alone = only(xp.arange(len(x)) == i, state)
        if clean[i] < math.inf:
            value, best = _best_by_scipy(victim, loss, population, generations, scale, pixels, alone)
            if value > clean[i]:
                delta[i] = drawn(alone.delta_set, alone.x, like(best[None], x), pixels)[0]
    return delta


def _best_by_scipy(victim, loss, population, generations, scale, pixels, state):
    """Return the largest loss of one example, and the member that reaches it."""

    def energy(members):
        value = host(_losses(victim, loss, pixels, state, like(members.T[None], state.x)))[0]
        if value.max() == math.inf:
            raise _Fooled(members.T[value.argmax()])
        return -value

    first = host(_first_generation(state, population, pixels))[0].astype(float)
    try:
        found = scipy.optimize.differential_evolution(
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


def _ranked_loss(victim, loss, z, y, target, labels):
    """Return the loss, or ∞ where the model is fooled."""
    return ranked(tasks.of(victim, z), loss.value(z, labels), z, y, target)


def _first_generation(state, size, pixels):
    """Draw the first generation, ``(n, size, k (2 + C))``: uniform places and Gaussian values."""
    n = len(state.place)
    c = _image_shape(state.x)[-1]
    places = uniform(state.seeds, 0, size * pixels * 2).reshape(n, size, pixels, 2)
    values = 0.5 + 0.5 * normal(state.seeds, 1, size * pixels * c).reshape(n, size, pixels, c)
    members = np.concatenate([places, values.clip(0, 1)], axis=3)
    return like(members.reshape(n, size, -1), state.x)


def _children(state, generation, size, scale):
    """Return a child for each of the first ``size`` members."""
    xp = namespace(state.x)
    n, s, _ = state.members.shape
    chosen = xp.asarray(_three_different(uniform(state.seeds, generation + 1, 3 * size).reshape(n, size, 3), s))
    first, second, third = (state.members[xp.arange(n)[:, None], chosen[:, :, i]] for i in range(3))
    return xp.clip(first + scale * (second - third), 0, 1)


def _three_different(u, s):
    """Map three uniform numbers in [0, 1) to three different integers below s: each skips the earlier ones."""
    a, b, c = ((u[..., i] * (s - i)).astype(int) for i in range(3))
    b = b + (b >= a)
    c = c + (c >= np.minimum(a, b))
    c = c + (c >= np.maximum(a, b))
    return np.stack([a, b, c], axis=-1)


def _selected(victim, loss, pixels, state, children):
    """Replace each member by its child where the loss of the child is larger."""
    xp = namespace(state.x)
    size = children.shape[1]
    found = _losses(victim, loss, pixels, state, children)
    better = found > state.value[:, :size]
    members = state.members.copy()
    value = state.value.copy()
    members[:, :size] = xp.where(better[..., None], children, members[:, :size])
    value[:, :size] = xp.where(better, found, value[:, :size])
    return state._replace(members=members, value=value)


def _losses(victim, loss, pixels, state, members):
    """Return the loss of every member, ``(n, S)``, from one query each."""
    n, size, _ = members.shape
    each = namespace(members).arange(n).repeat(size)
    x, y, target, labels, owner, delta_set = take(
        each, state.x, state.y, state.target, state.labels, state.owner, state.delta_set
    )
    z = victim.scores(x + drawn(delta_set, x, members.reshape(n * size, -1), pixels), owner)
    return _ranked_loss(victim, loss, z, y, target, labels).reshape(n, size)


def drawn(delta_set, x, members, pixels):
    """Return δ for one member of each example, with which x + δ has the pixel values that the member encodes.

    Parameters
    ----------
    delta_set : Set
        Δ(x); its bounds are the range of the values.
    x : array, shape (n, *D)
        The inputs.
    members : array, shape (n, k (2 + C))
        For each of the k pixels its row, its column and its C values, all scaled to [0, 1].
    pixels : int
        The number k of pixels.

    Returns
    -------
    array, shape (n, *D)
        The perturbations.

    Source: Su, Vargas and Sakurai (2019), section 3.
    """
    xp = namespace(x)
    h, w, c = _image_shape(x)
    low, high = (side.reshape(len(x), h, w, c) for side in delta_set.bounds(x))
    delta = xp.zeros((len(x), h, w, c), dtype=x.dtype)
    row = xp.arange(len(x))
    for pixel in members.reshape(len(x), pixels, 2 + c).swapaxes(0, 1):
        at = row, *(xp.minimum((pixel[:, i] * side).astype(int), side - 1) for i, side in enumerate((h, w)))
        delta[at] = low[at] + pixel[:, 2:] * (high[at] - low[at])
    return delta.reshape(x.shape)


def _write_best(delta, pixels, state, done):
    """Write the best member of the examples that are done to δ; return the state of the others."""
    if done.any():
        ended = only(done, state)
        best = ended.members[namespace(done).arange(len(ended.place)), ended.value.argmax(axis=1)]
        delta[ended.place] = drawn(ended.delta_set, ended.x, best, pixels)
    return only(~done, state)
