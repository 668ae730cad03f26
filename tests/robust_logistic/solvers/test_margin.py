"""Laws of the critical radius, the largest margin in a norm."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog, minimize

from scratchadv.robust_logistic import critical_radius, worst_margin
from scratchadv.robust_logistic.solvers.margin import largest_margin
from scratchadv.sets import L1, L2, Linf

NORMS = (Linf, L2, L1)
ORDER = {Linf: np.inf, L2: 2, L1: 1}
each_norm = pytest.mark.parametrize("norm", NORMS)


@st.composite
def samples(draw, most=9):
    """Examples on a lattice in float32 or float64, with both labels."""
    shape = draw(st.sampled_from([(1,), (2,), (3,), (8,), (2, 2, 1)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    n = draw(st.integers(2, most))
    x = draw(hnp.arrays(dtype, (n, *shape), elements=st.integers(-16, 16).map(lambda k: k / 8)))
    y = draw(hnp.arrays(np.int64, n, elements=st.sampled_from([-1, 1])))
    assume(abs(y.sum()) < n)
    return x, y


def half_distance_of_hulls(x, y, norm):
    """min ‖p − q‖ / 2 over p, q in the convex hulls of the classes, which equals the margin by duality.

    By linear programming for ℓ∞ and ℓ1, by SLSQP for ℓ2, on all examples at once.
    """
    n, p = x.shape
    plus = (y > 0).astype(float)
    difference = (y[:, None] * x).T
    hulls = np.stack([plus, 1 - plus])
    if norm is L2:
        sums = {"type": "eq", "fun": lambda a: hulls @ a - 1, "jac": lambda a: hulls}
        start = plus / plus.sum() + (1 - plus) / (1 - plus).sum()
        best = minimize(
            lambda a: (difference @ a) @ (difference @ a),
            start,
            jac=lambda a: 2 * difference.T @ (difference @ a),
            bounds=[(0, None)] * n,
            constraints=[sums],
            method="SLSQP",
            options={"ftol": 1e-16, "maxiter": 1000},
        )
        return np.sqrt(max(best.fun, 0)) / 2
    # s bounds the magnitudes of the components of p − q: one s for all (ℓ∞), or one s for each, summed (ℓ1)
    s = np.ones((p, 1)) if norm is Linf else np.eye(p)
    k = s.shape[1]
    return linprog(
        np.append(np.zeros(n), np.ones(k)) / 2,
        A_ub=np.block([[difference, -s], [-difference, -s]]),
        b_ub=np.zeros(2 * p),
        A_eq=np.hstack([hulls, np.zeros((2, k))]),
        b_eq=np.ones(2),
    ).fun


@given(samples(), st.sampled_from(NORMS))
@settings(deadline=None, max_examples=100)
def test_radius_is_half_the_distance_of_the_hulls(sample, norm):
    """r = ½ min ‖p − q‖ in the norm of the ball: the dual problem, solved in another way on all examples."""
    x, y = sample
    expected = half_distance_of_hulls(x.reshape(len(x), -1).astype(float), y, norm)
    np.testing.assert_allclose(critical_radius(x, y, norm), expected, rtol=1e-5, atol=1e-5 if norm is L2 else 1e-9)


def widest_slab(x, y, norm):
    """1 / min ‖θ‖* with y (θᵀx + θ0) >= 1: the support vector machine, the primal problem, on all examples at once."""
    n, p = x.shape
    margins = y[:, None] * np.column_stack([x, np.ones(n)])
    if norm is L2:
        outside = {"type": "ineq", "fun": lambda u: margins @ u - 1, "jac": lambda u: margins}
        slope = np.append(np.ones(p), 0)
        start = np.linalg.lstsq(margins, np.ones(n))[0]
        options = {"ftol": 1e-15, "maxiter": 1000}
        best = minimize(
            lambda u: u[:p] @ u[:p], start, jac=lambda u: 2 * slope * u, constraints=[outside], options=options
        )
        return 1 / np.sqrt(best.fun)
    # s bounds the magnitudes of θ: one s for each component, summed (ℓ∞), or one for all (ℓ1)
    s = np.eye(p) if norm is Linf else np.ones((p, 1))
    k, no_theta0 = s.shape[1], np.zeros((p, 1))
    return (
        1
        / linprog(
            np.append(np.zeros(p + 1), np.ones(k)),
            A_ub=np.block([[-margins, np.zeros((n, k))], [np.eye(p), no_theta0, -s], [-np.eye(p), no_theta0, -s]]),
            b_ub=np.append(-np.ones(n), np.zeros(2 * p)),
            bounds=(None, None),
        ).fun
    )


@each_norm
@pytest.mark.parametrize("seed", range(3))
def test_radius_on_more_examples_than_the_working_set_starts_with(norm, seed):
    """r = 1 / min ‖θ‖* of the primal problem on 400 examples, of which only few matter."""
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], 400)
    x = rng.standard_normal((400, 6))
    x[:, 0] = abs(x[:, 0]) * y + 0.2 * y
    x = x @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    found = critical_radius(x, y, norm)
    assert found > 0.05
    np.testing.assert_allclose(found, widest_slab(x, y, norm), rtol=1e-6)


@given(samples(), st.sampled_from(NORMS), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_no_model_has_a_larger_margin(sample, norm, seed):
    """min_i y_i (θᵀx_i + θ0) <= r ‖θ‖* for all θ, θ0."""
    x, y = sample
    r = critical_radius(x, y, norm)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        theta, theta0 = rng.standard_normal(x.shape[1:]), rng.standard_normal()
        margin = worst_margin(theta, theta0, x.astype(float), y, norm(0)).min()
        assert margin <= r * norm(1).support(theta[None])[0] + 1e-12


@each_norm
@given(p=st.integers(1, 6), data=st.data())
@settings(deadline=None, max_examples=25)
def test_two_points_are_half_their_distance_apart(norm, p, data):
    """For two examples r = ‖x − x'‖ / 2 in the norm of the ball itself."""
    x = data.draw(hnp.arrays(float, (2, p), elements=st.integers(-16, 16).map(lambda k: k / 8)))
    expected = np.linalg.norm(x[0] - x[1], ORDER[norm]) / 2
    np.testing.assert_allclose(critical_radius(x, np.array([1, -1]), norm), expected, rtol=1e-9)


def test_golden_points():
    """For (0, 0) and (3, 4), r = 2, 5/2, 7/2 for ℓ∞, ℓ2, ℓ1."""
    x, y = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([-1, 1])
    for norm, r in [(Linf, 2.0), (L2, 2.5), (L1, 3.5)]:
        np.testing.assert_allclose(critical_radius(x, y, norm), r, rtol=1e-12)


def test_golden_square():
    """On the unit square two opposite sides have r = 1/2, a corner and the rest 1/4, √2/4, 1/2, the diagonals 0."""
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    sides, corner, diagonal = np.array([-1, -1, 1, 1]), np.array([-1, 1, 1, 1]), np.array([1, -1, -1, 1])
    for norm, r in [(Linf, 0.25), (L2, np.sqrt(2) / 4), (L1, 0.5)]:
        np.testing.assert_allclose(critical_radius(square, sides, norm), 0.5, rtol=1e-12)
        np.testing.assert_allclose(critical_radius(square, corner, norm), r, rtol=1e-12)
        assert critical_radius(square, diagonal, norm) == 0


@given(samples(), st.sampled_from(NORMS), st.sampled_from([1e-3, 0.3, 1e3]), st.integers(-5, 5))
@settings(deadline=None, max_examples=60)
def test_radius_scales_and_does_not_move(sample, norm, s, c):
    """r(s x + c) = s r(x), and r does not change if labels are flipped or examples reordered or repeated."""
    x, y = sample
    x = x.astype(float)
    r = critical_radius(x, y, norm)
    np.testing.assert_allclose(critical_radius(s * x + c, y, norm), s * r, rtol=1e-8)
    np.testing.assert_allclose(critical_radius(x[::-1], -y[::-1], norm), r, rtol=1e-8)
    twice = np.concatenate([x, x]), np.concatenate([y, y])
    np.testing.assert_allclose(critical_radius(*twice, norm), r, rtol=1e-8)


@given(samples())
@settings(deadline=None, max_examples=60)
def test_radii_are_ordered_as_the_norms(sample):
    """The radii increase from ℓ∞ to ℓ2 to ℓ1, since the ℓ1 ball is the smallest set."""
    linf, l2, l1 = (critical_radius(*sample, norm) for norm in NORMS)
    assert linf <= l2 * (1 + 1e-8)
    assert l2 <= l1 * (1 + 1e-8)


@each_norm
def test_radius_of_what_nothing_separates_is_zero(norm):
    """A point with both labels, or inside the hull of the other class, makes r = 0."""
    assert critical_radius(np.array([[0.3, 0.7], [0.3, 0.7]]), np.array([1, -1]), norm) == 0
    assert critical_radius(np.array([[-1.0], [0.5], [1.0]]), np.array([1, -1, 1]), norm) == 0


@each_norm
@pytest.mark.parametrize("label", [-1, 1])
def test_radius_of_one_class_is_infinite(norm, label):
    """With one class only, θ0 alone separates and r = ∞."""
    assert critical_radius(np.array([[0.3], [0.7]]), np.full(2, label), norm) == np.inf


@pytest.mark.parametrize("noise", [1e-2, 1e-4])
def test_radius_of_classes_that_nearly_touch_is_exact(noise):
    """For ℓ2 and two long flat classes at the distance ``noise``, r = noise / 2 to nine digits."""
    rng = np.random.default_rng(4)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    y = np.repeat([1, -1], 30)
    # two crosses of segments in parallel planes, so that the hulls face each other exactly
    flat = np.tile(np.vstack([rng.standard_normal((26, 3)), 9 * np.eye(3), -9 * np.ones((1, 3))]), (2, 1))
    x = np.column_stack([flat, np.where(y > 0, noise / 2, -noise / 2)]) @ turn
    np.testing.assert_allclose(largest_margin(x, y.astype(float), L2), noise / 2, rtol=1e-9)
