"""Laws of the convolution and its two gradients: a loop, SciPy, adjoints, buffers and threads."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.kernels.conv import _classes_at_once, conv, conv_input_gradient, conv_kernel_gradient
from scratchadv.kernels.windows import output_size

many = settings(max_examples=150, deadline=None)


class Case(NamedTuple):
    """Images, a kernel, dz, a stride and a padding."""

    x: np.ndarray
    w: np.ndarray
    dz: np.ndarray
    stride: int
    padding: int

    @property
    def move(self):
        return self.stride, self.padding


def case(seed, n, h, w, kh, kw, c, f, stride, padding, dtype=np.float64):
    rng = np.random.default_rng(seed)
    ho, wo = output_size(h, kh, stride, padding), output_size(w, kw, stride, padding)
    shapes = (n, h, w, c), (kh, kw, c, f), (n, ho, wo, f)
    return Case(*(rng.normal(size=shape).astype(dtype) for shape in shapes), stride, padding)


@st.composite
def cases(draw):
    """Both sides of every switch: C < 8, kw C < 16, 3 × 3 with 16 channels and even sides, stride > kernel."""
    kernel = draw(st.sampled_from([(3, 3), (1, 1), (2, 2), (5, 5), (1, 3), (3, 2), (2, 4)]))
    stride, padding = draw(st.integers(1, 4)), draw(st.integers(0, 3))
    sides = [draw(st.integers(max(1, k - 2 * padding), 9)) for k in kernel]
    c, f = draw(st.sampled_from([1, 2, 5, 7, 8, 15, 16, 17])), draw(st.sampled_from([1, 3, 15, 16, 17]))
    return case(draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 3)), *sides, *kernel, c, f, stride, padding)


def by_loop(x, w, stride, padding):
    """The formula, index by index."""
    n, h, wide, _ = x.shape
    kh, kw, _, f = w.shape
    z = np.zeros((n, output_size(h, kh, stride, padding), output_size(wide, kw, stride, padding), f))
    for o, p in np.ndindex(z.shape[1:3]):
        for i, j in np.ndindex(kh, kw):
            row, column = stride * o + i - padding, stride * p + j - padding
            if 0 <= row < h and 0 <= column < wide:
                z[:, o, p] += x[:, row, column] @ w[i, j]
    return z


def close(a, b):
    """The arrays are equal up to rounding."""
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * (1 + abs(np.asarray(b)).max(initial=0)))


def inner(a, b):
    assert a.shape == b.shape
    return float((a * b).sum())


def test_the_loop_is_right_where_it_can_be_seen():
    """(1 2 3) and the kernel (1 10) give 1 + 20 and 2 + 30, and with padding also 0 + 10 and 3 + 0"""
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    w = np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    np.testing.assert_array_equal(by_loop(x, w, 1, 0).ravel(), [21, 32])
    np.testing.assert_array_equal(by_loop(x, w, 1, 1)[0, :, :, 0], [[0, 0, 0, 0], [10, 21, 32, 3], [0, 0, 0, 0]])
    np.testing.assert_array_equal(by_loop(x, w, 2, 0).ravel(), [21])


@many
@given(cases())
def test_conv_is_the_formula(case):
    """z[n, o, p, f] = sum over i, j, c of x[n, so + i - q, sp + j - q, c] w[i, j, c, f]"""
    close(conv(case.x, case.w, *case.move), by_loop(case.x, case.w, *case.move))


@many
@given(cases())
def test_the_gradients_are_the_adjoints(case):
    """<conv(x, w), dz> = <x, conv_input_gradient(dz, w)> = <w, conv_kernel_gradient(x, dz)>"""
    x, w, dz, stride, padding = case
    value = inner(by_loop(x, w, stride, padding), dz)
    scale = 1e-12 * (1 + abs(by_loop(abs(x), abs(w), stride, padding) * dz).sum())
    assert abs(inner(conv(x, w, stride, padding), dz) - value) <= scale
    assert abs(inner(x, conv_input_gradient(dz, w, x.shape[1:3], stride, padding)) - value) <= scale
    assert abs(inner(w, conv_kernel_gradient(x, dz, w.shape[:2], stride, padding)) - value) <= scale


@many
@given(cases())
def test_the_gradient_for_devices_is_the_same(case):
    """One convolution with the kernel filled up with zeros gives the same as the classes one by one"""
    size = case.x.shape[1:3]
    close(_classes_at_once(case.dz, case.w, size, *case.move), conv_input_gradient(case.dz, case.w, size, *case.move))


@pytest.mark.parametrize(("c", "f"), [(1, 1), (2, 5), (7, 3), (8, 3), (16, 16)])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 3)])
def test_with_stride_one_conv_is_scipys_correlation(c, f, kernel):
    """z[n, :, :, f] = sum over c of correlate(x[n, :, :, c], w[:, :, c, f], "valid")"""
    x, w, dz, *_ = case(0, 2, 6, 8, *kernel, c, f, 1, 0)
    z = conv(x, w)
    for n, k in np.ndindex(2, f):
        plane = sum(scipy.signal.correlate(x[n, :, :, i], w[:, :, i, k], "valid") for i in range(c))
        close(z[n, :, :, k], plane)
    dx = conv_input_gradient(dz, w, (6, 8))
    for n, i in np.ndindex(2, c):
        close(dx[n, :, :, i], sum(scipy.signal.convolve(dz[n, :, :, k], w[:, :, i, k], "full") for k in range(f)))


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("c", [3, 8, 16])
def test_pixels_that_no_window_reaches_get_zero(stride, c):
    """dx is exactly 0 at pixels between the windows of a large stride and in a remainder at the border"""
    _, w, dz, *_ = case(0, 2, 8, 9, 2, 2, c, 4, stride, 0)
    reached = np.zeros((8, 9), bool)
    for o, p in np.ndindex(dz.shape[1:3]):
        reached[stride * o : stride * o + 2, stride * p : stride * p + 2] = True
    dx = conv_input_gradient(dz, w, (8, 9), stride, 0)
    assert (dx[:, ~reached] == 0).all()
    assert (dx[:, reached] != 0).all()


@pytest.mark.parametrize("c", [1, 8, 16])
@pytest.mark.parametrize("cut", [np.s_[:, 1:7, 1:7], np.s_[:, ::2, ::2], np.s_[::-1]])
def test_views_give_what_copies_give(c, cut):
    """x and dz may be views of any layout"""
    rng = np.random.default_rng(0)
    x, w, dz = rng.normal(size=(2, 8, 8, c)), rng.normal(size=(3, 3, c, 16)), rng.normal(size=(2, 8, 8, 16))
    close(conv(x[cut], w, 1, 1), conv(x[cut].copy(), w, 1, 1))
    size = dz[cut].shape[1:3]
    close(conv_input_gradient(dz[cut], w, size, 1, 1), conv_input_gradient(dz[cut].copy(), w, size, 1, 1))
    dw = conv_kernel_gradient(x[cut].copy(), dz[cut].copy(), (3, 3), 1, 1)
    close(conv_kernel_gradient(x[cut], dz[cut], (3, 3), 1, 1), dw)


# Buffers

ALL_WAYS = [
    (1, 4, 4, 3, 3, 1, 4, 1, 1),
    (2, 6, 6, 3, 3, 8, 4, 1, 1),
    (2, 6, 6, 3, 3, 16, 16, 1, 1),
    (1, 2, 2, 3, 3, 16, 16, 1, 1),  # a single tile
    (1, 4, 4, 3, 3, 16, 16, 1, 0),
    (2, 6, 6, 3, 3, 16, 16, 2, 1),
    (1, 1, 1, 1, 1, 16, 16, 1, 0),
    (1, 3, 3, 3, 3, 16, 16, 3, 0),
]
every_way = pytest.mark.parametrize("size", ALL_WAYS, ids=str)


def all_three(case):
    x, w, dz, stride, padding = case
    return (
        conv(x, w, stride, padding),
        conv_input_gradient(dz, w, x.shape[1:3], stride, padding),
        conv_kernel_gradient(x, dz, w.shape[:2], stride, padding),
    )


@every_way
def test_results_are_not_overwritten_by_later_calls(size):
    """Buffers are reused, but results keep their values and share no memory with each other or with x"""
    first = case(0, *size)
    given = [a.copy() for a in first[:3]]
    results = all_three(first)
    values = [r.copy() for r in results]
    later = [all_three(case(seed, *size)) for seed in (1, 2)]
    for result, value in zip(results, values, strict=True):
        np.testing.assert_array_equal(result, value)
    for a, b in zip(first[:3], given, strict=True):
        np.testing.assert_array_equal(a, b)
    everything = [*results, *later[0], *later[1], *first[:3]]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(everything) for b in everything[:i])


@every_way
def test_results_feed_the_next_call(size):
    """dz may be the result of a convolution itself: the gradient is the same as for a copy of it"""
    first = case(0, *size)
    z = conv(first.x, first.w, *first.move)
    kept = z.copy()
    for a, b in zip(all_three(first._replace(dz=z)), all_three(first._replace(dz=kept)), strict=True):
        close(a, b)


@every_way
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(size, dtype):
    """float32 stays float32 and is correct to the precision of float32"""
    exact, rounded = case(0, *size), case(0, *size, dtype=dtype)
    for a, b in zip(all_three(rounded), all_three(exact), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, atol=(1e-5 if dtype == np.float32 else 1e-12) * (1 + abs(b).max()))


def test_threads_do_not_disturb_each_other():
    """Many threads at once return what one thread returns"""
    jobs = [case(seed, *size) for size in ALL_WAYS for seed in range(10)]
    alone = [all_three(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(all_three, jobs))
    for a, b in zip(alone, together, strict=True):
        for one, other in zip(a, b, strict=True):
            close(one, other)
