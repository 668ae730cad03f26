"""Arrays and a description in one ``.npz`` file: no pickle, written whole or not at all, refused if damaged."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np

from . import files
from .backend import host

ABOUT = "about"  # the entry that holds the description, as JSON text
FORMAT = 1


def write(path, kind, about, arrays):
    """Write the file at once: whoever reads meanwhile, or after a crash, finds the old file or the new one.

    Parameters
    ----------
    path : str or path
        Used as it is, nothing is appended; its folder must be there.
    kind : str
        What the file is, such as "model".
    about : dict
        The description: whatever JSON can say.
    arrays : dict of str to array
        On the host or on a device; their dtypes are kept.
    """
    text = json.dumps({"scratchadv": kind, "format": FORMAT, "names": list(arrays), **about})
    with files.whole(path, "xb") as file:
        np.savez(file, **{ABOUT: np.array(text)}, **{f"arrays/{name}": host(a) for name, a in arrays.items()})


def read(path, kind):
    """The description and the arrays that ``write`` has written.

    Parameters
    ----------
    path : str or path
    kind : str
        What the file must be.

    Returns
    -------
    about : dict
    arrays : dict of str to ndarray

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is damaged, cut off, holds pickles, or is another file.
    """
    content = BytesIO(Path(path).read_bytes())
    try:
        with np.load(content, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged file can fail in any way
        raise ValueError(f"{path} is damaged, cut off, or no file of scratchadv at all ({error})") from error
    try:
        about = json.loads(found.pop(ABOUT).item())
        found_kind, found_format, names = (about.pop(key) for key in ("scratchadv", "format", "names"))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is an .npz file, but not one of scratchadv: a {kind} was expected") from error
    if (found_kind, found_format) != (kind, FORMAT):
        raise ValueError(f"{path} is a {found_kind} in format {found_format}; a {kind} in format {FORMAT} was expected")
    if sorted(found) != sorted(f"arrays/{name}" for name in names):
        raise ValueError(f"{path} is damaged: it holds {sorted(found)}; the arrays {names} were expected")
    return about, {name: found[f"arrays/{name}"] for name in names}


def check_shapes(path, found, expected):
    """Refuse arrays that differ from the expected ones by name or shape.

    Parameters
    ----------
    path : str or path
        For the message.
    found, expected : dict of str to array
    """
    shapes, wanted = ({name: np.shape(a) for name, a in arrays.items()} for arrays in (found, expected))
    if shapes != wanted:
        name = next(name for name in (*wanted, *shapes) if shapes.get(name) != wanted.get(name))
        raise ValueError(
            f"{path} does not fit: {name} has shape {shapes.get(name)} there; {wanted.get(name)} was expected"
        )
