"""A progress bar on a terminal for work that takes longer than two seconds; elsewhere nothing is shown."""

import os
import sys
import threading

_importing = threading.RLock()


def progress(iterable, what, total=None, *, done=0, shown=True):
    """Return the same items with a bar on the error stream that shows what is being done and how long it will take.

    Parameters
    ----------
    iterable : iterable or None
        None for a bar that is moved by its ``update``.
    what : str
        The work, such as "drawing digits".
    total : int, optional
        The number of items.
    done : int
        How many of them were already done.
    shown : bool
        If False there is no bar.
    """
    with _importing:
        from tqdm import tqdm

    hidden = None if shown else True  # None hides the bar where there is no terminal
    return tqdm(iterable, desc=what, total=total, initial=done, disable=hidden, delay=2, leave=False)


def _in_a_forked_process():
    """Replace tqdm's lock: another thread may have held it, and will never release it in this process."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.set_lock(threading.RLock())
    _importing.release()


if hasattr(os, "register_at_fork"):  # no fork during an import, which the forked process could not finish
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_in_a_forked_process
    )
