"""The exact attack on linear models."""

from .. import checks
from ..checked import checked
from ..models.protocol import vjp_x


def linear(name, value):
    """Refuse a model that is not linear."""
    checks.model(name, value)
    if not getattr(value, "linear", False):
        raise TypeError(f"{name}: exact solves linear models only; for {type(value).__name__} use pgd")
    return value


@checked(model=linear)
def exact(model, x, y, threat):
    r"""Return the perturbation in Δ(x) that maximises the loss of a linear model.

    .. math::
        \delta^* = \arg\max_{\delta \in \Delta(x)} \Psi(y(\theta^T(x + \delta) + \theta_0))
                 = \arg\max_{\delta \in \Delta(x)} \langle -y\theta, \delta \rangle,

    because Ψ decreases. For the ℓ∞ ball, δ* is :math:`-y \epsilon\, \mathrm{sign}(\theta)`. The maximum is exact for
    every ball, and also for a ball that is cut by a pixel range.

    Parameters
    ----------
    model : Model
        A linear model with a single logit, such as ``LogisticRegression``.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels, −1 or +1.
    threat : Set
        The perturbation set Δ(x).

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x.

    Raises
    ------
    TypeError
        If the model is not linear.
    ValueError
        If x, y and the threat do not fit together.

    Source: slides "Linear Models"; Karpathy (2015), "Breaking linear classifiers on ImageNet".

    Examples
    --------
    >>> model = LogisticRegression(np.array([2.0, -1.0]))
    >>> exact(model, np.array([[1.0, 1.0]]), np.array([1]), Linf(0.5))
    array([[-0.5,  0.5]])

    "Breaking linear classifiers" in ten dimensions: no feature changes by more than 0.5, but the probability of the
    class +1 rises from 0.05 to 0.88.

    >>> x = np.array([[2.0, -1, 3, -2, 2, 2, 1, -4, 5, 1]])
    >>> model = LogisticRegression(np.array([-1.0, -1, 1, -1, 1, -1, 1, 1, -1, 1]))
    >>> delta = exact(model, x, np.array([-1]), Linf(0.5))
    >>> model.logits(x), model.logits(x + delta)
    (array([-3.]), array([2.]))
    """
    z, pull = vjp_x(model, x)
    checks.logits(z)
    minus_y_theta = pull(-y.astype(x.dtype))
    return threat.at(x).linear_max(minus_y_theta)
