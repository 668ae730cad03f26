r"""Robust logistic regression for the ℓ∞ ball by Newton's method on the few weights that are not zero.

If the sign pattern s of θ is fixed, :math:`\theta_j = s_j \beta_j` with :math:`\beta \geq 0` and
:math:`\lVert\theta\rVert_1 = \sum_j \beta_j`. The objective is then an ordinary logistic one in the shifted features

.. math::
    z_{ij} = s_j y_i x_{ij} - \epsilon, \qquad \frac1N \sum_i \Psi\Bigl(\sum_j z_{ij} \beta_j + y_i \theta_0\Bigr).

Weight j is correctly zero if :math:`|\sum_i a_i y_i x_{ij}| \leq \epsilon \sum_i a_i`. The weights that violate this
condition the most join the working set.
"""

import numpy as np

from ...numerics import sigmoid, softplus
from .dual import lower_bound
from .newton import newton, stationary


def solve(yx, y, ball, tol, max_rounds=200):
    """Minimise to a relative gap of ``tol``.

    The radius is smaller than ε by the small share ``shave``. This costs the primal value only the order of shave²
    and makes the dual weights strictly feasible for ε itself, so that they are a certificate.

    Parameters
    ----------
    yx : array, shape (N, P)
        Examples times their labels, float64.
    y : array, shape (N,)
        Labels −1/+1, float64.
    ball : Linf
        The perturbation set, with ε > 0.
    tol : float
        The relative gap to reach.

    Returns
    -------
    theta : array, shape (P,)
        The weights.
    theta0 : float
        The intercept.
    a : array, shape (N,)
        The dual weights.
    rounds : int
        The number of rounds.
    """
    n, p = yx.shape
    shave = tol / 10
    sign = np.zeros(p)
    columns = np.zeros(0, dtype=int)
    features = np.empty((0, n))
    beta = np.zeros(1)  # the last entry is theta0
    violation = 1.0
    for rounds in range(1, max_rounds + 1):  # noqa: B007
        eps = ball.eps * (1 - shave)
        # the next weights gain about violation², so solving much more exactly would be wasted
        accuracy = max(1e-3 * violation**2, 1e-15)
        beta, m = newton(np.vstack([features - eps, y]), beta, np.arange(len(beta)) < len(beta) - 1, accuracy)
        a = sigmoid(-m)
        if m.min() > 0:
            break  # robustly separable
        correlation = a @ yx
        excess = abs(correlation) - eps * a.sum()
        excess[columns[beta[:-1] > 0]] = 0
        violation = excess.max() / (eps * a.sum())
        if violation <= shave / 2:
            kept = np.append(beta[:-1] > 0, True)
            a = stationary(a, np.vstack([features - eps, y])[kept])
            value = softplus(ball.eps * shave * beta[:-1].sum() - m).mean()
            if value - lower_bound(a, yx, y, ball) <= tol * value:
                break
            violation = 0.0
            if accuracy == 1e-15:
                shave /= 10
        used = beta[:-1] > 0
        worst = np.argsort(-excess)[: max(10, used.sum())]
        worst = worst[excess[worst] > 0]
        sign[worst] = np.sign(correlation[worst])
        columns = np.concatenate([columns[used], worst])
        features = np.vstack([features[used], (sign[worst] * yx[:, worst]).T])
        beta = np.concatenate([beta[:-1][used], np.zeros(len(worst)), beta[-1:]])
    theta = np.zeros(p)
    theta[columns] = sign[columns] * beta[:-1]
    return theta, float(beta[-1]), a, rounds
