"""Checks of flags, text, paths, functions and lists, and of objects by their attributes."""

import inspect
import os
from contextlib import suppress

import numpy as np


def flag(name, value):
    """Return the value, which must be True or False, as a Python bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def text(name, value):
    """Return the value if it is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {shown(value)}")
    return value


def path(name, value):
    """Return the value if it may name a file or folder: a string, or a path such as those of ``pathlib``."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be text or a path, not {shown(value)}")
    if str(value) == "" or "\0" in str(value):
        raise ValueError(f"{name} = {shown(value)} cannot be the name of a file or folder")
    return value


def function(name, value, arguments=None, named=()):
    """Return the value if it can be called with these arguments.

    Parameters
    ----------
    name : str
    value : object
    arguments : sequence of str, optional
        A word for each positional argument, in order. Default: any arguments are accepted.
    named : sequence of str
        The names of the keyword arguments.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {shown(value)}")
    if arguments is not None and not _takes(value, arguments, named):
        words = ", ".join([*arguments, *(f"{option}=..." for option in named)])
        raise TypeError(f"{name} must be a function that can be called with ({words}); {shown(value)} cannot")
    return value


def _takes(function, arguments, named):
    """Return whether the function can be called with these arguments, as far as Python knows its parameters."""
    for follow in (True, False):  # a decorator may take other arguments than the function that it wraps
        try:
            signature = inspect.signature(function, follow_wrapped=follow)
        except (ValueError, TypeError):  # some functions that are written in C have no signature
            return True
        with suppress(TypeError):
            signature.bind(*arguments, **dict.fromkeys(named))
            return True
    return False


def no_class(name, value, what):
    """Refuse a class in the place of one of its instances; ``what`` says what was expected."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; {what} was expected: call the class first")


def has(name, value, attributes, what):
    """Return the value if it is not a class and none of the attributes is missing or None.

    ``what`` says what was expected.
    """
    no_class(name, value, what)
    if missing := [attribute for attribute in attributes if getattr(value, attribute, None) is None]:
        raise TypeError(f"{name} must be {what}; {shown(value)} has no {missing[0]}")
    return value


def sequence(name, value, least=0):
    """Return the values of an ordered collection as a list; refuse other objects, and fewer than ``least`` values."""
    no_class(name, value, "a sequence")
    unordered = isinstance(value, str | bytes | dict | set | frozenset)
    if unordered or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"{name} must be a sequence, such as a list, not {shown(value)}")
    values = list(value)
    if len(values) < least:
        raise ValueError(f"{name} = {shown(value)} must have at least {least} {'values' if least > 1 else 'value'}")
    return values


def by_name(name, value):
    """Return the value if it is a dict whose keys are strings."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict, not {shown(value)}")
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"{name} has the key {shown(wrong[0])}; names were expected")
    return value


def shown(value):
    """Return a text that shows the value in a message, shortened to 200 characters."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        words = repr(value)
    except Exception:  # a whole number with too many digits, or an object whose repr fails
        words = f"a {type(value).__name__}"
    return words if len(words) <= 200 else f"{words[:200]}…"
