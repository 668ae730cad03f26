"""The strongest attack there is, for linear models."""

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
    r"""The perturbation in Δ(x) that hurts a linear model the most.

    .. math::
        \delta^* = \arg\max_{\delta \in \Delta(x)} \Psi(y(\theta^T(x + \delta) + \theta_0))
                 = \arg\max_{\delta \in \Delta(x)} \langle -y\theta, \delta \rangle,

    as Ψ decreases; for the ℓ∞ ball it is :math:`-y \epsilon\, \mathrm{sign}(\theta)`. The maximum is exact for
    every ball and, with a pixel range, for every ball ∩ box.

    Parameters
    ----------
    model : Model
        A linear one with a single logit, such as ``LogisticRegression``.
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        Labels −1/+1.
    threat : Set
        The perturbation set Δ.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x.

    Raises
    ------
    TypeError
        If the model is not linear.
    ValueError
        If x, y and the threat do not fit each other.

    Source: slides "Linear Models"; Karpathy (2015), "Breaking linear classifiers on ImageNet".

    Examples
    --------
    >>> model = LogisticRegression(np.array([2.0, -1.0]))
    >>> exact(model, np.array([[1.0, 1.0]]), np.array([1]), Linf(0.5))
    array([[-0.5,  0.5]])

    "Breaking linear classifiers" in ten dimensions: no feature moves by more than a half, and a class of probability
    0.05 gets 0.88.

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
