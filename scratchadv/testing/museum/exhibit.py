"""What an exhibit is: our own code twice, with a bug and without, and the contract that tells them apart."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..contract import ContractError, assert_attack_contract

EXHIBITS = []


@dataclass(frozen=True)
class Exhibit:
    """A bug that users of other libraries met.

    Attributes
    ----------
    number : int
        Its row in the list of such bugs.
    wrong : str
        What went wrong.
    where : str
        The threads.
    law : str
        The law that kills it.
    make : callable
        ``make(True)`` has the bug, ``make(False)`` is the same without it.
    check : callable
        Raises ``ContractError`` for what breaks its contract; takes what ``make`` gives, and ``shrink``.
    """

    number: int
    wrong: str
    where: str
    law: str
    make: Callable
    check: Callable

    def error(self, bug=True, **options):
        """The ``ContractError``, or None where the contract is kept."""
        try:
            self.check(self.make(bug), **options)
        except ContractError as error:
            return error
        return None


def exhibit(number, where, law, check):
    """Put the decorated function into the museum; what went wrong is the first line of its docstring."""

    def register(make):
        wrong = make.__doc__.splitlines()[0].rstrip(".")
        EXHIBITS.append(Exhibit(number, wrong, where, law, make, check))
        return make

    return register


def attack(threat, **promises):
    """The contract of attacks, with these promises."""
    return partial(assert_attack_contract, threat=threat, **promises)


def tour():
    """Each exhibit and the ``ContractError`` with the smallest counterexample, one after the other."""
    for one in sorted(EXHIBITS, key=lambda one: one.number):
        yield one, one.error()
