"""Newton's method for logistic regression with some weights held at or above zero."""

import numpy as np

from ...numerics import sigmoid, softplus


def newton(z, beta, nonnegative, accuracy=1e-15, max_steps=50):
    r"""Minimise :math:`\frac1N \sum_i \Psi((\beta^T Z)_i)`, some entries of β kept >= 0.

    Each step goes towards the minimum of the quadratic model under the same condition. It stops early when all
    margins are positive, as the value then falls for ever.

    Parameters
    ----------
    z : array, shape (K, N)
        One row a feature, float64.
    beta : array, shape (K,)
        Where to start.
    nonnegative : array of bool, shape (K,)
        Which entries must not become negative.
    accuracy : float
        Stop when a step lowers the value by no more than this share of it.

    Returns
    -------
    beta : array, shape (K,)
    m : array, shape (N,)
        The margins.

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
            break  # rounding leaves nothing to gain
        decrease = value - trial_value
        beta, m, value = trial, trial_m, trial_value
        if decrease <= accuracy * value or m.min() > 0:
            break
    return beta, m


def stationary(a, z, vanish=1e-11, rounds=3):
    """The weights a moved a little, so that ``z @ a`` is zero up to the rounding of its sum.

    Newton's method leaves as much as the rounding of the margins, which large weights make large. The correction is
    the smallest one, measured by :math:`a_i (1 - a_i)`.

    Parameters
    ----------
    a : array, shape (N,)
        Weights in [0, 1], close to stationary.
    z : array, shape (K, N)
    vanish : float
        Weights up to this become zero.
    """
    a = np.where(a > vanish, a, 0)
    for _ in range(rounds):
        correction = a * (1 - a) * (np.linalg.solve(_hessian(z, a), z @ a / len(a)) @ z)
        a = np.clip(a - correction, 0, 1)
    return a


def _hessian(z, a):
    weighted = z * np.sqrt(a * (1 - a) / z.shape[1])
    hessian = weighted @ weighted.T
    hessian.flat[:: len(hessian) + 1] *= 1 + 1e-12  # copies of a feature are no reason to fail
    hessian.flat[:: len(hessian) + 1] += 1e-300
    return hessian


def _least_quadratic(hessian, g, beta, nonnegative):
    r"""The b that minimises :math:`g^T (b - \beta) + \frac12 (b - \beta)^T H (b - \beta)`, where asked b >= 0.

    An active set: solve on the entries that are free to move; where that would cross zero, go as far as zero and
    hold what arrived there; release held entries, the steepest first, while they pull inwards. Cutting a plain
    Newton step off at zero instead can point uphill, and the search then stalls far from the minimum.
    Source: Lawson and Hanson, "Solving Least Squares Problems" (1974), chapter 23.
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
