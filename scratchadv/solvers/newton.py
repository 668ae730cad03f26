"""Newton's method for logistic regression with some weights held at or above zero."""

import numpy as np

from ..numerics import sigmoid, softplus


def newton(z, beta, nonnegative, accuracy=1e-15, max_steps=50):
    r"""Minimise :math:`\frac1N \sum_i \Psi((\beta^T Z)_i)`, some entries of β kept >= 0.

    Newton steps on the entries that are free to move, cut off at zero. It stops early when all margins are
    positive, as the value then falls for ever.

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

    Source: Bertsekas (1982), "Projected Newton methods for optimization problems with simple constraints".
    """
    n = z.shape[1]
    m = beta @ z
    value = softplus(-m).mean()
    for _ in range(max_steps):
        a = sigmoid(-m)
        g = -(z @ a) / n
        free = ~nonnegative | (beta > 0) | (g < 0)
        weighted = z[free] * np.sqrt(a * (1 - a) / n)
        hessian = weighted @ weighted.T
        hessian.flat[:: len(hessian) + 1] += (
            1e-12 * np.trace(hessian) + 1e-300
        )  # copies of a feature are no reason to fail
        step = np.zeros_like(beta)
        step[free] = -np.linalg.solve(hessian, g[free])
        for t in 0.5 ** np.arange(30):
            trial = beta + t * step
            trial[nonnegative] = np.maximum(trial[nonnegative], 0)
            trial_m = trial @ z
            trial_value = softplus(-trial_m).mean()
            if trial_value <= value + 1e-4 * g @ (trial - beta):
                break
        else:
            break  # rounding leaves nothing to gain
        decrease = value - trial_value
        beta, m, value = trial, trial_m, trial_value
        if decrease <= accuracy * value or m.min() > 0:
            break
    return beta, m
