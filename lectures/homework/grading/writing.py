"""Files that a command leaves: whole or not at all."""

import os
import stat
from contextlib import contextmanager
from pathlib import Path

from scratchadv.files import whole


@contextmanager
def written(path, mode="x", **options):
    """Open a file that takes the place of ``path`` at the end of the block; after an error the old file stays.

    A link stays a link: the file that it points to is replaced. A pipe or a device is written to directly.

    Parameters
    ----------
    path : str or path
    mode : {"x", "xb"}
        Text or bytes.
    **options
        Of ``open``.
    """
    path = Path(path)
    if is_stream(path):
        with path.open(mode.replace("x", "w"), **options) as file:
            yield file
    else:
        with whole(path.resolve(), mode, **options) as file:
            yield file


def is_stream(path):
    """Whether the path is a pipe or a device, into which one can only write."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode) and not Path(path).is_dir()
    except FileNotFoundError:
        return False


def check(path):
    """Refuse, before any work, a path that cannot be written.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    OSError
        If it is a folder, or its folder is missing or may not be written.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} cannot be written: it is a folder")
    place = path if is_stream(path) else path.resolve().parent
    if not os.access(place, os.W_OK):
        raise PermissionError(f"{path} cannot be written: {place} is missing or is not ours to write")
