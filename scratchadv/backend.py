"""NumPy or CuPy, as the array itself decides: the only file that imports CuPy.

Everything runs where its arrays are. To use a GPU, move the model and the data there, and the results back:

    model, x, y = to_device(model), to_device(x), to_device(y)
    delta = to_host(pgd(model, x, y, Linf(0.1)))
"""

import copy
import sys
from functools import cache

import numpy as np


def namespace(*arrays):
    """Return the module whose functions work on these arrays: ``numpy`` or ``cupy``.

    CuPy is not imported for this, since it must already be imported if there is a CuPy array. Python numbers and NumPy
    scalars work with both.

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
    """Return the host array ``array`` with the dtype of ``x``, on the device of ``x``."""
    return namespace(x).asarray(array, dtype=x.dtype)


def snapshot(thing):
    """Return the array as it is now, whatever its owner writes to it later; anything else is returned as it is.

    Parameters
    ----------
    thing : array or object

    Returns
    -------
    array or object
        A copy of the array, or the array itself if nobody can write to it.
    """
    if isinstance(thing, np.ndarray):
        return thing.copy("K") if _writable(thing) else thing
    return thing if namespace(thing) is np else thing.copy("K")  # a CuPy array


def read_only(array):
    """Return a read-only view, which ``snapshot`` does not copy; a device array is returned as it is.

    Use it for the caller's own arrays, or for arrays whose owner promises not to write to them.
    """
    return np.asarray(memoryview(array).toreadonly()) if isinstance(array, np.ndarray) else array


def _writable(array):
    """Whether someone can write to the array, directly or through an array that it is a view of."""
    return array.flags.writeable or (isinstance(array.base, np.ndarray) and _writable(array.base))


def host(array):
    """Return the array or number as a NumPy array on the host; only a device array is copied."""
    return np.asarray(array) if namespace(array) is np else array.get()


def has_gpu():
    """Whether CuPy is installed and finds a GPU. Without a GPU it can be imported, but it cannot allocate arrays."""
    try:
        import cupy

        return cupy.is_available()
    except (ImportError, RuntimeError):  # CuPy 13 raises instead of returning False if the driver is too old
        return False


@cache
def memory(cupy):
    """Return the memory of the GPU in bytes, asked for only once; a simulated GPU has 16 GiB."""
    return cupy.cuda.Device().mem_info[1] if hasattr(cupy, "cuda") else 16 << 30


def to_device(thing):
    """Return the arrays or the model on the GPU; arrays that are already there are not copied.

    Parameters
    ----------
    thing : array, dict of arrays, or Model
        For a model the result is a copy of it, with its ``params`` moved; for a model around another model, with the
        parameters of the model inside moved.

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
    """Return the arrays or the model with NumPy arrays; arrays that are already on the host are not copied.

    Parameters
    ----------
    thing : array, dict of arrays, or Model
        For a model the result is a copy of it, with its ``params`` moved; for a model around another model, with the
        parameters of the model inside moved.

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
