r"""What a model is trained on and what an attack climbs: a value and a gradient for every example.

Each loss is a function of the logits ``z``. Binary models have one logit an example, ``z`` of shape
``(N,)``, and labels −1/+1; all others have ``z`` of shape ``(N, K)`` and labels 0 to K − 1. A value is
``(N,)``, never a mean, so that no step of an attack depends on how many examples travel together.

A logit may be −∞: that class is masked out and cannot be predicted. It is not summed over, and no loss makes NaN of it.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from .backend import namespace
from .numerics import difference, log_sum_exp, rows, sigmoid, softplus
from .tasks import Binary, task_of


class Loss(Protocol):
    """What every loss offers."""

    def value(self, z, y):
        """L(y, z), shape ``(N,)``."""

    def grad(self, z, y):
        """The derivative of the value by ``z``, shape of ``z``."""


class _Plain:
    """A loss without parameters: its name says all."""

    def __repr__(self):
        return f"{type(self).__name__}()"


class Logistic(_Plain):
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


class CrossEntropy(_Plain):
    r"""The cross-entropy of the softmax, for labels 0 to K − 1.

    .. math:: L(y, z) = \log \sum_k e^{z_k} - z_y, \qquad \nabla_z L = p - e_y, \quad p = \mathrm{softmax}(z)

    In float32 the entry :math:`p_y - 1` rounds to zero on confident examples, which hides the direction
    in which they are weak; it is summed as :math:`-\sum_{k \neq y} p_k` instead.
    """

    def value(self, z, y):
        """The log of the summed exponentials minus z_y, shape ``(N,)``; infinite where the label is masked out."""
        xp, own = namespace(z), z[_rows(z), y]
        masked = own == -math.inf
        value = log_sum_exp(z - xp.where(masked, 0, own).astype(z.dtype)[:, None])[:, 0]
        return xp.where(masked, math.inf, value).astype(z.dtype) if masked.any() else value

    def grad(self, z, y):
        """Softmax minus one-hot, shape ``(N, K)``."""
        p = namespace(z).exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        label = y[:, None] == namespace(z).arange(z.shape[1])
        p *= ~label
        return p - label * p.sum(axis=1, keepdims=True)


class Margin(_Plain):
    r"""How far the best other class is above the label: positive exactly where the model errs.

    .. math:: L(y, z) = \max_{k \neq y} z_k - z_y, \qquad \text{binary: } L(y, z) = -y z

    Source: Carlini and Wagner (2017), :math:`f_6` without its bound from below.
    """

    def value(self, z, y):
        """The margin by which the label loses, shape ``(N,)``."""
        task = task_of(z)
        return task.difference(z, task.runner_up(z, y), y)

    def grad(self, z, y):
        """+1 at the best other class, −1 at the label, shape of ``z``."""
        task = task_of(z)
        return task.direction(z, task.runner_up(z, y), y)


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
    of_pairs = True

    def value(self, z, y):
        """L(y) − L(target), shape ``(N,)``."""
        return difference(self.loss.value(z, y[:, 0]), self.loss.value(z, y[:, 1]))

    def grad(self, z, y):
        """The difference of the two gradients, shape of ``z``."""
        return self.loss.grad(z, y[:, 0]) - self.loss.grad(z, y[:, 1])


class LogitDifference(_Plain):
    r"""How far the target is above the label; its labels are pairs, ``(N, 2)``, as for ``Targeted``.

    .. math:: z_{target} - z_y, \qquad \text{binary: } \tfrac{1}{2}(y_{target} - y) z

    It equals :math:`L(y) - L(y_{target})` of cross-entropy, whose normalisers cancel.

    Source: the adversarial-ml tutorial, chapter 3, "Targeted attacks", the first objective.
    """

    of_pairs = True

    def value(self, z, y):
        """z_target − z_y, shape ``(N,)``."""
        return task_of(z).difference(z, y[:, 1], y[:, 0])

    def grad(self, z, y):
        """+1 at the target, −1 at the label, shape of ``z``."""
        return task_of(z).direction(z, y[:, 1], y[:, 0])


class TargetMinusRest(_Plain):
    r"""The target's logit minus all the others; its labels are pairs, ``(N, 2)``, of which the target counts.

    .. math:: z_{target} - \sum_{k \neq target} z_k, \qquad \text{binary: } y_{target} z

    Classes that are masked out, with the logit −∞, do not count. A shift of all logits changes the value, by the same
    for every δ, and not the gradient.

    Source: the adversarial-ml tutorial, chapter 3, "Targeted attacks", the second objective.
    """

    of_pairs = True

    def value(self, z, y):
        """The target's logit minus the sum of the others, shape ``(N,)``."""
        return _along(z, self.grad(z, y))

    def grad(self, z, y):
        """+1 at the target, −1 everywhere else, shape of ``z``."""
        task = task_of(z)
        return task.unit(z, y[:, 1]) - task.rest(z, y[:, 1])


class TargetMargin(_Plain):
    r"""How far the target is above the best other class: positive exactly where the attack has reached its target.

    .. math:: z_{target} - \max_{k \neq target} z_k, \qquad \text{binary: } y_{target} z

    Its labels are pairs, ``(N, 2)``, of which the target counts.

    Source: Carlini and Wagner (2017), :math:`-f_6` without its bound from below.
    """

    of_pairs = True

    def value(self, z, y):
        """The margin by which the target wins, shape ``(N,)``."""
        return -margin.value(z, y[:, 1])

    def grad(self, z, y):
        """+1 at the target, −1 at the best other class, shape of ``z``."""
        return -margin.grad(z, y[:, 1])


class TargetedDLR(_Plain):
    r"""The difference of logits ratio towards a target; its labels are pairs, ``(N, 2)``, as for ``Targeted``.

    .. math:: \frac{z_{target} - z_y}{z_{\pi_1} - (z_{\pi_3} + z_{\pi_4}) / 2}, \qquad
              z_{\pi_1} \geq z_{\pi_2} \geq \dots

    It does not change when all logits are shifted or multiplied by the same positive number. Four classes are needed.
    Where the quotient exceeds :math:`10^6` it is :math:`10^6`, and 0/0 is 0. Where fewer than four logits are finite,
    the denominator is 1.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness", equation 7.
    """

    of_pairs = True

    def value(self, z, y):
        """The ratio, shape ``(N,)``."""
        return _ratio(z, y, logit_difference, self._spread(z))[0]

    def grad(self, z, y):
        """The derivative of numerator and denominator, shape of ``z``."""
        return _ratio(z, y, logit_difference, self._spread(z))[1]

    @staticmethod
    def _spread(z):
        order = _largest(z, 4)
        below = namespace(z).zeros_like(z)
        below[_rows(z), order[:, 0]] = 1
        below[_rows(z), order[:, 2]] = below[_rows(z), order[:, 3]] = -0.5
        return below


class DLR(_Plain):
    r"""The difference of logits ratio: the margin in units of how far the logits spread.

    .. math:: \frac{\max_{k \neq y} z_k - z_y}{z_{\pi_1} - z_{\pi_3}}, \qquad
              z_{\pi_1} \geq z_{\pi_2} \geq \dots

    It does not change when all logits are shifted or multiplied by the same positive number, so a model cannot hide
    behind logits that are too large for cross-entropy's gradient. Three classes are needed: with two, or one logit,
    the ratio is ±1 and has no gradient, and ``margin`` is the loss to take (an attack with normalised steps does not
    see its scale). Where the quotient exceeds :math:`10^6` it is :math:`10^6`, and 0/0 is 0. Where fewer than three
    logits are finite, the denominator is 1.

    With a target ``objective`` makes it ``TargetedDLR``, not the difference of two ratios.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness", equation 6.
    """

    targeted = TargetedDLR()

    def value(self, z, y):
        """The ratio, shape ``(N,)``: between −1 and 0 where the model is right, else positive."""
        return _ratio(z, y, margin, self._spread(z))[0]

    def grad(self, z, y):
        """The derivative of numerator and denominator, shape of ``z``."""
        return _ratio(z, y, margin, self._spread(z))[1]

    @staticmethod
    def _spread(z):
        order = _largest(z, 3)
        below = namespace(z).zeros_like(z)
        below[_rows(z), order[:, 0]] = 1
        below[_rows(z), order[:, 2]] = -1
        return below


def _ratio(z, y, numerator, below):
    """The numerator over <below, z> row by row, and the derivative of that by z."""
    xp = namespace(z)
    n, d = numerator.value(z, y), _along(z, below)
    spread = xp.isfinite(d)
    below = xp.where(spread[:, None], below, 0)
    d = xp.where(spread, d, 1)
    d = xp.maximum(d, xp.where(xp.isfinite(n), abs(n), 0) / 1e6)  # ties at the top: 0 below
    d = xp.where(d > 0, d, 1).astype(z.dtype)
    value = n / d
    slope = xp.where(xp.isfinite(value), value, 0)
    return value, (numerator.grad(z, y) - slope[:, None] * below) / d[:, None]


def _largest(z, n):
    """The n classes of the largest logits, largest first."""
    task = task_of(z)
    if len(task.every) < n:
        raise ValueError(
            f"the difference of logits ratio needs {n} classes, not {task.output}: use margin, with a target "
            "logit_difference"
        )
    return namespace(z).argsort(-z, axis=1, kind="stable")[:, :n]


def _along(z, g):
    """<g, z> row by row, ``(N,)``; what g does not weigh does not count, −∞ neither."""
    return rows(g * namespace(z).where(g == 0, 0, z)).sum(axis=1)


def _sign(y, z):
    """Labels −1/+1 in the dtype of the logits: integers would turn float32 into float64."""
    return y.astype(z.dtype)


def _rows(z):
    return namespace(z).arange(len(z))


def objective(loss, y, target):
    """The loss to maximise and its labels: ``loss`` and ``y``, or with a target the pair of labels.

    With a target a loss of pairs stays itself, one that has a ``targeted`` form of its own becomes that, and all
    others become :class:`Targeted`.
    """
    of_pairs = getattr(loss, "of_pairs", False)
    if target is None:
        if of_pairs:
            raise ValueError(f"the loss {type(loss).__name__} needs the labels to reach: pass target")
        return loss, y
    pairs = namespace(y).stack([y, target], axis=1)
    return loss if of_pairs else getattr(loss, "targeted", None) or Targeted(loss), pairs


def log_loss(z):
    r"""Return the loss :math:`-\log p_y` for such logits: logistic for a binary task, else the cross-entropy."""
    return logistic if isinstance(task_of(z), Binary) else cross_entropy


logistic = Logistic()
cross_entropy = CrossEntropy()
margin = Margin()
dlr, targeted_dlr = DLR(), TargetedDLR()
logit_difference, target_minus_rest, target_margin = LogitDifference(), TargetMinusRest(), TargetMargin()
