"""Hypothesis strategies: batches, balls, threats and linear problems, small and full of corner cases."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ..balls import L0, L1, L2, Linf
from ..models import LogisticRegression

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
