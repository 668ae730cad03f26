"""The threads of the BLAS library under NumPy, held to one where this library has threads of its own."""

import threading
from contextlib import contextmanager
from functools import cache

_lock, _holders = threading.Lock(), []


@contextmanager
def one_blas_thread():
    """BLAS on one thread; its own number is back when the last of several callers at once has left.

    Also for small products before work in threads: BLAS's own threads go on spinning for 20 ms and get in the way.
    """
    with _lock:
        _holders.append(_holders[0] if _holders else _library().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limiter = _holders.pop()
            if not _holders:
                limiter.restore_original_limits()


@cache
def _library():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
