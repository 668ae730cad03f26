"""Laws of the boundary attack's own steps; the laws that it shares with HopSkipJump are in ``test_hopskipjump.py``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchadv.attacks.black_box.boundary import boundary, stepped_aside
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.numerics import rows
from scratchadv.sets import L2


@given(st.integers(0, 99), st.floats(0, 2), st.sampled_from([(5,), (2, 3, 1)]))
def test_a_step_aside_stays_on_the_sphere(seed, share, shape):
    """‖δ'‖₂ = ‖δ‖₂, and the tangent of the angle between them is a"""
    delta = np.random.default_rng(seed).standard_normal((4, *shape))
    moved = stepped_aside(delta, np.full(4, share), np.arange(4, dtype=np.uint64), 1)
    np.testing.assert_allclose(L2.norm(moved), L2.norm(delta))
    cosine = rows(moved * delta).sum(axis=1) / L2.norm(delta) ** 2
    np.testing.assert_allclose(cosine, 1 / np.sqrt(1 + share**2))


def test_steps_aside_are_new_each_time_and_go_everywhere():
    """Directions differ between queries and between seeds; the mean of many is zero"""
    delta = np.tile([3.0, 0.0, 0.0], (2000, 1))
    first, second = (stepped_aside(delta, np.full(2000, 0.5), np.arange(2000, dtype=np.uint64), t) for t in (1, 2))
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 4000
    assert abs(first[:, 1:].mean(axis=0)).max() < 5 * 1.5 / np.sqrt(2 * 2000)


class Counting:
    """A linear model that returns labels and records the size of δ at every query, for one example at zero."""

    def __init__(self):
        self.sizes, self.labels = [], []

    def predict(self, x):
        self.sizes.extend(np.linalg.norm(x, axis=1))
        self.labels.extend(np.where(x[:, 0] >= 1, 1, -1))
        return np.where(x[:, 0] >= 1, 1, -1)


def test_half_of_the_steps_aside_succeed_and_a_quarter_of_those_towards_x():
    """A query at the distance of the best δ is a step sideways, a nearer one is a step towards x"""
    model = Counting()
    boundary(model, np.zeros((1, 30)), np.array([-1]), box=None, queries=4000, rng=np.random.default_rng(0))
    sizes, fooled = np.array(model.sizes), np.array(model.labels) == 1
    best = np.minimum.accumulate(np.where(fooled, sizes, np.inf))
    before = np.concatenate([[np.inf], best[:-1]])
    late = np.arange(len(sizes)) > 200
    aside = late & (abs(sizes - before) < 1e-9 * sizes)
    towards = late & ~aside
    assert abs(fooled[aside].mean() - 0.5) < 0.1
    assert abs(fooled[towards].mean() - 0.25) < 0.1


def test_a_walk_that_has_arrived_stops():
    """In one dimension there is no step sideways, so the walk ends long before its queries are used up"""
    model = Counting()
    delta = boundary(model, np.zeros((1, 1)), np.array([-1]), box=None, queries=5000, rng=np.random.default_rng(0))
    assert len(model.sizes) < 1000
    np.testing.assert_allclose(delta, 1, rtol=0.01)


def test_without_a_rate_the_steps_keep_their_size():
    """With ρ = 0 every query towards x is (1 − b) times the best"""
    model = Counting()
    options = {"aside": 0.05, "towards": 0.02, "rate": 0.0, "overshoot": 0}
    boundary(model, np.zeros((1, 10)), np.array([-1]), box=None, queries=500, rng=np.random.default_rng(1), **options)
    sizes, fooled = np.array(model.sizes), np.array(model.labels) == 1
    before = np.concatenate([[np.inf], np.minimum.accumulate(np.where(fooled, sizes, np.inf))[:-1]])
    share = (sizes / before)[40:]
    assert (np.isclose(share, 1) | np.isclose(share, 0.98)).all()
    assert np.isclose(share, 0.98).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets_of_two_linear_classes(dtype):
    """For a binary model target = −y is the same as no target"""
    model = LogisticRegression(np.random.default_rng(0).standard_normal(5))
    x = np.random.default_rng(1).random((6, 5)).astype(dtype)
    y = predict(model, x)
    free, aimed = (boundary(model, x, y, target=t, box=None, queries=200, seeds=np.arange(6)) for t in (None, -y))
    np.testing.assert_array_equal(free, aimed)
