r"""Training by minibatches, ordinary or adversarial: ordinary training has Δ = {0}."""

from dataclasses import dataclass, field

import numpy as np

from . import checks
from .models.protocol import labels_of
from .progress import progress as show_progress


@dataclass
class History:
    """What was seen while training, one entry an epoch, measured on the batches as they were trained on.

    Attributes
    ----------
    loss : list of float
        Mean loss, at the attacked examples if there is an attack.
    error : list of float
        Share of examples predicted wrongly, likewise.
    """

    loss: list = field(default_factory=list)
    error: list = field(default_factory=list)


def fit(model, x, y, *, epochs, optimizer, rng, batch_size=100, attack=None, progress=True):
    r"""Minimise the empirical (adversarial) risk by minibatches; ``model.params`` are replaced.

    .. math::
        \theta^{[t+1]} = \theta^{[t]} - \alpha \frac1m \sum_{i=1}^m \nabla_\theta
        L(y_i, f(x_i + \delta^*(x_i) \mid \theta^{[t]}))

    with δ* from the attack on the model as it is at that step. For an exact attack this is a subgradient step
    on the adversarial risk (Danskin's theorem); for an approximate one it is only a direction.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    epochs : int
    optimizer : optimiser
        Such as ``SGD(lr=0.1)``.
    rng : numpy.random.Generator
        Shuffles the examples; the last batch of an epoch may be smaller.
    batch_size : int
    attack : callable, optional
        ``attack(model, x, y)`` that returns δ, such as ``partial(exact, threat=Linf(0.2))``.
    progress : bool
        Whether to show a bar, on a terminal, when it takes longer than two seconds.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    FloatingPointError
        If the loss or a parameter becomes NaN or infinite; the last parameters with a finite loss are kept.

    Source: slides "Adversarial Training".
    """
    checks.examples(model, x, y)
    epochs = checks.count("epochs", epochs)
    batch_size = checks.count("batch_size", batch_size, least=1)
    history, good = History(), model.params
    for _ in show_progress(range(epochs), "training") if progress else range(epochs):
        order = rng.permutation(len(x))
        losses, errors = [], []
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused right below
                params, loss, error = _step(model, x[batch], y[batch], optimizer, attack)
            if not _finite(loss):
                model.params = good
            if not _finite(loss, *params.values()):
                raise FloatingPointError("the loss became NaN or infinite: try a smaller step size")
            good, model.params = model.params, params
            losses.append(loss)
            errors.append(error)
        history.loss.append(float(np.concatenate(losses).mean()))
        history.error.append(float(np.concatenate(errors).mean()))
    return history


def _step(model, x, y, optimizer, attack):
    """The new parameters; loss and error of each example before the step."""
    if attack:
        x = x + attack(model, x, y)
    z, pull = model.vjp_theta(x)
    loss = model.loss.value(z, y)
    grads = pull(model.loss.grad(z, y) / len(x))
    return optimizer.step(model.params, grads), loss, labels_of(z) != y


def _finite(*arrays):
    return all(np.isfinite(a).all() for a in arrays)
