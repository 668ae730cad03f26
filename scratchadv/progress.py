"""One way to show progress: a bar on a terminal, for what takes longer than two seconds; nothing elsewhere."""


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
    from tqdm import tqdm

    hidden = None if shown else True  # None: hidden where there is no terminal
    return tqdm(iterable, desc=what, total=total, initial=done, disable=hidden, delay=2, leave=False)
