"""All that an attack, a training loop or an evaluation knows about a model."""

from typing import Any, Protocol

import numpy as np

from .. import tasks
from ..backend import namespace
from ..losses import Loss
from ..numerics import rows
from ..parallel import map_chunks


class Model(Protocol):
    """A model: its logits and two pullbacks.

    A model stores nothing between calls, so that calls may be nested and may run in several threads.
    """

    params: dict[str, Any]
    loss: Loss
    task: tasks.Task  # optional; without it the shape of the logits decides what they mean

    def logits(self, x):
        """Return the logits z of the examples, shape ``(N,)`` or ``(N, K)`` according to the task."""

    def vjp_x(self, x):
        """Return z and the pullback from ``dz``, shaped like z, to the gradient in x, shaped like x."""

    def vjp_theta(self, x):
        """Return z and the pullback from ``dz`` to the gradients in the parameters, a dict like ``params``."""


def labels_of(z):
    """Return the labels of logits whose shape alone decides what they mean, ``(N,)``; ``NO_LABEL`` for NaN."""
    return tasks.task_of(z).decode(z)


def logits(model, x):
    """Return ``model.logits(x)``, computed in chunks so that x may hold many examples."""
    return map_chunks(lambda x: (model.logits(x),), model, x)[0]


def clean_logits(model, x):
    """Return the logits of examples that no attack has changed, in chunks.

    Raises
    ------
    ValueError
        If any of them is NaN, because such a model has no accuracy.
    """
    z = logits(model, x)
    return tasks.of(model, z).check_logits(z)


def refuse_nan(model, x, z):
    """Refuse a model whose logits at x are NaN.

    The model is evaluated at x only if z, its logits at x + δ, contain NaN.
    """
    if namespace(z).isnan(z).any():
        clean_logits(model, x)


def predict(model, x):
    """Return the labels that the model predicts for x, ``(N,)``; raise ValueError if any of its logits is NaN."""
    z = clean_logits(model, x)
    return tasks.of(model, z).decode(z)


def vjp_x(model, x):
    """Return the logits, and the pullback from dz to the gradient in x with all its entries finite, for attacks.

    An entry that is NaN counts as 0, and an infinite one as its sign. Otherwise a single such entry, for example the
    slope of a square root at a black pixel, would end the search on the whole image.
    """
    z, pull = model.vjp_x(x)
    return z, lambda dz: finite(pull(dz))


def finite(g):
    """Return the gradient with 0 in place of NaN and ±1 in place of ±∞; the same array if all entries are finite."""
    xp = namespace(g)
    flat = g.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        length = xp.dot(flat, flat)  # a single number to test; only if it is not finite are all entries tested
    if xp.isfinite(length):
        return g
    return xp.where(xp.isfinite(g), g, xp.where(xp.isnan(g), 0, xp.sign(g))).astype(g.dtype)


def loss_and_gradient(model, loss, x, y):
    r"""Return L(y, f(x)), ``(N,)``, and :math:`\nabla_x L(y, f(x))`, shaped like x and finite."""
    z, pull = vjp_x(model, x)
    return loss.value(z, y), pull(loss.grad(z, y))


def jacobian(model, x):
    """Return all logits of the examples and their gradients in x; the pullback is applied once for each class.

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
