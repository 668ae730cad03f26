"""Gradient ascent on the posterior probability of a class, which finds the most typical image for the model."""

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
    r"""Climb the log-posterior of class y minus a penalty on the size of the image, and return the best iterate.

    .. math::
        \max_{l \leq x \leq u}\ \log p_y(x) - \frac{\lambda}{2} \lVert x \rVert_2^2, \qquad
        x \leftarrow \mathrm{clip}\big(x + \alpha (\nabla_x \log p_y(x) - \lambda x), [l, u]\big)

    The paper climbs p itself. Without the penalty, p and log p have the same maximum and gradients of the same
    direction, :math:`\nabla p = p \nabla \log p`, but the gradient of p almost vanishes where p is small.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The starting images, such as zeros, a mean image or noise, float32 or float64.
    y : array, shape (N,)
        The classes whose probability is maximised.
    penalty : float
        The weight λ of the penalty, in units of the loss per x².
    steps : int
        The number of gradient steps.
    alpha : float
        The step size, in units of x² per unit of loss. For λ > 0 on a linear model, it must be below 2 / λ.
    box : (float, float), optional
        The pixel range, in the units of x; None: unbounded.
    loss : Loss, optional
        The loss to minimise. Default: the model's own, which is :math:`-\log p_y`. With ``margin`` the attack climbs
        the logits instead of the posterior.

    Returns
    -------
    x : array, shape (N, *D)
        The iterate in the pixel range with the highest objective, in the dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slide "Adversarial Examples", the 8 images unrecognisable to humans; Nguyen, Yosinski and Clune (2015),
    sections 2.3 and 3.7; for the logit Simonyan, Vedaldi and Zisserman (2014), equation 1.
    """
    xp = namespace(x)
    loss = loss or model.loss
    lowest = math.inf
    lower, upper = (None, None) if box is None else (xp.zeros_like(x) + xp.asarray(side, x.dtype) for side in box)
    x = best = cut(x, lower, upper)
    checks.logits(model.logits(x))
    for step in range(steps + 1):
        value, g = loss_and_gradient(model, loss, x, y)
        value = value + penalty / 2 * (rows(x) ** 2).sum(axis=1)
        better = value < lowest
        best = xp.where(per_row(better, x), x, best)
        lowest = xp.where(better, value, lowest)
        if step < steps:
            x = cut(x - alpha * (g + penalty * x), lower, upper)
    return best
