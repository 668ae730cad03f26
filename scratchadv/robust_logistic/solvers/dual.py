r"""The dual of the robust logistic problem, which certifies every solution.

We have :math:`\Psi(m) = \max_{0 \leq a \leq 1} H(a) - a m` with the binary entropy H. So all weights a with
:math:`\sum_i a_i y_i = 0` and :math:`\lVert \sum_i a_i y_i x_i \rVert \leq \epsilon \sum_i a_i`, in the norm of the
ball, give a lower bound:

.. math::
    \frac1N \sum_i H(a_i) \leq \min_{\theta, \theta_0}
    \frac1N \sum_i \Psi(y_i (\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*) .

At the optimum :math:`a_i = \tau(-m_i)`, the probability that the model assigns to the wrong label under attack.
"""

import numpy as np

from ...numerics import binary_entropy


def balanced(a, y):
    """Return the weights with the heavier class scaled down so that Σ a y = 0."""
    positive = y > 0
    total = a[positive].sum(), a[~positive].sum()
    lighter = min(total)
    return a * np.where(positive, lighter / (total[0] or 1), lighter / (total[1] or 1))


def lower_bound(a, yx, y, ball):
    """Return the mean of H(a) over the balanced weights, or the trivial bound 0 if they are not feasible.

    Parameters
    ----------
    a : array, shape (N,)
        Weights in [0, 1].
    yx : array, shape (N, P)
        Examples times their labels −1/+1, float64.
    y : array, shape (N,)
        Labels −1/+1.
    ball : Ball
        The ball of a norm, without a box.

    Returns
    -------
    float
        In nats.
    """
    a = balanced(a, y)
    if ball.eps:
        feasible = ball.norm((a @ yx)[None])[0] <= ball.eps * a.sum()
    else:  # the condition is an equation, which must hold up to the rounding of the sum
        feasible = (abs(a @ yx) <= 1e-13 * (a @ abs(yx))).all()
    return float(binary_entropy(a).mean()) if feasible else 0.0
