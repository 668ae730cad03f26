"""One way to show progress: a bar on a terminal, for what takes longer than two seconds; nothing elsewhere."""


def progress(iterable, what, total=None):
    """The same items, with a bar on the error stream that says what is being done and how long it will take."""
    from tqdm import tqdm

    return tqdm(iterable, desc=what, total=total, disable=None, delay=2, leave=False)
