"""Newton's method for logistic regression with some weights held at or above zero."""

import numpy as np

from ...numerics import sigmoid, softplus


def newton(z, beta, nonnegative, accuracy=1e-15, max_steps=50):
    r"""Minimise :math:`\frac1N \sum_i \Psi((\beta^T Z)_i)` with some entries of β kept nonnegative.

    Each step goes towards the minimum of the quadratic model under the same condition. The method stops early when all
    margins are positive, since scaling β up then always lowers the value.

    Parameters
    ----------
    z : array, shape (K, N)
        One row for each feature, float64.
    beta : array, shape (K,)
        The start.
    nonnegative : array of bool, shape (K,)
        Which entries must not become negative.
    accuracy : float
        The method stops when a step lowers the value by no more than this share of it.

    Returns
    -------
    beta : array, shape (K,)
        The minimiser.
    m : array, shape (N,)
        The margins at beta.

    Source: Lee, Sun and Saunders (2014), "Proximal Newton-type methods for minimizing composite functions".
    """
    n = z.shape[1]
    m = beta @ z
    value = softplus(-m).mean()
    for _ in range(max_steps):
        a = sigmoid(-m)
        g = -(z @ a) / n
        step = _least_quadratic(_hessian(z, a), g, beta, nonnegative) - beta
        for t in 0.5 ** np.arange(30):
            trial = beta + t * step
            trial_m = trial @ z
            trial_value = softplus(-trial_m).mean()
            if trial_value <= value + 1e-4 * t * g @ step:
                break
        else:
            break  # up to rounding there is nothing left to gain
        decrease = value - trial_value
        beta, m, value = trial, trial_m, trial_value
        if decrease <= accuracy * value or m.min() > 0:
            break
    return beta, m


def stationary(a, z, vanish=1e-11, rounds=3):
    """Correct the weights a so that ``z @ a`` is zero up to the rounding of the sum.

    After Newton's method the error is that of the rounded margins, which is large for a large β. The correction is the
    smallest one when entry i is measured in units of :math:`a_i (1 - a_i)`.

    Parameters
    ----------
    a : array, shape (N,)
        Weights in [0, 1], nearly stationary.
    z : array, shape (K, N)
        One row for each feature.
    vanish : float
        Weights up to this value become zero.

    Returns
    -------
    array, shape (N,)
    """
    a = np.where(a > vanish, a, 0)
    for _ in range(rounds):
        correction = a * (1 - a) * (np.linalg.solve(_hessian(z, a), z @ a / len(a)) @ z)
        a = np.clip(a - correction, 0, 1)
    return a


def _hessian(z, a):
    weighted = z * np.sqrt(a * (1 - a) / z.shape[1])
    hessian = weighted @ weighted.T
    hessian.flat[:: len(hessian) + 1] *= 1 + 1e-12  # keeps it regular if a feature is repeated
    hessian.flat[:: len(hessian) + 1] += 1e-300
    return hessian


def _least_quadratic(hessian, g, beta, nonnegative):
    r"""Minimise :math:`g^T (b - \beta) + \frac12 (b - \beta)^T H (b - \beta)` over b with ``b[nonnegative] >= 0``.

    This is an active-set method. Solve for the free entries. If the solution crosses zero, go only until the first
    entries are zero, and hold these. Otherwise release the held entry with the steepest descent, until there is none.
    If we clipped a plain Newton step at zero instead, it could point uphill, and the search would stall far from the
    minimum. Source: Lawson and Hanson, "Solving Least Squares Problems" (1974), chapter 23.
    """
    b = beta.copy()
    free = ~nonnegative | (beta > 0) | (g < 0)
    for _ in range(3 * len(b)):
        slope = g + hessian @ (b - beta)
        target = b.copy()
        target[free] -= np.linalg.solve(hessian[np.ix_(free, free)], slope[free])
        crossing = free & nonnegative & (target <= 0)
        if crossing.any():
            share = np.zeros_like(b)
            share[crossing] = b[crossing] / np.maximum(b[crossing] - target[crossing], 1e-300)
            t = share[crossing].min()
            b += t * (target - b)
            arrived = crossing & (share <= t)
            b[arrived] = 0
            free &= ~arrived
            continue
        b = target
        pull = np.where(free, 0, -(g + hessian @ (b - beta)))
        j = pull.argmax()
        if pull[j] <= 1e-12 * abs(g).max():
            break
        free[j] = True
    return b
