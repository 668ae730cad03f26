"""Tools to test models and attacks with, for this library's own tests and for anyone's.

``check_gradients`` holds gradients written by hand against the engine's and against differences;
``assert_attack_contract`` holds an attack against the laws that follow from what it promises, and there are contracts
for balls, losses and evaluations; ``museum`` has the bugs that these contracts were made for; ``device`` pretends to
be a GPU, to find what would leak from one to NumPy; ``strategies`` are for property tests. Contracts, museum and
strategies need ``hypothesis`` (``pip install 'scratchadv[test]'``).
"""

from importlib import import_module

from .gradients import check_gradients

CONTRACTS = [
    "ContractError",
    "assert_attack_contract",
    "assert_ball_contract",
    "assert_evaluation_contract",
    "assert_loss_contract",
]
__all__ = [*CONTRACTS, "check_gradients"]  # noqa: PLE0604, RUF100


def __getattr__(name):
    """The contracts, loaded when they are asked for: without hypothesis the rest can be had."""
    if name in CONTRACTS:
        return getattr(import_module(".contract", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
