"""All that an attack, a training loop or an evaluation knows of a model."""

from typing import Any, Protocol

import numpy as np

from .. import tasks
from ..backend import namespace
from ..losses import Loss
from ..numerics import rows
from ..parallel import map_chunks


class Model(Protocol):
    """Logits and two pullbacks; nothing is stored between calls, so calls nest and run in threads."""

    params: dict[str, Any]
    loss: Loss
    task: tasks.Task  # optional: without it the shape of the logits says what they mean

    def logits(self, x):
        """Return the logits z of each example, shaped as the task says: ``(N,)`` or ``(N, K)``."""

    def vjp_x(self, x):
        """Return z and the pullback from ``dz``, shaped like z, to the gradient in x, shaped like x."""

    def vjp_theta(self, x):
        """Return z and the pullback from ``dz`` to the gradients in the parameters, a dict like ``params``."""


def labels_of(z):
    """Return the labels of logits, ``(N,)``, where their shape alone says what they mean; ``NO_LABEL`` for NaN."""
    return tasks.task_of(z).decode(z)


def logits(model, x):
    """Return ``model.logits(x)``, computed in chunks: for many examples at once."""
    return map_chunks(lambda x: (model.logits(x),), model, x)[0]


def clean_logits(model, x):
    """Return the logits of examples that no attack has changed, in chunks.

    Raises
    ------
    ValueError
        If any of them is NaN: such a model has no accuracy.
    """
    z = logits(model, x)
    return tasks.of(model, z).check_logits(z)


def refuse_nan(model, x, z):
    """Refuse a model whose logits are NaN at x; it is asked again only if those at x + δ, which are z, hold NaN."""
    if namespace(z).isnan(z).any():
        clean_logits(model, x)


def predict(model, x):
    """Return the labels that the model gives to x, ``(N,)``; raises ValueError where its logits are NaN."""
    z = clean_logits(model, x)
    return tasks.of(model, z).decode(z)


def vjp_x(model, x):
    """Return the logits and the pullback from dz to the gradient in x, as attacks ask for it: always finite.

    An entry of the gradient that is NaN counts as zero, and an infinite one as its sign. One such entry (the slope of a
    square root at a black pixel) would otherwise end the search on the whole image.
    """
    z, pull = model.vjp_x(x)
    return z, lambda dz: finite(pull(dz))


def finite(g):
    """Return the gradient with 0 for NaN and ±1 for ±infinity; the same array where nothing is to be done."""
    xp = namespace(g)
    flat = g.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        length = xp.dot(flat, flat)  # one number to look at; where it overflows, every entry is looked at
    if xp.isfinite(length):
        return g
    return xp.where(xp.isfinite(g), g, xp.where(xp.isnan(g), 0, xp.sign(g))).astype(g.dtype)


def loss_and_gradient(model, loss, x, y):
    r"""Return L(y, f(x)), ``(N,)``, and :math:`\nabla_x L(y, f(x))`, shaped like x and finite."""
    z, pull = vjp_x(model, x)
    return loss.value(z, y), pull(loss.grad(z, y))


def jacobian(model, x):
    """Return all logits of each example and their gradients in x; one pull for each logit of an example.

    Returns
    -------
    z : array, shape (N,) or (N, K)
    J : array, shape (N, 1, *D) or (N, K, *D)
    """
    xp = namespace(x)
    z, pull = vjp_x(model, x)
    gradients = []
    for k in range(rows(z).shape[1]):
        dz = xp.zeros(z.shape, dtype=z.dtype)
        rows(dz)[:, k] = 1
        gradients.append(pull(dz))
    return z, xp.stack(gradients, axis=1)
