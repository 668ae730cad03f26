"""Laws of sliding windows and of the buffers of each thread."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.kernels.windows import output_size, pad, patches, scratch, windows

few = settings(max_examples=50, deadline=None)
sides = st.integers(1, 7)


def images(n, h, w, c, dtype=np.float64):
    """Images with distinct entries, none of them zero."""
    return np.arange(1, n * h * w * c + 1, dtype=dtype).reshape(n, h, w, c)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_output_size_counts_the_windows_that_fit(size, kernel, stride, padding):
    """#{s : s = 0, stride, 2 stride, ... and s + kernel <= size + 2 padding}"""
    whole = size + 2 * padding
    if kernel <= whole:
        count = sum(start + kernel <= whole for start in range(0, whole, stride))
        assert output_size(size, kernel, stride, padding) == count


margins = st.tuples(st.integers(0, 3), st.integers(0, 3))


@few
@given(sides, sides, margins, margins)
def test_pad_surrounds_each_image_with_zeros(h, w, rows, columns):
    """pad is numpy.pad for each image"""
    x = images(2, h, w, 3)
    np.testing.assert_array_equal(pad(x, rows, columns), np.pad(x, ((0, 0), rows, columns, (0, 0))), strict=True)


def test_pad_leaves_what_needs_nothing():
    """Without a margin pad returns x itself, not a copy"""
    x = images(1, 2, 2, 1)
    assert pad(x, (0, 0), (0, 0)) is x


@few
@given(sides, sides, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 2, 5, 8, 16]))
def test_windows_and_patches_are_the_slices(h, w, kh, kw, stride, c):
    """windows[n, o, p] = x[n, so : so + kh, sp : sp + kw], the rows of patches, for kw C above and below 16"""
    kh, kw = min(kh, h), min(kw, w)
    x = images(2, h, w, c)
    before = x.copy()
    view = windows(x, (kh, kw), stride)
    rows = patches(x, (kh, kw), stride)
    assert view.shape == (2, output_size(h, kh, stride, 0), output_size(w, kw, stride, 0), kh, kw, c)
    assert rows.shape == (view.size // (kh * kw * c), kh * kw * c)
    assert np.shares_memory(view, x)
    for n, o, p in np.ndindex(view.shape[:3]):
        window = x[n, stride * o : stride * o + kh, stride * p : stride * p + kw]
        np.testing.assert_array_equal(view[n, o, p], window)
        np.testing.assert_array_equal(rows.reshape(*view.shape[:3], -1)[n, o, p], window.ravel())
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("cut", [np.s_[:, 1:5, 2:6], np.s_[:, ::2, ::2], np.s_[::-1], np.s_[..., ::2]])
def test_windows_of_slices_are_windows(cut):
    """x may be any view, with strides of any size and sign"""
    x = images(3, 6, 7, 4)[cut]
    np.testing.assert_array_equal(windows(x, (2, 3), 1), windows(x.copy(), (2, 3), 1))
    np.testing.assert_array_equal(patches(x, (2, 3), 1).copy(), patches(x.copy(), (2, 3), 1))


# Buffers


def test_scratch_is_one_buffer_a_name_and_a_dtype():
    """A name and a dtype have one piece of memory, also for smaller arrays; others have another one"""
    x, y = np.zeros(1), np.zeros(1, np.float32)
    a = scratch("a test", (2, 3), x)
    assert (a.shape, a.dtype) == ((2, 3), x.dtype)
    assert np.shares_memory(a, scratch("a test", (2, 2), x))
    assert np.shares_memory(a, scratch("a test", (2, 3), x))
    assert not np.shares_memory(a, scratch("another test", (2, 3), x))
    assert not np.shares_memory(a, scratch("a test", (2, 3), y))
    assert scratch("a test", (2, 3), y).dtype == np.float32


def test_scratch_grows_and_leaves_the_smaller_one_alone():
    """An array that was returned stays valid when a larger one is requested"""
    a = scratch("growing", (2,), np.zeros(1))
    a[...] = 7
    b = scratch("growing", (10_000,), np.zeros(1))
    b[...] = 8
    assert (a == 7).all()
    assert b.shape == (10_000,)


def test_threads_do_not_share_buffers():
    """scratch, pad and patches use different memory in two threads that run at once"""
    x = images(1, 4, 4, 2)
    barrier, found = threading.Barrier(2), {}

    def work(name):
        barrier.wait()
        found[name] = [scratch("threads", (5,), x), pad(x, (1, 1), (1, 1)), patches(x, (3, 3), 1)]
        barrier.wait()  # both threads are alive

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(found["a"], found["b"], strict=True):
        assert not np.shares_memory(a, b)
