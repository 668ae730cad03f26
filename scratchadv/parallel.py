"""Work on independent examples in chunks that fit the cache, with one thread for each chunk.

NumPy releases the interpreter's lock in products and copies, so that threads help. Meanwhile the BLAS library uses one
thread, because several small products in parallel are faster than one shared product.
"""

import inspect
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps

from . import checks
from .backend import memory, namespace
from .numerics import take
from .support.blas import one_blas_thread

CACHE = 20 << 20  # the bytes of one chunk on a CPU; large, because threads wait for each other between calls
DEVICE = 1 / 32  # the bytes of one chunk on a GPU, as a share of its memory; kernels there need larger buffers

# The arguments that in_chunks cuts, because they have a row for each example; x comes first.
OF_EACH = ("x", "y", "target", "rival", "rivals", "threat", "box", "low", "high", "start", "best")

_threads = ContextVar("threads", default=None)
_chunk = ContextVar("chunk", default=None)
_worker = threading.local()


@contextmanager
def limit(threads=None, chunk=None):
    """Set the number of threads, and of examples in a chunk, within the block.

    Parameters
    ----------
    threads, chunk : int, optional
        At least 1; None lets this module choose. Results do not depend on them, except for rounding.
    """
    for name, number in {"threads": threads, "chunk": chunk}.items():
        if number is not None:
            checks.count(name, number, least=1)
    tokens = _threads.set(threads), _chunk.set(chunk)
    try:
        yield
    finally:
        _threads.reset(tokens[0])
        _chunk.reset(tokens[1])


def map_chunks(f, model, *arrays):
    """Compute ``f(*arrays)`` in chunks of examples, and concatenate the results.

    On a GPU the chunks are large, and are computed one after the other.

    Parameters
    ----------
    f : callable
        Takes n rows of each of the arrays (None stays None) and returns a tuple of arrays with n rows.
    model : Model
        Its ``activations``, the number of values it computes for one example, decide how large a chunk fits the cache.
    *arrays : array, perturbation set, tuple of arrays or None
        Each has N rows; the first is an array. A set is one that ``at`` has moved to the N examples.

    Returns
    -------
    tuple of array
    """
    xp, n = namespace(arrays[0]), len(arrays[0])
    on_host = xp.__name__ == "numpy"
    threads = _cores() if on_host else 1
    size = _chunk.get() or _even(n, threads, _fitting(model, arrays[0], CACHE if on_host else DEVICE * memory(xp)))
    if n <= size or getattr(_worker, "busy", False):
        return f(*arrays)
    parts = (_in_threads if on_host else map)(_part_of(f, arrays, size), range(0, n, size))
    parts = list(parts)
    whole = [xp.concatenate(part) for part in zip(*parts, strict=True)]
    return parts[0]._make(whole) if hasattr(parts[0], "_make") else tuple(whole)


def in_chunks(function):
    """Call the decorated function on chunks of the examples, and concatenate its results.

    So the body of an attack is written for one batch, and reads like the paper's algorithm. The arguments that
    ``OF_EACH`` names are cut into chunks, and all others are passed on unchanged. ``threat`` is moved to x first, so
    that within the function it is Δ(x). If there is a ``callback``, which sees whole batches, the function is called
    once with all examples.

    Parameters
    ----------
    function : callable
        Has parameters ``model`` and ``x``, and returns an array with n rows or a tuple of such arrays.

    Returns
    -------
    callable

    Examples
    --------
    >>> @in_chunks
    ... def gradient_step(model, x, y, *, alpha):
    ...     z, pull = model.vjp_x(x)
    ...     return alpha * pull(model.loss.grad(z, y))
    """
    signature = inspect.signature(function)
    cut = [name for name in OF_EACH if name in signature.parameters]

    @wraps(function)
    def call(*args, **options):
        given = signature.bind(*args, **options)
        given.apply_defaults()
        values = given.arguments
        if values.get("threat") is not None:
            values["threat"] = values["threat"].at(values["x"])
        if hasattr(values.get("box"), "at"):
            values["box"] = values["box"].at(values["x"])
        elif values.get("box") is not None:
            values["box"] = tuple(_for_each(side, values["x"]) for side in values["box"])

        def of_chunk(*rows):
            part = inspect.BoundArguments(signature, values | dict(zip(cut, rows, strict=True)))
            found = function(*part.args, **part.kwargs)
            return found if isinstance(found, tuple) else (found,)

        rows = [values[name] for name in cut]
        found = of_chunk(*rows) if values.get("callback") else map_chunks(of_chunk, values["model"], *rows)
        return found if len(found) > 1 else found[0]

    call.__signature__ = signature
    return call


def _for_each(side, x):
    """Return one end of the box with a row for each example; a number, which holds for all of them, stays a number."""
    xp = namespace(x)
    return xp.broadcast_to(xp.asarray(side), x.shape) if getattr(side, "ndim", 0) else side


def _fitting(model, x, room):
    """Return how many examples fit into ``room`` bytes: their activations, and about ten arrays shaped like x."""
    numbers = getattr(model, "activations", 0) + 10 * x[0].size
    return max(1, int(room / (numbers * x.dtype.itemsize)))


def _even(n, threads, most):
    """Return the size of chunks, at most ``most``, for which all threads have the same number of them."""
    return -(-n // (threads * -(-n // (threads * most))))


def sum_chunks(f, model, *arrays):
    """Compute ``f(*arrays)`` in chunks of examples, where part of the result is a sum over the examples.

    The chunks depend only on the model and the number of examples, and their sums are added in order, so that the
    result is the same to the last bit for any number of threads. The number of chunks is a power of two, so that the
    threads finish together.

    Parameters
    ----------
    f : callable
        Takes n rows of each of the arrays (None stays None), and returns a tuple of arrays with n rows and a dict of
        sums.
    model : Model
        As for ``map_chunks``.
    *arrays : array or None
        Each has N rows; the first is not None.

    Returns
    -------
    rows : tuple of array
    sums : dict of array
    """
    xp, n = namespace(arrays[0]), len(arrays[0])
    pieces = 1 << (max(1, n // _fitting(model, arrays[0], CACHE)) - 1).bit_length()
    size = _chunk.get() or -(-n // pieces)
    if xp.__name__ != "numpy" or n <= size:
        return f(*arrays)

    rows, sums = zip(*_in_threads(_part_of(f, arrays, size), range(0, n, size)), strict=True)
    return tuple(xp.concatenate(part) for part in zip(*rows, strict=True)), _added_up(sums)


def _part_of(f, arrays, size):
    """Return the function that computes f on the ``size`` examples from the index i on."""
    return lambda i: f(*take(slice(i, i + size), *arrays))


def _cores():
    return _threads.get() or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


def _in_threads(work, items):
    """Return the results in order, computed by threads, or in this thread if it is one of them."""
    if getattr(_worker, "busy", False):
        return [work(item) for item in items]

    def busy(item):
        _worker.busy = True
        return work(item)

    with one_blas_thread():
        return list(_pool(_cores()).map(busy, items))


def _added_up(dicts):
    """Return the sum of the dicts, entry by entry from the first to the last; none of them is changed."""
    total = dicts[0]
    for i, part in enumerate(dicts[1:]):
        if i == 0:
            total = {name: total[name] + a for name, a in part.items()}
            continue
        for name, a in part.items():
            total[name] += a
    return total


@cache
def _pool(threads):
    """Return threads that are kept, with the buffers that the kernels have for each of them."""
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process does not have these threads
