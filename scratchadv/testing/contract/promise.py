"""The promises of an attack, and how the attack is run on a case."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .hold import Broken

KINDS = ("logistic", "softmax", "network")
LAWS = {}


@dataclass(frozen=True)
class Promise:
    """An attack and its promises: the arguments of ``assert_attack_contract``."""

    attack: Any
    threat: Any
    exact: bool
    iterated: bool
    keeps_best: bool
    smallest: bool
    random: bool
    restarts: bool
    targeted: bool
    models: tuple
    classes: int
    loss: Any
    tolerance: float
    reach: float | None

    def laws(self, without=()):
        """Return the laws that follow from the promises, by name, except those in ``without``.

        Raises
        ------
        ValueError
            If ``without`` names a law that does not exist.
        """
        if unknown := set(without) - set(LAWS):
            raise ValueError(f"without names {sorted(unknown)}; the laws are {sorted(LAWS)}")
        return {name: law for name, law in LAWS.items() if name not in without and self.keeps(law)}

    def keeps(self, law):
        """Return whether the law follows from the promises."""
        made = {f.name for f in fields(self) if getattr(self, f.name)}
        made.add("random" if self.random else "repeatable")
        return not law.needs or bool(made & set(law.needs))

    def options(self, case):
        """Return ``rng``, seeded for this case, if the attack is random, and no options otherwise."""
        return {"rng": np.random.default_rng(case.seed)} if self.random else {}

    def __call__(self, case, **options):
        """Return δ for a copy of the case; raise ``Broken`` if the attack fails or δ does not have the shape of x."""
        return self.run(copied(case), **options)

    def run(self, case, **options):
        """Return δ for the case itself, whose arrays the attack may change."""
        options |= self.options(case)
        if case.target is not None:
            options["target"] = case.target
        try:
            with np.errstate(all="ignore"):
                delta = self.attack(case.model, case.x, case.y, case.threat, **options)
        except Exception as error:
            raise Broken(f"the attack raised {type(error).__name__}: {error}", **told(case)) from error
        if not isinstance(delta, np.ndarray) or delta.shape != case.x.shape:
            what = f"an array of shape {delta.shape}" if isinstance(delta, np.ndarray) else repr(delta)
            raise Broken(f"an array of shape {case.x.shape} was expected, not {what}", **told(case))
        return delta


def copied(case):
    """Return the case with copied arrays, so that an attack that writes to them breaks one law and not all of them."""
    target = None if case.target is None else case.target.copy()
    return replace(case, x=case.x.copy(), y=case.y.copy(), target=target)


def told(case, delta=None):
    """Return the values of a case that are shown in the message about a counterexample."""
    target = {} if case.target is None else {"target": case.target}
    return {"model": case.model, "x": case.x, "y": case.y, **target, "Δ": case.threat, "δ": delta}


def row_of(case, i):
    """Return the case with only the examples i, an index or a slice."""
    target = None if case.target is None else case.target[i]
    return replace(case, x=case.x[i], y=case.y[i], target=target)


def refused(promise, case, what):
    """Raise ``Broken`` unless the attack refuses the case with a ValueError that says why."""
    try:
        with np.errstate(all="ignore"):
            promise.attack(case.model, case.x, case.y, case.threat, **promise.options(case))
    except ValueError as error:
        if str(error):
            return
        raise Broken(f"{what}: the ValueError has no message") from error
    except Exception as error:
        raise Broken(f"{what}: a ValueError was expected, not {type(error).__name__}: {error}", **told(case)) from error
    raise Broken(f"{what} was not refused", **told(case))
