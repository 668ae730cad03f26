"""Tools for testing models and attacks: this library's and your own.

``check_gradients`` compares gradients written by hand with the engine's and with finite differences.
``assert_attack_contract`` checks an attack against the laws that follow from its promises; perturbation sets, losses
and evaluations have contracts too. ``museum`` contains the bugs that these contracts were written for. ``device``
simulates a GPU, to find arrays that would leak from a GPU to NumPy. ``strategies`` generates data for property tests.
The contracts, the museum and the strategies need ``hypothesis`` (``pip install 'scratchadv[test]'``).
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
    """Return a contract, imported only when it is asked for, so that the rest works without hypothesis."""
    if name in CONTRACTS:
        return getattr(import_module(".contract", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
