"""Laws of the solver for ℓ∞."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchadv.numerics import sigmoid
from scratchadv.robust_logistic import objective
from scratchadv.robust_logistic.solvers.dual import lower_bound
from scratchadv.robust_logistic.solvers.working_set import solve
from scratchadv.sets import Linf


@st.composite
def problems(draw):
    """Examples on a lattice, each with both labels, so that nothing separates them; their labels; and ε."""
    n, p = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    x = draw(hnp.arrays(float, (n, p), elements=st.integers(-16, 16).map(lambda k: k / 8)))
    y = draw(hnp.arrays(float, n, elements=st.sampled_from([-1.0, 1.0])))
    copies = draw(st.integers(1, 4))
    x, y = np.concatenate([x] * copies + [x[:1]]), np.concatenate([y] * copies + [-y[:1]])
    return x, y, draw(st.sampled_from([1e-3, 0.0713, 0.31831]))


@given(problems())
@settings(deadline=None)
def test_the_conditions_of_the_optimum_hold(problem):
    """With a = τ(−m), |Σ a y x_j| <= ε Σ a for all j, with equality and the sign of θ_j where θ_j is not zero."""
    x, y, eps = problem
    yx = y[:, None] * x
    theta, theta0, a, _ = solve(yx, y, Linf(eps), 1e-6)
    m = yx @ theta + y * theta0 - eps * abs(theta).sum()
    np.testing.assert_allclose(a, sigmoid(-m), atol=2e-3)  # F is flat, so the tolerance leaves an error of this size
    pull, room = a @ yx, eps * a.sum()
    assert (abs(pull) <= room).all()
    used = theta != 0
    np.testing.assert_allclose(pull[used], np.sign(theta[used]) * room, rtol=1e-5)
    np.testing.assert_allclose(a @ y, 0, atol=1e-9)


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-8])
def test_many_weights_few_of_them_used(tol):
    """For P > N there is a certificate within tol, and at most N weights are not zero."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((25, 120)), rng.choice([-1.0, 1.0], 25)
    ball = Linf(0.45)
    theta, theta0, a, _ = solve(y[:, None] * x, y, ball, tol)
    value = objective(theta, theta0, x, y, ball)
    assert 0 < np.count_nonzero(theta) <= 25
    assert 0 <= value - lower_bound(a, y[:, None] * x, y, ball) <= tol * value


@pytest.mark.parametrize("noise", [1e-1, 1e-3, 1e-4])
def test_features_that_are_nearly_copies(noise):
    """Features that differ only by ``noise`` get a certificate; a Newton step clipped at zero would stall here."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((12, 1)) + noise * rng.standard_normal((12, 20))
        y = np.where(x[:, 0] > 0, 1.0, -1.0)
        y[:2] *= -1
        for eps in (0.3 * noise, 3 * noise, 0.2):
            theta, theta0, a, rounds = solve(y[:, None] * x, y, Linf(eps), 1e-6)
            m = y * (x @ theta + theta0) - eps * abs(theta).sum()
            value = np.logaddexp(0, -m).mean()
            assert m.min() > 0 or value - lower_bound(a, y[:, None] * x, y, Linf(eps)) <= 1e-6 * value
            assert rounds < 100


def test_one_weight_by_hand():
    """For x = ±1 with y = ±1 three times and ∓1 once, x_2 = 0: 0.6 · 3 τ(−0.6 θ) = 1.4 τ(1.4 θ) and θ_2 = 0."""
    x = np.array([[1.0, 0.0]] * 4 + [[-1.0, 0.0]] * 4)
    y = np.array([1.0, 1, 1, -1, -1, -1, -1, 1])
    (theta, unused), theta0, _, _ = solve(y[:, None] * x, y, Linf(0.4), 1e-8)
    np.testing.assert_allclose(1.8 * sigmoid(-0.6 * theta), 1.4 * sigmoid(1.4 * theta), rtol=1e-6)
    assert theta > 0
    assert unused == 0
    np.testing.assert_allclose(theta0, 0, atol=1e-9)


def test_it_stops_at_a_separating_model():
    """The solver stops when all margins under attack are positive."""
    x, y = np.array([[0.0, 0.0], [1.0, 0.2]]), np.array([-1.0, 1.0])
    theta, theta0, _, _ = solve(y[:, None] * x, y, Linf(0.4), 1e-6)
    assert (y * (x @ theta + theta0) - 0.4 * abs(theta).sum() > 0).all()
