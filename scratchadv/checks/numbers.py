"""Checks of numbers and of random generators."""

import math
import numbers

import numpy as np

from ..backend import host
from .values import shown


def number(name, value):
    """Return the value, which must be a finite number, as a Python float."""
    value = value.item() if getattr(value, "shape", None) == () else value
    if not is_number(value):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not is_finite(value):
        raise ValueError(f"{name} = {shown(value)} must be finite")
    return float(value)


def size(name, value):
    """Return the value, which must be a finite number >= 0, as a Python float."""
    if not is_number(value):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not (is_finite(value) and value >= 0):
        raise ValueError(f"{name} = {shown(value)} must be finite and >= 0")
    return float(value)


def sizes(name, value):
    """Return a finite number >= 0 as a Python float, or a one-dimensional array of them as a float64 NumPy array."""
    if getattr(value, "ndim", 0) == 0:
        return size(name, value)
    value = host(value)
    if value.ndim != 1 or value.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number, or an array of them of shape (N,), not {shown(value)}")
    if not (np.isfinite(value) & (value >= 0)).all():
        raise ValueError(f"{name} = {shown(value)} must be finite and >= 0")
    return value.astype(float)


def counts(name, value):
    """Return a whole number >= 0 as a Python int, or a one-dimensional array of them as a NumPy array."""
    if getattr(value, "ndim", 0) == 0:
        return count(name, value)
    value = host(value)
    if value.ndim != 1 or value.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a whole number, or an array of them of shape (N,), not {shown(value)}")
    if (value < 0).any():
        raise ValueError(f"{name} = {shown(value)} must be >= 0")
    return value.astype(int)


def positive(name, value):
    """Return the value, which must be a finite number > 0, as a Python float."""
    value = size(name, value)
    if value == 0:
        raise ValueError(f"{name} = {value} must be > 0")
    return value


def share(name, value):
    """Return the value, which must be in [0, 1], as a Python float."""
    value = size(name, value)
    if value > 1:
        raise ValueError(f"{name} = {value} must be <= 1")
    return value


def below_one(name, value):
    """Return the value, which must be in [0, 1), as a Python float."""
    value = share(name, value)
    if value == 1:
        raise ValueError(f"{name} = {value} must be < 1")
    return value


def signed(name, value):
    """Return the value, which must be a finite number other than 0, as a Python float."""
    value = number(name, value)
    if value == 0:
        raise ValueError(f"{name} = {value} must not be 0")
    return value


def count(name, value, least=0, below=2**63):
    """Return the value, which must be a whole number >= ``least`` and < ``below``, as a Python int."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if value < least:
        raise ValueError(f"{name} = {shown(value)} must be >= {least}")
    if value >= below:
        raise ValueError(f"{name} = {shown(value)} must be below 2**63")
    return int(value)


def seed(name, value):
    """Return the value, which must be a whole number >= 0 of any size, as a Python int."""
    return count(name, value, below=math.inf)


def rng(name, value):
    """Return the value if it is a NumPy generator, or a generator that is seeded with it.

    Raises
    ------
    TypeError
        If the value is neither a ``numpy.random.Generator`` nor a whole number.
    """
    if isinstance(value, np.random.Generator):
        return value
    if not isinstance(value, numbers.Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be np.random.default_rng(seed) or a whole number as its seed, not {shown(value)}")
    return np.random.default_rng(count(name, value))


def is_number(value):
    """Return whether the value is a real number and not a bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def is_finite(value):
    """Return whether the number fits a float and is neither infinite nor NaN."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that is larger than every float
        return False
