r"""One perturbation for many inputs: of a single class, of several classes, or of all classes (fully universal).

The same functions make all three kinds of the slides, which differ only in the examples.
"""

import numpy as np

from ... import checks, tasks
from ...backend import namespace
from ...checked import checked, in_norm
from ...models.protocol import logits, predict
from ...numerics import ndim, only, take
from ...sets import L1, L2, Linf, Range, bounds_of
from ...support.blas import one_blas_thread
from ..callback import Iterate
from ..constrained.deepfool import deepfool
from ..constrained.targets import cut


@checked(threat=in_norm(Linf, L2, L1, Range), rate=checks.share)
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
    r"""Go through the examples; if δ does not fool the model on one of them, add the smallest change that does.

    .. math::
        r_i = \arg\min_r \left\{\lVert r \rVert_2 : \hat{k}(x_i + \delta + r) \neq \hat{k}(x_i)\right\}, \qquad
        \delta \leftarrow \mathcal{P}(\delta + r_i)

    for each i with :math:`\hat{k}(x_i + \delta) = \hat{k}(x_i)`. DeepFool finds :math:`r_i`, and the passes end when
    the fooling rate is reached. The attack needs no labels, because it changes the model's own predictions.

    The paper takes one example at a time. With ``batch_size`` above 1, which is faster but not the paper's algorithm,
    DeepFool starts from the same δ for all examples of a batch that δ does not fool yet. Their :math:`r_i` are then
    added in turn; an example is skipped if the changes before it already fool the model.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The examples for which δ is made, float32 or float64, inside the box of the threat if it has one.
    threat : Set
        The set that contains δ itself: Linf, L2, L1 or a Range, with or without a box. With a box, :math:`x + \delta`
        is clipped to it, and DeepFool stays inside it (the paper has no box).
    target : array, shape (N,), optional
        The labels to reach; an example then counts as fooled if it is classified as its target.
    rate : float
        The fooling rate at which the passes end, 1 − δ in the paper's notation.
    passes : int
        The largest number of passes through the examples.
    batch_size : int
        The number of examples that are treated together; 1 is the paper's algorithm.
    overshoot, steps, candidates
        As for :func:`deepfool`; an example for which ``steps`` are not enough adds nothing to δ.
    rng : numpy.random.Generator, optional
        Shuffles the examples before each pass. Default: the given order.
    callback : callable, optional
        Called with an ``Iterate`` (step, δ, fooling rate) after every pass, the first of which is step 1.

    Returns
    -------
    delta : array, shape (1, *D)
        The δ of the highest fooling rate on x after any pass, which may be δ = 0. It lies in the ball and has the
        dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first pass.

    Source: slides "Universal adversarial examples"; Moosavi-Dezfooli, Fawzi, Fawzi and Frossard (2017), "Universal
    adversarial perturbations", algorithm 1.
    """
    common = common_set(threat, x)
    delta_set = threat.at(x)
    y = predict(model, x)
    options = {"overshoot": overshoot, "steps": steps, "candidates": candidates}
    best = delta = namespace(x).zeros_like(x[:1])
    best_rate = _share_fooled(model, delta, x, y, target, delta_set)
    for number in range(passes):
        if best_rate >= rate:
            break
        with one_blas_thread():
            for rows in batches(x, batch_size, rng):
                delta = aggregate(model, common, delta, *take(rows, x, y, target, delta_set), **options)
        fooled = _share_fooled(model, delta, x, y, target, delta_set)
        if callback:
            callback(Iterate(0, number + 1, delta, None, fooling_rate=fooled))
        if fooled > best_rate:
            best, best_rate = delta, fooled
    return best


@checked
def applied(delta, x, box=None):
    r"""Return the change of each example when one δ is added to all: :math:`\mathrm{clip}(x + \delta, [l, u]) - x`.

    Clipping makes no component of δ larger, so the change lies in Δ(x).

    Parameters
    ----------
    delta : array, shape (1, *D) or (N, *D)
        The perturbation, one for all examples or one for each.
    x : array, shape (N, *D)
        The examples.
    box : (lower, upper) or Set, optional
        The pixel range, in the units of x; or a Box, a Mask, a Range or an intersection of them. Default: unbounded.

    Returns
    -------
    array, shape (N, *D)
        The changes.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

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
    r"""Return the share of the examples whose prediction δ changes, whatever their labels.

    .. math:: \frac1N \sum_{i=1}^N 1[\hat{k}(x_i + \delta) \neq \hat{k}(x_i)]

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The examples.
    delta : array, shape (1, *D) or (N, *D)
        The perturbation, one for all examples or one for each.
    box : (lower, upper) or Set, optional
        The pixel range to which :math:`x + \delta` is clipped, in the units of x; or a Box, a Mask, a Range or an
        intersection of them. Default: unbounded.

    Returns
    -------
    float
        The fooling rate, between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: Moosavi-Dezfooli et al. (2017), section 3, Err(X_v).
    """
    changed = x + applied(delta, x, box)
    z = logits(model, changed)
    return float(tasks.of(model, z).is_fooled(z, predict(model, x)).mean())


def common_set(threat, x):
    """Return the set that contains δ itself, the threat without its Box; refuse a set that depends on the example."""
    common = threat.everywhere
    of_each = any(ndim(side) == x.ndim and len(side) > 1 for side in common.bounds())
    if of_each or ndim(threat.radius):
        raise ValueError(f"threat: one change for all examples needs a set that is the same for all, not {threat}")
    return common


def in_box(delta, x, delta_set):
    """Return the change of each example when δ is added, clipped to the bounds of Δ(x) if it has any.

    Parameters
    ----------
    delta : array, shape (1, *D) or (N, *D)
        The perturbation, one for all examples or one for each.
    x : array, shape (N, *D)
        The examples.
    delta_set : Set
        The perturbation set Δ(x).

    Returns
    -------
    array, shape (N, *D)
        The changes.
    """
    delta = delta + namespace(x).zeros_like(x)
    return delta if delta_set.box is None else cut(delta, *delta_set.bounds())


def batches(x, size, rng):
    """Yield the row numbers of each batch, shuffled by ``rng`` if it is given."""
    order = np.arange(len(x)) if rng is None else rng.permutation(len(x))
    return (namespace(x).asarray(order[i : i + size]) for i in range(0, len(x), size))


# The paper's algorithm


def aggregate(model, common, delta, x, y, target, delta_set, **options):
    r"""Return δ after adding the smallest change of each example of a batch on which δ does not fool the model yet.

    .. math:: \delta \leftarrow \mathcal{P}(\delta + r_i)

    Parameters
    ----------
    model : Model
        The model to attack.
    common : Set
        The set that contains δ.
    delta : array, shape (1, *D)
        The one δ for all examples.
    x : array, shape (m, *D)
        The examples of the batch.
    y : array, shape (m,)
        The predictions of the model for x.
    target : array, shape (m,), or None
        The labels to reach.
    delta_set : Set
        The perturbation set Δ(x); x + δ is clipped to its box.
    **options
        ``overshoot``, ``steps`` and ``candidates`` of :func:`deepfool`, which finds :math:`r_i`.

    Returns
    -------
    array, shape (1, *D)
        The new δ.

    Source: Moosavi-Dezfooli, Fawzi, Fawzi and Frossard (2017), algorithm 1, lines 5 to 8.
    """
    standing = ~_fooled(model, delta, x, y, target, delta_set)
    x, y, target, delta_set = only(standing, (x, y, target, delta_set))
    if not len(x):
        return delta
    r = deepfool(model, x + in_box(delta, x, delta_set), y, target=target, box=delta_set.box, **options)
    for i in range(len(x)):
        one = slice(i, i + 1)
        if i == 0 or not _fooled(model, delta, *take(one, x, y, target, delta_set)).item():
            delta = common.project(delta + r[one])
    return delta


def _fooled(model, delta, x, y, target, delta_set):
    """Return whether δ fools the model, for each example."""
    z = logits(model, x + in_box(delta, x, delta_set))
    return tasks.of(model, z).is_fooled(z, y, target)


def _share_fooled(model, delta, x, y, target, delta_set):
    """Return the share of the examples on which δ fools the model."""
    return float(_fooled(model, delta, x, y, target, delta_set).mean())
