"""NumPy or CuPy, decided by the array itself: the only file that knows of CuPy."""

import sys

import numpy as np


def namespace(*arrays):
    """The module whose functions work on these arrays: ``numpy`` or ``cupy``.

    CuPy is never imported from here: whoever holds a CuPy array has imported it already. Python numbers
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
        raise TypeError("NumPy and CuPy arrays are mixed; move all of them to one side first")
    return cupy if on_device else np


def like(array, x):
    """The host array ``array`` with the dtype of ``x``, on the device where ``x`` lives."""
    return namespace(x).asarray(array, dtype=x.dtype)
