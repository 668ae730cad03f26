"""Range, a budget for each feature: a weighted ℓ∞ ball whose norm is its gauge, alone and intersected with a Box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchadv.numerics import rows
from scratchadv.sets import L1, L2, Box, Linf, Mask, Range
from scratchadv.testing.strategies import batches, radii

LOWER, UPPER = np.array([-0.1, 0.0, -0.4, -0.2]), np.array([0.2, 0.3, 0.0, 0.4])
BUDGET = Range(LOWER, UPPER)
X = np.random.default_rng(0).random((6, 4))


def test_a_range_by_hand():
    """δ_1 in [−1, 0.5], δ_2 in [0, 0.25]: projection, best point, gauge and step"""
    budget = Range(np.array([-1.0, 0.0]), np.array([0.5, 0.25]))
    np.testing.assert_array_equal(budget.project(np.array([[-2.0, -3.0]])), [[-1, 0]])
    np.testing.assert_array_equal(budget.linear_max(np.array([[3.0, 2.0]])), [[0.5, 0.25]])
    np.testing.assert_array_equal(budget.support(np.array([[-3.0, -2.0]])), [3])
    np.testing.assert_array_equal(
        budget.norm(np.array([[-0.5, 0.0], [0.25, 0.25], [0, 0], [0, -1e-9]])), [0.5, 1, 0, np.inf]
    )
    np.testing.assert_array_equal(budget.step(np.array([[1.0, -1.0]]), 0.5), [[0.25, 0]])
    assert budget.radius == 1


@given(batches(-2.0, 2.0), radii, st.integers(0, 999))
def test_the_same_budget_for_all_is_the_maximum_norm_ball(v, eps, seed):
    """Range(−ε, ε) = Linf(ε) to the last bit, alone and in a box; steps of size α are those of size α ε"""
    x = np.random.default_rng(seed).random(v.shape).astype(v.dtype)
    sides = np.full(v.shape[1:], eps), float(eps)
    for side in sides:
        for ball, budget in ((Linf(eps), Range(-side, side)), (Linf(eps) & Box(0, 1), Range(-side, side) & Box(0, 1))):
            ball, budget = ball.at(x), budget.at(x)
            for of in ("project", "linear_max"):
                np.testing.assert_array_equal(getattr(budget, of)(v), getattr(ball, of)(v))
            np.testing.assert_allclose(budget.support(v), ball.support(v), rtol=1e-5)
            delta = ball.project(v)
            np.testing.assert_array_equal(budget.step(v, 0.5), ball.step(v, 0.5 * eps))
            np.testing.assert_array_equal(budget.ascend(delta, v, 0.5), ball.ascend(delta, v, 0.5 * eps))
            first, second = (s.sample(np.random.default_rng(seed), x) for s in (budget, ball))
            np.testing.assert_array_equal(first, second)
            if eps:
                np.testing.assert_allclose(budget.norm(v) * eps, ball.norm(v), rtol=1e-5)


@given(batches(-2.0, 2.0, shape=(3, 4)), st.floats(0.0, 3.0))
def test_the_gauge_is_the_smallest_scale(v, t):
    """norm(δ) <= t exactly where δ lies in scaled(t); norm(t δ) = t norm(δ)"""
    v = BUDGET.scaled(2).project(v.astype(float))
    size = BUDGET.norm(v)
    assert BUDGET.scaled(float(size.max()) + 1e-9).contains(v, atol=1e-9).all()
    np.testing.assert_array_equal(
        BUDGET.scaled(t).contains(v, atol=0)[abs(size - t) > 1e-9], (size <= t)[abs(size - t) > 1e-9]
    )
    np.testing.assert_allclose(BUDGET.norm(t * v), t * size, atol=1e-12)


def test_scaled_changes_the_radius_and_not_the_norm():
    """scaled(α): radius α, bounds α l and α u, the same gauge; infinite and zero sides stay"""
    half = Range(np.array([-np.inf, 0.0]), np.array([2.0, np.inf])).scaled(0.5)
    assert half.radius == 0.5
    low, high = half.bounds(np.zeros((1, 2)))
    np.testing.assert_array_equal(low, [[-np.inf, 0]])
    np.testing.assert_array_equal(high, [[1, np.inf]])
    v = np.array([[0.1, 0.2, -0.3, 0.1]])
    np.testing.assert_array_equal(BUDGET.scaled(0.5).norm(v), BUDGET.norm(v))
    assert BUDGET.scaled(0.5).scaled(1.0) == BUDGET
    assert (BUDGET & Box(0, 1)).scaled(0.5) == BUDGET.scaled(0.5) & Box(0, 1)
    assert BUDGET.scaled(0.5) & BUDGET == Range(0.5 * LOWER, 0.5 * UPPER)


@pytest.mark.parametrize("ball", [Linf(0.15), L2(0.3), L1(0.3)], ids=str)
def test_beside_a_ball_a_range_is_a_bound(ball):
    """(ball & Range): norm, radius and scaled are the ball's, and the bounds are the range's"""
    threat, v = ball & BUDGET, np.random.default_rng(1).normal(size=X.shape)
    np.testing.assert_array_equal(threat.norm(v), ball.norm(v))
    assert threat.radius == ball.radius
    assert threat.scaled(0.1) == ball.scaled(0.1) & BUDGET
    for point in (threat.project(v), threat.linear_max(v), threat.sample(np.random.default_rng(0), X)):
        assert ball.contains(point).all()
        assert BUDGET.contains(point).all()


def test_ranges_of_each_example_go_with_them():
    """Bounds of shape (N, *D) are cut with the batch; those of shape D hold for all, even where N equals D"""
    each = Range(-X, 2 * X).at(X)
    for found, expected in zip(each.rows(slice(2, 5)).bounds(), (-X[2:5], 2 * X[2:5]), strict=True):
        np.testing.assert_array_equal(found, expected)
    square = BUDGET.at(X[:4]).rows(slice(1, 3))
    np.testing.assert_array_equal(square.bounds()[0], np.tile(LOWER, (2, 1)))
    with pytest.raises(ValueError, match=r"the range of δ has shape \(6, 4\).*\(5, 4\)"):
        Range(-X, X).at(X[:5])


def test_samples_are_uniform_between_the_bounds():
    """Every component of a sample has the mean and the deviation of a uniform number"""
    x = np.zeros((20_000, 4))
    for threat in (BUDGET, BUDGET & Box(-1, 1), BUDGET & Mask(np.ones(4, bool))):
        delta = threat.sample(np.random.default_rng(0), x)
        np.testing.assert_allclose(delta.mean(axis=0), (LOWER + UPPER) / 2, atol=0.01)
        np.testing.assert_allclose(delta.std(axis=0), (UPPER - LOWER) / np.sqrt(12), rtol=0.02, atol=1e-12)


@pytest.mark.parametrize(
    ("sides", "error", "words"),
    [
        ((0.1, 0.2), ValueError, "must hold 0"),
        ((-0.2, -0.1), ValueError, "must hold 0"),
        ((1, 0), ValueError, "empty"),
        ((-1, "1"), TypeError, "a number or an array"),
        ((-1, np.nan), ValueError, "empty"),
        ((-1, 1, -1), ValueError, "radius = -1"),
    ],
)
def test_bad_ranges_are_refused(sides, error, words):
    """lower <= 0 <= upper, numbers, and a radius >= 0"""
    with pytest.raises(error, match=words):
        Range(*sides)


def test_a_half_infinite_range_has_no_sample():
    """Where a component has no bound, a linear function has no maximum and there is no uniform sample"""
    budget = Range(-1, np.inf).at(X)
    np.testing.assert_array_equal(budget.linear_max(-X), -np.ones_like(X))
    for refused in (lambda: budget.linear_max(X), lambda: budget.sample(np.random.default_rng(0), X)):
        with pytest.raises(ValueError, match="finite box"):
            refused()
    assert rows((Range(-1, np.inf) & Box(0, 1)).at(X).linear_max(X) + X == 1).all()
