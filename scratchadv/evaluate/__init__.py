"""Evaluation of attacks and models, which always predicts again and never trusts what an attack says about itself.

``judge`` evaluates one δ. ``worst_case`` (``stands``, ``robust_accuracy``) evaluates a model against several attacks,
``accuracy_over_eps`` and ``over_steps`` compute curves, and ``sweep`` combines models, threats and attacks.
``signs_of_masking`` says why a robust accuracy may be too high, and ``report`` writes a page with all of it.
"""

from .curves import OverEps, OverSteps, accuracy_over_eps, over_steps
from .judging import Judgement, judge
from .masking import Finding, signs_of_masking
from .reporting import report
from .sweeping import Sweep, sweep
from .worst import WorstCase, robust_accuracy, stands, worst_case

__all__ = [
    "Finding",
    "Judgement",
    "OverEps",
    "OverSteps",
    "Sweep",
    "WorstCase",
    "accuracy_over_eps",
    "judge",
    "over_steps",
    "report",
    "robust_accuracy",
    "signs_of_masking",
    "stands",
    "sweep",
    "worst_case",
]
