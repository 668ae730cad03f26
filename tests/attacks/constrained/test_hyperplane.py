"""Laws of the smallest step to a hyperplane in a box."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

from scratchadv.attacks.constrained.hyperplane import inner, nearest_boundary, nearest_point
from scratchadv.sets import L1, L2, Linf
from scratchadv.testing.strategies import batches, values

NORMS = [Linf, L2, L1]


@st.composite
def hyperplanes(draw):
    """w, f, x: hyperplanes f + <w, δ> = 0 for each row of x in [0, 1]."""
    x = draw(batches(0.0, 1.0, dtype=np.float64))
    w = draw(hnp.arrays(x.dtype, x.shape, elements=values(-3.0, 3.0, x.dtype.type)))
    f = draw(hnp.arrays(x.dtype, len(x), elements=values(-4.0, 4.0, x.dtype.type)))
    return w, f, x


@pytest.mark.parametrize("norm", NORMS)
@given(problem=hyperplanes())
def test_the_step_reaches_the_hyperplane_in_the_box(norm, problem):
    """f + <w, δ> = 0 and 0 <= x + δ <= 1, or δ is the corner at which |f + <w, δ>| is least"""
    w, f, x = problem
    delta = nearest_point(norm, w, f, -x, 1 - x)
    assert ((delta >= -x) & (delta <= 1 - x)).all()
    corner = norm(25.0).within(0, 1).at(x).support(w * -np.sign(f).reshape(-1, *[1] * (w.ndim - 1)))
    np.testing.assert_allclose(abs(f + inner(w, delta)), np.maximum(abs(f) - corner, 0), atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@given(problem=hyperplanes())
def test_no_step_is_shorter(norm, problem):
    """max <w, v> over ‖v‖ <= 0.9999 ‖δ‖ in the box does not exceed |f|, and over ‖v‖ <= 1.0001 ‖δ‖ it reaches |f|"""
    w, f, x = problem
    g = w * -np.sign(f).reshape(-1, *[1] * (w.ndim - 1))
    delta = nearest_point(norm, w, f, -x, 1 - x)
    for i in np.flatnonzero(abs(f + inner(w, delta)) < 1e-12):
        row, length = slice(i, i + 1), float(norm.norm(delta)[i])
        shorter, longer = (norm(s * length).within(0, 1).at(x[row]).support(g[row])[0] for s in (0.9999, 1.0001))
        assert shorter - 1e-12 <= abs(f[i]) <= longer + 1e-12


@pytest.mark.parametrize("norm", [Linf, L1])
def test_a_linear_program_finds_no_shorter_step(norm):
    """‖δ‖ = min 1ᵀm or min t over |δ| <= m (<= t), by scipy's linprog"""
    rng = np.random.default_rng(0)
    x, w, f = rng.random((6, 5)), rng.standard_normal((6, 5)), rng.uniform(-0.4, 0.4, 6)
    found = norm.norm(nearest_point(norm, w, f, -x, 1 - x))
    eye, one = np.eye(5), np.eye(5) if norm is L1 else np.ones((5, 1))
    for i in range(6):
        cost = np.r_[np.zeros(5), np.ones(one.shape[1])]
        bounds = [*zip(-x[i], 1 - x[i], strict=True), *[(0, None)] * one.shape[1]]
        equal = np.r_[w[i], np.zeros(one.shape[1])][None]
        answer = linprog(cost, np.block([[eye, -one], [-eye, -one]]), np.zeros(10), equal, [-f[i]], bounds)
        np.testing.assert_allclose(found[i], answer.fun, atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_without_a_box_the_distance_is_f_over_the_dual_norm(norm):
    """‖δ‖ = |f| / ‖w‖_*, and a huge box is the same as none"""
    rng = np.random.default_rng(1)
    w, f = rng.standard_normal((9, 2, 3)), rng.standard_normal(9)
    delta = nearest_point(norm, w, f)
    np.testing.assert_allclose(norm.norm(delta), abs(f) / norm(1).support(w))
    np.testing.assert_allclose(f + inner(w, delta), 0, atol=1e-12)
    np.testing.assert_allclose(nearest_point(norm, w, f, -1e6 * np.ones_like(w), 1e6 * np.ones_like(w)), delta)


def test_the_step_by_hand():
    """x = (0.9, 0.5), δ₁ + δ₂ = 0.4: ℓ∞ (0.1, 0.3), ℓ2 the same; 2 δ₁ + δ₂ = 0.4: ℓ1 (0.1, 0.2)"""
    low, high, f = np.array([[-0.9, -0.5]]), np.array([[0.1, 0.5]]), np.array([-0.4])
    for norm in (Linf, L2):
        np.testing.assert_allclose(nearest_point(norm, np.array([[1.0, 1.0]]), f, low, high), [[0.1, 0.3]])
    np.testing.assert_allclose(nearest_point(L1, np.array([[2.0, 1.0]]), f, low, high), [[0.1, 0.2]])


def test_the_nearest_of_several_depends_on_the_box():
    """Without a box the steeper hyperplane is nearer; if a pixel is at its end, only the other one can be reached"""
    w, f = np.array([[[2.0, 0.0], [0.0, 1.0]]]), np.array([[-0.5, -0.4]])
    x = np.array([[0.9, 0.5]])
    np.testing.assert_allclose(nearest_boundary(L2, w, f, x)[2], [[0.25, 0]])
    low, high = np.array([[-0.9, -0.5]]), np.array([[0.1, 0.5]])
    np.testing.assert_allclose(nearest_boundary(L2, w, f, x, low, high)[2], [[0, 0.4]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [-1e-12, 0, 1e-12])
def test_from_the_boundary_itself_the_step_goes_beyond(dtype, f):
    """f = 0 up to rounding: <w, δ> exceeds the rounding error of <w, x>, and δ is still tiny"""
    rng = np.random.default_rng(2)
    x, w = (rng.random((1, 200)).astype(dtype) for _ in range(2))
    f = np.full((1, 1), f if dtype == np.float32 else 0, dtype)
    delta = nearest_boundary(L2, w[:, None], f, x)[2]
    exact = (w.astype(np.float64) * x).sum()
    assert inner(w, delta)[0] > abs((w @ x.T)[0, 0] - exact)
    assert L2.norm(delta) < 1000 * np.finfo(dtype).eps


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("size", "f", "moves"), [(0, 1, False), (0, 0, False), (1e-32, 1, False), (1e-30, 1e-20, True), (1e30, 1e20, True)]
)
def test_no_gradient_no_step_and_extreme_gradients_do_not_overflow(norm, dtype, size, f, moves):
    """δ = 0 for w = 0, and also if w is more than 1e30 times smaller than f; the dtype is kept"""
    half = np.full((1, 2), 0.5, dtype)
    for box in ((), (-half, half)):
        delta = nearest_point(norm, np.full((1, 2), size, dtype), np.full(1, -f, dtype), *box)
        assert np.isfinite(delta).all()
        assert delta.dtype == dtype
        assert delta.any() == moves
