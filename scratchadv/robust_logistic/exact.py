"""The minimum of the robust objective of a linear model, with a proof, and the largest ε that it withstands."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import checks
from ..checked import checked, one_of
from ..numerics import rows, sigmoid, softplus
from ..sets import L1, L2, Linf
from ..tasks import Binary
from .risk import signs, worst_margin
from .solvers import barrier, working_set
from .solvers.dual import lower_bound
from .solvers.margin import largest_margin
from .solvers.newton import newton, stationary


def _bare_ball(name, value):
    """Refuse what is not the ball of a norm without a box."""
    if not isinstance(value, (Linf, L2, L1)):
        raise TypeError(f"{name} is {checks.shown(value)}; Linf(eps), L2(eps) or L1(eps) without a box was expected")
    return value


def _tolerance(name, value):
    """Return a number between 0 and 1, both excluded."""
    value = value if checks.is_number(value) else checks.number(name, value)
    if not 0 < value < 1:
        raise ValueError(f"{name} = {checks.shown(value)} must be between 0 and 1")
    return float(value)


@dataclass(frozen=True)
class RobustLogisticFit:
    """The exact robust linear model, with its certificate.

    Attributes
    ----------
    theta : array, shape D
        float64.
    theta0 : float
    objective : float
        The robust objective at (theta, theta0).
    lower_bound : float
        No (theta, theta0) has a smaller objective.
    separable : bool
        Whether some model, this one among them, classifies every example rightly under every attack. The
        infimum is then 0 and not attained: scaling theta up lowers the objective for ever.
    iterations : int
        Rounds of the solver.
    """

    theta: Any
    theta0: float
    objective: float
    lower_bound: float
    separable: bool
    iterations: int

    @property
    def gap(self):
        """(objective − lower bound) / objective."""
        return (self.objective - self.lower_bound) / self.objective if self.objective else 0.0


class GapWarning(RuntimeWarning):
    """The solver stopped before its certificate reached the tolerance."""


@checked(y=signs, ball=_bare_ball, tol=_tolerance)
def fit(x, y, ball, *, tol=1e-6):
    r"""The exact optimum of the robust objective, proved by a lower bound from its dual.

    ℓ∞ is solved by Newton's method on a working set of weights, ℓ2 and ℓ1 by a barrier method.

    Parameters
    ----------
    x : array, shape (N, *D)
        float32 or float64.
    y : array, shape (N,)
        Labels −1/+1.
    ball : Linf, L2 or L1
        Without a box.
    tol : float
        Relative gap (objective − lower bound) / objective to reach.

    Returns
    -------
    RobustLogisticFit
        With ``gap <= tol``; on robustly separable data ``separable`` is true and theta is scaled so that the
        objective is below ``tol``. If neither is reached, a ``GapWarning`` says what gap is left.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Source: slides "Linear Models" (the objective); ``solvers/dual.py`` (the certificate).
    """
    checks.on_host("robust_logistic.fit", x, y)
    y = Binary().check_labels(y, len(x))
    y = y.astype(float)
    yx = rows(x).astype(float)  # the only copy: asking for memory costs more than the solution
    center = yx.mean(axis=0)  # moving all examples changes nothing but theta0, and rounding is kinder near 0
    yx -= center
    yx *= y[:, None]
    theta, theta0, a, iterations = _solver(ball)(yx, y, ball, tol)
    theta, theta0 = theta.reshape(x.shape[1:]), theta0 - center @ theta
    m = worst_margin(theta, theta0, x, y, ball)
    separable = bool(m.min() > 0)
    if separable:
        scale = 2 ** np.ceil(np.log2(max(1.0, -np.log(tol) / m.min())))  # a power of two: no rounding
        theta, theta0 = scale * theta, scale * theta0
        m = worst_margin(theta, theta0, x, y, ball)
    value = float(softplus(-m).mean())
    bound = 0.0 if separable else lower_bound(a, yx, y, ball)
    found = RobustLogisticFit(theta, float(theta0), value, bound, separable, iterations)
    if not separable and not found.gap <= tol:
        warnings.warn(f"relative gap {found.gap:.1e} after {iterations} rounds, asked was {tol:g}", GapWarning, 3)
    return found


@checked(y=signs, norm=one_of(Linf, L2, L1))
def critical_radius(x, y, norm):
    r"""The largest ε at which the examples are still robustly separable.

    .. math:: \max_{\theta, \theta_0} \min_i y_i(\theta^T x_i + \theta_0) / \lVert\theta\rVert_*

    A linear program for ℓ∞ and ℓ1; for ℓ2 half the distance between the convex hulls of the two classes.

    Parameters
    ----------
    x : array, shape (N, *D)
    y : array, shape (N,)
        Labels −1/+1.
    norm : type
        ``Linf``, ``L2`` or ``L1``.

    Returns
    -------
    float
        In the units of x; 0 if no linear model separates the examples, infinite if there is one class only.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> critical_radius(np.array([[0.0, 0.0], [0.5, 1.0]]), np.array([-1, 1]), L1)
    0.75
    """
    checks.on_host("critical_radius", x, y)
    y = Binary().check_labels(y, len(x))
    return largest_margin(rows(x).astype(float), y.astype(float), norm)


def _solver(ball):
    if ball.eps == 0:
        return _plain
    return working_set.solve if isinstance(ball, Linf) else barrier.solve


def _plain(yx, y, ball, tol):
    """Ordinary logistic regression, the problem for ε = 0."""
    z = np.vstack([yx.T, y])
    beta, m = newton(z, np.zeros(len(z)), nonnegative=np.zeros(len(z), dtype=bool))
    for vanish in (1e-11, 1e-9):  # where the infimum needs an infinite theta, some weights are on their way to zero
        a = stationary(sigmoid(-m), z, vanish)
        if lower_bound(a, yx, y, ball) > 0:
            break
    return beta[:-1], float(beta[-1]), a, 1
