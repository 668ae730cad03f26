"""The fast gradient sign method."""

from ... import checks
from ...losses import objective
from ...models.protocol import loss_and_gradient
from ...parallel import map_chunks


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

    def step(x, y):
        _, g = loss_and_gradient(model, loss, x, y)
        return (threat.at(x).linear_max(g),)

    return map_chunks(step, model, x, y)[0]


def fgsm_random_start(model, x, y, threat, *, rng, alpha=None, target=None, loss=None):
    r"""One step of size α from a random point of Δ(x): the attack of fast adversarial training.

    .. math::
        \delta = \mathcal{P}(\delta^{[0]} + \alpha\, \mathrm{sign}(g)), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[0]})), \quad \delta^{[0]} \text{ uniform in } \Delta(x)

    For balls other than ℓ∞ the sign is their own steepest step. Where there is a box the start is drawn inside of it
    (the paper draws from the ball and cuts off).

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Ball or Boxed
        The perturbation set Δ.
    rng : numpy.random.Generator
        Draws the start.
    alpha : float, optional
        Step size in the units of x. Default 1.25 radius.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised.
    loss : Loss, optional
        Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x; not compared with δ = 0 or with the start.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Source: Wong, Rice and Kolter (2020), "Fast is better than free", algorithm 3.
    """
    checks.attack(model, x, y, threat, target)
    alpha = 1.25 * threat.radius if alpha is None else checks.radius("alpha", alpha)
    loss, y = objective(loss or model.loss, y, target)

    def step(x, y, delta):
        _, g = loss_and_gradient(model, loss, x + delta, y)
        return (threat.at(x).ascend(delta, g, alpha),)

    return map_chunks(step, model, x, y, threat.sample(rng, x))[0]
