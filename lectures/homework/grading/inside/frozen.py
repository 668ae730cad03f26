"""What may not change while the student's code runs: the tests, their helpers and settings, hypothesis, NumPy, Python.

A picture is taken before the student's code is loaded, and compared by value with later ones.
"""

import functools
import sys
import unittest
from types import FunctionType, ModuleType

from .words import OddEndError

PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
OURS = ("__main__", "inside", "scratchadv", "checking", "public_tests", "hidden_tests")
MOST_DEEP = 8


class Tries:
    """How many examples the test has been tried on to the end."""

    completed = 0


def watch(test):
    """Count the examples of a test of hypothesis's, and let none of them end as if it had not been tried.

    An example counts as tried if the test returns or raises an ordinary error. ``reject()``, ``assume(False)``, a
    skipped test or an exit of the program are turned into failures: the tests of homeworks do not use them.

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

    inner, tries = test.hypothesis.inner_test, Tries()

    @functools.wraps(inner)
    def watched(*arguments, **named):
        try:
            inner(*arguments, **named)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, (HypothesisException, unittest.SkipTest)):
                raise
            kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
            words = f"{kind} was raised, which ends the example without an answer"
            raise OddEndError(words).with_traceback(error.__traceback__) from None
        tries.completed += 1

    test.hypothesis.inner_test = watched
    return tries


class Picture:
    """What modules consist of, to see later whether somebody has changed it.

    All callables are compared by identity, functions with their code, defaults and closures; plain values that are
    public, and all values in the modules of the grader and the library, are compared by value.

    Parameters
    ----------
    modules : dict
        By name.
    """

    def __init__(self, modules):
        self._kept = []  # what is compared by its id must live as long as the id is used
        self.parts = {}
        for name, module in modules.items():
            self._module(name, module)
        if "hypothesis" in modules:
            self.parts["hypothesis.settings.default"] = repr(modules["hypothesis"].settings.default)

    def first_change(self, before):
        """Return the first name that stands for something else than in the picture taken before, or None."""
        gone = object()
        return next((name for name, value in before.parts.items() if self.parts.get(name, gone) != value), None)

    def _module(self, name, module):
        ours = name.partition(".")[0] in OURS
        for key, value in list(vars(module).items()):
            self._note(f"{name}.{key}", value, ours or not key.startswith("_"))
            if isinstance(value, type) and value.__module__ == name:
                for inner, part in list(vars(value).items()):
                    self._note(f"{name}.{key}.{inner}", part, ours)

    def _note(self, name, value, by_value):
        if callable(value) or isinstance(value, property | classmethod | staticmethod):
            self.parts[name] = self.worth(value)
        elif by_value and (name.partition(".")[0] in OURS or isinstance(value, PLAIN)):
            self.parts[name] = self.worth(value)

    def worth(self, value, deep=0):
        """Return what the value holds, as plain tuples."""
        kind = type(value)
        if kind in PLAIN:
            return kind.__name__, repr(value)
        if isinstance(value, ModuleType) or deep > MOST_DEEP:
            return "something"
        if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
            whole = value.tolist() if value.dtype.hasobject else value.tobytes()
            return "array", str(value.dtype), value.shape, repr(whole)
        if kind.__name__ == "settings" and kind.__module__.startswith("hypothesis"):
            return "settings", repr(value)
        return kind.__name__, self._id(value), *self._parts_of(value, deep + 1)

    def _parts_of(self, value, deep):
        kind = type(value)
        if kind in (list, tuple):
            return [self.worth(part, deep) for part in value]
        if kind in (set, frozenset):
            return sorted(repr(self.worth(part, deep)) for part in value)
        if kind is dict:
            return [(self.worth(key, deep), self.worth(part, deep)) for key, part in value.items()]
        if kind is FunctionType:
            return self._function(value, deep)
        if kind is functools.partial:
            return [self.worth(part, deep) for part in (value.func, value.args, value.keywords)]
        if kind in (classmethod, staticmethod):
            return [self.worth(value.__func__, deep)]
        if kind is property:
            return [self.worth(part, deep) for part in (value.fget, value.fset, value.fdel)]
        if not isinstance(value, type) and (kind.__module__.partition(".")[0] in OURS or kind is _handle()):
            return [self.worth(dict(getattr(value, "__dict__", {})), deep)[2:]] if kind is not Tries else []
        return []

    def _function(self, value, deep):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
        named = {key: part for key, part in vars(value).items() if not key.startswith("_hypothesis_internal_use_ge")}
        inside = [value.__defaults__, value.__kwdefaults__, tuple(cells)]
        return [
            self._id(value.__code__),
            *(self._contents(part, deep) for part in inside),
            self._contents(named, deep),
        ]

    def _contents(self, value, deep):
        """Return the worth of a container without its own identity."""
        return self.worth(value, deep)[2:] if value else ()

    def _id(self, value):
        self._kept.append(value)
        return id(value)


def _is_full(cell):
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


@functools.cache
def _handle():
    """Return the class of what hypothesis hangs on a test."""
    return getattr(sys.modules.get("hypothesis.core"), "HypothesisHandle", None)
