"""Files that are written completely or not at all, and read only if they are regular files."""

import os
import stat
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path, mode="x", **options):
    """Open a file that replaces ``path`` at the end of the block; after an error the old file stays.

    At any time, also after a crash, the path holds the old file or the complete new one. A link stays a link: the file
    that it points to is replaced. The new file gets the permissions of the old one. A pipe or a device is written to
    directly.

    Parameters
    ----------
    path : str or path
        Used as it is, without adding an ending; its folder must exist.
    mode : {"x", "xb"}
        Text or bytes.
    **options
        Options of ``open``.
    """
    path = Path(path)
    old = _status(path)
    if old and not stat.S_ISREG(old.st_mode):
        with path.open(mode.replace("x", "w"), **options) as file:
            yield file
        return
    path = path.resolve()
    part = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.part")  # the same folder, so that replacing is atomic
    try:
        with part.open(mode, **options) as file:
            if old:
                _hand_on_permissions(old, part)  # before the content, which may be private
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path, text):
    """Write the text in UTF-8, completely or not at all, with ``?`` for what UTF-8 lacks (half a surrogate pair)."""
    with whole(path, encoding="utf-8", errors="replace") as file:
        file.write(text)


def check_writable(path):
    """Refuse, before long work, a path that ``whole`` could not write to; nothing is written.

    Parameters
    ----------
    path : str or path
        A file, which need not exist, or a pipe or a device.

    Raises
    ------
    OSError
        If the path is a folder, if its folder is missing or not a folder, or if either cannot be written to.
    """
    path = Path(path)
    try:
        _try_writing(path, _status(path))
    except OSError as error:
        raise type(error)(f"{path} cannot be written: {error.strerror or error}") from error


def read_bytes(path):
    """Return the content of a regular file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    bytes

    Raises
    ------
    OSError
        If there is no such file, if it is a folder, a pipe or a device, or if it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for someone to write into it
        raise OSError(f"{path} is not a regular file: a folder, a pipe or a device is not read")
    return Path(path).read_bytes()


def _status(path):
    """Return the status of the file, following links, or None if there is none."""
    with suppress(FileNotFoundError):
        return os.stat(path)


def _try_writing(path, old):
    """Raise an OSError if writing would raise one; ``old`` is the status of the existing file."""
    if old and stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError("it is a folder")
    if old and not stat.S_ISREG(old.st_mode):
        if not os.access(path, os.W_OK):
            raise PermissionError("no permission")
        return
    folder = path.resolve().parent
    if not folder.exists():
        raise FileNotFoundError(f"the folder {folder} is missing")
    with tempfile.TemporaryFile(dir=folder):
        pass


def _hand_on_permissions(old, new):
    """Give the new file the owner and the permissions of the old one, as far as this user is allowed to."""
    with suppress(OSError, AttributeError):  # Windows has no owners
        os.chown(new, old.st_uid, old.st_gid)
    with suppress(OSError):
        os.chmod(new, stat.S_IMODE(old.st_mode))
