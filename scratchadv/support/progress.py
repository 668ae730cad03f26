"""One way to show progress: a bar on a terminal, for what takes longer than two seconds; nothing elsewhere."""

import os
import sys
import threading

_importing = threading.RLock()


def progress(iterable, what, total=None, *, done=0, shown=True):
    """The same items, with a bar on the error stream that says what is being done and how long it will take.

    Parameters
    ----------
    iterable : iterable or None
        None for a bar that is moved by its ``update``.
    what : str
    total : int, optional
        How many items there are.
    done : int
        How many of them were done before.
    shown : bool
        False for no bar at all.
    """
    with _importing:
        from tqdm import tqdm

    hidden = None if shown else True  # None: hidden where there is no terminal
    return tqdm(iterable, desc=what, total=total, initial=done, disable=hidden, delay=2, leave=False)


def _in_a_forked_process():
    """Another thread may have held tqdm's own lock, and will never let it go here."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.set_lock(threading.RLock())
    _importing.release()


if hasattr(os, "register_at_fork"):  # no fork in the middle of an import: the forked process could not finish it
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_in_a_forked_process
    )
