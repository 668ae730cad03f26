"""Laws of sums over chunks of examples."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from scratchadv import parallel
from scratchadv.parallel import sum_chunks

LIGHT, HEAVY = SimpleNamespace(activations=0), SimpleNamespace(activations=1 << 22)


def moments(x, y):
    """Rows, a sum that rounding shows the order of, and a count."""
    return (x[:, 0], y), {"sum": x.sum(axis=0) * np.float32(0.1), "count": len(x)}


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    return rng.normal(size=(37, 3)).astype(np.float32), rng.integers(0, 9, 37)


@pytest.mark.parametrize("chunk", [1, 2, 5, 36, 37, 100, None])
@pytest.mark.parametrize("model", [LIGHT, HEAVY])
def test_rows_are_put_together_and_sums_added_up(examples, chunk, model):
    """sum over chunks = sum over all, up to rounding; rows in the order of the examples"""
    x, y = examples
    with parallel.limit(chunk=chunk):
        rows, sums = sum_chunks(moments, model, x, y)
    np.testing.assert_array_equal(rows[0], x[:, 0], strict=True)
    np.testing.assert_array_equal(rows[1], y, strict=True)
    np.testing.assert_allclose(sums["sum"], 0.1 * x.sum(axis=0), rtol=1e-4)
    assert (sums["sum"].dtype, sums["count"]) == (np.float32, 37)


def test_the_sum_is_the_same_on_any_number_of_threads(examples):
    """The same bits on 1, 2, 3 and 8 threads, with the chunks chosen here"""
    found = set()
    for threads in (1, 2, 3, 8):
        with parallel.limit(threads):
            found.add(sum_chunks(moments, HEAVY, *examples)[1]["sum"].tobytes())
    assert len(found) == 1


def sizes_of(n, model):
    sizes = []

    def f(x):
        sizes.append(len(x))
        return (x,), {}

    sum_chunks(f, model, np.zeros((n, 1), np.float32))
    return sizes


def test_few_activations_or_few_examples_are_one_piece():
    """A model that the cache holds is called once, with all; so is any model with one example"""
    assert sizes_of(1000, LIGHT) == [1000]
    assert sizes_of(1, HEAVY) == [1]
    assert sizes_of(8, HEAVY) == [1] * 8


@pytest.mark.parametrize("n", [2, 3, 5, 8, 100])
def test_there_is_a_power_of_two_of_pieces_or_fewer(n):
    """Threads end together: no more than the next power of two, and every example in one piece"""
    sizes = sizes_of(n, HEAVY)
    assert sum(sizes) == n
    assert len(sizes) <= 1 << (n - 1).bit_length()


def test_what_a_chunk_gives_is_not_written_to(examples):
    """The first chunk's array is not the sum's"""
    given = [np.ones(2), np.ones(2), np.ones(2), np.ones(2)]
    parts = iter(given)
    with parallel.limit(1, 10):
        _, sums = sum_chunks(lambda x: ((x,), {"a": next(parts)}), LIGHT, examples[0])
    np.testing.assert_array_equal(sums["a"], [4, 4])
    np.testing.assert_array_equal(given, np.ones((4, 2)))


def test_inside_a_chunk_it_works_alone(examples):
    """Chunks of chunks stay in their thread, and the sums are the same up to rounding"""
    threads = set()

    def inner(x, y):
        threads.add(threading.get_ident())
        return moments(x, y)

    def outer(x, y):
        before = threading.get_ident()
        rows, sums = sum_chunks(inner, HEAVY, x, y)
        assert before in threads
        return rows, sums

    with parallel.limit(1, 9):
        nested = sum_chunks(outer, LIGHT, *examples)
        flat = sum_chunks(moments, LIGHT, *examples)
    assert len(threads) == 1
    np.testing.assert_allclose(nested[1]["sum"], flat[1]["sum"], rtol=1e-5)


def test_an_error_in_a_chunk_is_an_error(examples):
    """What one chunk raises is raised, and the next call works"""

    def f(x, y):
        raise ArithmeticError(len(x))

    with parallel.limit(2, 10), pytest.raises(ArithmeticError, match="10"):
        sum_chunks(f, LIGHT, *examples)
    with parallel.limit(2, 10):
        assert sum_chunks(moments, LIGHT, *examples)[1]["count"] == 37
