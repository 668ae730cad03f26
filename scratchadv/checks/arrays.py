"""Checks of arrays, their shapes and dtypes: batches of images, single examples, parameters and seeds."""

import numpy as np

from ..backend import namespace
from .numbers import count
from .values import sequence, shown


def array(name, value, what):
    """Return the value as an array of numbers in C order and native byte order.

    ``what`` describes the expected array in messages, such as "of shape (N, *D)".
    """
    if namespace(value) is not np:
        return namespace(value).ascontiguousarray(value)
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; a plain array {what} was expected")
    if not hasattr(value, "dtype") and not isinstance(value, list | tuple) and not hasattr(value, "__array__"):
        raise TypeError(f"{name} must be an array {what}, not {type(value).__name__}")
    try:
        found = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} cannot be made an array {what}: {error}") from error
    if found.dtype.kind not in "biufc":
        raise TypeError(f"{name} must be an array {what} that holds numbers, not {found.dtype}")
    found = found.astype(found.dtype.newbyteorder("="), copy=False)
    return found if found.ndim == 0 else np.ascontiguousarray(found)


def images(x, name="x"):
    """Return a non-empty batch of finite floats, shape ``(N, *D)``, as an array in C order and native byte order.

    Lists, pandas tables, and arrays that are read-only, memory-mapped or otherwise unusual are converted.
    """
    x = array(name, x, "of shape (N, *D)")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} has dtype {x.dtype}; float32 or float64 was expected (8-bit images: divide by 255 first)"
        )
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; at least one example was expected, shape (N, *D)")
    xp = namespace(x)
    if not xp.isfinite(x).all():
        raise ValueError(f"{name} holds {x[~xp.isfinite(x)][0].item()}; finite values were expected")
    return x


def example(name, value):
    """Return a single example, or an array shaped like one, as :func:`images` returns a batch."""
    if isinstance(value, list | tuple):
        value = np.asarray(array(name, value, "of the shape of one example"))
    if namespace(value) is np and not hasattr(value, "__array__"):
        raise TypeError(f"{name} must be an array of the shape of one example, not {shown(value)}")
    return images(value[None], name)[0]


def parameter(name, value):
    """Return the value if it is an array of float32 or float64, of any shape."""
    if getattr(value, "dtype", None) not in (np.float32, np.float64):
        raise TypeError(f"{name} must be an array of float32 or float64, not {shown(value)}")
    return value


def dtype(name, value):
    """Return the value, which must mean float32 or float64, as a NumPy dtype."""
    if not isinstance(value, str | type | np.dtype) or value not in (
        np.float32,
        np.float64,
        float,
        "float32",
        "float64",
    ):
        raise TypeError(f"{name} must be float32 or float64, not {shown(value)}")
    return np.dtype(value)


def shape(name, value, sides=None):
    """Return the value as a tuple of at least one whole number >= 1, or of exactly ``sides`` such numbers."""
    found = tuple(count(f"{name}[{i}]", side, least=1) for i, side in enumerate(sequence(name, value, least=1)))
    if sides not in (None, len(found)):
        raise ValueError(f"{name} = {shown(value)} must have {sides} sides")
    return found


def seeds(name, value):
    """Return the value, which must be a NumPy array of whole numbers, as uint64."""
    value = array(name, value, "of whole numbers, shape (N,)")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim != 1:
        raise TypeError(f"{name} must be an array of whole numbers in NumPy, shape (N,), not {shown(value)}")
    return value.astype(np.uint64)


def same_shape(a, x, name):
    """Refuse an array that has not the shape of x, or that is on another device."""
    one_side(a, x)
    if a.shape != x.shape:
        raise ValueError(f"{name} has shape {a.shape}; the shape of x, {x.shape}, was expected")


def one_side(*arrays):
    """Refuse a mix of NumPy and CuPy arrays."""
    namespace(*arrays)


def on_host(what, *arrays):
    """Refuse arrays on a GPU; ``what`` names the computation that needs SciPy and so NumPy arrays."""
    if namespace(*arrays) is not np:
        raise TypeError(f"{what} runs on NumPy arrays only; move these with to_host first")
