"""All that an attack, a training loop or an evaluation knows of a model."""

from typing import Any, Protocol

import numpy as np

from .. import checks
from ..backend import namespace
from ..losses import Loss
from ..parallel import map_chunks


class Model(Protocol):
    """Logits and two pullbacks; nothing is stored between calls, so calls nest and run in threads."""

    params: dict[str, Any]
    loss: Loss

    def logits(self, x):
        """Z, ``(N,)`` for a binary model and ``(N, K)`` otherwise."""

    def vjp_x(self, x):
        """Z and a function that takes ``dz``, shaped like z, to the gradient by x, shaped like x."""

    def vjp_theta(self, x):
        """Z and a function that takes ``dz`` to the gradients by the parameters, a dict like ``params``."""


NO_LABEL = -(2**63)  # where a logit is NaN nothing is predicted


def labels_of(z):
    """Return the label of the largest logit, ``(N,)``; ``NO_LABEL`` where a logit is NaN.

    For one logit the label is its sign, −1 or +1 (+1 on the boundary).
    """
    xp = namespace(z)
    if z.ndim == 1:
        return xp.where(xp.isnan(z), NO_LABEL, xp.where(z >= 0, 1, -1))
    return xp.where(xp.isnan(z).any(axis=1), NO_LABEL, z.argmax(axis=1))


def is_fooled(z, y, target=None):
    """Return whether the prediction is wrong, or is the target where there is one, ``(N,)``; never where there is none.

    A δ at which a logit is NaN is no success.
    """
    return differs(labels_of(z), y, target)


def differs(labels, y, target=None):
    """Return whether these predictions count as a success, ``(N,)``, as :func:`is_fooled` does for logits."""
    return (labels != y) & (labels != NO_LABEL) if target is None else labels == target


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
    return checks.logits(logits(model, x))


def refuse_nan(model, x, z):
    """Refuse a model whose logits are NaN at x; it is asked again only if those at x + δ, which are z, hold NaN."""
    if namespace(z).isnan(z).any():
        clean_logits(model, x)


def predict(model, x):
    """Return the labels that the model gives to x, ``(N,)``; raises ValueError where its logits are NaN."""
    return labels_of(clean_logits(model, x))


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
    """All logits and their gradients by x: z, ``(N, K)``, and J, ``(N, K, *D)``; K pulls, one a class.

    A binary model has z ``(N,)`` and J ``(N, 1, *D)``.
    """
    xp = namespace(x)
    z, pull = vjp_x(model, x)
    if z.ndim == 1:
        return z, pull(xp.ones_like(z))[:, None]
    units = xp.eye(z.shape[1], dtype=z.dtype)
    return z, xp.stack([pull(xp.broadcast_to(unit, z.shape)) for unit in units], axis=1)
