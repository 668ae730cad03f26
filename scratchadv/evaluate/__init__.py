"""Judging attacks and models: by predicting again, never by the attack's own word.

``judge`` one δ; ``worst_case`` (``stands``, ``robust_accuracy``) over attacks; ``accuracy_over_eps`` and ``over_steps``
for curves; ``sweep`` over models, threats and attacks; ``signs_of_masking`` for doubts; ``report`` for a page with it.
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
