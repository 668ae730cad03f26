r"""Robust logistic regression: the min-max problem of the slides, which is convex for linear models and solved exactly.

.. math::
    \min_{\theta, \theta_0} \frac1N \sum_{i=1}^N \max_{\delta \in \Delta} \Psi(y_i(\theta^T (x_i + \delta) + \theta_0))
    = \min_{\theta, \theta_0} \frac1N \sum_{i=1}^N \Psi(y_i(\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*)

Read ``risk.py`` (the objective and its gradient), then ``exact.py`` (its minimum with a lower bound, and the critical
radius); ``solvers/`` computes the minimum. Source: slides "Linear Models".
"""

from .exact import GapWarning, RobustLogisticFit, critical_radius, fit
from .risk import gradient, objective, worst_margin

__all__ = ["GapWarning", "RobustLogisticFit", "critical_radius", "fit", "gradient", "objective", "worst_margin"]
