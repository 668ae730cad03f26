"""The fast gradient sign method in small steps, also with momentum."""

from ... import checks
from ...checked import checked
from .best import KEEP
from .pgd import climb


@checked(keep=KEEP)
def iterated_fgsm(model, x, y, threat, *, steps=10, alpha=None, target=None, loss=None, keep="success"):
    r"""FGSM in small steps, each from where the last one ended: the basic iterative method.

    .. math::
        \delta^{[t+1]} = \mathcal{P}\left(\delta^{[t]} + \alpha\, \mathrm{sign}(g)\right), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[t]})), \quad \delta^{[0]} = 0

    It is ``pgd`` from zero with steps that just reach the edge, :math:`\alpha = \epsilon / T`. For balls other than ℓ∞
    the sign is their own steepest step.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ.
    steps : int
        T.
    alpha : float, optional
        Step size in the units of x. Default radius / steps.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised.
    loss : Loss, optional
        Default: the model's own.
    keep : {"success", "loss"}
        As for :func:`pgd`.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate, δ = 0 included (the paper returns the last one). dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: slide "Fast Gradient Sign Method (FGSM) attack"; Kurakin, Goodfellow and Bengio (2017), "Adversarial
    examples in the physical world", section 2.2.
    """
    options = {"steps": steps, "alpha": alpha, "target": target, "loss": loss, "keep": keep}
    return climb(model, x, y, threat, reach=1, **options).delta


@checked(mu=checks.size, keep=KEEP)
def momentum_fgsm(model, x, y, threat, *, steps=10, alpha=None, mu=1.0, target=None, loss=None, keep="success"):
    r"""Iterated FGSM along a running sum of gradients, each of ℓ1 norm one.

    .. math::
        v^{[t+1]} = \mu v^{[t]} + \frac{g}{\lVert g \rVert_1}, \qquad
        \delta^{[t+1]} = \mathcal{P}\left(\delta^{[t]} + \alpha\, \mathrm{sign}(v^{[t+1]})\right), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[t]}))

    For balls other than ℓ∞ the sign is their own steepest step. :math:`\mu = 0` is ``iterated_fgsm``.

    Parameters and errors as for :func:`iterated_fgsm`.

    Parameters
    ----------
    mu : float
        How much of the sum is kept.

    Returns
    -------
    delta : array, shape (N, *D)
        The best iterate, δ = 0 included (the paper returns the last one). dtype of x.

    Source: Dong et al. (2018), "Boosting adversarial attacks with momentum", algorithm 1.
    """
    options = {"steps": steps, "alpha": alpha, "target": target, "loss": loss, "keep": keep}
    return climb(model, x, y, threat, reach=1, momentum=mu, **options).delta
