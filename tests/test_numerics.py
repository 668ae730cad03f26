"""Laws of the formulas that would overflow or cancel, compared with 60 or more decimal digits."""

import math
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from scratchadv.numerics import (
    binary_entropy,
    log_sum_exp,
    only,
    per_row,
    rows,
    sigmoid,
    softplus,
    solve_piecewise_linear,
    take,
)
from scratchadv.sets import Linf

few = settings(max_examples=60, deadline=None)
dtypes = st.sampled_from([np.float32, np.float64])
loud = {"over": "raise", "divide": "raise", "invalid": "raise"}


def eps_of(dtype):
    return float(np.finfo(dtype).eps)


def exactly(formula, *arguments, tiny=1.0):
    """The formula in decimal arithmetic, with 60 digits more than ``1 + tiny`` needs."""
    with localcontext() as context:
        context.prec = 60 + max(0, math.ceil(-math.log10(tiny)))
        return formula(*(Decimal(float(a)) for a in arguments))


def relative_error(found, expected):
    return abs(Decimal(float(found)) / expected - 1)


def test_the_reference_has_the_digits_it_promises():
    """log(1 + 10^-100) = 10^-100 - 10^-200 / 2 + ..."""
    found = exactly(lambda t: (1 + t).ln(), 1e-100, tiny=1e-100)
    t = Decimal(float("1e-100"))
    assert relative_error(1.0, found / (t - t * t / 2)) < Decimal("1e-50")
    assert exactly(lambda t: (1 + t).ln(), 1e-100, tiny=1) == 0


@st.composite
def numbers(draw, lowest32=-85.0, lowest64=-700.0):
    """Numbers over the whole range, often near zero, whose exponential is a normal number of the dtype."""
    dtype = draw(dtypes)
    low = lowest32 if dtype is np.float32 else lowest64
    z = draw(st.floats(low, -low) | st.floats(-40, 40) | st.floats(-1, 1))
    return dtype(z)


@few
@given(numbers())
def test_softplus_is_log_one_plus_exp_to_relative_precision(z):
    """softplus(z) = log(1 + e^z) (1 + O(eps)), also for z = -700"""
    expected = exactly(lambda z: (1 + z.exp()).ln(), z, tiny=math.exp(min(float(z), 0)))
    assert relative_error(softplus(np.array([z]))[0], expected) <= 4 * eps_of(z.dtype)


@few
@given(numbers())
def test_sigmoid_is_precise_in_both_tails(z):
    """tau(z) = 1 / (1 + e^-z) up to the error that rounding log(1 + e^-z) causes"""
    eps = eps_of(z.dtype)
    expected = exactly(lambda z: 1 / (1 + (-z).exp()), z)
    allowed = 4 + min(abs(float(z)), -math.log(eps))
    assert relative_error(sigmoid(np.array([z]))[0], expected) <= allowed * eps


@few
@given(numbers())
def test_sigmoid_of_z_and_of_minus_z_are_complementary(z):
    """tau(z) + tau(-z) = 1"""
    assert abs(sigmoid(np.array([z])) + sigmoid(np.array([-z])) - 1)[0] <= 4 * eps_of(z.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_tails_neither_overflow_nor_become_nan(dtype):
    """softplus(+-10^4) = 10^4, 0; tau(+-10^4) = 1, 0; adding 10^4 to the logits adds it to log sum exp"""
    z = np.array([1e4, -1e4], dtype)
    with np.errstate(**loud):
        np.testing.assert_array_equal(softplus(z), np.array([1e4, 0], dtype), strict=True)
        np.testing.assert_array_equal(sigmoid(z), np.array([1, 0], dtype), strict=True)
        np.testing.assert_array_equal(log_sum_exp(z[None]), np.array([[1e4]], dtype), strict=True)
        np.testing.assert_allclose(log_sum_exp(z[:, None] + np.zeros((1, 2), dtype))[:, 0] - z, math.log(2), atol=1e-3)


def test_golden_values():
    """softplus(0) = log 2, tau(0) = 1/2, tau(log 3) = 3/4, log(e^0 + e^0 + e^0) = log 3, H(1/2) = log 2"""
    np.testing.assert_allclose(softplus(np.zeros(1)), math.log(2), rtol=1e-15)
    np.testing.assert_allclose(softplus(np.array([math.log(3)])), math.log(4), rtol=1e-15)
    np.testing.assert_allclose(sigmoid(np.array([0, math.log(3)])), [0.5, 0.75], rtol=1e-15)
    np.testing.assert_allclose(log_sum_exp(np.zeros((1, 3))), [[math.log(3)]], rtol=1e-15)
    np.testing.assert_allclose(log_sum_exp(np.log([[1.0, 2.0, 5.0]])), [[math.log(8)]], rtol=1e-15)
    np.testing.assert_allclose(binary_entropy(np.array([0.5])), math.log(2), rtol=1e-15)


@few
@given(dtypes, st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=6))
def test_log_sum_exp_rounds_the_largest_term_and_the_rest_apart(dtype, z):
    """log sum_k e^z_k = top + log(1 + rest), and both terms are relatively precise"""
    z = np.array([z], dtype)
    top = Decimal(float(z.max()))
    tiny = math.exp(float(z.min() - z.max()))
    expected = exactly(lambda *z: sum(a.exp() for a in z).ln(), *z[0], tiny=tiny)
    found = log_sum_exp(z)
    assert found.shape == (1, 1)
    allowed = Decimal(eps_of(dtype)) * (2 * abs(top) + 8 * (expected - top))
    assert abs(Decimal(float(found[0, 0])) - expected) <= allowed


@pytest.mark.parametrize(("dtype", "gap"), [(np.float32, 80), (np.float64, 700)])
def test_log_sum_exp_loses_no_small_term_beside_zero(dtype, gap):
    """log(e^0 + e^-gap) = e^-gap"""
    np.testing.assert_allclose(log_sum_exp(np.array([[0, -gap], [-gap, 0]], dtype))[:, 0], math.exp(-gap), rtol=1e-5)


@few
@given(dtypes, st.floats(1e-30, 0.5) | st.floats(0.5, 1, exclude_max=True))
def test_binary_entropy_is_precise_near_zero_and_near_one(dtype, a):
    """H(a) = -a log a - (1 - a) log(1 - a) (1 + O(eps))"""
    a = min(dtype(a), np.nextafter(dtype(1), dtype(0)))
    expected = exactly(lambda a: -a * a.ln() - (1 - a) * (1 - a).ln(), a, tiny=float(a))
    found = binary_entropy(np.array([a]))[0]
    assert relative_error(found, expected) <= 4 * eps_of(dtype)


def test_binary_entropy_is_zero_at_the_ends_without_a_warning():
    """0 log 0 = 0"""
    with np.errstate(**loud):
        np.testing.assert_array_equal(binary_entropy(np.array([0.0, 1.0])), [0, 0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [softplus, sigmoid, log_sum_exp, binary_entropy])
def test_dtype_and_input_are_kept(f, dtype):
    """f(z) has the dtype of z, and z does not change"""
    z = np.array([[0.25, 0.5], [0.75, 0.0]], dtype)
    before = z.copy()
    assert f(z).dtype == dtype
    np.testing.assert_array_equal(z, before)


def test_rows_flattens_examples_and_per_row_broadcasts_along_them():
    """rows(x)[i] = x[i].ravel();  (per_row(v, x) x)[i] = v_i x[i]"""
    x = np.arange(24.0).reshape(2, 3, 4, 1)
    v = np.array([2.0, -1.0])
    np.testing.assert_array_equal(rows(x), [x[0].ravel(), x[1].ravel()], strict=True)
    np.testing.assert_array_equal(per_row(v, x) * x, np.stack([2 * x[0], -x[1]]), strict=True)
    assert rows(np.zeros((3, 5))).shape == (3, 5)
    assert rows(np.zeros((0, 2, 2))).shape == (0, 4)
    assert per_row(v, np.zeros((2, 7))).shape == (2, 1)


# solve_piecewise_linear


def ramps(starts, widths):
    """phi_i(t) = sum_j clip(t - a_ij, 0, w_ij) for each row i: continuous, with knots a and a + w and plateaus."""
    return lambda t: np.clip(t - starts, 0, widths).sum(axis=1, keepdims=True)


@st.composite
def problems(draw, least_width=0):
    """Starts and widths on a grid of quarters, so that phi is exact at every knot, with knots in any order."""
    n, k = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    starts = rng.integers(-12, 12, (n, k)) / 4
    widths = rng.integers(4 * least_width, 12, (n, k)) / 4
    knots = rng.permuted(np.concatenate([starts, starts + widths], axis=1), axis=1)
    return starts, widths, knots


shares = st.floats(0, 1) | st.sampled_from([0, 0.25, 0.5, 1])


@few
@given(problems(), shares, dtypes)
def test_the_solution_is_hit_and_lies_among_the_knots(problem, share, dtype):
    """phi(t) = target and min knot <= t <= max knot, also with plateaus, ties and a flat phi"""
    starts, widths, knots = (a.astype(dtype) for a in problem)
    phi = ramps(starts, widths)
    target = dtype(share) * phi(knots.max(axis=1, keepdims=True))
    t = solve_piecewise_linear(phi, knots, target)
    assert t.shape == (len(knots), 1)
    assert t.dtype == dtype
    assert (t >= knots.min(axis=1, keepdims=True)).all()
    assert (t <= knots.max(axis=1, keepdims=True)).all()
    np.testing.assert_allclose(phi(t), target, rtol=0, atol=32 * eps_of(dtype))


@few
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), shares)
def test_the_solution_is_the_root_of_a_strictly_increasing_phi(seed, k, share):
    """t = brentq(phi - target)"""
    rng = np.random.default_rng(seed)
    knots, values = np.sort(rng.normal(size=k)), np.cumsum(0.1 + rng.random(k)) - 2
    target = values[0] + share * (values[-1] - values[0])
    t = solve_piecewise_linear(lambda t: np.interp(t, knots, values), rng.permutation(knots)[None], target)
    longer, higher = [knots[0] - 1, *knots, knots[-1] + 1], [values[0] - 1, *values, values[-1] + 1]
    root = brentq(lambda t: np.interp(t, longer, higher) - target, longer[0], longer[-1], xtol=1e-14)
    assert abs(t.item() - root) <= 1e-11


def test_golden_solutions():
    """phi(t) = t up to 1, is constant from 1 to 2, and is t - 1 up to phi(6) = 5"""
    knots, phi = np.array([[6.0, 1.0, 0.0, 2.0]]), ramps(np.array([[0.0, 2.0]]), np.array([[1.0, 4.0]]))
    for target, t in [(0, 0), (0.5, 0.5), (1.25, 2.25), (3, 4), (5, 6)]:
        assert solve_piecewise_linear(phi, knots, target).item() == t
    assert 1 <= solve_piecewise_linear(phi, knots, 1).item() <= 2


def test_one_knot_is_the_answer():
    """With one knot t is that knot, whatever the target"""
    knots = np.array([[3.0], [-1.0]])
    np.testing.assert_array_equal(solve_piecewise_linear(lambda t: 0 * t, knots, 0.0), knots, strict=True)


def test_equal_knots_are_the_answer():
    """If all knots are equal, t is their value"""
    assert solve_piecewise_linear(lambda t: t, np.full((1, 4), 2.0), 2.0).item() == 2


def test_targets_may_differ_from_row_to_row():
    """phi_i(t_i) = target_i"""
    knots = np.array([[0.0, 4.0], [0.0, 4.0]])
    t = solve_piecewise_linear(lambda t: t / 4, knots, np.array([[0.25], [0.75]]))
    np.testing.assert_array_equal(t, [[1], [3]])


@pytest.mark.parametrize("k", [2, 3, 4, 17, 1000])
def test_few_calls_and_knots_untouched(k):
    """phi is called at most log2(K), rounded up, plus two times"""
    calls = []

    def phi(t):
        calls.append(t)
        return t

    knots = np.arange(float(k))[None, ::-1].copy()
    before = knots.copy()
    assert solve_piecewise_linear(phi, knots, 0.75).item() == 0.75
    assert len(calls) <= math.ceil(math.log2(k)) + 2
    np.testing.assert_array_equal(knots, before)


# Rows


class State(NamedTuple):
    """Some rows of each kind."""

    a: np.ndarray
    none: object
    share: float


def test_take_cuts_arrays_sets_tuples_and_dicts():
    """take(i, ...) has the rows i of arrays, of Δ(x), and of all that a tuple or dict holds; numbers and None stay"""
    x, keep = np.linspace(0, 1, 8).reshape(4, 2), np.array([True, False, True, False])
    found = take(keep, x, None, 3, np.array(5), State(x[:, 0], None, 0.5), {"w": x, "t": np.array(1)}, (x, 2.0))
    a, none, number, zero_d, state, named, pair = found
    np.testing.assert_array_equal(a, x[[0, 2]])
    assert none is None
    assert (number, int(zero_d)) == (3, 5)
    assert isinstance(state, State)
    np.testing.assert_array_equal(state.a, x[[0, 2], 0])
    assert (state.none, state.share) == (None, 0.5)
    np.testing.assert_array_equal(named["w"], x[[0, 2]])
    assert int(named["t"]) == 1
    np.testing.assert_array_equal(pair[0], x[[0, 2]])
    (delta_set,) = take(keep, Linf(0.5).within(0, 1).at(x))
    np.testing.assert_array_equal(delta_set.bounds()[0], -x[[0, 2]])


def test_only_copies_nothing_where_all_go_on():
    """only(all, state) is the state itself; else its rows"""
    state = State(np.arange(3), None, 1.0)
    assert only(np.ones(3, bool), state) is state
    np.testing.assert_array_equal(only(np.array([False, True, True]), state).a, [1, 2])
