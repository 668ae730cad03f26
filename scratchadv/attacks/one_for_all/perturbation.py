r"""One perturbation for many inputs: of a single class, of several classes, or of all (fully universal).

The three kinds of the slides are the same functions; what differs is the examples that they are given.
"""

import numpy as np

from ... import checks, tasks
from ...backend import namespace
from ...checked import checked, in_norm
from ...models.protocol import logits, predict
from ...numerics import only, take
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
        The model to attack.
    x : array, shape (N, *D)
        The examples that δ is made for, The inputs, float32 or float64, inside the box of the threat if it has one.
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
        Called with an ``Iterate`` (step, δ, fooling rate) after every pass, the first of which is step 1.

    Returns
    -------
    delta : array, shape (1, *D)
        That of the highest fooling rate on x after any pass, δ = 0 included. In the ball. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first pass.

    Source: slides "Universal adversarial examples"; Moosavi-Dezfooli, Fawzi, Fawzi and Frossard (2017), "Universal
    adversarial perturbations", algorithm 1.
    """
    common, delta_set = common_set(threat), threat.at(x)
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
    r"""The change of each example when one δ is added to all: :math:`\mathrm{clip}(x + \delta, [l, u]) - x`.

    Cut off at the box it lies in Δ(x), as no component grows.

    Parameters
    ----------
    delta : array, shape (1, *D) or (N, *D)
    x : array, shape (N, *D)
    box : (lower, upper), optional
        The pixel range. Default: none.

    Returns
    -------
    array, shape (N, *D)

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
    r"""The share of examples whose prediction changes, whatever their labels.

    .. math:: \frac1N \sum_{i=1}^N 1[\hat{k}(x_i + \delta) \neq \hat{k}(x_i)]

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
    delta : array, shape (1, *D) or (N, *D)
    box : (lower, upper), optional
        The pixel range, at which :math:`x + \delta` is cut off. Default: none.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: Moosavi-Dezfooli et al. (2017), section 3, Err(X_v).
    """
    changed = x + applied(delta, x, box)
    z = logits(model, changed)
    return float(tasks.of(model, z).is_fooled(z, predict(model, x)).mean())


def common_set(threat):
    """Return the set in which δ itself lies, which is the same for all examples: the threat without its Box."""
    common = threat.everywhere
    one = [side for side in common.bounds() if np.ndim(side) > 1 and len(side) > 1]
    if one or np.ndim(threat.radius):
        raise ValueError(f"threat: one change for all examples needs a set that is the same for all, not {threat}")
    return common


def in_box(delta, x, delta_set):
    """Return the change of each example when δ is added, cut off at the bounds of Δ(x) where it has any.

    Parameters
    ----------
    delta : array, shape (1, *D) or (N, *D)
    x : array, shape (N, *D)
    delta_set : Set
        Δ(x).

    Returns
    -------
    array, shape (N, *D)
    """
    delta = delta + namespace(x).zeros_like(x)
    return delta if delta_set.box is None else cut(delta, *delta_set.bounds())


def batches(x, size, rng):
    """Return the rows of each batch, shuffled by ``rng`` where it is given."""
    order = np.arange(len(x)) if rng is None else rng.permutation(len(x))
    return (namespace(x).asarray(order[i : i + size]) for i in range(0, len(x), size))


# The paper's algorithm


def aggregate(model, common, delta, x, y, target, delta_set, **options):
    r"""Return δ after those examples of a batch that still stand have added their smallest changes.

    .. math:: \delta \leftarrow \mathcal{P}(\delta + r_i)

    Parameters
    ----------
    model : Model
        The model to attack.
    common : Set
        The set in which δ lies.
    delta : array, shape (1, *D)
    x : array, shape (m, *D)
    y : array, shape (m,)
        What the model predicts for x.
    target : array, shape (m,), or None
    delta_set : Set
        Δ(x), whose box cuts off x + δ.
    **options
        ``overshoot``, ``steps`` and ``candidates`` of :func:`deepfool`, which finds :math:`r_i`.

    Returns
    -------
    array, shape (1, *D)

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
    z = logits(model, x + in_box(delta, x, delta_set))
    return tasks.of(model, z).is_fooled(z, y, target)


def _share_fooled(model, delta, x, y, target, delta_set):
    return float(_fooled(model, delta, x, y, target, delta_set).mean())
