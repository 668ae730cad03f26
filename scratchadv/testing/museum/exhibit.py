"""What an exhibit is: our own code with a bug and without it, and the contract that tells the two apart."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..contract import ContractError, assert_attack_contract

EXHIBITS = []


@dataclass(frozen=True)
class Exhibit:
    """A bug that users of attack libraries met.

    Attributes
    ----------
    number : int
        Its row in the list of such bugs.
    wrong : str
        What went wrong, in one sentence.
    where : str
        The public threads about it.
    law : str
        The law that kills it.
    make : callable
        ``make(True)`` has the bug, ``make(False)`` is the same without it.
    check : callable
        ``check(made, shrink=True)`` raises ``ContractError`` if the result of ``make`` breaks its contract.
    """

    number: int
    wrong: str
    where: str
    law: str
    make: Callable
    check: Callable

    def error(self, bug=True, **options):
        """Return the ``ContractError``, or None if the contract is kept."""
        try:
            self.check(self.make(bug), **options)
        except ContractError as error:
            return error
        return None


def exhibit(number, where, law, check):
    """Return a decorator that puts a function into the museum; the first line of its docstring says what went wrong."""

    def register(make):
        wrong = make.__doc__.splitlines()[0].rstrip(".")
        EXHIBITS.append(Exhibit(number, wrong, where, law, make, check))
        return make

    return register


def attack(threat, **promises):
    """Return the contract of attacks with these promises."""
    return partial(assert_attack_contract, threat=threat, **promises)


def tour():
    """Yield each exhibit, in the order of their numbers, with the ``ContractError`` of its smallest counterexample."""
    for one in sorted(EXHIBITS, key=lambda one: one.number):
        yield one, one.error()
