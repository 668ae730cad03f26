"""All that an attack, a training loop or an evaluation knows of a model."""

from typing import Any, Protocol

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


def labels_of(z):
    """The label of the largest logit, ``(N,)``; for one logit its sign, −1 or +1 (+1 on the boundary)."""
    if z.ndim == 1:
        return namespace(z).where(z >= 0, 1, -1)
    return z.argmax(axis=1)


def logits(model, x):
    """``model.logits(x)`` in chunks: for many examples at once."""
    return map_chunks(lambda x: (model.logits(x),), model, x)[0]


def predict(model, x):
    """The labels that the model gives to x, ``(N,)``."""
    return labels_of(logits(model, x))


def loss_and_gradient(model, loss, x, y):
    r"""L(y, f(x)), ``(N,)``, and :math:`\nabla_x L(y, f(x))`, shaped like x."""
    z, pull = model.vjp_x(x)
    return loss.value(z, y), pull(loss.grad(z, y))


def jacobian(model, x):
    """All logits and their gradients by x: z, ``(N, K)``, and J, ``(N, K, *D)``; K pulls, one a class.

    A binary model has z ``(N,)`` and J ``(N, 1, *D)``.
    """
    xp = namespace(x)
    z, pull = model.vjp_x(x)
    if z.ndim == 1:
        return z, pull(xp.ones_like(z))[:, None]
    units = xp.eye(z.shape[1], dtype=z.dtype)
    return z, xp.stack([pull(xp.broadcast_to(unit, z.shape)) for unit in units], axis=1)
