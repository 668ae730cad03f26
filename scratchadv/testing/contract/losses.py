"""The contract of losses."""

import math
from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from ...numerics import rows
from ..strategies import seeds
from .hold import Broken, hold, law
from .measures import some

LOSS_LAWS = {}


def assert_loss_contract(loss, *, binary=False, classes=2, shifts=True, max_examples=50, shrink=True):
    """Check a loss against the laws of ``LOSS_LAWS``.

    Parameters
    ----------
    loss : Loss
    binary : bool
        Whether to try it on one logit and labels −1/+1, instead of logits of shape ``(N, K)``.
    classes : int
        The smallest number of classes for which it is defined.
    shifts : bool
        Whether it promises not to change when a constant is added to all logits.
    max_examples : int
        The number of cases for each law.
    shrink : bool
        Whether to look for the smallest counterexample; otherwise the first one is reported.

    Raises
    ------
    ContractError
        If a law is broken.
    """
    due = dict(LOSS_LAWS)
    if binary or not shifts:
        del due["shifted logits give the same loss"]
    hold(due, SimpleNamespace(loss=loss, binary=binary, classes=classes), max_examples, shrink)


@st.composite
def _logits(draw, subject):
    """Draw logits of all signs and sizes, without ties, and labels."""
    rng = np.random.default_rng(draw(seeds))
    n = draw(st.integers(1, 3))
    k = draw(st.integers(subject.classes, max(4, subject.classes)))
    middle = draw(st.sampled_from([0.0, 20.0, -20.0]))
    size = draw(st.sampled_from([1.0, 5.0]))
    z = (middle + size * rng.standard_normal(n if subject.binary else (n, k))).round(4)
    return z, rng.choice([-1, 1], n) if subject.binary else rng.integers(0, k, n)


def _alike(a, b):
    return np.allclose(a, b, rtol=1e-4, atol=1e-6)


@law(LOSS_LAWS, _logits)
def one_value_an_example(subject, case):
    """value(z, y) has shape (N,), grad(z, y) that of z; each example has its own in a batch, never a mean."""
    z, y = case
    value, g = subject.loss.value(z, y), subject.loss.grad(z, y)
    if value.shape != y.shape or g.shape != z.shape:
        raise Broken(f"a value of shape {y.shape} and a gradient of {z.shape} were expected", z=z, y=y, value=value)
    alone = np.concatenate([subject.loss.grad(z[i : i + 1], y[i : i + 1]) for i in range(len(z))])
    if not _alike(g, alone):
        raise Broken("the gradient of a batch is not that of its examples", z=z, y=y, gradient=g, alone=alone)


@law(LOSS_LAWS, _logits)
def shifted_logits_give_the_same_loss(subject, case):
    """L(z + c) = L(z) for a constant c, and the gradients are equal too."""
    z, y = case
    for c in (-50.0, 50.0):
        for what in (subject.loss.value, subject.loss.grad):
            if not _alike(what(z, y), what(z + c, y)):
                raise Broken(f"adding {c:g} to all logits changes the {what.__name__}", z=z, y=y)


@law(LOSS_LAWS, _logits)
def the_gradient_is_the_slope(subject, case):
    """<grad, v> = (L(z + hv) − L(z − hv)) / 2h for small h."""
    z, y = case
    g = subject.loss.grad(z, y)
    h = 1e-5
    for v in np.eye(math.prod(z.shape[1:])).reshape(-1, *z.shape[1:]):
        slope = (subject.loss.value(z + h * v, y) - subject.loss.value(z - h * v, y)) / (2 * h)
        wrong = some(~np.isclose(rows(g * v).sum(axis=1), slope, rtol=1e-3, atol=1e-6))
        if wrong:
            shown = {"z": z[wrong], "y": y[wrong], "gradient": g[wrong], "slope": slope[wrong]}
            raise Broken("the gradient is not the slope of the loss", **shown)


@law(LOSS_LAWS, _logits)
def a_masked_class_does_not_count(subject, case):
    """L(z with one more class at −∞) = L(z), where all logits in z are finite."""
    z, y = case
    if subject.binary:
        return
    masked = np.concatenate([z, np.full_like(z[:, :1], -math.inf)], axis=1)
    with np.errstate(all="ignore"):
        value, g = subject.loss.value(masked, y), subject.loss.grad(masked, y)
    if not _alike(value, subject.loss.value(z, y)) or not _alike(g[:, :-1], subject.loss.grad(z, y)):
        raise Broken("a class whose logit is −∞ changes the loss or its gradient", z=masked, y=y, value=value)


@law(LOSS_LAWS, _logits)
def float32_is_kept(subject, case):
    """Value and gradient have the dtype of z."""
    z, y = case
    z = z.astype(np.float32)
    kept = {subject.loss.value(z, y).dtype, subject.loss.grad(z, y).dtype}
    if kept != {np.dtype(np.float32)}:
        raise Broken(f"z is float32, but value and gradient are {', '.join(map(str, kept))}", z=z, y=y)


@law(LOSS_LAWS, _logits)
def confident_logits_have_a_gradient(subject, case):
    """In float32, ∂L/∂z_y < 0 even if the logit of the label leads by 60."""
    _, y = case
    if subject.binary:
        z = 60 * y.astype(np.float32)
    else:
        k = max(3, subject.classes)
        y = y % k
        z = np.arange(k, dtype=np.float32) - 60 * (np.arange(k) != y[:, None])
        z = z.astype(np.float32)
    g = subject.loss.grad(z, y)
    slope = g * y if subject.binary else g[np.arange(len(y)), y]
    lost = some(~(slope < 0))
    if lost:
        why = "the label leads by 60, and the loss does not fall as its logit rises"
        raise Broken(why, z=z[lost], y=y[lost], gradient=g[lost])
