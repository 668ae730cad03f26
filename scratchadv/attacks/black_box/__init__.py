"""Attacks that see only what the model puts out, and the oracles that show them no more than that.

Scores: ``square``, ``genattack``, ``nes``, ``spsa``, ``one_pixel``.
"""

from .queries import BudgetError, LabelOracle, LogitOracle, ProbabilityOracle, oracle

__all__ = ["BudgetError", "LabelOracle", "LogitOracle", "ProbabilityOracle", "oracle"]
