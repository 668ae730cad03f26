"""The fast gradient sign method."""

from ... import checks
from ...checked import checked
from ...losses import objective
from ...models.protocol import refuse_nan, vjp_x
from ...parallel import in_chunks


@checked
@in_chunks
def fgsm(model, x, y, threat, *, target=None, loss=None):
    r"""Take one step to the point of Δ(x) that maximises the loss linearised at x.

    .. math:: \delta = \arg\max_{\delta \in \Delta(x)} \langle \nabla_x L(y, f(x)), \delta \rangle

    For the ℓ∞ ball, δ is :math:`\epsilon\, \mathrm{sign}(\nabla_x L)`. On a linear model, FGSM is the exact attack.

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
    target : array, shape (N,), optional
        The labels to reach; the attack then maximises L(y) − L(target).
    loss : Loss, optional
        The loss to climb. Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x.

    Raises
    ------
    TypeError, ValueError
        If x, y, target and the threat do not fit together.

    Source: slides "Fast Gradient Sign Method"; Goodfellow, Shlens and Szegedy (2015), section 4.
    """
    loss, labels = objective(loss or model.loss, y, target)
    z, pull = vjp_x(model, x)
    g = pull(loss.grad(checks.logits(z), labels))
    return threat.linear_max(g)


@checked
def fgsm_random_start(model, x, y, threat, *, rng, alpha=None, target=None, loss=None):
    r"""Take one gradient step of size α from a random point of Δ(x), as in fast adversarial training.

    .. math::
        \delta = \mathcal{P}(\delta^{[0]} + \alpha\, \mathrm{sign}(g)), \qquad
        g = \nabla_\delta L(y, f(x + \delta^{[0]})), \quad \delta^{[0]} \text{ uniform in } \Delta(x)

    For balls other than ℓ∞, the steepest step of the ball replaces the sign. If the threat has a box, the start is
    drawn inside it (the paper draws from the ball and clips the result to the box).

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
    rng : numpy.random.Generator or int
        Draws the start; an integer seeds a new generator.
    alpha : float, optional
        The step size, in the units of x. Default: 1.25 times the radius.
    target : array, shape (N,), optional
        The labels to reach; the attack then maximises L(y) − L(target).
    loss : Loss, optional
        The loss to climb. Default: the model's own.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They are not compared with δ = 0 or with the start.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: Wong, Rice and Kolter (2020), "Fast is better than free", algorithm 3.
    """
    start = threat.sample(rng, x)  # drawn for all examples at once, so that it does not depend on the chunks
    return _step_from(model, x, y, threat, start, alpha=alpha, target=target, loss=loss)


@in_chunks
def _step_from(model, x, y, threat, start, *, alpha, target, loss):
    """Return δ after one step of size α from the start; by default, α is 1.25 times the radius."""
    alpha = 1.25 * threat.radius if alpha is None else alpha
    loss, labels = objective(loss or model.loss, y, target)
    z, pull = vjp_x(model, x + start)
    refuse_nan(model, x, z)
    g = pull(loss.grad(z, labels))
    return threat.ascend(start, g, alpha)
