"""What must not change while the student's code runs: the tests, their helpers and settings, hypothesis, NumPy, Python.

A snapshot is taken before the student's code is loaded, and later ones are compared with it by value.
"""

import dataclasses
import functools
import unittest
from contextlib import suppress
from itertools import zip_longest
from types import FunctionType, ModuleType

from .words import OddEndError

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
OURS = ("__main__", "inside", "scratchadv", "checking", "public_tests", "hidden_tests")


class Tries:
    """The number of examples that the test has completed, and its first failure."""

    completed, failure = 0, None


def watch(test):
    """Count the examples of a hypothesis test, and let none of them end as if it had not been tried.

    ``reject()``, ``assume(False)``, a skipped test and an exit of the program become failures, because the tests of
    homeworks do not use them. The first failure is kept, whatever hypothesis does with it.

    Parameters
    ----------
    test : callable

    Returns
    -------
    Tries or None
        None for a test without examples.
    """
    if not hasattr(test, "hypothesis"):
        return None
    from hypothesis.errors import HypothesisException

    inner = test.hypothesis.inner_test
    tries = Tries()

    @functools.wraps(inner)
    def watched(*arguments, **named):
        try:
            inner(*arguments, **named)
        except BaseException as error:
            tries.failure = tries.failure or error
            if isinstance(error, Exception) and not isinstance(error, (HypothesisException, unittest.SkipTest)):
                raise
            kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
            odd = tries.failure = OddEndError(f"{kind} was raised, which ends the example without an answer")
            raise odd from error
        tries.completed += 1

    test.hypothesis.inner_test = watched
    return tries


class Picture:
    """The contents of modules, to find out later whether something has changed them.

    Callables are compared by identity, and functions also by their code, defaults and closures. Public numbers and
    strings are compared by value. In the modules of the grader and of the library everything that a name holds is
    compared, except for private names of the library and private attributes, which may be caches.

    Parameters
    ----------
    modules : dict
        The modules by name.
    """

    def __init__(self, modules):
        spaces = [space for name, module in modules.items() for space in _spaces(name, module)]
        self._modules = {name: module for name, module in modules.items() if name.partition(".")[0] in OURS}
        names = ((name, space, key, value) for name, space in spaces for key, value in list(space.items()))
        self._names = [entry for entry in names if _is_fixed(*entry[2:])]
        self._same = [entry for entry in self._names if type(entry[3]) not in PLAIN]
        functions = [(name, key, _function(value)) for name, _, key, value in self._names]
        self._functions = [(name, key, f, _parts(f)) for name, key, f in functions if f is not None]
        self._kept = []
        self._settings = modules["hypothesis"].settings if "hypothesis" in modules else None
        self._values = self._by_value()

    def first_change(self):
        """Return the first name that stands for something different from before, or None."""
        for name, space, key, value in self._same:  # first, and without a call: functions called below may be replaced
            if space.get(key) is not value:
                return f"{name}.{key}"
        for name, space, key, value in self._names:
            if space.get(key) is not value and not _is_same(space.get(key), value):
                return f"{name}.{key}"
        for name, key, function, parts in self._functions:
            if any(now is not before for now, before in zip_longest(_parts(function), parts)):
                return f"{name}.{key}"
        now = self._by_value()
        return next((name for name, value in self._values.items() if now.get(name) != value), None)

    def own_copy(self):
        """Return :meth:`first_change` as a function that no other code knows, so that its code cannot be replaced."""
        function = type(self).first_change
        return FunctionType(function.__code__, function.__globals__).__get__(self)

    def _by_value(self):
        """Return the values in the modules of the grader and of the library, and hypothesis's settings."""
        values = {"hypothesis.settings": self._settings and repr(self._settings.default)}
        for name, module in self._modules.items():
            for space_name, space in _spaces(name, module):
                for key, value in list(space.items()):
                    a_cache = name.startswith("scratchadv") and key.startswith("_")
                    if not a_cache and not _is_simple(value):
                        values[f"{space_name}.{key}"] = Worth(self._kept).of(value)
        return values


def _spaces(name, module):
    """Yield the namespaces of a module and of the classes that it defines, with their names."""
    yield name, vars(module)
    for key, value in list(vars(module).items()):
        if isinstance(value, type) and value.__module__ == name:
            yield f"{name}.{key}", vars(value)


def _is_fixed(key, value):
    """Return whether a name is expected to keep this value."""
    plain = isinstance(value, PLAIN) and not key.startswith("_")
    return plain or callable(value) or isinstance(value, property | classmethod | staticmethod)


def _is_same(now, before):
    """Return whether two plain values are the same."""
    return isinstance(before, PLAIN) and type(now) is type(before) and repr(now) == repr(before)


def _is_simple(value):
    """Return whether identity says everything about the value: a class, or a function without attributes or closure."""
    return isinstance(value, type) or (type(value) is FunctionType and not vars(value) and not value.__closure__)


def _function(value):
    """Return the function itself, or the one in a classmethod or a staticmethod."""
    value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    return value if type(value) is FunctionType else None


def _parts(function):
    """Return the parts of a function."""
    parts = [function.__code__, function.__defaults__]
    if function.__kwdefaults__:
        parts += function.__kwdefaults__.values()
    if function.__closure__:
        parts += filter(callable, _cells(function))
    return parts


class Worth:
    """The value of an object as plain tuples, to be compared with itself at another time.

    Parameters
    ----------
    kept : list
        Collects the objects that are compared by their id, which must live as long as the id is used.
    """

    def __init__(self, kept):
        self._kept, self._seen = kept, set()

    def of(self, value):
        """Return what the value holds; for an object that has been met before, return only its identity."""
        kind = type(value)
        if kind in PLAIN:
            return kind, repr(value)
        if isinstance(value, ModuleType):
            return "a module"
        if kind.__name__ == "settings" and kind.__module__.startswith("hypothesis"):
            return "settings", repr(value)
        self._kept.append(value)
        if id(value) in self._seen:
            return kind, id(value)
        self._seen.add(id(value))
        return kind, id(value), [self.of(part) for part in self._inside(value)]

    @staticmethod
    def _inside(value):
        """Return the parts of the value."""
        kind = type(value)
        if kind in (list, tuple):
            return value
        if kind in (set, frozenset):
            return sorted(value, key=repr)
        if kind is dict:
            return [part for pair in value.items() for part in pair]
        if kind is FunctionType:
            named = {key: part for key, part in vars(value).items() if key != "_hypothesis_internal_use_generated_seed"}
            options = value.__kwdefaults__ or {}
            return [value.__code__, value.__defaults__, *options.values(), *named.values(), *_cells(value)]
        if kind is functools.partial:
            return value.func, *value.args, *value.keywords.values()
        if kind in (classmethod, staticmethod):
            return [value.__func__]
        if kind is property:
            return value.fget, value.fset, value.fdel
        if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
            return [*value.flat] if value.dtype.hasobject else (f"{value.dtype} {value.shape}", value.tobytes())
        if isinstance(value, type) or kind is Tries:
            return ()
        plain = kind.__module__.partition(".")[0] in OURS or kind.__name__ == "HypothesisHandle"
        return [getattr(value, name) for name in _attributes(value)] if plain else ()


def _attributes(value):
    """Return the names of an object's public attributes, without those that it may have computed since."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return [name for name in getattr(value, "__dict__", ()) if not name.startswith("_")]


def _cells(function):
    """Return the contents of the function's closure."""
    return _contents(function.__closure__ or ())


def _contents(cells):
    found = []
    for cell in cells:
        with suppress(ValueError):  # an empty cell
            found.append(cell.cell_contents)
    return found
