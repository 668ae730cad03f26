"""The threads of the BLAS library under NumPy, limited to one while this library uses its own threads."""

import os
import threading
import weakref
from functools import cache

_lock = threading.RLock()  # not a Lock: the garbage collector may end one block in the middle of another
_holders = weakref.WeakSet()  # weak, so that a block whose end Ctrl-C prevented counts only while it exists
_before = []  # while BLAS is limited: each library with its previous number of threads


class one_blas_thread:
    """Limit BLAS to one thread within the block; the last of several concurrent blocks restores the previous number.

    It also helps around small products that precede work in threads, because BLAS's own threads go on spinning for
    20 ms and get in the way.

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
    """End a block; doing so twice, or only in part, does no harm."""
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
    """Forget the blocks of other threads: only the thread that forked is here, so they will never end."""
    global _holders
    _holders = weakref.WeakSet([holder for holder in _holders if holder.thread == threading.get_ident()])
    _lock.release()


if hasattr(os, "register_at_fork"):  # no fork while a thread is inside BLAS, which has its own locks
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_a_forked_process)
