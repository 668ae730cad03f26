"""Laws of the robust objective, its subgradient and its certified minimum, compared with independent solvers."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog, minimize, minimize_scalar

from scratchadv.attacks import exact
from scratchadv.datasets import load, mnist
from scratchadv.models import LogisticRegression
from scratchadv.robust_logistic import GapWarning, critical_radius, fit, gradient, objective, worst_margin
from scratchadv.sets import L0, L1, L2, Ball, Linf
from scratchadv.testing.strategies import linear_problems, norm_balls, radii, values

NORMS = (Linf, L2, L1)
ORDER = {Linf: np.inf, L2: 2, L1: 1}
DUAL = {Linf: 1, L2: 2, L1: np.inf}
LOOSE_BALLS = (Linf(0.3), L2(0.5), L1(0.8))
THREATS = [*LOOSE_BALLS, *(ball.within(0, 1) for ball in (*LOOSE_BALLS, L0(2)))]
each_norm = pytest.mark.parametrize("norm", NORMS)
each_threat = pytest.mark.parametrize("threat", THREATS, ids=str)


def psi(m):
    return np.log1p(np.exp(-abs(m))) + np.maximum(-m, 0)


def loss_at(theta, theta0, x, y):
    return psi(y * ((x * theta).reshape(len(x), -1).sum(axis=1) + theta0))


def entropy(share):
    return -sum(p * np.log(p) for p in (share, 1 - share) if p > 0)


@st.composite
def two_models(draw, threats=None):
    """A problem in float64 and two models: x, y, threat, (theta, theta0), (theta, theta0)."""
    problem = draw(linear_problems(threats))
    x = problem.x.astype(float)
    theta = st.just(np.zeros(x.shape[1:])) | hnp.arrays(float, x.shape[1:], elements=values(-3.0, 3.0, float))
    return x, problem.y, problem.threat, *((draw(theta), draw(st.sampled_from([-1.0, 0.0, 0.25]))) for _ in range(2))


def lattice(low=-2, high=2):
    """Numbers that add up exactly, with many ties and zeros."""
    return st.integers(8 * low, 8 * high).map(lambda k: k / 8)


# Radii that differ from all margins of points on the lattice.
off_lattice = st.sampled_from([0.0, 0.0713, 0.31831, 1.2732])


@st.composite
def samples(draw, most=7, least=1):
    """Examples on a lattice in float32 or float64, and labels."""
    shape = draw(st.sampled_from([(1,), (2,), (3,), (8,), (2, 2, 1)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x = draw(hnp.arrays(dtype, (draw(st.integers(least, most)), *shape), elements=lattice()))
    return x, draw(hnp.arrays(np.int64, len(x), elements=st.sampled_from([-1, 1])))


def noisy(seed, n=40, p=4):
    """Examples of two overlapping classes."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p))
    return x, np.where(x @ rng.standard_normal(p) + rng.standard_normal(n) > 0, 1, -1)


# The objective


@given(linear_problems())
def test_objective_is_the_loss_under_the_exact_attack(problem):
    """F(θ, θ0) = 1/N Σ Ψ(y_i (θᵀ(x_i + δ_i*) + θ0)) with δ* the exact attack."""
    x = problem.x.astype(float)
    theta, theta0 = problem.model.params["theta"].astype(float), float(problem.model.params["theta0"])
    delta = exact(LogisticRegression(theta, theta0), x, problem.y, problem.threat)
    found = objective(theta, theta0, x, problem.y, problem.threat)
    np.testing.assert_allclose(found, loss_at(theta, theta0, x + delta, problem.y).mean(), rtol=1e-12)
    as_given = objective(problem.model.params["theta"], theta0, problem.x, problem.y, problem.threat)
    np.testing.assert_allclose(as_given, found, rtol=1e-5)


@given(linear_problems(), st.integers(0, 2**32))
def test_no_perturbation_of_the_set_is_worse(problem, seed):
    """m_i <= y_i (θᵀ(x_i + δ) + θ0) for random δ in Δ(x_i)."""
    x = problem.x.astype(float)
    theta, theta0 = problem.model.params["theta"].astype(float), float(problem.model.params["theta0"])
    m = worst_margin(theta, theta0, x, problem.y, problem.threat)
    for rng in map(np.random.default_rng, [seed, seed + 1]):
        delta = problem.threat.sample(rng, x)
        attacked = problem.y * (((x + delta) * theta).reshape(len(x), -1).sum(axis=1) + theta0)
        assert (m <= attacked + 1e-12 * (1 + abs(attacked))).all()


def most_harm(g, ball, low, high):
    """max <g, δ> over the ball and low <= δ <= high, by linprog, or for ℓ2 by its Lagrange multiplier."""
    if isinstance(ball, L2):

        def dual(log_multiplier):
            w = np.exp(log_multiplier)
            delta = np.clip(g / w, low, high)
            return w / 2 * ball.eps**2 + (g * delta - w / 2 * delta**2).sum()

        return minimize_scalar(dual, bounds=(-15, 15), method="bounded", options={"xatol": 1e-10}).fun
    bounds = np.stack([low, high], axis=1)
    if isinstance(ball, Linf):
        return -linprog(-g, bounds=np.clip(bounds, -ball.eps, ball.eps)).fun
    p = len(g)  # the magnitudes s of the components are variables too
    magnitudes = np.block([[np.eye(p), -np.eye(p)], [-np.eye(p), -np.eye(p)], [np.zeros((1, p)), np.ones((1, p))]])
    limits = np.append(np.zeros(2 * p), ball.eps)
    free = [(0, None)] * p
    return -linprog(np.append(-g, np.zeros(p)), A_ub=magnitudes, b_ub=limits, bounds=[*bounds, *free]).fun


@pytest.mark.parametrize("ball", LOOSE_BALLS, ids=str)
@pytest.mark.parametrize("boxed", [False, True])
def test_worst_margin_is_that_of_an_independent_solver(ball, boxed):
    """m_i = y_i (θᵀx_i + θ0) − max {<−y_i θ, δ> : δ in Δ(x_i)}, the maximum by linear programming or duality."""
    rng = np.random.default_rng(3)
    x = np.round(4 * rng.random((12, 5))) / 4
    y = rng.choice([-1, 1], 12)
    theta, theta0 = np.array([1.5, -1.0, 0.0, 1.0, -0.25]), 0.2
    found = worst_margin(theta, theta0, x, y, ball.within(0, 1) if boxed else ball)
    for i in range(12):
        low, high = (-x[i], 1 - x[i]) if boxed else (np.full(5, -9.0), np.full(5, 9.0))
        expected = y[i] * (theta @ x[i] + theta0) - most_harm(-y[i] * theta, ball, low, high)
        np.testing.assert_allclose(found[i], expected, atol=1e-8)


GOLDEN = [
    (Linf(0.25), (1, 0), 1, 2.5 - 0.25 * 3),
    (L2(0.25), (1, 0), 1, 2.5 - 0.25 * np.sqrt(5)),
    (L1(0.25), (1, 0), 1, 2.5 - 0.25 * 2),
    (Linf(0.25), (1, 0), -1, -2.5 - 0.25 * 3),
    (Linf(0.25).within(0, 1), (1, 0), 1, 2.5 - 0.25 * 3),
    (Linf(0.25).within(0, 1), (0, 1), 1, -0.5),  # both pixels are already where the attack wants them
    (L2(0.25).within(0, 1), (1, 1), 1, 1.5 - 0.25 * 2),  # the second cannot grow
    (L1(0.25).within(0, 1), (0.125, 0), 1, 0.75 - 0.125 * 2 - 0.125 * 1),  # the first only by 1/8, then the second
    (L0(1).within(0, 1), (1, 0), 1, 2.5 - 2),
    (Linf(0), (1, 0), 1, 2.5),
]


@pytest.mark.parametrize(("threat", "x", "y", "m"), GOLDEN, ids=str)
def test_worst_margin_by_hand(threat, x, y, m):
    """Margins of θ = (2, −1), θ0 = 1/2 computed on paper; F = Ψ(m), and the gradient is −τ(−m) y (x + δ*)."""
    x, y = np.array([x], dtype=float), np.array([y])
    theta, theta0 = np.array([2.0, -1.0]), 0.5
    np.testing.assert_allclose(worst_margin(theta, theta0, x, y, threat), [m], rtol=1e-14)
    np.testing.assert_allclose(objective(theta, theta0, x, y, threat), np.log(1 + np.exp(-m)), rtol=1e-14)
    g, g0 = gradient(theta, theta0, x, y, threat)
    np.testing.assert_allclose(g0, -y[0] / (1 + np.exp(m)), rtol=1e-13)
    np.testing.assert_allclose(g @ theta + g0 * theta0, -m / (1 + np.exp(m)), rtol=1e-12)


# The subgradient


@each_threat
def test_gradient_is_the_limit_of_differences(threat):
    """∂F/∂v = (F(v + h) − F(v − h)) / 2h + O(h²) where F is smooth."""
    rng = np.random.default_rng(8)
    x, y = rng.random((6, 2, 3)), np.array([1, -1, 1, 1, -1, -1])
    theta, theta0, h = rng.standard_normal((2, 3)), 0.3, 1e-6
    g, g0 = gradient(theta, theta0, x, y, threat)
    for j in np.ndindex(2, 3):
        e = np.zeros((2, 3))
        e[j] = h
        up, down = (objective(theta + side * e, theta0, x, y, threat) for side in (1, -1))
        np.testing.assert_allclose(g[j], (up - down) / (2 * h), atol=1e-9)
    up, down = (objective(theta, theta0 + side * h, x, y, threat) for side in (1, -1))
    np.testing.assert_allclose(g0, (up - down) / (2 * h), atol=1e-9)


@given(two_models())
@settings(max_examples=200)
def test_subgradient_inequality(drawn):
    """F(u) >= F(v) + <g(v), u − v> for all u, v, also at zero and at kinks."""
    x, y, threat, (theta_u, theta0_u), (theta_v, theta0_v) = drawn
    g, g0 = gradient(theta_v, theta0_v, x, y, threat)
    assert g.shape == theta_v.shape
    linear = objective(theta_v, theta0_v, x, y, threat) + (g * (theta_u - theta_v)).sum() + g0 * (theta0_u - theta0_v)
    assert objective(theta_u, theta0_u, x, y, threat) >= linear - 1e-12 * (1 + abs(linear))


@given(two_models(), st.floats(0, 1))
def test_objective_is_convex(drawn, s):
    """F((1 − s) u + s v) <= (1 − s) F(u) + s F(v)."""
    x, y, threat, u, v = drawn
    between = [(1 - s) * a + s * b for a, b in zip(u, v, strict=True)]
    chord = (1 - s) * objective(*u, x, y, threat) + s * objective(*v, x, y, threat)
    assert objective(*between, x, y, threat) <= chord * (1 + 1e-13)


@given(two_models(norm_balls), radii, st.booleans())
def test_objective_grows_with_the_set(drawn, more, boxed):
    """F for Δ <= F for Δ' if Δ is a subset of Δ', that is, if ε grows or the box is removed."""
    x, y, ball, u, _ = drawn
    small, large = ball, ball.scaled(ball.eps + more)
    if boxed:
        assert objective(*u, x, y, small.within(0, 1)) <= objective(*u, x, y, small) * (1 + 1e-13)
        small, large = small.within(0, 1), large.within(0, 1)
    assert objective(*u, x, y, small) <= objective(*u, x, y, large) * (1 + 1e-13)


@given(two_models(), st.randoms(use_true_random=False))
def test_order_does_not_count(drawn, random):
    """F is invariant and g equivariant under permutations of the examples and of the components."""
    x, y, threat, (theta, theta0), _ = drawn
    flat, theta = x.reshape(len(x), -1), theta.ravel()
    i, j = (random.sample(range(n), n) for n in flat.shape)
    value, (g, g0) = objective(theta, theta0, flat, y, threat), gradient(theta, theta0, flat, y, threat)
    np.testing.assert_allclose(objective(theta, theta0, flat[i], y[i], threat), value, rtol=1e-13)
    np.testing.assert_allclose(objective(theta[j], theta0, flat[:, j], y, threat), value, rtol=1e-12)
    moved, moved0 = gradient(theta, theta0, flat[i], y[i], threat)
    np.testing.assert_allclose(moved, g, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moved0, g0, rtol=1e-12, atol=1e-15)


@given(two_models(), st.integers(1, 4))
def test_batches_average(drawn, cut):
    """N F = Σ N_b F_b, and likewise for g."""
    x, y, threat, u, _ = drawn
    assume(cut < len(x))
    parts = slice(cut), slice(cut, None)
    values_, gradients = zip(
        *[(objective(*u, x[b], y[b], threat), gradient(*u, x[b], y[b], threat)) for b in parts], strict=True
    )
    weights = np.array([cut, len(x) - cut]) / len(x)
    np.testing.assert_allclose(objective(*u, x, y, threat), weights @ values_, rtol=1e-13)
    whole = gradient(*u, x, y, threat)
    for k in range(2):
        mean = weights[0] * gradients[0][k] + weights[1] * gradients[1][k]
        np.testing.assert_allclose(whole[k], mean, rtol=1e-12, atol=1e-14)


@given(two_models())
def test_flipping_labels_and_model(drawn):
    """F(−θ, −θ0; x, −y) = F(θ, θ0; x, y) to the last bit."""
    x, y, threat, (theta, theta0), _ = drawn
    assert objective(-theta, -theta0, x, -y, threat) == objective(theta, theta0, x, y, threat)


@each_threat
def test_inputs_are_left_alone(threat):
    """x, y and θ do not change; here they are read-only."""
    rng = np.random.default_rng(0)
    x, y, theta = rng.random((5, 3)), np.array([1, -1, 1, -1, -1]), rng.standard_normal(3)
    for a in (x, y, theta):
        a.setflags(write=False)
    before = x.copy(), y.copy(), theta.copy()
    worst_margin(theta, 0.1, x, y, threat), objective(theta, 0.1, x, y, threat), gradient(theta, 0.1, x, y, threat)
    if isinstance(threat, Ball):
        fit(x, y, threat), fit(x, y, type(threat)(0)), critical_radius(x, y, type(threat))
    for a, b in zip((x, y, theta), before, strict=True):
        np.testing.assert_array_equal(a, b)


# The minimum


def certify(found, x, y, ball, tol):
    """Check what every result promises."""
    x = x.astype(float)
    assert (found.theta.shape, found.theta.dtype, type(found.theta0)) == (x.shape[1:], float, float)
    again = objective(found.theta, found.theta0, x, y, ball)
    np.testing.assert_allclose(found.objective, again, rtol=1e-12)
    if found.separable:
        assert worst_margin(found.theta, found.theta0, x, y, ball).min() > 0
        assert found.objective <= tol
        assert found.lower_bound == 0
    else:
        rounding = 1e-15 * (abs(x) * abs(found.theta)).reshape(len(x), -1).sum(axis=1).max()
        assert -(1e-12 + rounding) <= found.objective - found.lower_bound
        assert found.gap <= tol
        # dual weights a may be scaled up until one of them is 1/2
        assert found.objective >= np.log(2) / len(x) * (1 - 1e-12)


@given(samples(), st.sampled_from(NORMS), off_lattice, st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_fit_is_certified(sample, norm, eps, seed):
    """(F − lower bound) / F <= tol, and lower bound <= F(θ, θ0) for all θ, θ0."""
    (x, y), ball = sample, norm(eps)
    found = fit(x, y, ball)
    certify(found, x, y, ball, 1e-6)
    rng = np.random.default_rng(seed)
    for spread in (0, 0.1, 1, 10):
        near = found.theta + spread * rng.standard_normal(found.theta.shape)
        far = spread * rng.standard_normal(found.theta.shape)
        for theta in (near, far):
            value = objective(theta, found.theta0 + spread * rng.standard_normal(), x.astype(float), y, ball)
            assert value >= found.lower_bound * (1 - 1e-12)


@given(samples(most=12), st.sampled_from(NORMS), off_lattice)
@settings(deadline=None, max_examples=60)
def test_separable_means_below_the_critical_radius(sample, norm, eps):
    """The result is separable if and only if ε < r."""
    x, y = sample
    assert fit(x, y, norm(eps)).separable == (eps < critical_radius(x, y, norm))


@given(samples(most=12, least=2), st.sampled_from(NORMS))
@settings(deadline=None, max_examples=60)
def test_separable_just_below_and_just_above_the_critical_radius(sample, norm):
    """The data are separable at 0.95 r and not at 1.05 r."""
    x, y = sample
    r = critical_radius(x, y, norm)
    assume(0 < r < np.inf)
    for share in (0.95, 1.05):
        found = fit(x, y, norm(share * r))
        assert found.separable == (share < 1)
        certify(found, x, y, norm(share * r), 1e-6)


def least_by_scipy(x, y, ball):
    """The minimum by L-BFGS-B on θ = p − q for ℓ∞, BFGS for ℓ2 (smooth except at 0), SLSQP with |θ_j| <= t for ℓ1."""
    (n, p), yx, eps = x.shape, y[:, None] * x, ball.eps

    def of(design):
        """F and its gradient in u for the margins design u."""
        return lambda u: (psi(design @ u).mean(), -(1 / (1 + np.exp(design @ u))) @ design / n)

    if isinstance(ball, Linf):
        bounds = [(0, None)] * (2 * p) + [(None, None)]
        options = {"ftol": 1e-16, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000}
        split = of(np.column_stack([yx - eps, -yx - eps, y]))
        return minimize(split, np.zeros(2 * p + 1), jac=True, bounds=bounds, options=options).fun
    if isinstance(ball, L2):
        design = np.column_stack([yx, y])
        start = np.append(np.linalg.lstsq(design, np.ones(n))[0][:p], 0)
        return minimize(lambda u: psi(design @ u - eps * np.sqrt(u[:p] @ u[:p])).mean(), start, method="BFGS").fun
    rows = np.hstack([np.vstack([np.eye(p), -np.eye(p)]), np.zeros((2 * p, 1)), np.ones((2 * p, 1))])
    inside = {"type": "ineq", "fun": lambda u: rows @ u, "jac": lambda u: rows}
    start = np.append(np.full(p + 1, 0.01), 1)
    options = {"ftol": 1e-14, "maxiter": 1000}
    epigraph = of(np.column_stack([yx, y, np.full(n, -eps)]))
    return minimize(epigraph, start, jac=True, constraints=[inside], method="SLSQP", options=options).fun


@each_norm
@pytest.mark.parametrize("eps", [0.02, 0.15, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_fit_agrees_with_an_independent_solver(norm, eps, seed):
    """min F is the minimum that SciPy finds with another formulation."""
    x, y = noisy(seed)
    found = fit(x, y, norm(eps), tol=1e-8)
    assert not found.separable
    np.testing.assert_allclose(found.objective, least_by_scipy(x, y, norm(eps)), rtol=1e-6)


@each_norm
@pytest.mark.parametrize("eps", [1e-3, 0.1, 0.4])
def test_tol_is_kept(norm, eps):
    """The gap is at most tol for tol = 1e-1 to 1e-8, and all the intervals [lower bound, F] overlap."""
    x, y = noisy(5, n=60, p=6)
    found = [fit(x, y, norm(eps), tol=tol) for tol in (1e-1, 1e-3, 1e-6, 1e-8)]
    for f, tol in zip(found, (1e-1, 1e-3, 1e-6, 1e-8), strict=True):
        certify(f, x, y, norm(eps), tol)
    assert max(f.lower_bound for f in found) <= min(f.objective for f in found)


@each_norm
@pytest.mark.parametrize("seed", range(3))
def test_radius_zero_is_plain_logistic_regression(norm, seed):
    """For ε = 0 the minimum and the minimiser of 1/N Σ Ψ(y (θᵀx + θ0)) are those that BFGS finds."""
    x, y = noisy(seed)
    design = np.column_stack([y[:, None] * x, y])
    best = minimize(lambda u: psi(design @ u).mean(), np.zeros(5), method="BFGS", options={"gtol": 1e-7})
    found = fit(x, y, norm(0), tol=1e-8)
    np.testing.assert_allclose(found.objective, best.fun, rtol=1e-9)
    np.testing.assert_allclose(np.append(found.theta, found.theta0), best.x, rtol=1e-4, atol=1e-4)


@given(samples(least=2), st.sampled_from(NORMS), st.sampled_from([1.01, 2.0, 30.0]))
@settings(deadline=None, max_examples=60)
def test_from_half_the_distance_of_the_means_no_pixel_helps(sample, norm, share):
    """For ε >= ‖mean of +1 − mean of −1‖ / 2, θ = 0 is optimal and min F = H(share of +1); below, min F is less."""
    x, y = sample
    assume(abs(y.sum()) < len(y))
    means = x[y > 0].mean(axis=0, dtype=float) - x[y < 0].mean(axis=0, dtype=float)
    half = np.linalg.norm(means.ravel(), ORDER[norm]) / 2
    h = entropy((y > 0).mean())
    np.testing.assert_allclose(fit(x, y, norm(share * half)).objective, h, rtol=1e-6)
    if half > 0.1 and abs(critical_radius(x, y, norm) / half - 0.8) > 0.01:  # not at r, where no infimum is attained
        assert fit(x, y, norm(0.8 * half)).objective < h * (1 - 1e-5)


@each_norm
def test_means_one_apart_by_hand(norm):
    """For x = (0, 0) with −1 once, (1, 0) with +1 three times and ε >= 1/2, F = H(1/4) = log 4 − 3/4 log 3."""
    x, y = np.array([[0.0, 0.0]] + [[1.0, 0.0]] * 3), np.array([-1, 1, 1, 1])
    found = fit(x, y, norm(0.75))
    np.testing.assert_allclose(found.objective, np.log(4) - 0.75 * np.log(3), rtol=1e-6)
    assert fit(x, y, norm(0.49)).separable


@each_norm
def test_three_points_on_a_line_by_hand(norm):
    """For x = −1, 1 with +1, x = 0 with −1 and ε = 1/4, by symmetry θ = 0 and F = H(1/3) = log 3 − 2/3 log 2."""
    found = fit(np.array([[-1.0], [0.0], [1.0]]), np.array([1, -1, 1]), norm(0.25))
    np.testing.assert_allclose(found.objective, np.log(3) - 2 / 3 * np.log(2), rtol=1e-6)


@each_norm
def test_two_flipped_labels_by_hand(norm):
    """For x = ±1 with y = ±1 three times and ∓1 once, 4 F = 3 Ψ((1 − ε) θ) + Ψ(−(1 + ε) θ) for θ >= 0.

    Stationary where 3 (1 − ε) τ(−(1 − ε) θ) = (1 + ε) τ((1 + ε) θ). At ε = 1/2 that is θ = 0, F = log 2; at ε = 0
    it is τ(θ) = 3/4, F = H(1/4).
    """
    x = np.array([[1.0]] * 4 + [[-1.0]] * 4)
    y = np.array([1, 1, 1, -1, -1, -1, -1, 1])
    np.testing.assert_allclose(fit(x, y, norm(0.5)).objective, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(fit(x, y, norm(0.0)).objective, entropy(0.25), rtol=1e-9)
    below = fit(x, y, norm(0.4), tol=1e-8)
    theta = below.theta[0]
    a, b = 1 / (1 + np.exp(0.6 * theta)), 1 / (1 + np.exp(-1.4 * theta))
    np.testing.assert_allclose(3 * a * 0.6, b * 1.4, rtol=1e-3)
    np.testing.assert_allclose(below.objective, (3 * psi(0.6 * theta) + psi(-1.4 * theta)) / 4, rtol=1e-12)


# Invariances of the minimum


def minimum(x, y, ball):
    found = fit(x, y, ball, tol=1e-7)
    return 0.0 if found.separable else found.objective


@given(samples(), st.sampled_from(NORMS), st.sampled_from([0.0713, 0.31831]))
@settings(deadline=None, max_examples=50)
def test_minimum_is_invariant(sample, norm, eps):
    """min F is the same for flipped labels, permuted, repeated, moved, scaled (with ε) data, and constant features."""
    x, y = sample
    x = x.reshape(len(x), -1).astype(float)
    constant, zero = np.full((len(x), 1), 0.3), np.zeros((len(x), 1))
    others = [
        (x, -y, eps),
        (x[::-1, ::-1], y[::-1], eps),
        (np.concatenate([x, x]), np.concatenate([y, y]), eps),
        (x + 5.0, y, eps),
        (100 * x, y, 100 * eps),
        (1e-3 * x, y, 1e-3 * eps),
        (np.hstack([zero, x, constant]), y, eps),
    ]
    expected = minimum(x, y, norm(eps))
    for x2, y2, eps2 in others:
        np.testing.assert_allclose(minimum(x2, y2, norm(eps2)), expected, rtol=2e-7)


@given(samples(), st.sampled_from(NORMS), st.sampled_from([0.0713, 0.31831]))
@settings(deadline=None, max_examples=50)
def test_copies_of_the_features_change_only_the_radius(sample, norm, eps):
    """min F of (x, x) with ε is that of x with ε c, c = 1, 1/√2, 1/2 for ℓ∞, ℓ2, ℓ1: (θ, θ) / 2 is as good as θ."""
    x, y = sample
    share = {Linf: 1, L2: 1 / np.sqrt(2), L1: 0.5}[norm]
    flat = x.reshape(len(x), -1)
    np.testing.assert_allclose(
        minimum(np.hstack([flat, flat]), y, norm(eps)), minimum(flat, y, norm(share * eps)), rtol=2e-7
    )


@given(samples(), st.sampled_from(NORMS), st.sampled_from([0.0, 0.31831]))
@settings(deadline=None, max_examples=40)
def test_contradictions_are_never_separable(sample, norm, eps):
    """If every example occurs with both labels, θ = 0 and min F = log 2."""
    x, _ = sample
    found = fit(np.concatenate([x, x]), np.repeat([1, -1], len(x)), norm(eps))
    assert not found.separable
    np.testing.assert_allclose(found.objective, np.log(2), rtol=1e-6)


@given(samples(), st.sampled_from(NORMS), st.sampled_from([0.0, 0.31831, 50.0]), st.sampled_from([-1, 1]))
@settings(deadline=None, max_examples=40)
def test_one_class_is_separable_for_every_radius(sample, norm, eps, label):
    """If all y are equal, θ0 alone separates and inf F = 0; a single example is the smallest case."""
    x, y = sample
    found = fit(x, np.full_like(y, label), norm(eps))
    assert found.separable
    certify(found, x, np.full_like(y, label), norm(eps), 1e-6)


# Difficult inputs


def promise(x, y, norm, eps, tol=1e-6):
    """Whether the result is certified; a result without a certificate and without a warning fails here."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = fit(x, y, norm(eps), tol=tol)
    if any(issubclass(w.category, GapWarning) for w in said):
        assert "relative gap" in str(said[0].message)
        return False
    assert not said
    certify(found, x, y, norm(eps), tol)
    return True


HARD = {
    "scales from 1e-3 to 1e3": lambda rng, n, p: rng.standard_normal((n, p)) * 10.0 ** rng.integers(-3, 4, p),
    "correlated": lambda rng, n, p: rng.standard_normal((n, 1)) + 1e-3 * rng.standard_normal((n, p)),
    "far from zero": lambda rng, n, p: 1e3 + 1e-2 * rng.standard_normal((n, p)),
    "ties": lambda rng, n, p: rng.integers(-1, 2, (n, p)).astype(float),
}


@each_norm
@pytest.mark.parametrize("kind", HARD)
def test_hard_data_is_certified(norm, kind):
    """On both sides of the critical radius the gap is at most tol or the margins are positive, without exception."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n, p = rng.integers(2, 30), rng.integers(1, 12)
        x = HARD[kind](rng, n, p)
        y = np.where((x - x.mean(axis=0)) @ rng.standard_normal(p) > 0, 1, -1)
        y[0] *= rng.choice([-1, 1])
        r = critical_radius(x, y, norm)
        spread = x.std()
        eps = [0.0, 0.01 * spread, spread] + ([0.95 * r, 0.999 * r, 1.001 * r, 1.05 * r] if 0 < r < np.inf else [])
        for e in eps:
            assert promise(x, y, norm, e), (seed, e)


@given(samples(), st.sampled_from(NORMS), st.just(0.0) | st.floats(1e-6, 100), st.sampled_from([1e-30, 1e-8, 1.0, 1e8]))
@settings(deadline=None, max_examples=60)
def test_extreme_data_is_certified_or_said_not_to_be(sample, norm, eps, scale):
    """The gap is at most tol, or the margins are positive, or there is a GapWarning; there is no other outcome."""
    x, y = sample
    x = x.astype(float)
    x[..., 0] *= scale
    promise(x, y, norm, eps)


def test_a_tolerance_out_of_reach_is_said():
    """A gap above tol raises a GapWarning that names both."""
    x, y = noisy(0)
    with pytest.warns(GapWarning, match=r"relative gap .* not 1e-18 as asked"):
        fit(x, y, L2(0.1), tol=1e-18)


REAL = Path(os.environ.get("SCRATCHADV_DATA", "."), "mnist", mnist.FILES[0].name)
PUBLISHED = [(0.1, 0.028258, 69), (0.2, 0.118652, 34), (0.3, 0.241656, 9)]


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="SCRATCHADV_DATA has no folder mnist/ with the real files")
def test_the_optimum_on_mnist_is_the_published_one():
    """For 0 against 1 and ε = 0.1, 0.2, 0.3 objective and number of weights are those found independently."""
    data = load("mnist").only(0, 1)
    for eps, value, weights in PUBLISHED:
        found = fit(data.x_train, data.y_train, Linf(eps))
        assert abs(found.objective - value) <= 1e-6
        assert 0 <= found.gap <= 1e-6
        assert np.count_nonzero(found.theta) == weights


# Wrong arguments

X, Y = np.array([[0.0, 1.0], [1.0, 0.5]]), np.array([1, -1])
BAD_DATA = {
    "NaN": (X * np.nan, Y, ValueError, "x holds nan; finite values were expected"),
    "infinite": (np.where(X == 1, np.inf, X), Y, ValueError, "x holds inf; finite values were expected"),
    "integer images": (X.astype(np.uint8), Y, TypeError, "x has dtype uint8; float32 or float64 was expected"),
    "a set": ({0.5}, Y, TypeError, "x must be an array .* not set"),
    "no examples": (X[:0], Y[:0], ValueError, r"x has shape \(0, 2\); at least one example was expected"),
    "one axis": (X[0], Y, ValueError, r"x has shape \(2,\); at least one example was expected, shape \(N, \*D\)"),
    "labels 0/1": (X, np.array([0, 1]), ValueError, "y holds 0; the labels of a binary model are -1 and [+]1"),
    "NaN label": (X, np.array([np.nan, 1]), ValueError, "y holds nan; the labels"),
    "too few labels": (
        X,
        Y[:1],
        ValueError,
        r"y has shape \(1,\); one label for each example of x, \(2,\), was expected",
    ),
    "column of labels": (X, Y[:, None], ValueError, r"y has shape \(2, 1\); one label for each example of x, \(2,\)"),
}
ASK = {
    "objective": lambda x, y: objective(np.ones(2), 0.0, x, y, Linf(0.1)),
    "gradient": lambda x, y: gradient(np.ones(2), 0.0, x, y, Linf(0.1)),
    "worst_margin": lambda x, y: worst_margin(np.ones(2), 0.0, x, y, Linf(0.1)),
    "fit": lambda x, y: fit(x, y, Linf(0.1)),
    "critical_radius": lambda x, y: critical_radius(x, y, Linf),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
@pytest.mark.parametrize(("x", "y", "error", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_is_refused(ask, x, y, error, message):
    """The message names the value and what was expected."""
    with pytest.raises(error, match=message):
        ask(x, y)


@pytest.mark.parametrize("ask", [objective, gradient, worst_margin])
def test_a_bad_model_is_refused(ask):
    """The message names the shapes of θ and of an example; NaN is refused."""
    with pytest.raises(ValueError, match=r"theta has shape \(3,\); that of an example of x, \(2,\), was expected"):
        ask(np.ones(3), 0.0, X, Y, Linf(0.1))
    with pytest.raises(ValueError, match="theta holds nan; finite values were expected"):
        ask(np.array([1.0, np.nan]), 0.0, X, Y, Linf(0.1))
    with pytest.raises(ValueError, match=r"x holds 1, outside the box \[0, 0.9\]"):
        ask(np.ones(2), 0.0, X, Y, Linf(0.1).within(0, 0.9))


@pytest.mark.parametrize("ball", [Linf(0.1).within(0, 1), L0(1), 0.1, Linf])
def test_fit_wants_a_bare_ball_of_a_norm(ball):
    """The message names what was given and what was expected."""
    with pytest.raises(TypeError, match=r"ball is .*; Linf\(eps\), L2\(eps\) or L1\(eps\) without a box was expected"):
        fit(X, Y, ball)


@each_norm
def test_a_negative_radius_is_refused(norm):
    """A negative ε is refused."""
    with pytest.raises(ValueError, match=r"eps = -0.1 must be finite and >= 0"):
        fit(X, Y, norm(-0.1))


@pytest.mark.parametrize("tol", [0, 1, -1e-6, 2.0, np.nan])
def test_tol_lies_between_zero_and_one(tol):
    """A tol outside of 0 < tol < 1 is refused."""
    with pytest.raises(ValueError, match=rf"tol = {tol} must be between 0 and 1"):
        fit(X, Y, Linf(0.1), tol=tol)


@pytest.mark.parametrize("norm", [L0, Linf(0.1), "Linf", np.inf])
def test_critical_radius_wants_the_class_of_a_norm(norm):
    """The message names what was given and what was expected."""
    with pytest.raises(ValueError, match=r"norm = .*; Linf or L2 or L1 was expected"):
        critical_radius(X, Y, norm)
