"""The fast gradient sign method."""

from ... import checks
from ...losses import objective
from ...models.protocol import loss_and_gradient


def fgsm(model, x, y, threat, *, target=None, loss=None):
    r"""One step to the best point of Δ(x) for the loss made linear at x.

    .. math:: \delta = \arg\max_{\delta \in \Delta(x)} \langle \nabla_x L(y, f(x)), \delta \rangle

    For the ℓ∞ ball this is :math:`\epsilon\, \mathrm{sign}(\nabla_x L)`; on a linear model it is ``exact``.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Ball or Boxed
        The perturbation set Δ.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised.
    loss : Loss, optional
        Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x.

    Raises
    ------
    TypeError, ValueError
        If x, y, target and the threat do not fit each other.

    Source: slides "Fast Gradient Sign Method"; Goodfellow, Shlens and Szegedy (2015), section 4.
    """
    checks.attack(model, x, y, threat, target)
    loss, y = objective(loss or model.loss, y, target)
    _, g = loss_and_gradient(model, loss, x, y)
    return threat.at(x).linear_max(g)
