"""Laws of pooling: loops, adjoints, ties and windows that do not fit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.kernels.pool import (
    average_pool,
    average_pool_input_gradient,
    max_pool,
    max_pool_gather,
    max_pool_input_gradient,
)
from scratchadv.kernels.windows import output_size

many = settings(max_examples=100, deadline=None)


@st.composite
def cases(draw, ties=False):
    """Images, sizes and strides whose windows overlap, touch, leave gaps, or do not fit at the border."""
    size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    h, w = draw(st.integers(size, 9)), draw(st.integers(size, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 3)), h, w, draw(st.sampled_from([1, 3, 8]))
    return (rng.integers(0, 2, shape).astype(float) if ties else rng.normal(size=shape)), size, stride


def by_loop(function, x, size, stride):
    """The function of each window."""
    n, h, w, c = x.shape
    z = np.zeros((n, output_size(h, size, stride, 0), output_size(w, size, stride, 0), c))
    for a, o, p, b in np.ndindex(z.shape):
        z[a, o, p, b] = function(x[a, stride * o : stride * o + size, stride * p : stride * p + size, b])
    return z


def draw_like(z, seed=0):
    return np.random.default_rng(seed).normal(size=z.shape)


@many
@given(cases() | cases(ties=True))
def test_pooling_is_the_formula(case):
    """Pooling is the max or the mean of each window; the winner is the first of equal entries"""
    x, size, stride = case
    z, winner = max_pool(x, size, stride)
    np.testing.assert_array_equal(z, by_loop(np.max, x, size, stride), strict=True)
    np.testing.assert_array_equal(winner, by_loop(np.argmax, x, size, stride))
    np.testing.assert_allclose(average_pool(x, size, stride), by_loop(np.mean, x, size, stride), atol=1e-14)


@many
@given(cases() | cases(ties=True))
def test_max_pooling_and_its_gradient_are_adjoint(case):
    """<gather(v), dz> = <v, input_gradient(dz)> for the winners of x, and gather(x) = z"""
    x, size, stride = case
    z, winner = max_pool(x, size, stride)
    v, dz = draw_like(x), draw_like(z, 1)
    np.testing.assert_array_equal(max_pool_gather(x, winner, size, stride), z)
    dx = max_pool_input_gradient(dz, winner, x.shape, size, stride)
    assert dx.shape == x.shape
    np.testing.assert_allclose((max_pool_gather(v, winner, size, stride) * dz).sum(), (v * dx).sum(), atol=1e-11)


@many
@given(cases())
def test_average_pooling_and_its_gradient_are_adjoint(case):
    """<average_pool(v), dz> = <v, input_gradient(dz)>"""
    x, size, stride = case
    z = average_pool(x, size, stride)
    dz = draw_like(z)
    dx = average_pool_input_gradient(dz, x.shape, size, stride)
    assert dx.shape == x.shape
    np.testing.assert_allclose((z * dz).sum(), (x * dx).sum(), atol=1e-11)


@many
@given(cases(ties=True))
def test_no_gradient_is_lost_or_doubled(case):
    """sum dx = sum dz, with or without ties"""
    x, size, stride = case
    z, winner = max_pool(x, size, stride)
    dz = draw_like(z)
    for dx in (
        max_pool_input_gradient(dz, winner, x.shape, size, stride),
        average_pool_input_gradient(dz, x.shape, size, stride),
    ):
        np.testing.assert_allclose(dx.sum(), dz.sum(), atol=1e-11)


def test_golden():
    """Windows of size 2 over 3 × 3 pixels leave out the border, and the first of two equal entries wins"""
    x = np.array([[4.0, 1, 9], [4, 3, 9], [9, 9, 9]]).reshape(1, 3, 3, 1)
    z, winner = max_pool(x, 2, 2)
    assert (z.item(), winner.item(), average_pool(x, 2, 2).item()) == (4, 0, 3)
    dz = np.full((1, 1, 1, 1), 8.0)
    dx = max_pool_input_gradient(dz, winner, x.shape, 2, 2)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[8, 0, 0], [0, 0, 0], [0, 0, 0]])
    dx = average_pool_input_gradient(dz, x.shape, 2, 2)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[2, 2, 0], [2, 2, 0], [0, 0, 0]])


def test_overlapping_windows_add_up():
    """An entry that wins in two windows gets both gradients"""
    x = np.array([0.0, 5, 0]).reshape(1, 1, 3, 1).repeat(2, axis=1)
    _, winner = max_pool(x, 2, 1)
    dx = max_pool_input_gradient(np.array([1.0, 10]).reshape(1, 1, 2, 1), winner, x.shape, 2, 1)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[0, 11, 0], [0, 0, 0]])


def everything(x):
    z, winner = max_pool(x, 3, 2)
    dz = draw_like(z).astype(x.dtype)
    return [
        z,
        max_pool_gather(x, winner, 3, 2),
        max_pool_input_gradient(dz, winner, x.shape, 3, 2),
        average_pool(x, 3, 2),
        average_pool_input_gradient(dz, x.shape, 3, 2),
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 7, 7, 3), (1, 3, 3, 1)])
def test_dtypes_are_kept_and_nothing_is_shared_or_changed(dtype, shape):
    """Results have the dtype of x and their own memory; x does not change"""
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    before = x.copy()
    results = everything(x)
    values = [r.copy() for r in results]
    again = everything(2 * x)
    np.testing.assert_array_equal(x, before)
    for result, value in zip(results, values, strict=True):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, value)
        assert not any(np.shares_memory(result, other) for other in [x, *again])


def test_threads_do_not_disturb_each_other():
    """Many threads at once return what one thread returns"""
    jobs = [np.random.default_rng(seed).normal(size=(2, 9, 8, 3)) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(everything, jobs))
    for job, found in zip(jobs, together, strict=True):
        for a, b in zip(everything(job), found, strict=True):
            np.testing.assert_array_equal(a, b)
