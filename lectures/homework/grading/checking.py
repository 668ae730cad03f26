"""Helpers that the tests of all homeworks share: the settings of hypothesis, and answers as plain arrays.

Importing this file makes hypothesis try the same examples for everyone, in every run.
"""

import numpy as np
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "homework",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=False,
    max_examples=60,
    phases=set(Phase) - {Phase.explain},  # nobody reads it, and tracing every line takes seconds
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("homework")


def array_of(value, shape, what="the answer"):
    """Return the value as a plain array of floats; anything else raises an error in plain words.

    Parameters
    ----------
    value : array, or float for shape ``()``
    shape : tuple
    what : str
        The name of the value in messages.

    Returns
    -------
    array, float64
        A copy.
    """
    number = type(value) in (float, int) or isinstance(value, np.floating)
    assert type(value) is np.ndarray or number, f"{what} should be an array of floats, but is {_kind(value)}"
    array = np.array(value)
    assert array.dtype.kind == "f" or number, f"{what} should hold floats, but holds {array.dtype}"
    assert array.shape == tuple(shape), f"{what} should have shape {tuple(shape)}, but has {array.shape}"
    assert np.isfinite(array).all(), f"{what} should be finite, but is {said(array)}"
    return array.astype(float)


def answer(function, *arguments, shape, what="the answer"):
    """Return the function's value at these arguments as :func:`array_of` does; it may not change arrays among them."""
    given = [argument.copy() if type(argument) is np.ndarray else argument for argument in arguments]
    value = array_of(function(*given), shape, what)
    for argument, after in zip(arguments, given, strict=True):
        if type(argument) is np.ndarray:
            assert np.array_equal(argument, after), f"{what}: the argument {said(argument)} was changed in place"
    return value


def close(found, expected, atol=1e-9):
    """Return whether two plain arrays are equal up to rounding."""
    return bool((abs(np.asarray(found) - expected) <= atol * np.maximum(1, abs(np.asarray(expected)))).all())


def said(array):
    """Return an array as a student would type it: [3, -4], or [[1, 2], [3, 4]]."""
    array = np.asarray(array)
    if array.ndim == 0:
        return f"{array.item() + 0.0:.6g}"
    return f"[{', '.join(said(part) for part in array)}]"


def _kind(value):
    return "None" if value is None else f"a {type(value).__name__}"
