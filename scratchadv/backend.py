"""NumPy or CuPy, decided by the array itself: the only file that knows of CuPy.

Everything runs where its arrays lie. To run on a GPU, move model and data there, and the results back:

    model, x, y = to_device(model), to_device(x), to_device(y)
    delta = to_host(pgd(model, x, y, Linf(0.1)))
"""

import copy
import sys
from functools import cache

import numpy as np


def namespace(*arrays):
    """The module whose functions work on these arrays: ``numpy`` or ``cupy``.

    CuPy is not imported for that: whoever holds a CuPy array has imported it already. Python numbers
    and NumPy scalars go with either.

    Parameters
    ----------
    *arrays : array or number

    Returns
    -------
    module

    Raises
    ------
    TypeError
        If NumPy and CuPy arrays are mixed.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return np
    on_device = any(isinstance(a, cupy.ndarray) for a in arrays)
    on_host = any(isinstance(a, np.ndarray) and a.ndim > 0 for a in arrays)
    if on_device and on_host:
        raise TypeError("NumPy and CuPy arrays are mixed; move all of them to one side first: to_device, to_host")
    return cupy if on_device else np


def like(array, x):
    """The host array ``array`` with the dtype of ``x``, on the device where ``x`` lives."""
    return namespace(x).asarray(array, dtype=x.dtype)


def snapshot(thing):
    """The array as it is now, whatever its owner writes to it later; anything else is returned as it is.

    Parameters
    ----------
    thing : array or object

    Returns
    -------
    array or object
        A copy of the array; the array itself if nobody can write to it.
    """
    if isinstance(thing, np.ndarray):
        return thing.copy("K") if _writable(thing) else thing
    return thing if namespace(thing) is np else thing.copy("K")  # of CuPy


def read_only(array):
    """The same numbers in an array that cannot be written to, which ``snapshot`` does not copy; on a device as it is.

    For arrays of one's own, and for arrays whose owner has promised not to write to them for a while.
    """
    return np.asarray(memoryview(array).toreadonly()) if isinstance(array, np.ndarray) else array


def _writable(array):
    """Whether someone can write to the numbers of the array, through it or through what it is a view of."""
    return array.flags.writeable or (isinstance(array.base, np.ndarray) and _writable(array.base))


def host(array):
    """The array, or the number, as a NumPy array on the host, copied only from a device."""
    return np.asarray(array) if namespace(array) is np else array.get()


def has_gpu():
    """Whether CuPy is installed and finds a GPU: without one it can be imported, but nothing can be allocated."""
    try:
        import cupy

        return cupy.is_available()
    except (ImportError, RuntimeError):  # CuPy 13 raises, instead of answering, where the driver is too old
        return False


@cache
def memory(cupy):
    """The bytes of memory that the GPU has, asked for once; 16 GiB where it is a pretended one."""
    return cupy.cuda.Device().mem_info[1] if hasattr(cupy, "cuda") else 16 << 30


def to_device(thing):
    """The same thing on the GPU; what is there already is not copied.

    Parameters
    ----------
    thing : array, dict of arrays, or Model
        Of a model its ``params`` are moved, into a copy of it; of a model around another one, those of the model
        inside.

    Returns
    -------
    array, dict of arrays, or Model

    Raises
    ------
    ImportError
        If CuPy is not installed.
    RuntimeError
        If CuPy finds no GPU.
    """
    try:
        import cupy
    except ImportError as error:
        raise ImportError("to_device needs CuPy: pip install 'scratchadv[gpu]'") from error
    if not has_gpu():
        raise RuntimeError("to_device needs a GPU, and CuPy finds none: is the driver new enough?")
    return _moved(thing, cupy.asarray)


def to_host(thing):
    """The same thing in NumPy arrays; what is there already is not copied.

    Parameters
    ----------
    thing : array, dict of arrays, or Model
        Of a model its ``params`` are moved, into a copy of it; of a model around another one, those of the model
        inside.

    Returns
    -------
    array, dict of arrays, or Model
    """
    return _moved(thing, host)


def _moved(thing, move):
    if isinstance(thing, dict):
        return {name: move(array) for name, array in thing.items()}
    if hasattr(thing, "params"):
        thing = copy.copy(thing)
        for name in ("params", "model"):  # a model around another one has its parameters inside
            if name in vars(thing):
                setattr(thing, name, _moved(vars(thing)[name], move))
        return thing
    return move(thing)
