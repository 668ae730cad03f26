"""Laws of the barrier method for ℓ2 and ℓ1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchadv.numerics import sigmoid
from scratchadv.robust_logistic import objective
from scratchadv.robust_logistic.solvers.barrier import _box_barrier, _euclidean_barrier, solve
from scratchadv.robust_logistic.solvers.dual import lower_bound
from scratchadv.sets import L1, L2

eighths = st.integers(-16, 16).map(lambda k: k / 8)
each_ball = pytest.mark.parametrize("ball", [L2(0.3), L1(0.6)], ids=str)
each_barrier = pytest.mark.parametrize(
    ("barrier", "dual_norm"), [(_euclidean_barrier, 2), (_box_barrier, np.inf)], ids=["euclidean", "box"]
)


def noisy(seed, n=30, p=5):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    return x, np.where(x[:, 0] + rng.standard_normal(n) > 0, 1.0, -1.0)


@each_barrier
@pytest.mark.parametrize("p", [1, 2, 6])
def test_barrier_slopes_are_the_limits_of_differences(barrier, dual_norm, p):
    """∇B and ∇²B in (θ, θ0, t) agree with central differences, and B does not depend on θ0."""
    rng = np.random.default_rng(p)
    theta, h = rng.standard_normal(p), 1e-6
    u = np.concatenate([theta, [0.7, 1.5 * np.linalg.norm(theta, dual_norm) + 0.1]])

    def at(u):
        return barrier(u[:-2], u[-1])

    _, gradient, hessian = at(u)
    np.testing.assert_array_equal(hessian, hessian.T)
    for k, e in enumerate(h * np.eye(p + 2)):
        (up, up_gradient, _), (down, down_gradient, _) = at(u + e), at(u - e)
        np.testing.assert_allclose(gradient[k], (up - down) / (2 * h), rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(hessian[k], (up_gradient - down_gradient) / (2 * h), rtol=1e-6, atol=1e-6)
    assert gradient[-2] == 0
    assert not hessian[-2].any()


@each_barrier
@given(
    theta=hnp.arrays(float, st.integers(1, 8), elements=st.integers(-16, 16).map(lambda k: k / 8)), s=st.floats(0, 3)
)
def test_barrier_is_finite_exactly_inside(barrier, dual_norm, theta, s):
    """B(θ, t) < ∞ if and only if ‖θ‖* < t."""
    length = np.linalg.norm(theta, dual_norm)
    if abs(s - 1) > 1e-9 and length > 0:
        assert np.isfinite(barrier(theta, s * length)[0]) == (s > 1)
    assert barrier(theta, 0.0)[0] == np.inf
    assert barrier(theta, -2 * length - 1.0)[0] == np.inf


@each_ball
@pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-8])
def test_weights_are_feasible_and_close_the_gap(ball, tol):
    """‖Σ a y x‖ < ε Σ a strictly, and F − lower bound(a) <= tol F."""
    for seed in range(4):
        x, y = noisy(seed)
        yx = y[:, None] * x
        theta, theta0, a, _ = solve(yx, y, ball, tol)
        assert ball.norm((a @ yx)[None])[0] < ball.eps * a.sum()
        value = objective(theta, theta0, x, y, ball)
        assert 0 <= value - lower_bound(a, yx, y, ball) <= tol * value
        np.testing.assert_allclose(a @ y, 0, atol=1e-6)


@each_ball
def test_a_component_that_is_always_zero_has_no_weight(ball):
    """If x_j = 0 in all examples, θ_j = 0 and the others are as without feature j; if all x are zero, θ = 0."""
    x, y = noisy(7)
    wide = np.insert(x, 2, 0, axis=1)
    theta, theta0, _, _ = solve(y[:, None] * x, y, ball, 1e-8)
    theta_wide, theta0_wide, _, _ = solve(y[:, None] * wide, y, ball, 1e-8)
    assert theta_wide[2] == 0
    np.testing.assert_allclose(np.append(np.delete(theta_wide, 2), theta0_wide), np.append(theta, theta0), rtol=1e-6)
    nothing, _, a, _ = solve(np.zeros((4, 3)), np.array([1.0, 1, 1, -1]), ball, 1e-6)
    np.testing.assert_allclose(nothing, 0, atol=1e-12)
    np.testing.assert_allclose(a, [0.25, 0.25, 0.25, 0.75], atol=1e-3)


@pytest.mark.parametrize("norm", [L2, L1])
def test_one_weight_by_hand(norm):
    """For x = ±1 with y = ±1 three times and ∓1 once, ε = 0.4, θ solves 0.6 · 3 τ(−0.6 θ) = 1.4 τ(1.4 θ)."""
    x, y = np.array([[1.0]] * 4 + [[-1.0]] * 4), np.array([1.0, 1, 1, -1, -1, -1, -1, 1])
    (theta,), theta0, _, _ = solve(y[:, None] * x, y, norm(0.4), 1e-10)
    assert theta > 0
    np.testing.assert_allclose(1.8 * sigmoid(-0.6 * theta), 1.4 * sigmoid(1.4 * theta), rtol=1e-5)
    np.testing.assert_allclose(theta0, 0, atol=1e-6)


@pytest.mark.parametrize("norm", [L2, L1])
def test_it_stops_at_a_separating_model(norm):
    """The solver stops when all margins under attack are positive."""
    x, y = np.array([[0.0, 0.0], [1.0, 0.2]]), np.array([-1.0, 1.0])
    theta, theta0, _, _ = solve(y[:, None] * x, y, norm(0.4), 1e-6)
    assert (y * (x @ theta + theta0) - norm(0.4).support(theta[None])[0] > 0).all()
