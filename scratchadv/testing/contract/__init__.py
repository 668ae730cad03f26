"""Contracts: the laws that every attack, perturbation set, loss and evaluation must keep.

Each failure is explained in one sentence. ``attack.py`` checks an attack against the laws of ``conventions.py``,
``independence.py``, ``strength.py`` and ``odd.py`` (odd models and labels). ``sets.py``, ``losses.py`` and
``evaluations.py`` contain the laws of perturbation sets, losses and evaluations. ``hold.py`` finds a counterexample and
describes it.
"""

from .hold import ContractError  # first, because it says what to install

# isort: split
from .attack import assert_attack_contract
from .evaluations import EVALUATION_LAWS, assert_evaluation_contract
from .losses import LOSS_LAWS, assert_loss_contract
from .promise import LAWS
from .sets import BALL_LAWS, assert_ball_contract

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
