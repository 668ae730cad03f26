"""Hypothesis strategies for batches, balls, threats and linear problems: small, with many corner cases."""

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
"""Norm balls, some of them with ε = 0."""
balls = norm_balls | st.integers(0, 5).map(L0)
"""Norm balls and ℓ0 balls."""


def values(low, high, dtype):
    """Return a strategy for floats in [low, high] among which zeros, end points and ties are frequent."""
    ties = st.sampled_from([low, 0.0, (low + high) / 2, high])
    return ties | st.floats(low, high, width=32).map(dtype)


def batches(low, high, dtype=None, shape=None):
    """Return a strategy for arrays of shape (N, *D) with values in [low, high]."""
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
    """Draw a ``Problem``; by default its threat is a norm ball alone, or any ball intersected with [0, 1]."""
    x = draw(batches(0.0, 1.0))
    theta = draw(hnp.arrays(x.dtype, x.shape[1:], elements=values(-3.0, 3.0, x.dtype.type)))
    theta0 = draw(st.floats(-1, 1, width=32))
    y = draw(hnp.arrays(np.int64, len(x), elements=st.sampled_from([-1, 1])))
    if threats is None:
        threats = norm_balls | balls.map(lambda ball: ball.within(0, 1))
    return Problem(LogisticRegression(theta, theta0), x, y, draw(threats))


# Cases for an attack: a small model, examples and labels that fit it, and the threat under which the attack is tried.


@dataclass(frozen=True)
class Case:
    """The arguments of an attack, and what a law may need besides.

    Attributes
    ----------
    model : Model
    x, y : array
    threat : Set
    target : array or None
    seed : int
        The seed of the attack's ``rng``, if it takes one.
    more : Any
        What a single law needs besides.
    """

    model: Any
    x: Any
    y: Any
    threat: Any
    target: Any = None
    seed: int = 0
    more: Any = None


weights = st.sampled_from([1.0, -1.0, 0.0, 2.0, -2.0, 0.5, -0.5])
"""A few simple numbers, so that a counterexample can be checked with pencil and paper."""
seeds = st.integers(0, 999)


def pixel_range(threat):
    """Return the bounds of the threat's box; without a box [−1, 1], so that no attack can rely on [0, 1]."""
    return (-1.0, 1.0) if threat.pixels is None else (threat.pixels.lower, threat.pixels.upper)


def picture_shapes(threat):
    """Return a strategy for the shape of one example: a small shape, or that of the threat's box."""
    sides = *pixel_range(threat), *(() if threat.everywhere is None else threat.everywhere.bounds())
    shape = np.broadcast_shapes(*map(np.shape, sides))
    return st.just(shape) if shape else st.sampled_from([(2,), (1,), (4,), (2, 2, 1)])


@st.composite
def pictures(draw, threat, shape, n, places=(0.5, 0.25, 0.75, 0.0, 1.0), dtype=None):
    """Draw n examples whose pixels lie at ``places`` in the threat's range, 0 for its lower and 1 for its upper end."""
    lower, upper = pixel_range(threat)
    share = draw(st.lists(st.sampled_from(places), min_size=n * math.prod(shape), max_size=n * math.prod(shape)))
    x = lower + np.reshape(share, (n, *shape)) * (np.asarray(upper) - lower)
    return x.astype(dtype or draw(dtypes))


@st.composite
def small_models(draw, kind, shape, classes=2):
    """Draw a model of :mod:`scratchadv.testing.models`: "logistic", "softmax" (a linear pair) or "network"."""
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
    """Draw a ``Case`` with the labels that the model predicts, or with wrong labels if ``right=False``.

    For a linear pair the wrong label is the other class of the pair.
    """
    shape = draw(picture_shapes(threat))
    model = draw(small_models(draw(st.sampled_from(kinds)), shape, classes))
    x = draw(pictures(threat, shape, draw(st.integers(least, most)), **options))
    y = labels_of(model.logits(x))
    return Case(model, x, y if right else other_labels(model, y), threat, seed=draw(seeds))


def other_labels(model, y):
    """Return a wrong label for each right one: −y, the other class of a linear pair, or else the next class."""
    if isinstance(model, Linear):
        return -y
    if isinstance(model, LinearSoftmax):
        return np.flatnonzero(model.params["bias"]).sum() - y
    return (y + 1) % len(model.params["v"])
