r"""What a model is trained on and what an attack climbs: a value and a gradient for every example.

Each loss is a function of the logits ``z``. Binary models have one logit an example, ``z`` of shape
``(N,)``, and labels −1/+1; all others have ``z`` of shape ``(N, K)`` and labels 0 to K − 1. A value is
``(N,)``, never a mean, so that no step of an attack depends on how many examples travel together.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from .backend import namespace
from .numerics import log_sum_exp, sigmoid, softplus


class Loss(Protocol):
    """What every loss offers."""

    def value(self, z, y):
        """L(y, z), shape ``(N,)``."""

    def grad(self, z, y):
        """The derivative of the value by ``z``, shape of ``z``."""


class Logistic:
    r"""The logistic loss of the slides, for labels −1/+1.

    .. math:: L(y, z) = \Psi(y z), \qquad \Psi(m) = \log(1 + \exp(-m)), \qquad \Psi'(m) = -\tau(-m)

    Source: slide "Linear Models".
    """

    def value(self, z, y):
        """Ψ(y z), shape ``(N,)``."""
        return softplus(-_sign(y, z) * z)

    def grad(self, z, y):
        """−y τ(−y z), shape ``(N,)``."""
        y = _sign(y, z)
        return -y * sigmoid(-y * z)


class CrossEntropy:
    r"""The cross-entropy of the softmax, for labels 0 to K − 1.

    .. math:: L(y, z) = \log \sum_k e^{z_k} - z_y, \qquad \nabla_z L = p - e_y, \quad p = \mathrm{softmax}(z)

    In float32 the entry :math:`p_y - 1` rounds to zero on confident examples, which hides the direction
    in which they are weak; it is summed as :math:`-\sum_{k \neq y} p_k` instead.
    """

    def value(self, z, y):
        """The log of the summed exponentials minus z_y, shape ``(N,)``."""
        return log_sum_exp(z - z[_rows(z), y][:, None])[:, 0]

    def grad(self, z, y):
        """Softmax minus one-hot, shape ``(N, K)``."""
        p = namespace(z).exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[_rows(z), y] = 0
        p[_rows(z), y] = -p.sum(axis=1)
        return p


class Margin:
    r"""How far the best other class is above the label: positive exactly where the model errs.

    .. math:: L(y, z) = \max_{k \neq y} z_k - z_y, \qquad \text{binary: } L(y, z) = -y z

    Source: Carlini and Wagner (2017), :math:`f_6` without its bound from below.
    """

    def value(self, z, y):
        """The margin by which the label loses, shape ``(N,)``."""
        if z.ndim == 1:
            return -_sign(y, z) * z
        return z[_rows(z), self._rival(z, y)] - z[_rows(z), y]

    def grad(self, z, y):
        """+1 at the best other class, −1 at the label, shape of ``z``."""
        if z.ndim == 1:
            return -_sign(y, z)
        g = namespace(z).zeros_like(z)
        g[_rows(z), self._rival(z, y)] = 1
        g[_rows(z), y] = -1
        return g

    @staticmethod
    def _rival(z, y):
        others = z.copy()
        others[_rows(z), y] = -math.inf  # not times zero: logits may all be negative
        return others.argmax(axis=1)


@dataclass(frozen=True)
class Targeted:
    r"""The slides' targeted objective, as a loss to maximise.

    .. math:: L(y, z) - L(y_{target}, z)

    Its labels are pairs, ``(N, 2)``: the true label and the target, so that targets travel with their examples.

    Parameters
    ----------
    loss : Loss

    Source: slide "Targeted Attacks".
    """

    loss: Loss

    def value(self, z, y):
        """L(y) − L(target), shape ``(N,)``."""
        return self.loss.value(z, y[:, 0]) - self.loss.value(z, y[:, 1])

    def grad(self, z, y):
        """The difference of the two gradients, shape of ``z``."""
        return self.loss.grad(z, y[:, 0]) - self.loss.grad(z, y[:, 1])


def _sign(y, z):
    """Labels −1/+1 in the dtype of the logits: integers would turn float32 into float64."""
    return y.astype(z.dtype)


def _rows(z):
    return namespace(z).arange(len(z))


def objective(loss, y, target):
    """The loss to maximise and its labels: ``loss`` and ``y``, or with a target the pair of labels."""
    if target is None:
        return loss, y
    return Targeted(loss), namespace(y).stack([y, target], axis=1)


logistic = Logistic()
cross_entropy = CrossEntropy()
margin = Margin()
