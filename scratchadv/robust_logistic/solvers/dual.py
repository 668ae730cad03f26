r"""The dual of the robust logistic problem: the certificate of every solution.

As :math:`\Psi(m) = \max_{0 \leq a \leq 1} H(a) - a m` with the binary entropy H, for all weights a with
:math:`\sum_i a_i y_i = 0` and, in the norm of the ball,
:math:`\lVert \sum_i a_i y_i x_i \rVert \leq \epsilon \sum_i a_i`

.. math::
    \frac1N \sum_i H(a_i) \leq \min_{\theta, \theta_0}
    \frac1N \sum_i \Psi(y_i (\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*) .

At the optimum :math:`a_i = \tau(-m_i)`, the probability that the model gives to the wrong label under attack.
"""

import numpy as np

from ...numerics import binary_entropy


def balanced(a, y):
    """The weights with the heavier class scaled down, so that Σ a y = 0."""
    positive = y > 0
    total = a[positive].sum(), a[~positive].sum()
    lighter = min(total)
    return a * np.where(positive, lighter / (total[0] or 1), lighter / (total[1] or 1))


def lower_bound(a, yx, y, ball):
    """Mean H(a) of the balanced weights; 0, which always holds, where they are not feasible.

    Parameters
    ----------
    a : array, shape (N,)
        Weights in [0, 1].
    yx : array, shape (N, P)
        Examples times their labels −1/+1, float64.
    y : array, shape (N,)
    ball : Ball
        A bare ball of a norm.
    """
    a = balanced(a, y)
    if ball.eps:
        feasible = ball.norm((a @ yx)[None])[0] <= ball.eps * a.sum()
    else:  # the condition is an equation: forgive the rounding of the sum, and no more
        feasible = (abs(a @ yx) <= 1e-13 * (a @ abs(yx))).all()
    return float(binary_entropy(a).mean()) if feasible else 0.0
