"""The fast gradient sign method in small steps, also with momentum."""

from functools import partial

from ... import checks
from ...losses import objective
from ...parallel import map_chunks
from .pgd import _climb, pgd


def iterated_fgsm(model, x, y, threat, *, steps=10, alpha=None, target=None, loss=None):
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
    threat : Ball or Boxed
        The perturbation set Δ.
    steps : int
        T.
    alpha : float, optional
        Step size in the units of x. Default radius / steps.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised.
    loss : Loss, optional
        Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        The feasible iterate of the highest loss, δ = 0 included (the paper returns the last one). dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: slide "Fast Gradient Sign Method (FGSM) attack"; Kurakin, Goodfellow and Bengio (2017), "Adversarial
    examples in the physical world", section 2.2.
    """
    alpha = _default(alpha, threat, steps)
    return pgd(model, x, y, threat, steps=steps, alpha=alpha, target=target, loss=loss)


def momentum_fgsm(model, x, y, threat, *, steps=10, alpha=None, mu=1.0, target=None, loss=None):
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
        The feasible iterate of the highest loss, δ = 0 included (the paper returns the last one). dtype of x.

    Source: Dong et al. (2018), "Boosting adversarial attacks with momentum", algorithm 1.
    """
    checks.attack(model, x, y, threat, target)
    alpha, mu = _default(alpha, threat, steps), checks.radius("mu", mu)
    loss, y = objective(loss or model.loss, y, target)
    run = partial(_climb, model, threat, loss, steps, alpha, True, momentum=mu)
    return map_chunks(run, model, x, y, None, None, None)[0]


def _default(alpha, threat, steps):
    steps = checks.count("steps", steps, least=1)
    return threat.radius / steps if alpha is None else checks.radius("alpha", alpha)
