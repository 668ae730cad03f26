r"""The robust objective of a linear model, its value and its gradient, exactly.

.. math::
    \frac1N \sum_{i=1}^N \max_{\delta \in \Delta} \Psi(y_i(\theta^T (x_i + \delta) + \theta_0))
    = \frac1N \sum_{i=1}^N \Psi(y_i(\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*)

with :math:`\Psi(m) = \log(1 + \exp(-m))` and the dual norm: :math:`\lVert\theta\rVert_1` for the ℓ∞ ball.
Source: slides "Linear Models".
"""

from .. import checks
from ..backend import namespace
from ..checked import checked
from ..numerics import per_row, rows, sigmoid, softplus
from ..sets import Ball


def signs(name, value):
    """Return labels −1/+1, as many as there are."""
    y = checks.array(name, value, "of labels")
    return checks.signs(y, (*y.shape, 1)[0], name)


_LINEAR_PROBLEM = {"theta": checks.example, "theta0": checks.number, "y": signs, "ball": checks.threat}


@checked(**_LINEAR_PROBLEM)
def worst_margin(theta, theta0, x, y, ball):
    r"""The margin that is left after the best attack, example by example.

    .. math:: m_i = \min_{\delta \in \Delta(x_i)} y_i(\theta^T(x_i + \delta) + \theta_0)
                  = y_i(\theta^T x_i + \theta_0) - \max_{\delta \in \Delta(x_i)} \langle -y_i \theta, \delta \rangle

    Parameters
    ----------
    theta : array, shape D
    theta0 : float
    x : array, shape (N, *D)
    y : array, shape (N,)
        Labels −1/+1.
    ball : Set
        With a pixel range the worst case respects it.

    Returns
    -------
    m : array, shape (N,)

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit each other.
    """
    y = checks.signs(y, len(x))
    if theta.shape != x.shape[1:]:
        raise ValueError(f"theta has shape {theta.shape}; that of an example of x, {x.shape[1:]}, was expected")
    m = y * (_scores(theta, x) + theta0)
    if isinstance(ball, Ball):  # symmetric and the same for all: one row serves every example
        return m - ball.support(theta[None])
    return m - ball.at(x).support(-per_row(y, x) * theta)


@checked(**_LINEAR_PROBLEM)
def objective(theta, theta0, x, y, ball):
    r"""The empirical adversarial risk of a linear model, exactly.

    .. math:: \frac1N \sum_i \Psi(y_i(\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*)

    Parameters and errors as for :func:`worst_margin`.

    Returns
    -------
    float
        In nats.

    Examples
    --------
    >>> round(objective(np.array([1.0, -1.0]), 0.0, np.array([[1.0, 0.0]]), np.array([1]), Linf(0.5)), 6)  # log 2
    0.693147
    """
    return float(softplus(-worst_margin(theta, theta0, x, y, ball)).mean())


@checked(**_LINEAR_PROBLEM)
def gradient(theta, theta0, x, y, ball):
    r"""A subgradient of :func:`objective`, its gradient where it is smooth.

    It is the gradient at the attacked examples (Danskin's theorem):

    .. math:: -\frac1N \sum_i \tau(-m_i)\, y_i (x_i + \delta_i^*), \qquad -\frac1N \sum_i \tau(-m_i)\, y_i

    Parameters and errors as for :func:`worst_margin`.

    Returns
    -------
    theta_gradient : array, shape D
    theta0_gradient : float
    """
    a = sigmoid(-worst_margin(theta, theta0, x, y, ball))
    delta = ball.at(x).linear_max(-per_row(y, x) * theta)
    weights = -a * y / len(x)
    return (weights @ rows(x + delta)).reshape(theta.shape), float(weights.sum())


def _scores(theta, x, block=2048):
    """θᵀx, block by block: of float32 images and float64 weights NumPy would copy all images at once."""
    xp = namespace(x)
    return xp.concatenate([rows(x[i : i + block]) @ theta.ravel() for i in range(0, len(x), block)])
