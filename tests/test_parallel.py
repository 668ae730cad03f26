"""Laws of chunks and threads: results do not depend on them; order, exceptions, nesting, and the threads of BLAS."""

import inspect
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from scratchadv.parallel import CACHE, in_chunks, limit, map_chunks
from scratchadv.sets import Linf

X, Y = np.random.default_rng(0).random((23, 4)), np.arange(23)


class Light:
    """A model that computes nothing."""

    activations = 0


class Heavy:
    """A model for which one example fills the cache."""

    activations = CACHE


def sizes_seen(model, *arrays):
    """Record how many examples each call gets."""
    sizes = []

    def f(x, *rest):
        sizes.append(len(x))
        return (x,)

    map_chunks(f, model, *arrays)
    return sorted(sizes, reverse=True)


def blas_threads():
    """The number of threads that BLAS would use now."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


limits = st.none() | st.integers(1, 30)


@settings(deadline=None, max_examples=60)
@given(limits, limits)
def test_the_result_depends_neither_on_chunks_nor_on_threads(threads, chunk):
    """map_chunks(f, x, y) = f(x, y), with the order of the rows, dtypes and shapes kept"""

    def f(x, y):
        return x**2 + y[:, None], y, x.astype(np.float32)[:, None, :2]

    with limit(threads=threads, chunk=chunk):
        found = map_chunks(f, Light, X, Y)
    assert isinstance(found, tuple)
    for a, b in zip(found, f(X, Y), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30))
def test_every_example_is_seen_once_in_chunks_of_the_size_asked_for(chunk):
    """⌊n / chunk⌋ chunks, and one for the rest"""
    with limit(chunk=chunk):
        assert sizes_seen(Light, X) == [chunk] * (23 // chunk) + [23 % chunk] * (23 % chunk > 0)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_chunk_is_chosen_by_threads_and_cache(threads):
    """A light model: as many chunks as threads. A heavy one: one example in each chunk"""
    with limit(threads=threads):
        assert sizes_seen(Light, X)[0] == -(-23 // threads)
        assert len(sizes_seen(Light, X)) == threads
        assert sizes_seen(Heavy, X) == [1] * 23
        assert sizes_seen(object(), X) == sizes_seen(Light, X)  # the number of activations is not known


def test_chunks_keep_their_order_whichever_is_ready_first():
    """The order is kept although the first chunk takes longest"""

    def f(x):
        time.sleep(0.02 if x[0, 0] == X[0, 0] else 0)
        return (x,)

    with limit(threads=4, chunk=5):
        np.testing.assert_array_equal(map_chunks(f, Light, X)[0], X)


def test_none_stays_none():
    """None in place of an array is None in each chunk"""

    def f(x, nothing, y):
        assert nothing is None
        assert len(x) == len(y)
        return (y,)

    with limit(threads=2, chunk=4):
        np.testing.assert_array_equal(map_chunks(f, Light, X, None, Y)[0], Y)


def test_one_chunk_is_a_plain_call():
    """For n <= chunk: f gets the arrays themselves, in the caller's thread"""
    caller = threading.current_thread()

    def f(x, y):
        assert x is X
        assert y is Y
        assert threading.current_thread() is caller
        return x, y

    with limit(chunk=23):
        assert map_chunks(f, Light, X, Y)[0] is X


def test_threads_work_at_the_same_time():
    """Two chunks that wait for each other both arrive"""
    barrier = threading.Barrier(2, timeout=20)

    def f(x):
        barrier.wait()
        return (x,)

    with limit(threads=2, chunk=12):
        np.testing.assert_array_equal(map_chunks(f, Light, X)[0], X)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_there_are_no_more_threads_than_asked_for(threads):
    """There are never more calls at once than threads"""
    lock, now, most = threading.Lock(), 0, 0

    def f(x):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.001)
        with lock:
            now -= 1
        return (x,)

    with limit(threads=threads, chunk=1):
        map_chunks(f, Light, X)
    assert 1 <= most <= threads


# BLAS


def test_blas_is_held_to_one_thread_inside_and_let_go_after():
    """One thread in each call; before = after"""
    before, inside = blas_threads(), []

    def f(x):
        inside.extend(blas_threads())
        return (x,)

    with limit(threads=2, chunk=5):
        map_chunks(f, Light, X)
    assert before
    assert set(inside) == {1}
    assert blas_threads() == before


@pytest.mark.parametrize("chunk", [5, 23])
def test_exceptions_come_out_and_blas_is_let_go(chunk):
    """The exception of f itself is raised; the next call works as usual"""
    before = blas_threads()

    def f(x):
        if X[7, 0] in x[:, 0]:
            raise ArithmeticError("example 7")
        return (x,)

    with limit(threads=2, chunk=chunk):
        with pytest.raises(ArithmeticError, match="example 7"):
            map_chunks(f, Light, X)
        assert blas_threads() == before
        np.testing.assert_array_equal(map_chunks(lambda x: (2 * x,), Light, X)[0], 2 * X)


SEVERAL_CALLERS = """
import threading
import numpy as np
from threadpoolctl import threadpool_info
from scratchadv.parallel import limit, map_chunks

def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

entered, leave = threading.Semaphore(0), [threading.Event(), threading.Event()]

def call(i):
    def f(x):
        entered.release()
        leave[i].wait(20)
        return (x,)
    with limit(threads=2 + i, chunk=1):  # a pool of its own, or it would wait for the other's chunks
        map_chunks(f, None, np.zeros((2, 1)))

before = blas_threads()
callers = [threading.Thread(target=call, args=(i,)) for i in range(2)]
for caller in callers:
    caller.start()
    assert entered.acquire(timeout=20) and entered.acquire(timeout=20)  # both chunks
for i in range(2):
    assert set(blas_threads()) == {1}, (i, blas_threads())
    leave[i].set()
    callers[i].join()
assert blas_threads() == before, (before, blas_threads())
"""


def test_blas_is_let_go_by_the_last_of_several_callers():
    """A begins, B begins, A ends, B ends: one thread until B ends, then as before"""
    # in a new interpreter: once the main thread has set its number, OpenBLAS ignores the other threads
    subprocess.run([sys.executable, "-W", "error", "-c", SEVERAL_CALLERS], check=True)


# Nesting


def test_inside_a_chunk_nothing_is_cut_again():
    """map_chunks within map_chunks: the inner one is a plain call, and the result is the same"""
    inner = []

    def outer(x):
        def f(x):
            inner.append((len(x), threading.current_thread().name))
            return (x + 1,)

        before = len(inner)
        (z,) = map_chunks(f, Heavy, x)
        assert any(entry == (len(x), threading.current_thread().name) for entry in inner[before:])
        return (2 * z,)

    with limit(threads=2, chunk=6):
        np.testing.assert_array_equal(map_chunks(outer, Light, X)[0], 2 * (X + 1))
    assert sorted(size for size, _ in inner) == [5, 6, 6, 6]


def test_after_a_nested_call_the_caller_is_cut_again():
    """In the caller's own thread, the mark of a busy thread is removed at the end"""
    with limit(threads=2, chunk=6):
        map_chunks(lambda x: map_chunks(lambda x: (x,), Light, x), Light, X)
        assert sizes_seen(Light, X) == [6, 6, 6, 5]


def test_limits_nest_and_end():
    """The inner limit holds inside, the outer one after it, and none at the end, even after an exception"""
    free = sizes_seen(Light, X)
    with limit(chunk=10):
        with limit(chunk=20):
            assert sizes_seen(Light, X) == [20, 3]
        assert sizes_seen(Light, X) == [10, 10, 3]
        with pytest.raises(KeyError), limit(chunk=4):
            raise KeyError
        assert sizes_seen(Light, X) == [10, 10, 3]
    assert sizes_seen(Light, X) == free


def test_limits_are_of_one_thread():
    """The block of one thread does not limit another thread of the caller"""
    found = []
    with limit(chunk=1):
        thread = threading.Thread(target=lambda: found.append(sizes_seen(Light, X)))
        thread.start()
        thread.join()
    assert found == [sizes_seen(Light, X)]


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
@pytest.mark.parametrize("name", ["threads", "chunk"])
def test_a_limit_that_is_no_count_is_refused(name, wrong, error):
    """threads >= 1 and chunk >= 1 must be whole numbers"""
    with pytest.raises(error, match=name), limit(**{name: wrong}):
        pass


# The decorator


@in_chunks
def parts_seen(model, x, y, threat=None, *, target=None, box=None, seen, callback=None):
    """An attack that records in ``seen`` what it gets of each chunk; returns x and y."""
    seen.append((len(x), threat, target, box))
    return x, y


def test_in_chunks_cuts_what_each_example_has_and_nothing_else():
    """x, y, target, Δ(x) and bounds in arrays have the rows of the chunk; numbers and lists are passed on unchanged"""
    seen, low = [], np.linspace(0, 0.1, 4)
    with limit(threads=1, chunk=10):
        x, y = parts_seen(Light, X, Y, Linf(0.1).within(0, 1), target=Y[::-1], box=(low, 1.0), seen=seen)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert [n for n, *_ in seen] == [10, 10, 3]
    for start, (n, threat, target, box) in zip((0, 10, 20), seen, strict=True):
        rows = slice(start, start + n)
        np.testing.assert_array_equal(target, Y[::-1][rows])
        np.testing.assert_array_equal(box[0], np.broadcast_to(low, (n, 4)))
        assert box[1] == 1.0
        np.testing.assert_array_equal(threat.bounds()[1], np.minimum(1 - X[rows], 1))


def test_in_chunks_with_a_callback_is_one_call():
    """A callback gets whole batches; without a callback or a threat, None stays None"""
    seen = []
    with limit(threads=1, chunk=10):
        parts_seen(Light, X, Y, seen=seen, callback=print)
        parts_seen(Light, X[:10], Y[:10], seen=seen)
    assert seen == [(23, None, None, None), (10, None, None, None)]


def test_in_chunks_puts_named_tuples_together_again():
    """A NamedTuple of arrays is returned as one, with all rows; the signature is that of the function"""

    @in_chunks
    def pair(model, x, best=None):
        return Pair(x + 1, x[:, 0] if best is None else best.first[:, 0])

    with limit(threads=2, chunk=4):
        once = pair(Light, X)
        twice = pair(Light, X, once)
    np.testing.assert_array_equal(once.first, X + 1)
    np.testing.assert_array_equal(twice.second, X[:, 0] + 1)
    assert list(inspect.signature(pair).parameters) == ["model", "x", "best"]


class Pair(NamedTuple):
    """Two arrays, as a NamedTuple."""

    first: np.ndarray
    second: np.ndarray
