"""The loss of the network: it rewards small changes and the wanted outputs of the victims."""

from .... import checks, tasks
from ....backend import namespace
from ....checked import anything, checked, each
from ....models.protocol import vjp_x
from ....numerics import per_row, rows
from ....tasks import Classes
from .network import images_in_unit_range


def above_one(name, value):
    """Refuse a number that is not above 1: class t must get the largest probability."""
    value = checks.size(name, value)
    if value <= 1:
        raise ValueError(f"{name} = {value} must be above 1, so that class t gets the largest probability")
    return value


@checked(alpha=above_one)
def rerank(p, t, alpha=1.5):
    r"""Return the probabilities p with class t raised to the top and the order of the others unchanged.

    This is the output that a victim should have for x'.

    .. math::
        r_\alpha(p, t) = \frac{s}{\sum_k s_k}, \qquad
        s_k = \begin{cases} \alpha \max_j p_j & k = t \\ p_k & \text{otherwise} \end{cases}

    Parameters
    ----------
    p : array, shape (N, K)
        Probabilities.
    t : array of int, shape (N,)
        The classes to raise.
    alpha : float
        The factor α > 1 between the new entry at t and the largest entry of p, before normalisation.

    Returns
    -------
    array, shape (N, K)
        Probabilities in the dtype of p; the rows sum to one.

    Source: Baluja and Fischer (2017), section 3.
    """
    p = checks.images(p, "p")
    t = checks.array("t", t, "of labels, shape (N,)")
    if p.ndim != 2 or t.shape != p.shape[:1]:
        raise ValueError(f"p has shape {p.shape} and t {t.shape}; shapes (N, K) and (N,) were expected")
    t = Classes(p.shape[1]).check_labels(t, len(p), "t")
    xp = namespace(p, t)
    s = p.copy()
    s[xp.arange(len(p)), t] = alpha * p.max(axis=1)
    return s / s.sum(axis=1, keepdims=True)


def answers(name, value):
    """Return a list of arrays, each of shape (N, K)."""
    return [checks.images(item, f"{name}[{i}]") for i, item in enumerate(checks.sequence(name, value))]


def network(name, value):
    """Refuse anything but an :class:`ATN`."""
    return checks.has(name, value, ("generator", "vjp_theta", "classes"), "an ATN")


@checked(atn=network, victims=each(checks.model), x=images_in_unit_range, wanted=answers, target=anything)
def atn_loss(atn, victims, x, wanted, *, beta=0.005, target=None):
    r"""Return the loss of each image, and its pullback to the parameters of the generator.

    .. math::
        \beta \lVert x' - x \rVert_2^2 + \sum_f \lVert f(x') - r_f \rVert_2^2, \qquad f = \mathrm{softmax}(z)

    Parameters
    ----------
    atn : ATN
        The network that changes the images.
    victims : list of Model
        The models to fool.
    x : array, shape (N, *D)
        The images, in [0, 1].
    wanted : list of array, shape (N, K)
        The output :math:`r_\alpha(f(x), t)` that each victim should have for x'.
    beta : float
        The weight β of the squared change.
    target : array, shape (N,), optional
        The labels to reach, as for calling ``atn``.

    Returns
    -------
    value : array, shape (N,)
        The losses.
    pull : callable
        Takes weights of the images, ``(N,)``, and returns the gradients of the weighted sum of the losses, a dict like
        the parameters.

    Source: Baluja and Fischer (2017), section 3.
    """
    if len(victims) != len(wanted):
        raise ValueError(f"{len(victims)} victims and {len(wanted)} arrays in wanted; one for each was expected")
    if wrong := [r.shape for r in wanted if len(r) != len(x)]:
        raise ValueError(
            f"wanted has an array of shape {wrong[0]}; one row for each example of x, {len(x)}, was expected"
        )
    return loss_and_pullback(atn, victims, x, wanted, beta, atn.checked_target(x, target))


def loss_and_pullback(atn, victims, x, wanted, beta, target):
    """Return the loss and the pullback of :func:`atn_loss`, from arguments that have been checked."""
    image, pull = atn.vjp_theta(x, target)
    change = image - x
    value = beta * (rows(change) ** 2).sum(axis=1)
    dx = 2 * beta * change
    for victim, r in zip(victims, wanted, strict=True):
        z, pull_x = vjp_x(victim, image)
        f = tasks.of(victim, z).probabilities(z)
        error = f - r
        value = value + (error**2).sum(axis=1)
        dx = dx + pull_x(2 * f * (error - (f * error).sum(axis=1, keepdims=True)))
    return value, lambda weights: pull(per_row(weights, x) * dx)
