r"""Training by minibatches, adversarial or ordinary; ordinary training is the case Δ = {0}."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .. import checks, tasks
from ..backend import namespace, read_only
from ..checked import checked, taking
from ..layers import Dropout
from ..models.weights import architecture
from ..parallel import sum_chunks
from ..support.configuration import describe, generators_of
from ..support.progress import progress as show_progress
from .checkpoint import OWN, Checkpoint, Run
from .optim import SGD, constant, scales

_ADVICE = "the loss became NaN or infinite: try a smaller step size (epoch {}; the last good parameters are kept)"


@dataclass
class History:
    """The course of a training, with one entry for each epoch, measured on each batch before its step.

    Attributes
    ----------
    loss : list of float
        The mean loss, at the attacked examples if there is an attack.
    error : list of float
        The share of misclassified examples, likewise.
    """

    loss: list = field(default_factory=list)
    error: list = field(default_factory=list)


@checked(model=checks.trainable, attack=taking("model", "x", "y"))
def fit(
    model,
    x,
    y,
    *,
    epochs,
    batch_size=100,
    optimizer=SGD(0.1),  # noqa: B008  # frozen
    schedule=constant,
    attack=None,
    rng=None,
    checkpoint=None,
    progress=True,
):
    r"""Minimise the empirical (adversarial) risk by minibatches, and replace ``model.params``.

    .. math::
        \theta^{[t+1]} = \theta^{[t]} - \alpha \frac1m \sum_{i=1}^m \nabla_\theta
        L(y_i, f(x_i + \delta^*(x_i) \mid \theta^{[t]}))

    where the attack computes δ* against the model at step t. For an exact attack this is a subgradient step on the
    adversarial risk (Danskin's theorem); for an approximate attack the direction need not be one of descent.

    Dropout layers are active only in the training step, so that the attack sees the model without dropout. What they
    drop is drawn for each example separately, and does not depend on how a batch is cut into chunks.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    epochs : int
        The total number of epochs, including those that a checkpoint has completed.
    batch_size : int
        The size m of a batch; the last batch of an epoch may be smaller.
    optimizer : optimiser
        Takes the steps; see :mod:`scratchadv.training.optim`. Default: ``SGD(0.1)``.
    schedule : callable
        The step size is multiplied by ``schedule(epoch)``, where epochs are counted from 0; see
        :mod:`scratchadv.training.optim`.
    attack : callable, optional
        ``attack(model, x, y)`` that returns δ: ``partial(exact, threat=Linf(0.2))``, ``partial(pgd, threat=...)``,
        ``partial(fgsm_random_start, threat=..., rng=rng)`` or any function.
    rng : numpy.random.Generator, optional
        Shuffles the examples, and draws the seeds of dropout. Default: ``np.random.default_rng(0)``.
    checkpoint : str or path, optional
        A file that is written before the first epoch and after each epoch. If it exists, the run continues from it, and
        ends with the same parameters, history and generators, to the last bit, as a run that was never interrupted. If
        all epochs are completed, nothing is done. For this an attack of your own must draw its random numbers from
        ``rng``, or from a generator that ``partial`` passes to it. After an exception or Ctrl-C the model has the
        parameters in the file.
    progress : bool
        Whether to show a bar on a terminal if training takes longer than two seconds.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or if the checkpoint is damaged or belongs to another run; the message then says in
        what they differ.
    FloatingPointError
        If the loss or a parameter becomes NaN or infinite; the model keeps the last parameters with a finite loss.

    Source: slides "Adversarial Training".
    """
    factors = scales(schedule, epochs)
    rng = np.random.default_rng(0) if rng is None else rng
    generators = {id(g): g for g in (rng, *generators_of(attack))}  # each once
    run = Run(model, optimizer.start(model.params), vars(History()), [], list(generators.values()))
    file = None
    if checkpoint is not None:
        file = Checkpoint(checkpoint, describe_run(model, x, y, batch_size, optimizer, attack, rng), run, factors)
    step = partial(training_step, run, optimizer, attack)
    batches, done = -(-len(x) // batch_size), len(run.factors)
    with show_progress(None, "training", epochs * batches, done=done * batches, shown=progress) as bar:
        for factor in factors[done:]:
            with _whole_epochs(model, file):
                loss, error = _epoch(partial(step, factor), x, y, shuffled_batches(rng, len(x), batch_size), bar)
                run.record(factor, loss=loss, error=error)
                if file:
                    file.save(run)
            bar.set_postfix(loss=f"{loss:.4g}", error=f"{error:.2%}", refresh=False)
    return History(**run.history)


def describe_run(model, x, y, batch_size, optimizer, attack, rng):
    """Return a description of a run, in values that JSON can store.

    Two runs with the same description differ only in the number of epochs and in their initial parameters.

    Parameters
    ----------
    model, x, y, batch_size, optimizer, attack, rng
        As for ``fit``.

    Returns
    -------
    dict
        ``checkpoint.OWN`` stands for an optimiser or an attack that cannot be described.
    """
    shapes = {name: [str(p.dtype), *p.shape] for name, p in model.params.items()}
    return {
        "model": _described(architecture, model, type(model).__qualname__),
        "parameters": shapes,
        "data": describe({"x": x, "y": y}),
        "batch size": batch_size,
        "optimizer": _described(describe, optimizer, OWN),
        "attack": _described(describe, attack, OWN),
        "rng": describe(rng),
        "dropout": "by example" if _has_dropout(model) else None,  # masks of earlier versions depended on the chunks
    }


def _described(how, what, otherwise):
    try:
        return how(what)
    except TypeError:
        return otherwise


@contextmanager
def _whole_epochs(model, file):
    """If an epoch is interrupted, set the model to its parameters in the checkpoint; NaN is handled in the step."""
    reached = model.params
    try:
        yield
    except FloatingPointError:
        raise
    except BaseException:
        if file:
            model.params = reached
        raise


def shuffled_batches(rng, n, size):
    """Return the batches of one epoch: the indices 0 to n − 1 in random order, cut into parts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Shuffles the indices.
    n : int
        The number of examples.
    size : int
        The number of examples in a batch; the last batch may be smaller.

    Returns
    -------
    list of array of int
        The indices of the examples in each batch.
    """
    order = rng.permutation(n)
    return [order[i : i + size] for i in range(0, n, size)]


def _epoch(step, x, y, batches, bar):
    """Take one pass over the examples, and return the mean loss and the error."""
    losses = []
    errors = []
    for batch in batches:
        rows = namespace(x).asarray(batch)
        loss, wrong = step(x[rows], y[rows])
        losses.append(loss)
        errors.append(wrong)
        bar.update()
    return (float(namespace(*parts).concatenate(parts).mean()) for parts in (losses, errors))


def training_step(run, optimizer, attack, factor, x, y):
    """Attack the batch, and take one step of the optimiser on the mean loss at the attacked examples.

    Parameters
    ----------
    run : Run
        Holds the model and the state of the optimiser; the parameters and the state are replaced.
    optimizer : optimiser
    attack : callable or None
        ``attack(model, x, y)`` that returns δ.
    factor : float
        The step size is multiplied by it.
    x : array, shape (m, *D)
    y : array, shape (m,)

    Returns
    -------
    loss : array, shape (m,)
        The loss of each example before the step.
    wrong : array of bool, shape (m,)
        Whether each example was misclassified before the step.

    Raises
    ------
    FloatingPointError
        If the loss or a parameter becomes NaN or infinite; the model keeps its last good parameters.

    Source: slides "Adversarial Training".
    """
    model = run.model
    if attack:
        x = attacked_examples(attack, model, x, y)
    seeds = run.generators[0].integers(2**63, size=len(x)) if _has_dropout(model) else None
    x = read_only(x)  # so that the pullback needs no copy of it
    (loss, wrong), grads = sum_chunks(partial(loss_and_gradients, model, len(x)), model, x, y, seeds)
    if not _finite(loss):
        model.params = run.good
        raise FloatingPointError(_ADVICE.format(len(run.factors)))
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is refused below
        params, state = optimizer.step(model.params, grads, run.state, factor)
    if not _finite(*params.values()):
        raise FloatingPointError(_ADVICE.format(len(run.factors)))
    run.good, model.params, run.state = model.params, params, state
    return loss, wrong


def attacked_examples(attack, model, x, y):
    """Return x + δ, with δ from an attack on the model with its present parameters.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y)`` that returns δ.
    model : Model
    x : array, shape (m, *D)
    y : array, shape (m,)

    Returns
    -------
    array, shape (m, *D)
        In the dtype of x.

    Raises
    ------
    ValueError
        If δ does not have the shape of x.

    Source: slides "Adversarial Training".
    """
    with np.errstate(over="ignore", invalid="ignore"):
        delta = attack(model, x, y)
    checks.same_shape(delta, x, "the attack's delta")
    return x + delta.astype(x.dtype, copy=False)


def loss_and_gradients(model, m, x, y, seeds):
    r"""Return the losses and errors of a part of a batch, and its part of the gradient of the batch's mean loss.

    .. math:: \frac1m \sum_i \nabla_\theta L(y_i, f(x_i \mid \theta))

    Parameters
    ----------
    model : Model
    m : int
        The number of examples in the whole batch.
    x : array, shape (n, *D)
        Some of its examples.
    y : array, shape (n,)
    seeds : array of int, shape (n,), optional
        For each example, the seed of dropout. Default: nothing is dropped.

    Returns
    -------
    rows : (array, array), each of shape (n,)
        The loss of each example, and whether it is misclassified.
    grads : dict of array
        Like ``model.params``.
    """
    if seeds is not None:
        model = model.noisy(seeds)
    with np.errstate(over="ignore", invalid="ignore"):
        z, pull = model.vjp_theta(x)
        wrong = tasks.of(model, z).decode(z) != y
        return (model.loss.value(z, y), wrong), pull(model.loss.grad(z, y) / m)


def _has_dropout(model):
    return any(isinstance(layer, Dropout) for layer in getattr(model, "layers", ()))


def _finite(*arrays):
    xp = namespace(*arrays)
    return bool(xp.isfinite(xp.concatenate([a.ravel() for a in arrays])).all())  # a single transfer from a GPU
