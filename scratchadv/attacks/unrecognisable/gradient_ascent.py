"""Gradient ascent on the posterior of a class: the image that the model finds most typical."""

import math

from ... import checks
from ...backend import namespace
from ...checked import checked
from ...models.protocol import loss_and_gradient
from ...numerics import per_row, rows
from ...parallel import in_chunks
from ..constrained.targets import cut


@checked(penalty=checks.size, box=checks.pixel_range)
@in_chunks
def gradient_ascent(model, x, y, *, penalty=0.0, steps=200, alpha=1.0, box=(0, 1), loss=None):
    r"""Climb the log-posterior of the class y, less a penalty on the size of the image; return the best iterate.

    .. math::
        \max_{l \leq x \leq u}\ \log p_y(x) - \frac{\lambda}{2} \lVert x \rVert_2^2, \qquad
        x \leftarrow \mathrm{clip}\big(x + \alpha (\nabla_x \log p_y(x) - \lambda x), [l, u]\big)

    The paper climbs p itself. Its maximum is the same without the penalty, and so is the direction,
    :math:`\nabla p = p \nabla \log p`, but where p is small it has hardly any slope.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        Where to begin: zeros, a mean image, noise.
    y : array, shape (N,)
        The classes to be sure of.
    penalty : float
        λ, in units of the loss over x².
    steps : int
    alpha : float
        Step size, in units of x² over the loss; for λ > 0 on a linear model below 2 / λ.
    box : (float, float), optional
        The pixel range; None for none.
    loss : Loss, optional
        What is to be small; default: the model's own, which is :math:`-\log p_y`. With ``margin`` the logits are
        climbed in place of the posterior.

    Returns
    -------
    x : array, shape (N, *D)
        Of all iterates in the range, the one with the highest objective. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slide "Adversarial Examples", the 8 images unrecognisable to humans; Nguyen, Yosinski and Clune (2015),
    sections 2.3 and 3.7; Simonyan, Vedaldi and Zisserman (2014), equation 1, for the logit.
    """
    xp, loss, lowest = namespace(x), loss or model.loss, math.inf
    lower, upper = (None, None) if box is None else (xp.zeros_like(x) + xp.asarray(side, x.dtype) for side in box)
    x = best = cut(x, lower, upper)
    checks.logits(model.logits(x))
    for step in range(steps + 1):
        value, g = loss_and_gradient(model, loss, x, y)
        value = value + penalty / 2 * (rows(x) ** 2).sum(axis=1)
        better = value < lowest
        best, lowest = xp.where(per_row(better, x), x, best), xp.where(better, value, lowest)
        if step < steps:
            x = cut(x - alpha * (g + penalty * x), lower, upper)
    return best
