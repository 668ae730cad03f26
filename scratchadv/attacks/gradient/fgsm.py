"""The fast gradient sign method."""

from ... import checks
from ...checked import checked
from ...losses import objective
from ...models.protocol import refuse_nan, vjp_x
from ...parallel import in_chunks


@checked
@in_chunks
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
    threat : Set
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
    loss, labels = objective(loss or model.loss, y, target)
    z, pull = vjp_x(model, x)
    g = pull(loss.grad(checks.logits(z), labels))
    return threat.linear_max(g)


@checked
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
    threat : Set
        The perturbation set Δ.
    rng : numpy.random.Generator or int
        Draws the start; an integer seeds a generator.
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
    start = threat.sample(rng, x)  # for all examples at once, so that no draw depends on the chunks
    return _step_from(model, x, y, threat, start, alpha=alpha, target=target, loss=loss)


@in_chunks
def _step_from(model, x, y, threat, start, *, alpha, target, loss):
    """Return δ one step of size α away from the start; by default α is 1.25 radius."""
    alpha = 1.25 * threat.radius if alpha is None else alpha
    loss, labels = objective(loss or model.loss, y, target)
    z, pull = vjp_x(model, x + start)
    refuse_nan(model, x, z)
    g = pull(loss.grad(z, labels))
    return threat.ascend(start, g, alpha)
