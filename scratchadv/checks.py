"""Bad input is refused here, before any work, in words that name the value and what was expected."""

import math
import numbers

import numpy as np

from .backend import namespace
from .blas import one_blas_thread


def radius(name, value):
    """The radius as a Python float; refuse what is not a finite number >= 0."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} = {value} must be finite and >= 0")
    return float(value)


def count(name, value, least=0):
    """The count as a Python int; refuse what is not a whole number >= ``least``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} = {value} must be >= {least}")
    return int(value)


def box(lower, upper):
    """Refuse a pixel range that is empty or not a number."""
    one_side(lower, upper)
    if not np.all(lower <= upper):  # also refuses NaN
        raise ValueError(f"the box [{lower}, {upper}] is empty: lower <= upper was expected")


def inside_box(x, lower, upper, hint=""):
    """Refuse x outside [lower, upper]; rounding is forgiven."""
    xp = namespace(x, lower, upper)
    slack = 4 * np.finfo(getattr(x, "dtype", float)).eps
    outside = xp.asarray((x < lower - slack) | (x > upper + slack))
    if outside.any():
        value = xp.broadcast_to(xp.asarray(x), outside.shape)[outside][0].item()
        raise ValueError(f"x holds {value:g}, outside the box [{lower}, {upper}]{hint}")


def images(x, name="x"):
    """Refuse what is no non-empty batch of finite floats, shape ``(N, *D)``."""
    xp = namespace(x)
    if not hasattr(x, "dtype"):
        raise TypeError(f"{name} must be an array of shape (N, *D), not {type(x).__name__}")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} has dtype {x.dtype}; float32 or float64 was expected (8-bit images: divide by 255 first)"
        )
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; at least one example was expected, shape (N, *D)")
    if not xp.isfinite(x).all():
        raise ValueError(f"{name} holds {x[~xp.isfinite(x)][0].item()}; finite values were expected")


def signs(y, n, name="y"):
    """Refuse what are not ``n`` labels −1/+1."""
    _label_shape(y, n, name)
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item():g}; the labels of a binary model are -1 and +1")


def classes(y, n, k, name="y"):
    """Refuse what are not ``n`` integer labels in 0 to k − 1."""
    _label_shape(y, n, name)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {y.dtype}; integer labels in 0..{k - 1} were expected")
    wrong = y[(y < 0) | (y >= k)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item()}; labels in 0..{k - 1} were expected")


def labels(y, z, name="y"):
    """Refuse labels that do not fit the logits: −1/+1 for ``(N,)``, 0 to K − 1 for ``(N, K)``."""
    if z.ndim == 1:
        signs(y, len(z), name)
    else:
        classes(y, len(z), z.shape[1], name)


def examples(model, x, y, name="y"):
    """Refuse examples and labels that the model cannot be asked about; costs the logits of one example."""
    one_side(x, y, *getattr(model, "params", {}).values())
    images(x)
    with one_blas_thread():
        z = model.logits(x[:1])
    labels(y, namespace(z).broadcast_to(z, (len(x), *z.shape[1:])), name)


def attack(model, x, y, threat, target=None):
    """Refuse bad input to an attack."""
    examples(model, x, y)
    threat.at(x)
    if target is not None:
        examples(model, x, target, "target")


def smallest_change(model, x, y, pixels, target=None):
    """Refuse bad input to an attack that looks for the smallest change; ``pixels`` is (lower, upper) or None."""
    examples(model, x, y)
    if pixels is not None:
        box(*pixels)
        inside_box(x, *pixels)
    if target is not None:
        examples(model, x, target, "target")


def same_shape(a, x, name):
    """Refuse an array that is not shaped like x, or does not lie where x lies."""
    one_side(a, x)
    if a.shape != x.shape:
        raise ValueError(f"{name} has shape {a.shape}; the shape of x, {x.shape}, was expected")


def one_side(*arrays):
    """Refuse a mix of NumPy and CuPy arrays."""
    namespace(*arrays)


def on_host(what, *arrays):
    """Refuse arrays on a device, for what is done by SciPy."""
    if namespace(*arrays) is not np:
        raise TypeError(f"{what} runs on NumPy arrays only; move these with to_host first")


def _label_shape(y, n, name):
    if not hasattr(y, "dtype"):
        raise TypeError(f"{name} must be an array of {n} labels, not {type(y).__name__}")
    if y.shape != (n,):
        raise ValueError(f"{name} has shape {y.shape}; one label an example, ({n},), was expected")
