"""How a law is checked: hypothesis looks for a case that breaks it, and makes that case small."""

from collections.abc import Callable
from dataclasses import dataclass

from ...support.optional import needed_by
from ..models import short

with needed_by("scratchadv.testing.contract", "hypothesis", "test"):
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from hypothesis.errors import Flaky, FlakyFailure


class ContractError(AssertionError):
    """The error that names the law that was broken.

    Attributes
    ----------
    law : str
        The name of the law in its table.
    """

    def __init__(self, law, sentence):
        super().__init__(f"{law}: {sentence}")
        self.law = law


class Broken(Exception):
    """The error that a law raises when it is broken: the reason, and the values that show it."""

    def __init__(self, why, **values):
        super().__init__(why)
        self.why = why
        self.values = values


@dataclass(frozen=True)
class Law:
    """A law, and the subjects to which it applies.

    Attributes
    ----------
    check : callable
        ``check(subject, case)`` raises ``Broken``; the first line of its docstring is the formula.
    cases : callable
        ``cases(subject)`` is the strategy from which its cases are drawn.
    needs : tuple of str
        The law applies to subjects that promise at least one of these; if empty, to all.
    """

    check: Callable
    cases: Callable
    needs: tuple = ()

    @property
    def formula(self):
        """The first line of the docstring of the check."""
        return self.check.__doc__.splitlines()[0]


def law(table, cases, *needs):
    """Return a decorator that puts a check into the table, under its name with spaces for underscores."""

    def register(check):
        table[check.__name__.replace("_", " ")] = Law(check, cases, needs)
        return check

    return register


def hold(laws, subject, max_examples, shrink=True):
    """Check the subject against the laws, one after the other.

    Parameters
    ----------
    laws : dict of str to Law
    subject : Any
        The first argument of each check.
    max_examples : int
        The number of cases for each law.
    shrink : bool
        Whether to look for the smallest counterexample; otherwise the first one is reported.

    Raises
    ------
    ContractError
        For the first law that is broken.
    """
    for name, one in laws.items():
        broken = counterexample(one, subject, max_examples, shrink)
        if broken:
            shown = ", ".join(f"{k} = {_shown(v)}" for k, v in broken.values.items() if v is not None)
            raise ContractError(name, f"{broken.why}, with {shown}" if shown else broken.why)


def counterexample(law, subject, max_examples, shrink=True):
    """Return the smallest ``Broken`` that hypothesis finds, or None; it is the same at every call."""
    found = []
    drawn = law.cases(subject)
    if drawn.is_empty:  # the subject takes no model of the kind that the law is about
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
    except (Broken, Flaky, FlakyFailure):  # flaky: broken only sometimes, as by an attack without a seed
        return found[-1]
    return None


def _shown(value):
    return short(value) if hasattr(value, "dtype") else str(value)
