r"""The exact value and gradient of the robust objective of a linear model.

.. math::
    \frac1N \sum_{i=1}^N \max_{\delta \in \Delta} \Psi(y_i(\theta^T (x_i + \delta) + \theta_0))
    = \frac1N \sum_{i=1}^N \Psi(y_i(\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*)

with :math:`\Psi(m) = \log(1 + \exp(-m))` and the dual norm, which is :math:`\lVert\theta\rVert_1` for the ℓ∞ ball.
Source: slides "Linear Models".
"""

from .. import checks
from ..backend import namespace
from ..checked import checked
from ..numerics import per_row, rows, sigmoid, softplus
from ..sets import Ball
from ..tasks import Binary


def signs(name, value):
    """Return labels −1/+1; their number is checked later."""
    y = checks.array(name, value, "of labels")
    return Binary().check_labels(y, (*y.shape, 1)[0], name)


_LINEAR_PROBLEM = {"theta": checks.example, "theta0": checks.number, "y": signs, "ball": checks.threat}


@checked(**_LINEAR_PROBLEM)
def worst_margin(theta, theta0, x, y, ball):
    r"""Return the margin of each example after the best attack.

    .. math:: m_i = \min_{\delta \in \Delta(x_i)} y_i(\theta^T(x_i + \delta) + \theta_0)
                  = y_i(\theta^T x_i + \theta_0) - \max_{\delta \in \Delta(x_i)} \langle -y_i \theta, \delta \rangle

    Parameters
    ----------
    theta : array, shape D
        The weights.
    theta0 : float
        The intercept.
    x : array, shape (N, *D)
        The examples.
    y : array, shape (N,)
        Labels −1/+1.
    ball : Set
        The perturbation set, in the units of x. With a pixel range, the best attack respects it.

    Returns
    -------
    m : array, shape (N,)
        The margins, in the units of the logit.

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit each other.
    """
    y = Binary().check_labels(y, len(x))
    if theta.shape != x.shape[1:]:
        raise ValueError(f"theta has shape {theta.shape}; that of an example of x, {x.shape[1:]}, was expected")
    m = y * (_scores(theta, x) + theta0)
    if isinstance(ball, Ball):  # it is symmetric and the same for all examples, so one row is enough
        return m - ball.support(theta[None])
    return m - ball.at(x).support(-per_row(y, x) * theta)


@checked(**_LINEAR_PROBLEM)
def objective(theta, theta0, x, y, ball):
    r"""Return the exact empirical adversarial risk of a linear model.

    .. math:: \frac1N \sum_i \Psi(y_i(\theta^T x_i + \theta_0) - \epsilon \lVert\theta\rVert_*)

    Parameters and errors as for :func:`worst_margin`.

    Returns
    -------
    float
        The mean loss, in nats.

    Examples
    --------
    >>> round(objective(np.array([1.0, -1.0]), 0.0, np.array([[1.0, 0.0]]), np.array([1]), Linf(0.5)), 6)  # log 2
    0.693147
    """
    return float(softplus(-worst_margin(theta, theta0, x, y, ball)).mean())


@checked(**_LINEAR_PROBLEM)
def gradient(theta, theta0, x, y, ball):
    r"""Return a subgradient of :func:`objective` in theta and theta0, which is the gradient where it is smooth.

    By Danskin's theorem it is the gradient at the attacked examples:

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
    """Return θᵀx block by block; at once, NumPy would copy all float32 images to multiply them by float64 weights."""
    xp = namespace(x)
    return xp.concatenate([rows(x[i : i + block]) @ theta.ravel() for i in range(0, len(x), block)])
