"""Checks of flags, text, paths, functions and lists, and of objects by what they offer."""

import inspect
import os
from contextlib import suppress

import numpy as np


def flag(name, value):
    """Return the value as a Python bool; refuse what is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def text(name, value):
    """Refuse what is not text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {shown(value)}")
    return value


def path(name, value):
    """Refuse what is no name of a file or folder: text, or a path such as those of ``pathlib``."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be text or a path, not {shown(value)}")
    if str(value) == "" or "\0" in str(value):
        raise ValueError(f"{name} = {shown(value)} is no name of a file or folder")
    return value


def function(name, value, arguments=None, named=()):
    """Refuse what cannot be called, or not with these arguments.

    Parameters
    ----------
    name : str
    value : object
    arguments : sequence of str, optional
        What each of the arguments is, in their order. Default: any.
    named : sequence of str
        The names of further arguments, which are passed by name.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {shown(value)}")
    if arguments is not None and not _takes(value, arguments, named):
        words = ", ".join([*arguments, *(f"{option}=..." for option in named)])
        raise TypeError(f"{name} must be a function that can be called with ({words}); {shown(value)} cannot")
    return value


def _takes(function, arguments, named):
    """Whether the function can be called so, as far as Python knows its parameters."""
    for follow in (True, False):  # a decorator may take other arguments than the function that it wraps
        try:
            signature = inspect.signature(function, follow_wrapped=follow)
        except (ValueError, TypeError):  # of some functions that are written in C
            return True
        with suppress(TypeError):
            signature.bind(*arguments, **dict.fromkeys(named))
            return True
    return False


def no_class(name, value, what):
    """Refuse a class where one of its objects belongs; ``what`` says what was expected."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; {what} was expected: call the class first")


def has(name, value, attributes, what):
    """Return the value; refuse classes, and objects that lack one of the attributes, or have None in its place.

    ``what`` says what was expected.
    """
    no_class(name, value, what)
    if missing := [attribute for attribute in attributes if getattr(value, attribute, None) is None]:
        raise TypeError(f"{name} must be {what}; {shown(value)} has no {missing[0]}")
    return value


def sequence(name, value, least=0):
    """Return a list of the values; refuse what does not give them one after the other, or gives too few."""
    no_class(name, value, "a sequence")
    unordered = isinstance(value, str | bytes | dict | set | frozenset)
    if unordered or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"{name} must be a sequence, such as a list, not {shown(value)}")
    values = list(value)
    if len(values) < least:
        raise ValueError(f"{name} = {shown(value)} must have at least {least} {'values' if least > 1 else 'value'}")
    return values


def by_name(name, value):
    """Return the value; refuse what is no dict whose keys are text."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict, not {shown(value)}")
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"{name} has the key {shown(wrong[0])}; names were expected")
    return value


def shown(value):
    """Return the value in words for a message, shortened."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        words = repr(value)
    except Exception:  # a whole number of too many digits, or an object that cannot be shown
        words = f"a {type(value).__name__}"
    return words if len(words) <= 200 else f"{words[:200]}…"
