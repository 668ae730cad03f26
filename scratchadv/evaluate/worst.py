"""The worst case over attacks, example by example: all that counts is whether any of them succeeds."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import checks
from ..backend import namespace
from ..checked import checked, each, each_by_name, taking
from ..numerics import take
from ..support.progress import progress as bar
from ..support.tables import markdown
from .judging import judge


@dataclass(frozen=True)
class WorstCase:
    """What stood against attacks, one after the other, each on what stood against those before it.

    Attributes
    ----------
    threat : Set
    attacks : tuple of str
        Their names, A of them.
    standing : array of bool, shape (A + 1, N)
        Row 0: classified rightly when clean; row a: and after the first a attacks.
    delta : array, shape (N, *D)
        The change that fooled the example; 0 where it stands or was wrong from the start.
    bits : int or None
        To which inputs were rounded before they were judged.
    """

    threat: Any
    attacks: tuple
    standing: Any
    delta: Any
    bits: Any = None

    @property
    def stands(self):
        """Which examples are right, clean and after every attack, ``(N,)``."""
        return self.standing[-1]

    @property
    def accuracy(self):
        """The share of them, the robust accuracy."""
        return float(self.stands.mean())

    def rows(self):
        """For ``clean`` and each attack: name, share of what stood before that still stands, share of all."""
        shares = [float(row.mean()) for row in self.standing]
        before = [1.0, *shares[:-1]]
        return [
            (name, a / b if b else 0.0, a) for name, a, b in zip(("clean", *self.attacks), shares, before, strict=True)
        ]

    def setting(self):
        """What the numbers depend on, by name."""
        found = {"threat": describe(self.threat), "examples": f"{self.standing.shape[1]:,}"}
        return found | ({"rounded": f"to {self.bits} bits"} if self.bits else {})

    def cells(self):
        """The header and the rows of the table, as text."""
        rows = [[name, f"{100 * alone:.2f} %", f"{100 * total:.2f} %"] for name, alone, total in self.rows()]
        return ["accuracy", "of what stood", "of all"], rows

    def table(self):
        """The threat model and the numbers as Markdown."""
        return markdown(self.setting(), *self.cells())


def listed(rule):
    """Return the check of a list or a dict of things that each pass the rule."""
    return lambda name, value: (each_by_name if isinstance(value, dict) else each)(rule)(name, value)


attacks_of = listed(taking("model", "x", "y", "threat"))


@checked(model=checks.judged, attacks=attacks_of)
def worst_case(model, x, y, threat, attacks, *, bits=None, progress=False):
    """Attack, judge, drop what has fallen, attack the rest: who stands against all attacks.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    threat : Set
    attacks : sequence of callable, or dict of str to callable
        ``attack(model, x, y, threat)`` that returns δ; for restarts, the same one again with other randomness. The
        order changes how much there is to do, and the examples that a random attack is tried on; for attacks that are
        not random it does not change who stands.
    bits : int, optional
        Inputs are rounded to so many bits before they are judged, the clean ones too; see ``judge``.
    progress : bool
        Show a bar on a terminal.

    Returns
    -------
    WorstCase

    Raises
    ------
    TypeError, ValueError
        If an argument, or the δ of an attack, does not fit.
    """
    xp, attacks = namespace(x), named(attacks)
    delta, delta_set = xp.zeros_like(x), threat.at(x)
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
    """Which examples are classified rightly, clean and after every attack, ``(N,)``.

    Each attack is tried only on the examples that stood against those before it: only the worst case counts.

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
    """The share of examples that are classified rightly, clean and after every attack.

    ``worst_case(...)`` has the same number as its ``accuracy``, and a table with the threat model in its head.

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
    """Pairs of name and thing, from a dict or from a sequence of functions, ``partial`` functions or objects.

    Parameters
    ----------
    things : dict or sequence

    Returns
    -------
    list of (str, object)
    """
    return list(things.items()) if isinstance(things, dict) else [(_word(thing), thing) for thing in things]


def describe(threat):
    """The threat in words, a missing box too.

    Parameters
    ----------
    threat : Set

    Returns
    -------
    str
    """
    return str(threat) if threat.pixels is not None else f"{threat}, no box"


def _word(thing):
    """A function by its name, a partial one with its options, anything else by its type, a number as it is."""
    if isinstance(thing, partial):
        options = [*map(_word, thing.args), *(f"{key}={_word(value)}" for key, value in thing.keywords.items())]
        return f"{_word(thing.func)}({', '.join(options)})"
    if thing is None or isinstance(thing, bool | int | float | str | np.generic):
        return str(thing)
    return getattr(thing, "__name__", type(thing).__name__)
