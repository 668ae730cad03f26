"""The fast gradient sign method in several small steps, with or without momentum."""

from ... import checks
from ...checked import checked
from .best import KEEP
from .pgd import climb


@checked(keep=KEEP)
def iterated_fgsm(model, x, y, threat, *, steps=10, alpha=None, target=None, loss=None, keep="success"):
    r"""Take several small FGSM steps, each from the result of the last: the basic iterative method.

    .. math::
        \delta^{[t+1]} = \mathcal{P}\left(\delta^{[t]} + \alpha\, \mathrm{sign}(g)\right), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[t]})), \quad \delta^{[0]} = 0

    It is ``pgd`` from zero with the step size :math:`\alpha = \epsilon / T`, so that all T steps together just reach
    the edge of the ball. For balls other than ℓ∞, the steepest step of the ball replaces the sign.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ(x).
    steps : int
        The number of steps T.
    alpha : float, optional
        The step size, in the units of x. Default: radius / steps.
    target : array, shape (N,), optional
        The labels to reach; the attack then maximises L(y) − L(target).
    loss : Loss, optional
        The loss to climb. Default: the model's own.
    keep : {"success", "loss"}
        Which iterate counts as the best, as for :func:`pgd`.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate, which may be δ = 0, in the dtype of x (the paper returns the last one).

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slide "Fast Gradient Sign Method (FGSM) attack"; Kurakin, Goodfellow and Bengio (2017), "Adversarial
    examples in the physical world", section 2.2.
    """
    options = {"steps": steps, "alpha": alpha, "target": target, "loss": loss, "keep": keep}
    return climb(model, x, y, threat, reach=1, **options).delta


@checked(mu=checks.size, keep=KEEP)
def momentum_fgsm(model, x, y, threat, *, steps=10, alpha=None, mu=1.0, target=None, loss=None, keep="success"):
    r"""Iterate FGSM along a running sum of gradients, each scaled to ℓ1 norm one.

    .. math::
        v^{[t+1]} = \mu v^{[t]} + \frac{g}{\lVert g \rVert_1}, \qquad
        \delta^{[t+1]} = \mathcal{P}\left(\delta^{[t]} + \alpha\, \mathrm{sign}(v^{[t+1]})\right), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[t]}))

    For balls other than ℓ∞, the steepest step of the ball replaces the sign. With :math:`\mu = 0` it is
    ``iterated_fgsm``.

    Parameters and errors as for :func:`iterated_fgsm`.

    Parameters
    ----------
    mu : float
        The decay factor μ: the share of the running sum that each step keeps.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate, which may be δ = 0, in the dtype of x (the paper returns the last one).

    Source: Dong et al. (2018), "Boosting adversarial attacks with momentum", algorithm 1.
    """
    options = {"steps": steps, "alpha": alpha, "target": target, "loss": loss, "keep": keep}
    return climb(model, x, y, threat, reach=1, momentum=mu, **options).delta
