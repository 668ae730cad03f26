"""How a law is held against something: hypothesis looks for a case that breaks it, and makes that case small."""

from collections.abc import Callable
from dataclasses import dataclass

from ...support.optional import needed_by
from ..models import short

with needed_by("scratchadv.testing.contract", "hypothesis", "test"):
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from hypothesis.errors import Flaky, FlakyFailure


class ContractError(AssertionError):
    """A law that is broken.

    Attributes
    ----------
    law : str
        Its name in the table of laws.
    """

    def __init__(self, law, sentence):
        super().__init__(f"{law}: {sentence}")
        self.law = law


class Broken(Exception):
    """What a law says when it is broken: why, and the values that show it."""

    def __init__(self, why, **values):
        super().__init__(why)
        self.why, self.values = why, values


@dataclass(frozen=True)
class Law:
    """A law and when it applies.

    Attributes
    ----------
    check : callable
        ``check(subject, case)`` raises ``Broken``; the first line of its docstring is the formula.
    cases : callable
        ``cases(subject)`` is the strategy that its cases are drawn from.
    needs : tuple of str
        The law applies to what promises one of these; empty: to all.
    """

    check: Callable
    cases: Callable
    needs: tuple = ()

    @property
    def formula(self):
        """The first line of the docstring."""
        return self.check.__doc__.splitlines()[0]


def law(table, cases, *needs):
    """Put the decorated check into the table, by its name with spaces."""

    def register(check):
        table[check.__name__.replace("_", " ")] = Law(check, cases, needs)
        return check

    return register


def hold(laws, subject, max_examples, shrink=True):
    """Hold the laws against the subject, one after the other.

    Parameters
    ----------
    laws : dict of str to Law
    subject : Any
        What the checks take first.
    max_examples : int
        Cases a law.
    shrink : bool
        Whether to look for the smallest counterexample, or to tell the first one.

    Raises
    ------
    ContractError
        The first law that is broken.
    """
    for name, one in laws.items():
        broken = counterexample(one, subject, max_examples, shrink)
        if broken:
            shown = ", ".join(f"{k} = {_shown(v)}" for k, v in broken.values.items() if v is not None)
            raise ContractError(name, f"{broken.why}, with {shown}" if shown else broken.why)


def counterexample(law, subject, max_examples, shrink=True):
    """The smallest ``Broken`` that hypothesis finds, or None; the same at every call."""
    found, drawn = [], law.cases(subject)
    if drawn.is_empty:  # no model of the kind that the law speaks of
        return None

    @settings(
        max_examples=max_examples,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(drawn)
    def holds(case):
        try:
            law.check(subject, case)
        except Broken as broken:
            found.append(broken)
            raise

    try:
        holds()
    except (Broken, Flaky, FlakyFailure):  # flaky: a law that is broken now and then, as by an attack without a seed
        return found[-1]
    return None


def _shown(value):
    return short(value) if hasattr(value, "dtype") else str(value)
