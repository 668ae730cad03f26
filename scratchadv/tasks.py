r"""What logits and labels mean, for binary models and for models with several classes.

A task checks labels, decodes logits into labels, says whether a prediction differs from a label, and knows which labels
compete. Attacks, training and evaluation use the task of the model, ``tasks.of(model, z)``, and work with labels.
Losses see only logits and labels, and use ``tasks.task_of(z)``.

========== ================= ========== ==========================================================
task       logits            labels     z_k, the logit of label k
========== ================= ========== ==========================================================
Binary     z, ``(N,)``       −1, +1     k z / 2: the pair (−z/2, z/2), whose softmax is τ(−z), τ(z)
Classes    z, ``(N, K)``     0 to K − 1 column k
========== ================= ========== ==========================================================

A logit of ``Classes`` may be −∞: that class is masked out and cannot be predicted.
"""

import math
from dataclasses import dataclass

import numpy as np

from . import checks
from .backend import namespace
from .numerics import difference, log_sum_exp, sigmoid

NO_LABEL = -(2**63)  # in place of a label where a logit is NaN


def of(model, z):
    """Return the task of a model that has returned the logits z.

    Parameters
    ----------
    model : Model
        Its attribute ``task`` is returned if it has one; otherwise the shape of its logits decides.
    z : array

    Returns
    -------
    Task

    Raises
    ------
    ValueError
        If the model has no task of its own and its logits have neither shape ``(N,)`` nor ``(N, K)`` with K > 1.
    """
    own = getattr(model, "task", None)
    return task_of(z) if own is None else own


def task_of(z):
    """Return ``Binary()`` for logits of shape ``(N,)`` and ``Classes(K)`` for ``(N, K)``; refuse other shapes.

    A single column, ``(N, 1)``, could mean either, and is refused.
    """
    shape = getattr(z, "shape", None)
    if not shape or len(shape) > 2 or shape[1:] == (1,):
        raise ValueError(
            f"the logits of the model have shape {shape}; (N,) for a binary model, or (N, K) with K > 1 classes was "
            "expected"
        )
    return Binary() if len(shape) == 1 else Classes(shape[1])


def differs(labels, y, target=None):
    """Return whether each prediction is a success: it differs from y, or it is the target if there is one.

    Parameters
    ----------
    labels : array of int
        The predictions. ``NO_LABEL`` is never a success.
    y, target : array of int
        The target may be None. Both broadcast to ``labels``.

    Returns
    -------
    array of bool, shape of labels
    """
    return (labels != y) & (labels != NO_LABEL) if target is None else labels == target


class Task:
    """What all tasks share, written in terms of the competing labels."""

    def check_logits(self, z, what="x"):
        """Return the logits of a model of this task; refuse logits of another shape, and NaN.

        Parameters
        ----------
        z : array
        what : str
            The name of the examples, for the message.
        """
        found = task_of(z)
        if found != self:
            raise ValueError(f"the logits of the model have shape {z.shape}, as for {found}; its task is {self}")
        return checks.logits(z, what)

    def is_fooled(self, z, y, target=None):
        """Return whether each prediction is wrong, or is the target if there is one, ``(N,)``.

        Where a logit is NaN there is no prediction and no success.
        """
        return differs(self.decode(z), y, target)

    def advantage(self, z, y, target=None):
        r"""Return how far the best wrong label is above the right one, or the target above all others, ``(N,)``.

        .. math:: \max_{k \neq y} z_k - z_y, \qquad \text{with a target } t: z_t - \max_{k \neq t} z_k

        The model is fooled wherever the advantage is positive. At zero two labels tie, and ``decode`` takes the first.
        """
        return self.difference(z, *self._opponents(z, y, target))

    def advantage_grad(self, z, y, target=None):
        """Return the derivative of the advantage with respect to z, shaped like z."""
        return self.direction(z, *self._opponents(z, y, target))

    def direction(self, z, a, b):
        """Return the derivative of z_a − z_b with respect to z, shaped like z, for labels a and b of shape ``(N,)``."""
        return self.unit(z, a) - self.unit(z, b)

    def _opponents(self, z, y, target):
        return (self.runner_up(z, y), y) if target is None else (target, self.runner_up(z, target))


@dataclass(frozen=True)
class Binary(Task):
    """One logit for each example, shape ``(N,)``, and the labels −1 and +1. On the boundary the label is +1."""

    every = (1, -1)
    models = "binary models"
    output = "one logit"

    def check_labels(self, y, n, name="y"):
        """Return ``n`` labels −1/+1 as int64; refuse anything else."""
        y = _labels(y, n, name)
        wrong = y[(y != 1) & (y != -1)]
        if len(wrong):
            raise ValueError(f"{name} holds {wrong[0].item():g}; the labels of a binary model are -1 and +1")
        return y.astype(np.int64, copy=False)

    def decode(self, z):
        """Return the sign of each logit as its label, ``(N,)``; ``NO_LABEL`` for NaN."""
        xp = namespace(z)
        return xp.where(xp.isnan(z), NO_LABEL, xp.where(z >= 0, 1, -1))

    def difference(self, z, a, b):
        """Return z_a − z_b = (a − b) z / 2, ``(N,)``, for labels a and b."""
        return self.direction(z, a, b) * z

    def unit(self, z, label):
        """Return the derivative of z_label with respect to z: label / 2, ``(N,)``."""
        return label.astype(z.dtype) / 2

    def rest(self, z, label):
        """Return the derivative of the logit of the other label with respect to z: −label / 2, ``(N,)``."""
        return -self.unit(z, label)

    def runner_up(self, z, y):
        """Return the other label, ``(N,)``."""
        return -y.astype(np.int64)

    def rivals(self, z, y, candidates=None):
        """Return the other label, ``(N, 1)``."""
        return self.runner_up(z, y)[:, None]

    def possible(self, z, labels):
        """Return True for each of the labels, ``(N, C)``, since neither can be masked out."""
        return namespace(z).ones(labels.shape, dtype=bool)

    def probabilities(self, z):
        """Return the probability of +1, ``(N,)``."""
        return sigmoid(z)

    def scores(self, p):
        r"""Return :math:`\log p - \log(1 - p)`, ``(N,)``, the logit of each probability of +1."""
        return _log(p) - _log(1 - p)

    def most_probable(self, p):
        """Return +1 where its probability p is at least 1/2, and −1 elsewhere, ``(N,)``."""
        return self.decode(p - 0.5)

    def log_probabilities(self, z):
        """Return the logarithms of the probabilities of −1 and of +1, ``(N, 2)``."""
        xp = namespace(z)
        return Classes(2).log_probabilities(xp.stack([xp.zeros_like(z), z], axis=1))

    def log_odds(self, z, y):
        """Return the logarithm of the odds of the label y: y z, ``(N,)``."""
        return y.astype(z.dtype) * z


@dataclass(frozen=True)
class Classes(Task):
    """K logits for each example, shape ``(N, K)``, and the labels 0 to K − 1. Of equal logits the first one wins.

    Parameters
    ----------
    k : int
        The number of classes.
    """

    k: int

    every = property(lambda self: tuple(range(self.k)))
    models = property(lambda self: f"models of {self.k} classes")
    output = property(lambda self: f"{self.k} classes")

    def check_labels(self, y, n, name="y"):
        """Return ``n`` integer labels in 0 to K − 1 as int64; refuse anything else."""
        y = _labels(y, n, name)
        if y.dtype.kind not in "iu":
            raise TypeError(f"{name} has dtype {y.dtype}; integer labels in 0..{self.k - 1} were expected")
        wrong = y[(y < 0) | (y >= self.k)]
        if len(wrong):
            raise ValueError(f"{name} holds {wrong[0].item()}; labels in 0..{self.k - 1} were expected")
        return y.astype(np.int64, copy=False)

    def decode(self, z):
        """Return the class of the largest logit, ``(N,)``; ``NO_LABEL`` where any logit is NaN."""
        xp = namespace(z)
        return xp.where(xp.isnan(z).any(axis=1), NO_LABEL, z.argmax(axis=1))

    def difference(self, z, a, b):
        """Return z_a − z_b, ``(N,)``; −∞ where both are the same infinity, since an attack cannot increase it."""
        row = _rows(z)
        return difference(z[row, a], z[row, b])

    def unit(self, z, label):
        """Return the derivative of z_label with respect to z: one-hot, ``(N, K)``."""
        g = namespace(z).zeros_like(z)
        g[_rows(z), label] = 1
        return g

    def rest(self, z, label):
        """Return the derivative of the sum of all other logits that are not masked out, ``(N, K)``."""
        g = namespace(z).where(z == -math.inf, 0, 1).astype(z.dtype)
        g[_rows(z), label] = 0
        return g

    def runner_up(self, z, y):
        """Return the class with the largest logit other than y, ``(N,)``."""
        best = self._others(z, y).argmax(axis=1)
        y = y.astype(best.dtype)  # unsigned labels beside signed ones would become floats
        return namespace(z).where(best == y, (y + 1) % self.k, best)  # y itself where all others are masked out

    def rivals(self, z, y, candidates=None):
        """Return the classes other than y, in the order of falling logits, ``(N, C)``.

        ``candidates`` includes the label y, so that C is at most candidates − 1.
        """
        xp = namespace(z)
        z = z.copy()
        z[_rows(z), y] = xp.inf
        return xp.argsort(-z, axis=1, kind="stable")[:, 1:candidates]

    def possible(self, z, labels):
        """Return whether each of the labels can be predicted, because it is not masked out, ``(N, C)``."""
        return namespace(z).take_along_axis(z, labels, axis=1) > -math.inf

    def probabilities(self, z):
        """Return the softmax of the logits, ``(N, K)``."""
        return namespace(z).exp(z - log_sum_exp(z))

    def scores(self, p):
        r"""Return :math:`\log p`, ``(N, K)``, which are logits up to a shift."""
        return _log(p)

    def most_probable(self, p):
        """Return the class of the largest probability, ``(N,)``."""
        return self.decode(p)

    def log_probabilities(self, z):
        """Return the logarithm of each softmax, ``(N, K)``."""
        z = z - z.max(axis=1, keepdims=True)  # so that the logarithm of a probability near 1 keeps all its digits
        return z - log_sum_exp(z)

    def log_odds(self, z, y):
        r"""Return :math:`\log p_y - \log \sum_{k \neq y} p_k`, ``(N,)``."""
        return z[_rows(z), y] - log_sum_exp(self._others(z, y))[:, 0]

    @staticmethod
    def _others(z, y):
        """Return the logits with −∞ at the label y; 0 would not do, since all of them may be negative."""
        others = z.copy()
        others[_rows(z), y] = -math.inf
        return others


def whole_labels(y, n, name="y"):
    """Return ``n`` labels of an unknown task, 0, 1, …, or −1 and +1; integers become int64."""
    y = _labels(y, n, name)
    with np.errstate(invalid="ignore"):  # infinite labels are refused below
        wrong = y[(y % 1 != 0) | (y < -1) | (y.astype(float) >= 2.0**63)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item():g}; labels are 0, 1, …, or -1 and +1")
    return y.astype(np.int64, copy=False) if y.dtype.kind in "iu" else y


def _labels(y, n, name):
    """Return the labels as an array of shape ``(n,)``, of a dtype whose comparisons are exact."""
    y = checks.array(name, y, f"of {n} labels")
    if y.shape != (n,):
        raise ValueError(f"{name} has shape {y.shape}; one label for each example of x, ({n},), was expected")
    if y.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {y.dtype}; integer labels were expected")
    return y


def _rows(z):
    return namespace(z).arange(len(z))


def _log(p):
    xp = namespace(p)
    return xp.log(xp.maximum(p, xp.finfo(p.dtype).tiny))
