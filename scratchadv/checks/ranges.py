"""Checks of the bounds of δ: the range of x + δ, a mask, a range for each feature."""

import numpy as np

from ..backend import namespace
from .numbers import is_finite, is_number
from .values import shown


def pixel_range(name, value):
    """Return the range of x + δ as a pair (lower, upper), or None where there is no range."""
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be a pair (lower, upper) or None, not {shown(value)}")
    return box(*value)


def bounds(name, value):
    """Return the bounds of δ: a pair (lower, upper) for the range of x + δ, a Box, a Mask, a Range, or None."""
    if getattr(value, "box", None) is not None:  # a perturbation set
        if value.box != value:
            raise TypeError(f"{name} = {shown(value)} contains a norm ball: pass the part without it, threat.box")
        return value
    if value is not None and (not isinstance(value, tuple | list) or len(value) != 2):
        raise TypeError(f"{name} must be a pair (lower, upper), a Box, a Mask, a Range or None, not {shown(value)}")
    return pixel_range(name, value)


def inside_bounds(x, value):
    """Refuse x outside the bounds that :func:`bounds` has returned."""
    if hasattr(value, "at"):
        value.at(x)
    elif value is not None:
        inside_box(x, *value)


def mask(name, value):
    """Return the value, which must be an array of bool or a list of them, as an array."""
    if isinstance(value, list | tuple):
        value = np.asarray(value)
    if getattr(getattr(value, "dtype", None), "kind", None) != "b" or value.ndim == 0:
        raise TypeError(f"{name} must be an array of bool, True where a feature may change, not {shown(value)}")
    return value


def broadcasts(what, value, x):
    """Refuse an array that does not broadcast to x."""
    if not _broadcasts(np.shape(value), np.shape(x)):
        raise ValueError(f"{what} has shape {np.shape(value)}; one that broadcasts to x, {np.shape(x)}, was expected")


def box(lower, upper):
    """Return the two ends of a range as floats or arrays; refuse an empty range, and ends that are not numbers."""
    low = _side("the lower end of the box", lower)
    high = _side("the upper end of the box", upper)
    xp = namespace(low, high)
    try:
        full = bool(xp.all(xp.asarray(low <= high)))
    except ValueError as error:
        raise ValueError(f"the box has ends of shapes {np.shape(low)} and {np.shape(high)}: {error}") from error
    if not full:  # also refuses NaN
        raise ValueError(f"the box [{lower}, {upper}] is empty: lower <= upper was expected")
    return low, high


def _side(name, value):
    if is_number(value):
        if not is_finite(value) and not isinstance(value, float | np.floating):
            raise ValueError(f"{name} is {shown(value)}: too large for a float")
        return float(value)
    if getattr(getattr(value, "dtype", None), "kind", None) in ("i", "u", "f") and value.ndim > 0:
        return value
    raise TypeError(f"{name} must be a number or an array of numbers, not {shown(value)}")


def inside_box(x, lower, upper, hint=""):
    """Refuse x outside [lower, upper] by more than rounding, and a box that does not broadcast to x."""
    xp = namespace(x, lower, upper)
    for side in (lower, upper):
        broadcasts("the box", side, x)
    slack = 4 * np.finfo(getattr(x, "dtype", float)).eps
    outside = xp.asarray((x < lower - slack) | (x > upper + slack))
    if outside.any():
        value = xp.broadcast_to(xp.asarray(x), outside.shape)[outside][0].item()
        raise ValueError(f"x holds {value:g}, outside the box [{lower}, {upper}]{hint}")


def finite_box(what, lower, upper, of=""):
    """Refuse a box with an infinite end, for computations that need the width of the range.

    ``what`` and ``of`` name the computation in the message.
    """
    xp = namespace(lower, upper)
    if not xp.isfinite(xp.asarray(upper - lower)).all():
        raise ValueError(f"{f'{what} {of}'.rstrip()} needs a finite box; [{lower}, {upper}] has an infinite side")


def _broadcasts(shape, onto):
    """Return whether an array of this shape broadcasts to the other shape."""
    try:
        return onto == () or np.broadcast_shapes(shape, onto) == onto
    except ValueError:
        return False
