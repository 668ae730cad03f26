"""The worst case over attacks: an example stands if none of them succeeds."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import checks
from ..backend import namespace
from ..checked import checked, each, each_by_name, taking
from ..numerics import take
from ..support.progress import progress as bar
from ..support.tables import with_setting
from .judging import judge


@dataclass(frozen=True)
class WorstCase:
    """Which examples stand after a sequence of attacks, each of them run on the examples that were left.

    Attributes
    ----------
    threat : Set
    attacks : tuple of str
        The names of the A attacks.
    standing : array of bool, shape (A + 1, N)
        In row a, whether each example is classified correctly, clean and after each of the first a attacks.
    delta : array, shape (N, *D)
        The change that fooled the model; 0 where the example stands or was misclassified when clean.
    bits : int or None
        The number of bits to which inputs were rounded before they were judged.
    """

    threat: Any
    attacks: tuple
    standing: Any
    delta: Any
    bits: Any = None

    @property
    def stands(self):
        """Whether each example is classified correctly, clean and after every attack, ``(N,)``."""
        return self.standing[-1]

    @property
    def accuracy(self):
        """The robust accuracy: the share of examples that stand."""
        return float(self.stands.mean())

    def rows(self):
        """Return for ``clean`` and each attack: name, accuracy on the examples that were left, accuracy on all."""
        shares = [float(row.mean()) for row in self.standing]
        before = [1.0, *shares[:-1]]
        return [
            (name, a / b if b else 0.0, a) for name, a, b in zip(("clean", *self.attacks), shares, before, strict=True)
        ]

    def setting(self):
        """Return what the numbers depend on, a dict of text."""
        found = {"threat": describe(self.threat), "examples": f"{self.standing.shape[1]:,}"}
        return found | ({"rounded": f"to {self.bits} bits"} if self.bits else {})

    def cells(self):
        """Return the header and the rows of the table, as text."""
        rows = [[name, f"{100 * alone:.2f} %", f"{100 * total:.2f} %"] for name, alone, total in self.rows()]
        return ["accuracy", "of those left", "of all"], rows

    def table(self):
        """Return the threat model and the table as Markdown."""
        return with_setting(self.setting(), *self.cells())


def listed(rule):
    """Return a check of a list or a dict, each value of which passes the check ``rule``."""
    return lambda name, value: (each_by_name if isinstance(value, dict) else each)(rule)(name, value)


attacks_of = listed(taking("model", "x", "y", "threat"))


@checked(model=checks.judged, attacks=attacks_of)
def worst_case(model, x, y, threat, attacks, *, bits=None, progress=False):
    """Run the attacks one after the other, each on the examples that are left, and return which of them stand.

    An example stands if it is classified correctly, clean and after every attack.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    threat : Set
    attacks : sequence of callable, or dict of str to callable
        Functions ``attack(model, x, y, threat)`` that return δ. For restarts, repeat an attack with other random
        numbers. The order changes the amount of work, and on which examples a random attack is run; for attacks that
        are not random it does not change which examples stand.
    bits : int, optional
        The number of bits to which all inputs, the clean ones too, are rounded before they are judged; see ``judge``.
    progress : bool
        Whether to show a bar on a terminal.

    Returns
    -------
    WorstCase

    Raises
    ------
    TypeError, ValueError
        If an argument, or the δ of an attack, does not fit.
    """
    xp = namespace(x)
    attacks = named(attacks)
    delta_set = threat.at(x)
    delta = xp.zeros_like(x)
    standing = [~judge(model, x, y, delta, threat, bits=bits).success]
    for name, attack in bar(attacks, "attacks", shown=progress):
        left = xp.flatnonzero(standing[-1])
        standing.append(standing[-1].copy())
        if len(left):
            x_left, y_left, rest = take(left, x, y, delta_set)
            found = checks.images(attack(model, x_left, y_left, rest), f"attacks: the delta of the attack {name}")
            fell = judge(model, x_left, y_left, found, rest, bits=bits).success
            delta[left[fell]] = found[fell]
            standing[-1][left[fell]] = False
    return WorstCase(threat, tuple(name for name, _ in attacks), xp.stack(standing), delta, bits)


def stands(model, x, y, threat, attacks, *, bits=None, progress=False):
    """Return whether each example is classified correctly, clean and after every attack, ``(N,)``.

    Each attack is run only on the examples that are left after the previous ones.

    Parameters
    ----------
    model, x, y, threat, attacks, bits, progress
        As for ``worst_case``.

    Returns
    -------
    array of bool, shape (N,)
    """
    return worst_case(model, x, y, threat, attacks, bits=bits, progress=progress).stands


def robust_accuracy(model, x, y, threat, attacks, *, bits=None, progress=False):
    """Return the share of examples that are classified correctly, clean and after every attack.

    It is ``worst_case(...).accuracy``; ``worst_case(...).table()`` also states the threat model.

    Parameters
    ----------
    model, x, y, threat, attacks, bits, progress
        As for ``worst_case``.

    Returns
    -------
    float
    """
    return worst_case(model, x, y, threat, attacks, bits=bits, progress=progress).accuracy


def named(things):
    """Return pairs of name and value, from a dict or from a sequence of functions, ``partial`` functions or objects.

    Parameters
    ----------
    things : dict or sequence

    Returns
    -------
    list of (str, object)
    """
    return list(things.items()) if isinstance(things, dict) else [(_word(thing), thing) for thing in things]


def describe(threat):
    """Return the threat in words, which also say if it has no box.

    Parameters
    ----------
    threat : Set

    Returns
    -------
    str
    """
    return str(threat) if threat.pixels is not None else f"{threat}, no box"


def _word(thing):
    """Return the name of a function, of a partial one with its options, of another object's type; or a number."""
    if isinstance(thing, partial):
        options = [*map(_word, thing.args), *(f"{key}={_word(value)}" for key, value in thing.keywords.items())]
        return f"{_word(thing.func)}({', '.join(options)})"
    if thing is None or isinstance(thing, bool | int | float | str | np.generic):
        return str(thing)
    return getattr(thing, "__name__", type(thing).__name__)
