"""Hypothesis strategies: batches, balls, threats and linear problems, small and full of corner cases."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..models import LogisticRegression
from ..models.protocol import labels_of
from ..sets import L0, L1, L2, Linf
from ..support.optional import needed_by
from .models import Linear, LinearSoftmax, SmallNetwork

with needed_by("scratchadv.testing.strategies", "hypothesis", "test"):
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp

dtypes = st.sampled_from([np.float32, np.float64])
shapes = st.tuples(st.integers(1, 5), st.sampled_from([(1,), (4,), (2, 3), (2, 2, 1)])).map(lambda s: (s[0], *s[1]))
radii = st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.5]) | st.floats(1e-3, 5.0)
norm_balls = st.sampled_from([Linf, L2, L1]).flatmap(lambda norm: radii.map(norm))
"""Balls of a norm, ε = 0 among them."""
balls = norm_balls | st.integers(0, 5).map(L0)
"""All balls."""


def values(low, high, dtype):
    """Floats between low and high with many zeros, ends and ties among them."""
    ties = st.sampled_from([low, 0.0, (low + high) / 2, high])
    return ties | st.floats(low, high, width=32).map(dtype)


def batches(low, high, dtype=None, shape=None):
    """Arrays of shape (N, *D) with values in [low, high]."""
    return st.tuples(st.just(dtype) if dtype else dtypes, st.just(shape) if shape else shapes).flatmap(
        lambda what: hnp.arrays(what[0], what[1], elements=values(low, high, what[0]))
    )


@dataclass(frozen=True)
class Problem:
    """A linear model, examples in [0, 1] with labels −1/+1, and a perturbation set."""

    model: LogisticRegression
    x: Any
    y: Any
    threat: Any


@st.composite
def linear_problems(draw, threats=None):
    """A random ``Problem``; by default its threat is a bare ball of a norm, or any ball cut with [0, 1]."""
    x = draw(batches(0.0, 1.0))
    theta = draw(hnp.arrays(x.dtype, x.shape[1:], elements=values(-3.0, 3.0, x.dtype.type)))
    theta0 = draw(st.floats(-1, 1, width=32))
    y = draw(hnp.arrays(np.int64, len(x), elements=st.sampled_from([-1, 1])))
    if threats is None:
        threats = norm_balls | balls.map(lambda ball: ball.within(0, 1))
    return Problem(LogisticRegression(theta, theta0), x, y, draw(threats))


# Cases for an attack: a small model, examples and labels that fit it, and the threat that the attack is tried under.


@dataclass(frozen=True)
class Case:
    """What an attack is given, and what a law may need beside it.

    Attributes
    ----------
    model : Model
    x, y : array
    threat : Set
    target : array or None
    seed : int
        Of the attack's ``rng``, where it takes one.
    more : Any
        What one law alone needs.
    """

    model: Any
    x: Any
    y: Any
    threat: Any
    target: Any = None
    seed: int = 0
    more: Any = None


weights = st.sampled_from([1.0, -1.0, 0.0, 2.0, -2.0, 0.5, -0.5])
"""Few and simple, so that a counterexample can be checked with paper and pencil."""
seeds = st.integers(0, 999)


def pixel_range(threat):
    """The box of the threat; without one [−1, 1], so that nobody takes pixels for granted."""
    return (-1.0, 1.0) if threat.pixels is None else (threat.pixels.lower, threat.pixels.upper)


def picture_shapes(threat):
    """The shape of one example: small, or that of the threat's box."""
    sides = *pixel_range(threat), *(() if threat.everywhere is None else threat.everywhere.bounds())
    shape = np.broadcast_shapes(*map(np.shape, sides))
    return st.just(shape) if shape else st.sampled_from([(2,), (1,), (4,), (2, 2, 1)])


@st.composite
def pictures(draw, threat, shape, n, places=(0.5, 0.25, 0.75, 0.0, 1.0), dtype=None):
    """Examples in the threat's pixel range, ``places`` of the way from its lower to its upper end."""
    lower, upper = pixel_range(threat)
    share = draw(st.lists(st.sampled_from(places), min_size=n * math.prod(shape), max_size=n * math.prod(shape)))
    x = lower + np.reshape(share, (n, *shape)) * (np.asarray(upper) - lower)
    return x.astype(dtype or draw(dtypes))


@st.composite
def small_models(draw, kind, shape, classes=2):
    """A model of :mod:`scratchadv.testing.models`: "logistic", "softmax" (a linear pair) or "network"."""
    k = draw(st.integers(classes, max(4, classes)))
    if kind == "network":
        return SmallNetwork(shape, k, draw(seeds))
    theta = np.reshape(draw(st.lists(weights, min_size=math.prod(shape), max_size=math.prod(shape))), shape)
    theta0 = draw(weights)
    if kind == "logistic":
        return Linear(theta, theta0)
    first, second = draw(st.permutations(range(k)))[:2]
    return LinearSoftmax.pair(theta, theta0, k, first, second)


@st.composite
def cases(draw, threat, kinds, *, classes=2, least=1, most=3, right=True, **options):
    """A ``Case`` with the labels that the model gives, or with ``right=False`` with other ones.

    The other label of a linear pair is the second of the pair.
    """
    shape = draw(picture_shapes(threat))
    model = draw(small_models(draw(st.sampled_from(kinds)), shape, classes))
    x = draw(pictures(threat, shape, draw(st.integers(least, most)), **options))
    y = labels_of(model.logits(x))
    return Case(model, x, y if right else other_labels(model, y), threat, seed=draw(seeds))


def other_labels(model, y):
    """A wrong label for each right one: −y, the other one of a linear pair, else the next."""
    if isinstance(model, Linear):
        return -y
    if isinstance(model, LinearSoftmax):
        return np.flatnonzero(model.params["bias"]).sum() - y
    return (y + 1) % len(model.params["v"])
