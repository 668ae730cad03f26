"""Laws of the dual lower bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

from scratchadv.robust_logistic import objective
from scratchadv.robust_logistic.solvers.dual import balanced, lower_bound
from scratchadv.sets import L1, L2, Linf

each_norm = pytest.mark.parametrize("norm", [Linf, L2, L1])
eighths = st.integers(-16, 16).map(lambda k: k / 8)


@st.composite
def weighted_examples(draw):
    """Examples (N, P), labels, and weights a in [0, 1] including 0, 1 and ties."""
    n, p = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    x = draw(hnp.arrays(float, (n, p), elements=eighths))
    y = draw(hnp.arrays(float, n, elements=st.sampled_from([-1.0, 1.0])))
    return x, y, draw(hnp.arrays(float, n, elements=st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1)))


@given(weighted_examples())
def test_balanced_weights_are_balanced(drawn):
    """Σ b y = 0 and 0 <= b <= a, and one class keeps its weights."""
    _, y, a = drawn
    b = balanced(a, y)
    np.testing.assert_allclose(b @ y, 0, atol=1e-14)
    assert (b >= 0).all()
    assert (b <= a * (1 + 1e-15)).all()
    np.testing.assert_allclose(b.sum(), 2 * min(a[y > 0].sum(), a[y < 0].sum()), rtol=1e-14, atol=1e-300)


@given(weighted_examples(), st.sampled_from([Linf, L2, L1]), st.floats(0.01, 4), st.integers(0, 2**32))
@settings(max_examples=200)
def test_weak_duality(drawn, norm, eps, seed):
    """lower bound(a) <= F(θ, θ0) for all a, θ, θ0."""
    x, y, a = drawn
    bound = lower_bound(a, y[:, None] * x, y, norm(eps))
    assert 0 <= bound <= np.log(2)
    rng = np.random.default_rng(seed)
    for spread in (0, 0.1, 1, 10):
        theta, theta0 = spread * rng.standard_normal(x.shape[1]), spread * rng.standard_normal()
        assert objective(theta, theta0, x, y, norm(eps)) >= bound * (1 - 1e-13)


def feasible_weights(yx, y):
    """Weights in [0, 1] with Σ a y = 0, Σ a y x = 0 and the largest sum, by linear programming."""
    equations = np.vstack([yx.T, y])
    return linprog(-np.ones(len(y)), A_eq=equations, b_eq=np.zeros(len(equations)), bounds=(0, 1)).x


@each_norm
def test_weak_duality_for_radius_zero(norm):
    """For ε = 0 feasible weights bound F, and others give 0."""
    rng = np.random.default_rng(1)
    x, y = rng.integers(-2, 3, (14, 2)).astype(float), rng.choice([-1.0, 1.0], 14)
    yx = y[:, None] * x
    a = feasible_weights(yx, y) / 2
    assert a.sum() > 1
    assert lower_bound(a, yx, y, norm(0)) > 0
    for _ in range(200):
        theta, theta0 = rng.standard_normal(2), rng.standard_normal()
        assert objective(theta, theta0, x, y, norm(0)) >= lower_bound(a, yx, y, norm(0))
    a[a.argmax()] -= 1e-6
    assert lower_bound(a, yx, y, norm(0)) == 0


@each_norm
def test_weights_out_of_reach_bound_nothing(norm):
    """Weights with ‖Σ a y x‖ > ε Σ a give 0; with x = ±(1, 0), y = ±1 they need ε >= 1 and then give mean H(1/4)."""
    yx, y, a = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1.0, -1.0]), np.array([0.25, 0.25])
    assert lower_bound(a, yx, y, norm(0.999)) == 0
    expected = 0.25 * np.log(4) + 0.75 * np.log(4 / 3)
    np.testing.assert_allclose(lower_bound(a, yx, y, norm(1.0)), expected, rtol=1e-14)


@each_norm
def test_each_ball_measures_in_its_own_norm(norm):
    """Weights with Σ a y x = (3, 4) / 5 Σ a are feasible from ε = 4/5, 1, 7/5 on for ℓ∞, ℓ2, ℓ1."""
    least = {Linf: 0.8, L2: 1.0, L1: 1.4}[norm]
    yx, y, a = np.array([[0.6, 0.8], [0.6, 0.8]]), np.array([1.0, -1.0]), np.array([0.5, 0.5])
    assert lower_bound(a, yx, y, norm(least * 0.999)) == 0
    np.testing.assert_allclose(lower_bound(a, yx, y, norm(least * 1.001)), np.log(2), rtol=1e-14)


def test_one_class_bounds_nothing():
    """With one class only, Σ a y = 0 leaves no weight, and the bound is 0."""
    assert lower_bound(np.full(3, 0.5), np.ones((3, 2)), np.ones(3), Linf(9.0)) == 0
