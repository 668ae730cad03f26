"""The certified minimum of the robust objective of a linear model, and the largest ε that separable data withstand."""

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
    """Refuse anything but the ball of a norm without a box."""
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
    """The exact robust linear model and its certificate.

    Attributes
    ----------
    theta : array, shape D
        The weights, float64.
    theta0 : float
        The intercept.
    objective : float
        The robust objective at (theta, theta0), in nats.
    lower_bound : float
        A bound that the objective of no (theta, theta0) is below, in nats.
    separable : bool
        Whether this model classifies every example correctly under every attack. The infimum is then 0 and is not
        attained, since scaling theta up always lowers the objective.
    iterations : int
        The number of rounds of the solver.
    """

    theta: Any
    theta0: float
    objective: float
    lower_bound: float
    separable: bool
    iterations: int

    @property
    def gap(self):
        """The relative gap (objective − lower bound) / objective."""
        return (self.objective - self.lower_bound) / self.objective if self.objective else 0.0


class GapWarning(RuntimeWarning):
    """Warns that the solver stopped before its certificate reached the tolerance."""


@checked(y=signs, ball=_bare_ball, tol=_tolerance)
def fit(x, y, ball, *, tol=1e-6):
    r"""Return the exact optimum of the robust objective, certified by a lower bound from its dual.

    For ℓ∞ the problem is solved by Newton's method on a working set of weights, for ℓ2 and ℓ1 by a barrier method.

    Parameters
    ----------
    x : array, shape (N, *D)
        The examples, float32 or float64.
    y : array, shape (N,)
        Labels −1/+1.
    ball : Linf, L2 or L1
        The perturbation set, without a box; its radius is in the units of x.
    tol : float
        The relative gap (objective − lower bound) / objective to reach.

    Returns
    -------
    RobustLogisticFit
        Either ``gap <= tol`` holds, or the data are robustly separable: then ``separable`` is true and theta is scaled
        so that the objective is below ``tol``. If neither is reached, a ``GapWarning`` names the remaining gap.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Source: slides "Linear Models" (the objective); ``solvers/dual.py`` (the certificate).
    """
    checks.on_host("robust_logistic.fit", x, y)
    y = Binary().check_labels(y, len(x))
    y = y.astype(float)
    yx = rows(x).astype(float)  # the only copy: allocating memory costs more than the solution
    center = yx.mean(axis=0)  # centring the examples changes only theta0 and reduces rounding errors
    yx -= center
    yx *= y[:, None]
    theta, theta0, a, iterations = _solver(ball)(yx, y, ball, tol)
    theta0 -= center @ theta
    theta = theta.reshape(x.shape[1:])
    m = worst_margin(theta, theta0, x, y, ball)
    separable = bool(m.min() > 0)
    if separable:
        scale = 2 ** np.ceil(np.log2(max(1.0, -np.log(tol) / m.min())))  # a power of two: no rounding
        theta = scale * theta
        theta0 = scale * theta0
        m = worst_margin(theta, theta0, x, y, ball)
    value = float(softplus(-m).mean())
    bound = 0.0 if separable else lower_bound(a, yx, y, ball)
    found = RobustLogisticFit(theta, float(theta0), value, bound, separable, iterations)
    if not separable and not found.gap <= tol:
        warnings.warn(f"relative gap {found.gap:.1e} after {iterations} rounds, not {tol:g} as asked", GapWarning, 3)
    return found


@checked(y=signs, norm=one_of(Linf, L2, L1))
def critical_radius(x, y, norm):
    r"""Return the largest ε at which the examples are still robustly separable.

    .. math:: \max_{\theta, \theta_0} \min_i y_i(\theta^T x_i + \theta_0) / \lVert\theta\rVert_*

    For ℓ∞ and ℓ1 it is the value of a linear program, for ℓ2 half the distance between the convex hulls of the classes.

    Parameters
    ----------
    x : array, shape (N, *D)
        The examples.
    y : array, shape (N,)
        Labels −1/+1.
    norm : type
        ``Linf``, ``L2`` or ``L1``.

    Returns
    -------
    float
        The radius in the units of x; 0 if no linear model separates the examples, and infinite if there is only one
        class.

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
    """Solve ordinary logistic regression, the problem for ε = 0."""
    z = np.vstack([yx.T, y])
    beta, m = newton(z, np.zeros(len(z)), nonnegative=np.zeros(len(z), dtype=bool))
    for vanish in (1e-11, 1e-9):  # where the infimum needs an infinite theta, some dual weights tend to zero
        a = stationary(sigmoid(-m), z, vanish)
        if lower_bound(a, yx, y, ball) > 0:
            break
    return beta[:-1], float(beta[-1]), a, 1
