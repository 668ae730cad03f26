r"""One perturbation for many inputs: of a single class, of several classes, or of all (fully universal).

The three kinds of the slides are the same functions; what differs is the examples that they are given.
"""

import math
from functools import partial

import numpy as np

from ... import checks
from ...backend import namespace
from ...checked import checked, in_norm, taking, whole
from ...losses import objective
from ...models.protocol import is_fooled, logits, loss_and_gradient, predict, refuse_nan
from ...numerics import ndim, take
from ...parallel import map_chunks, sum_chunks
from ...sets import L1, L2, Linf, Range, bounds_of
from ...support.blas import one_blas_thread
from ..constrained.deepfool import deepfool
from ..constrained.targets import cut
from ..gradient.best import KEEP, counted


@checked(threat=in_norm(Linf, L2, L1, Range), rate=checks.share, callback=taking("pass", "delta", "fooling rate"))
def universal(
    model,
    x,
    threat,
    *,
    target=None,
    rate=0.8,
    passes=10,
    batch_size=1,
    overshoot=0.02,
    steps=10,
    candidates=10,
    rng=None,
    callback=None,
):
    r"""Go through the examples; what still stands adds its own smallest change to the one δ for all.

    .. math::
        r_i = \arg\min_r \left\{\lVert r \rVert_2 : \hat{k}(x_i + \delta + r) \neq \hat{k}(x_i)\right\}, \qquad
        \delta \leftarrow \mathcal{P}(\delta + r_i)

    for each i with :math:`\hat{k}(x_i + \delta) = \hat{k}(x_i)`, the :math:`r_i` from DeepFool, until the fooling rate
    is reached. No labels are asked for: the model's own predictions have to change.

    The paper takes one example after the other. With ``batch_size`` above 1, which is faster and not the paper's,
    DeepFool runs on all of a batch that stand, from the same δ; then their :math:`r_i` are added in turn, and examples
    that those before them have fooled are passed over.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        The examples that δ is made for, float32 or float64, in the box of the threat where it has one.
    threat : Set
        Linf, L2 or L1, that holds δ itself. With a box the model sees :math:`x + \delta` cut off at it, and DeepFool
        stays in it (the paper has no box).
    target : array, shape (N,), optional
        Labels to reach; an example then stands until it is predicted as its target.
    rate : float
        The fooling rate to reach, 1 − δ in the paper's letters: the passes end with it.
    passes : int
        At most so many, through all examples.
    batch_size : int
        1 is the paper's algorithm.
    overshoot, steps, candidates
        Of DeepFool; an example for which ``steps`` are not enough adds nothing.
    rng : numpy.random.Generator, optional
        Shuffles the examples before each pass. Default: the order they come in.
    callback : callable, optional
        Called with (pass, delta, fooling rate) after every pass.

    Returns
    -------
    delta : array, shape (1, *D)
        That of the highest fooling rate on x after any pass, δ = 0 included. In the ball. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before the first pass.

    Source: slides "Universal adversarial examples"; Moosavi-Dezfooli, Fawzi, Fawzi and Frossard (2017), "Universal
    adversarial perturbations", algorithm 1.
    """
    common, delta_set = _common(threat, x), threat.at(x)
    y = predict(model, x)
    options = {"overshoot": overshoot, "steps": steps, "candidates": candidates}
    add = partial(_aggregate, model, common, options)
    best = delta = namespace(x).zeros_like(x[:1])
    best_rate = _share_fooled(model, delta, x, y, target, delta_set)
    for number in range(passes):
        if best_rate >= rate:
            break
        with one_blas_thread():
            for rows in _batches(x, batch_size, rng):
                delta = add(delta, *take(rows, x, y, target, delta_set))
        fooled = _share_fooled(model, delta, x, y, target, delta_set)
        if callback:
            callback(number, delta, fooled)
        if fooled > best_rate:
            best, best_rate = delta, fooled
    return best


@checked(
    threat=in_norm(Linf, L2, L1, Range), epochs=whole(1), keep=KEEP, callback=taking("epoch", "delta", "mean loss")
)
def universal_gradient(
    model,
    x,
    y,
    threat,
    *,
    epochs=5,
    batch_size=100,
    alpha=None,
    normalized=True,
    target=None,
    loss=None,
    rng=None,
    keep="success",
    callback=None,
):
    r"""Ascend the mean loss over minibatches with one δ for all, and project it back onto the ball.

    .. math::
        \delta \leftarrow \mathcal{P}(\delta + \alpha g), \qquad
        g = \frac1m \sum_{i=1}^m \nabla_\delta L(y_i, f(x_i + \delta))

    Normalised steps replace :math:`\alpha g` by the best step of size α, as in ``pgd``. With a pixel range
    :math:`x_i + \delta` is cut off at it, and what pushes a pixel of :math:`x_i` further out does not count in g.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        The examples that δ is made for, float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        Linf, L2, L1 or a Range, that holds δ itself, alone or cut with a Box or a Mask.
    epochs : int
        Passes through the examples.
    batch_size : int
        m; the last batch of an epoch may be smaller.
    alpha : float, optional
        Step size. Default 10 ε over the number of all steps.
    normalized : bool
        Whether steps have the same size whatever the gradient's.
    target : array, shape (N,), optional
        Labels to reach: L(y) − L(target) is maximised.
    loss : Loss, optional
        Default: the model's own.
    rng : numpy.random.Generator, optional
        Shuffles the examples before each epoch. Default: the order they come in.
    keep : {"success", "loss"}
        Which δ is best: the one that fools the most examples (or brings the most to their targets) and among equals the
        one of the highest mean loss, or the one of the highest mean loss alone.
    callback : callable, optional
        Called with (epoch, delta, mean loss on x) after every epoch.

    Returns
    -------
    delta : array, shape (1, *D)
        The best δ after any epoch, δ = 0 included. In the ball. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: slides "Universal adversarial examples"; Shafahi et al. (2020), "Universal adversarial training", algorithm
    2, here with the best δ kept.

    Examples
    --------
    On a linear model the worst δ for a class is the same for all its examples (slide "Linear Models").

    >>> model, x = LogisticRegression(np.array([2.0, -1.0])), np.array([[1.0, 1.0], [3.0, 0.0], [0.0, -2.0]])
    >>> universal_gradient(model, x, np.array([1, 1, 1]), Linf(0.5))
    array([[-0.5,  0.5]])
    """
    common, delta_set = _common(threat, x), threat.at(x)
    all_steps = epochs * -(-len(x) // batch_size)
    alpha = 10 * threat.radius / all_steps if alpha is None else alpha
    loss, labels = objective(loss or model.loss, y, target)
    score = partial(_score, model, loss, keep, x, y, target, labels, delta_set)
    best = delta = namespace(x).zeros_like(x[:1])
    best_score = score(delta)
    for epoch in range(epochs):
        with one_blas_thread():  # batches are small: BLAS's own threads would spin in between
            for rows in _batches(x, batch_size, rng):
                g = _mean_gradient(model, loss, delta, *take(rows, x, labels, delta_set))
                delta = common.ascend(delta, g, alpha) if normalized else common.project(delta + alpha * g)
        found = score(delta)
        if callback:
            callback(epoch, delta, found[1])
        if found > best_score:
            best, best_score = delta, found
    return best


@checked
def applied(delta, x, box=None):
    r"""The change of each example when one δ is added to all: :math:`\mathrm{clip}(x + \delta, [l, u]) - x`.

    Cut off at the box it lies in Δ(x), as no component grows.

    Parameters
    ----------
    delta : array, shape (1, *D) or (N, *D)
    x : array, shape (N, *D)
    box : (lower, upper) or Set, optional
        The pixel range, or a Box, a Mask, a Range or an intersection of them. Default: none.

    Returns
    -------
    array, shape (N, *D)

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> applied(np.array([[0.5, -0.5]]), np.array([[0.25, 0.25], [0.75, 0.75]]), (0, 1))
    array([[ 0.5 , -0.25],
           [ 0.25, -0.5 ]])
    """
    checks.one_side(delta, x)
    if delta.shape not in {x.shape, (1, *x.shape[1:])}:
        raise ValueError(f"delta has shape {delta.shape}; {(1, *x.shape[1:])} or the shape of x was expected")
    return cut(delta + namespace(x).zeros_like(x), *bounds_of(box, x))


@checked(model=checks.classifier)
def fooling_rate(model, x, delta, box=None):
    r"""The share of examples whose prediction changes, whatever their labels.

    .. math:: \frac1N \sum_{i=1}^N 1[\hat{k}(x_i + \delta) \neq \hat{k}(x_i)]

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    delta : array, shape (1, *D) or (N, *D)
    box : (lower, upper) or Set, optional
        The pixel range, or a Box, a Mask, a Range or an intersection of them, at which :math:`x + \delta` is cut off.
        Default: none.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Source: Moosavi-Dezfooli et al. (2017), section 3, Err(X_v).
    """
    changed = x + applied(delta, x, box)
    return float(is_fooled(logits(model, changed), predict(model, x)).mean())


def _common(threat, x):
    """The set that δ itself lies in, which is the same for all examples: the threat without its Box."""
    common = threat.everywhere
    of_each = any(ndim(side) == x.ndim and len(side) > 1 for side in common.bounds())
    if of_each or ndim(threat.radius):
        raise ValueError(f"threat: one change for all examples needs a set that is the same for all, not {threat}")
    return common


def _applied(delta, x, delta_set):
    """The change of each example, cut off at the bounds of Δ(x) where there are any."""
    delta = delta + namespace(x).zeros_like(x)
    return delta if delta_set.box is None else cut(delta, *delta_set.bounds())


def _batches(x, size, rng):
    """The rows of each batch, shuffled by ``rng``."""
    order = np.arange(len(x)) if rng is None else rng.permutation(len(x))
    return (namespace(x).asarray(order[i : i + size]) for i in range(0, len(x), size))


# The paper's algorithm


def _aggregate(model, common, options, delta, x, y, target, delta_set):
    """δ after the examples of one batch have added theirs."""
    standing = ~_fooled(model, delta, x, y, target, delta_set)
    x, y, target, delta_set = take(standing, x, y, target, delta_set)
    if not len(x):
        return delta
    r = deepfool(model, x + _applied(delta, x, delta_set), y, target=target, box=delta_set.box, **options)
    for i in range(len(x)):
        one = slice(i, i + 1)
        if i == 0 or not _fooled(model, delta, *take(one, x, y, target, delta_set)).item():
            delta = common.project(delta + r[one])
    return delta


def _fooled(model, delta, x, y, target, delta_set):
    return is_fooled(logits(model, x + _applied(delta, x, delta_set)), y, target)


def _share_fooled(model, delta, x, y, target, delta_set):
    return float(_fooled(model, delta, x, y, target, delta_set).mean())


# The gradient form


def _mean_gradient(model, loss, delta, x, labels, delta_set):
    """The mean over the examples of the gradient by δ, ``(1, *D)``."""
    return sum_chunks(partial(_gradient, model, loss, delta), model, x, labels, delta_set)[1]["g"] / len(x)


def _gradient(model, loss, delta, x, labels, delta_set):
    xp = namespace(x)
    _, g = loss_and_gradient(model, loss, x + _applied(delta, x, delta_set), labels)
    if delta_set.box is not None:
        low, high = delta_set.bounds()
        g = xp.where(xp.where(g > 0, delta >= high, delta <= low), 0, g)
    return (), {"g": g.sum(axis=0, keepdims=True)}


def _score(model, loss, keep, x, y, target, labels, delta_set, delta):
    """How good δ is on x: how many examples it fools (0 where only the loss counts), and the mean loss."""

    def of_each(x, y, target, labels, delta_set):
        z = model.logits(x + _applied(delta, x, delta_set))
        refuse_nan(model, x, z)
        return counted(z, y, target, keep), loss.value(z, labels)

    fooled, value = map_chunks(of_each, model, x, y, target, labels, delta_set)
    mean = float(value.mean(dtype=float))
    return int(fooled.sum()), -math.inf if math.isnan(mean) else mean  # a mean that is NaN is never the highest
