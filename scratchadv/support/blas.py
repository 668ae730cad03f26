"""The threads of the BLAS library under NumPy, held to one where this library has threads of its own."""

import os
import threading
import weakref
from functools import cache

_lock = threading.RLock()  # not a Lock: the garbage collector may end one block in the middle of another
_holders = weakref.WeakSet()  # a block that Ctrl-C kept from its end counts no longer than it lives
_before = []  # while BLAS is held: each library with the number of its threads before


class one_blas_thread:
    """BLAS on one thread within the block; its own number is back when the last of several callers at once has left.

    Also for small products before work in threads: BLAS's own threads go on spinning for 20 ms and get in the way.

    Ctrl-C at any point of the beginning or the end leaves everything as it was, with one exception: if it comes between
    the block and the first instruction of its end, BLAS stays on one thread until the next block has ended.
    """

    def __enter__(self):
        try:
            _hold(self)
        except BaseException:
            _let_go(self)
            raise

    def __exit__(self, *error):
        try:
            _let_go(self)
        except BaseException:
            _let_go(self)
            raise


def _hold(holder):
    holder.thread = threading.get_ident()
    with _lock:
        _holders.add(holder)
        if not _before:
            _before[:] = [(library, library.num_threads) for library in _libraries()]
        for library, _ in _before:
            library.set_num_threads(1)


def _let_go(holder):
    """End a block; it does no harm to do so twice, or only in part."""
    with _lock:
        _holders.discard(holder)
        if not _holders:
            for library, threads in _before:
                library.set_num_threads(threads)
            _before.clear()


@cache
def _libraries():
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


def _in_a_forked_process():
    """Only the thread that forked is here; the blocks of the others will never end."""
    global _holders
    _holders = weakref.WeakSet([holder for holder in _holders if holder.thread == threading.get_ident()])
    _lock.release()


if hasattr(os, "register_at_fork"):  # no fork while a thread is inside the library, which has locks of its own
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_a_forked_process)
