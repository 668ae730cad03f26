"""Contracts: laws that anyone's attack, ball, loss or evaluation must keep, each failure explained in one sentence.

Read ``laws.py`` for the laws of attacks, ``odd.py`` for those about odd models and labels, ``parts.py`` for those of
what an attack is made of and of what judges it, ``hold.py`` for how a counterexample is found and told.
"""

from .hold import ContractError  # first, for it says what to install

# isort: split
from . import odd  # noqa: F401, it fills the table of laws
from .laws import LAWS, assert_attack_contract
from .parts import (
    BALL_LAWS,
    EVALUATION_LAWS,
    LOSS_LAWS,
    assert_ball_contract,
    assert_evaluation_contract,
    assert_loss_contract,
)

__all__ = [
    "BALL_LAWS",
    "EVALUATION_LAWS",
    "LAWS",
    "LOSS_LAWS",
    "ContractError",
    "assert_attack_contract",
    "assert_ball_contract",
    "assert_evaluation_contract",
    "assert_loss_contract",
]
