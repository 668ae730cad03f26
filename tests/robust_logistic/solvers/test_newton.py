"""Laws of Newton's method with weights held at or above zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize, nnls
from scipy.special import expit

from scratchadv.robust_logistic.solvers.newton import _least_quadratic, newton, stationary


def value(beta, z):
    return np.logaddexp(0, -(beta @ z)).mean()


def slopes(beta, z):
    return -(z @ expit(-(beta @ z))) / z.shape[1]


def contradicting(z):
    """Every column together with its negative, so that no β makes all margins positive."""
    return np.hstack([z, z, -z])


@st.composite
def problems(draw):
    """Features (K, N) with K from 1 to 8, ties and zeros, and which weights must not become negative."""
    k, n = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    z = draw(hnp.arrays(float, (k, n), elements=st.integers(-16, 16).map(lambda i: i / 8)))
    return contradicting(z), draw(hnp.arrays(bool, k))


@given(problems(), st.booleans())
@settings(deadline=None)
def test_newton_ends_where_nothing_descends(problem, from_one):
    """β >= 0 where required; ∂F/∂β_j = 0 where β_j is free, and >= 0 where β_j is held at zero."""
    z, nonnegative = problem
    beta, m = newton(z, np.full(len(z), float(from_one)), nonnegative)
    np.testing.assert_allclose(m, beta @ z, atol=1e-9)
    assert (beta[nonnegative] >= 0).all()
    g = slopes(beta, z)
    assert (abs(g[~nonnegative | (beta > 0)]) <= 1e-7).all()
    assert (g >= -1e-7).all()


@pytest.mark.parametrize("correlation", [0, 0.9, 1 - 1e-4, 1 - 1e-7])
@pytest.mark.parametrize("seed", range(5))
def test_newton_finds_what_scipy_finds(correlation, seed):
    """F(β) <= min F of L-BFGS-B with the same bounds, however similar the features are."""
    rng = np.random.default_rng(seed)
    z = np.sqrt(correlation) * rng.standard_normal(30) + np.sqrt(1 - correlation) * rng.standard_normal((8, 30))
    z = contradicting(z)[:, 5:]
    nonnegative = np.arange(8) < 7
    bounds = [(0, None) if held else (None, None) for held in nonnegative]
    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000, "maxfun": 10**5}
    best = minimize(value, np.zeros(8), args=(z,), jac=slopes, bounds=bounds, options=options)
    for start in (np.zeros(8), np.ones(8)):
        beta, _ = newton(z, start, nonnegative)
        assert value(beta, z) <= best.fun * (1 + 1e-12)
        if correlation < 0.99:  # else SciPy stops too early, with a larger value
            np.testing.assert_allclose(value(beta, z), best.fun, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_newton_does_not_see_the_scale_of_a_feature(scale):
    """If feature j is scaled by s, F stays the same and β_j is scaled by 1/s."""
    rng = np.random.default_rng(2)
    z = contradicting(rng.standard_normal((4, 20)))[:, 7:]
    nonnegative = np.array([True, True, False, False])
    beta, _ = newton(z, np.zeros(4), nonnegative)
    scales = np.array([scale, 1, 1 / scale, 1])
    scaled, _ = newton(scales[:, None] * z, np.zeros(4), nonnegative)
    np.testing.assert_allclose(scaled * scales, beta, rtol=1e-6, atol=1e-12)


def test_newton_by_hand():
    """For three margins β and one −β, τ(β) = 3/4 and β = log 3; if it would be −log 3, β is held at zero."""
    z = np.array([[1.0, 1.0, 1.0, -1.0]])
    np.testing.assert_allclose(newton(z, np.zeros(1), np.array([True]))[0], [np.log(3)], rtol=1e-9)
    np.testing.assert_allclose(newton(-z, np.zeros(1), np.array([False]))[0], [-np.log(3)], rtol=1e-9)
    assert newton(-z, np.ones(1), np.array([True]))[0] == [0]


def test_newton_stops_when_all_margins_are_positive():
    """The method stops as soon as min m > 0, with a finite β."""
    beta, m = newton(np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros(2), np.array([True, False]))
    assert m.min() > 0
    assert np.isfinite(beta).all()


def test_newton_leaves_its_start_alone():
    """The given β does not change."""
    start = np.ones(2)
    newton(np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -3.0]]), start, np.array([True, True]))
    np.testing.assert_array_equal(start, [1, 1])


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_quadratic_model_is_solved_as_by_nnls(seed, k):
    """argmin ½‖R b − c‖² over b >= 0 for a square R is that of Lawson and Hanson's own routine."""
    rng = np.random.default_rng(seed)
    root, c = rng.standard_normal((k + 3, k)), rng.standard_normal(k + 3)
    beta = np.maximum(rng.standard_normal(k), 0)
    hessian = root.T @ root
    found = _least_quadratic(hessian, hessian @ beta - root.T @ c, beta, np.ones(k, dtype=bool))
    np.testing.assert_allclose(found, nnls(root, c)[0], rtol=1e-6, atol=1e-8)


@given(st.integers(0, 2**32), st.floats(1e-9, 1e-4))
def test_stationary_weights_are_stationary(seed, error):
    """Σ a z = 0 up to rounding, 0 <= a <= 1, and a moves no further than the error requires."""
    rng = np.random.default_rng(seed)
    z = contradicting(rng.standard_normal((3, 10)))[:, 4:]
    _, m = newton(z, np.zeros(3), np.zeros(3, dtype=bool))
    a = expit(-m)
    moved = stationary(np.clip(a + error * rng.standard_normal(len(a)), 0, 1), z)
    assert (abs(z @ moved) <= 1e-14 * (abs(z) @ moved)).all()
    assert abs(moved - a).max() <= 100 * error
    assert moved.min() >= 0
    assert moved.max() <= 1
