"""Arrays and a description in one ``.npz`` file, without pickle; damaged files are refused."""

import json
import math
import zipfile
from contextlib import contextmanager
from io import BytesIO

import numpy as np

from ..backend import host
from . import files

ABOUT = "about"  # the entry that holds the description, as JSON text
FORMAT = 1


def write(path, kind, about, arrays):
    """Write the file, so that at any time, also after a crash, the path holds the old file or the complete new one.

    Parameters
    ----------
    path : str or path
        Used as it is, without adding an ending; its folder must exist.
    kind : str
        What the file is, such as "model".
    about : dict
        The description, which must be representable in JSON.
    arrays : dict of str to array
        Arrays on the host or on a device; their dtypes are kept.
    """
    text = json.dumps({"scratchadv": kind, "format": FORMAT, "names": list(arrays), **about})
    content = BytesIO()  # a pipe then gets the same bytes as a file, which savez would go back in to change
    np.savez(content, **{ABOUT: np.array(text)}, **{f"arrays/{name}": host(a) for name, a in arrays.items()})
    with files.whole(path, "xb") as file:
        file.write(content.getbuffer())


class BadFileError(ValueError):
    """Raised if a file is damaged or does not hold what was expected."""


@contextmanager
def refusing(what):
    """Turn any error in the block into a BadFileError, since the content of a damaged file can fail in any way.

    Parameters
    ----------
    what : str
        What is wrong if the block fails, beginning with the path.
    """
    try:
        yield
    except BadFileError:  # its own message says what is wrong
        raise
    except Exception as error:
        raise BadFileError(f"{what}: {type(error).__name__}: {error!s:.200}") from error


def read(path, kind):
    """Return the description and the arrays that ``write`` wrote, using no more memory than the size of the file.

    Parameters
    ----------
    path : str or path
    kind : str
        What the file must be, such as "model".

    Returns
    -------
    about : dict
    arrays : dict of str to ndarray

    Raises
    ------
    OSError
        If there is no such file, it is not a regular file, or it cannot be read.
    BadFileError
        A ValueError: if the file is damaged, cut off, holds pickles, or is of another kind.
    """
    content = files.read_bytes(path)
    with refusing(f"{path} is damaged, cut off, or not a file of scratchadv"):
        found = _entries(content)
    with refusing(f"{path} is an .npz file, but not one of scratchadv: a {kind} was expected"):
        about = json.loads(found.pop(ABOUT).item())
        found_kind, found_format, names = (about.pop(key) for key in ("scratchadv", "format", "names"))
        expected = {f"arrays/{name}": name for name in map(str, names)}
    if (found_kind, found_format) != (kind, FORMAT):
        raise BadFileError(
            f"{path} is a {found_kind!s:.40} in format {found_format!s:.40}; a {kind} in format {FORMAT} was expected"
        )
    if sorted(found) != sorted(expected):
        raise BadFileError(
            f"{path} is damaged: it holds {sorted(found)!s:.200}; the arrays {names!s:.200} were expected"
        )
    return about, {name: found[entry] for entry, name in expected.items()}


def _entries(content):
    """Return the arrays of an ``.npz`` file by name; refuse a file that would be larger when unpacked."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed; files of scratchadv are not")
        if sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("its directory promises more bytes than the file has")
        return {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}


def _array(content):
    """Return the array in the bytes of an ``.npy`` file; refuse a header that does not fit the number of bytes."""
    file = BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is in a format that scratchadv does not write")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not loaded: allow_pickle=False")
    if dtype.itemsize == 0:
        raise ValueError(f"entries of dtype {dtype} have no bytes, so their number says nothing")
    promised = math.prod(shape) * dtype.itemsize
    found = len(content) - file.tell()
    if promised != found:
        raise ValueError(f"an array of shape {shape} and dtype {dtype} has {promised} bytes, not {found}")
    return np.ndarray(shape, dtype, content, file.tell(), order="F" if by_columns else "C").copy(order="K")


def check_shapes(path, found, shapes):
    """Refuse arrays whose names or shapes differ from the expected ones.

    Parameters
    ----------
    path : str or path
        The file, for the message.
    found : dict of str to array
    shapes : dict of str to tuple of int
        The expected shapes by name.
    """
    there = {name: np.shape(a) for name, a in found.items()}
    if there != shapes:
        name = next(name for name in (*shapes, *there) if there.get(name) != shapes.get(name))
        raise BadFileError(
            f"{path} does not fit: {name} has shape {there.get(name)} there; {shapes.get(name)} was expected"
        )


def not_finite(arrays):
    """Return the name of the first array that holds NaN or an infinite value, or None.

    Parameters
    ----------
    arrays : dict of str to ndarray
    """
    return next((name for name, a in arrays.items() if not np.isfinite(a).all()), None)
