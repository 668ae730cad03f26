"""One perturbation for many inputs, found by gradient ascent on their mean loss."""

import math
from functools import partial

from ...backend import namespace
from ...checked import checked, in_norm, whole
from ...losses import objective
from ...models.protocol import loss_and_gradient, refuse_nan
from ...numerics import take
from ...parallel import map_chunks, sum_chunks
from ...sets import L1, L2, Linf, Range
from ...support.blas import one_blas_thread
from ..callback import Iterate
from ..gradient.best import KEEP, counted
from .perturbation import batches, common_set, in_box


@checked(threat=in_norm(Linf, L2, L1, Range), epochs=whole(1), keep=KEEP)
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
    r"""Climb the mean loss over minibatches with one δ for all examples, and project δ back onto the ball.

    .. math::
        \delta \leftarrow \mathcal{P}(\delta + \alpha g), \qquad
        g = \frac1m \sum_{i=1}^m \nabla_\delta L(y_i, f(x_i + \delta))

    Normalised steps replace :math:`\alpha g` by the steepest step of size α, as in ``pgd``. With a pixel range,
    :math:`x_i + \delta` is clipped to it, and components of the gradient that push a clipped pixel further out are set
    to zero.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The examples for which δ is made, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The set that contains δ itself: Linf, L2, L1 or a Range, with or without a box.
    epochs : int
        The number of passes through the examples.
    batch_size : int
        The batch size m; the last batch of an epoch may be smaller.
    alpha : float, optional
        The step size, in the units of x for normalised steps, and in units of x² per unit of loss for plain steps.
        Default: 10 ε divided by the total number of steps.
    normalized : bool
        Whether all steps have size α, whatever the length of the gradient.
    target : array, shape (N,), optional
        The labels to reach; the attack then maximises L(y) − L(target).
    loss : Loss, optional
        The loss to climb. Default: the model's own.
    rng : numpy.random.Generator, optional
        Shuffles the examples before each epoch. Default: the given order.
    keep : {"success", "loss"}
        Which δ counts as the best. "success": the one that fools the model on the most examples (or reaches the most
        targets), and of several the one of the highest mean loss. "loss": the one of the highest mean loss.
    callback : callable, optional
        Called with an ``Iterate`` (step, δ, mean loss on x) after every epoch, the first of which is step 1.

    Returns
    -------
    delta : array, shape (1, *D)
        The best δ after any epoch, which may be δ = 0. It lies in the ball and has the dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slides "Universal adversarial examples"; Shafahi et al. (2020), "Universal adversarial training", algorithm
    2; here the best δ is kept.

    Examples
    --------
    On a linear model, the worst δ is the same for all examples of a class (slide "Linear Models").

    >>> model, x = LogisticRegression(np.array([2.0, -1.0])), np.array([[1.0, 1.0], [3.0, 0.0], [0.0, -2.0]])
    >>> universal_gradient(model, x, np.array([1, 1, 1]), Linf(0.5))
    array([[-0.5,  0.5]])
    """
    common = common_set(threat, x)
    delta_set = threat.at(x)
    all_steps = epochs * -(-len(x) // batch_size)
    alpha = 10 * threat.radius / all_steps if alpha is None else alpha
    loss, labels = objective(loss or model.loss, y, target)
    score = partial(_score, model, loss, keep, (x, y, target, labels, delta_set))
    best = delta = namespace(x).zeros_like(x[:1])
    best_score = score(delta)
    for epoch in range(epochs):
        with one_blas_thread():  # batches are small, and idle BLAS threads would only cost time
            for rows in batches(x, batch_size, rng):
                g = _mean_gradient(model, loss, delta, *take(rows, x, labels, delta_set))
                delta = common.ascend(delta, g, alpha) if normalized else common.project(delta + alpha * g)
        found = score(delta)
        if callback:
            callback(Iterate(0, epoch + 1, delta, found[1]))
        if found > best_score:
            best, best_score = delta, found
    return best


def _mean_gradient(model, loss, delta, x, labels, delta_set):
    """Return the mean over the examples of the gradient in δ, ``(1, *D)``."""
    return sum_chunks(partial(summed_gradient, model, loss, delta), model, x, labels, delta_set)[1]["g"] / len(x)


def summed_gradient(model, loss, delta, x, labels, delta_set):
    """Return the sum over some examples of the gradient of the loss in the one δ, as ``sum_chunks`` expects it.

    Where x + δ is clipped to the box, a gradient that points further out is set to zero.

    Parameters
    ----------
    model : Model
        The model to attack.
    loss : Loss
        The loss to climb.
    delta : array, shape (1, *D)
        The one δ for all examples.
    x : array, shape (n, *D)
        The examples.
    labels : array, shape (n,) or (n, 2)
        The labels in the form that the loss takes.
    delta_set : Set
        Δ(x).

    Returns
    -------
    rows : tuple
        Empty.
    sums : dict
        The sum, ``(1, *D)``, as ``"g"``.

    Source: Shafahi et al. (2020), algorithm 2.
    """
    xp = namespace(x)
    _, g = loss_and_gradient(model, loss, x + in_box(delta, x, delta_set), labels)
    if delta_set.box is not None:
        low, high = delta_set.bounds()
        g = xp.where(xp.where(g > 0, delta >= high, delta <= low), 0, g)
    return (), {"g": g.sum(axis=0, keepdims=True)}


def _score(model, loss, keep, examples, delta):
    """Return the number of examples (x, y, target, labels, Δ(x)) on which δ fools the model, and the mean loss.

    If only the loss counts, the number is 0.
    """

    def of_each(x, y, target, labels, delta_set):
        z = model.logits(x + in_box(delta, x, delta_set))
        refuse_nan(model, x, z)
        return counted(model, z, y, target, keep), loss.value(z, labels)

    fooled, value = map_chunks(of_each, model, *examples)
    mean = float(value.mean(dtype=float))
    return int(fooled.sum()), -math.inf if math.isnan(mean) else mean  # a mean that is NaN is never the highest
