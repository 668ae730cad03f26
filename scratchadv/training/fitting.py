r"""Training by minibatches, ordinary or adversarial: ordinary training has Δ = {0}."""

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
    r"""Minimise the empirical (adversarial) risk by minibatches; ``model.params`` are replaced.

    .. math::
        \theta^{[t+1]} = \theta^{[t]} - \alpha \frac1m \sum_{i=1}^m \nabla_\theta
        L(y_i, f(x_i + \delta^*(x_i) \mid \theta^{[t]}))

    with δ* from the attack on the model as it is at that step. For an exact attack this is a subgradient step
    on the adversarial risk (Danskin's theorem); for an approximate one it is only a direction.

    Dropout layers drop in the training step only: the attack sees the plain model. What they drop is drawn for each
    example by itself, so it does not depend on how a batch is cut into chunks.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    epochs : int
        In all, those that a checkpoint has done among them.
    batch_size : int
        m; the last batch of an epoch may be smaller.
    optimizer : optimiser
        ``SGD(0.1)`` if nothing else is said; see :mod:`scratchadv.training.optim`.
    schedule : callable
        ``schedule(epoch)``, epochs counted from 0, multiplies the step size; see :mod:`scratchadv.training.optim`.
    attack : callable, optional
        ``attack(model, x, y)`` that returns δ: ``partial(exact, threat=Linf(0.2))``, ``partial(pgd, threat=...)``,
        ``partial(fgsm_random_start, threat=..., rng=rng)`` or any function.
    rng : numpy.random.Generator, optional
        Shuffles the examples, and draws for dropout. Default: ``np.random.default_rng(0)``.
    checkpoint : str or path, optional
        A file that is written before the first epoch and after each. If it is there already, the run goes on from it
        and ends with the parameters, history and generators of a run that was never interrupted, to the last bit; if
        it has done all epochs, nothing is left to do. An attack of your own must draw from ``rng`` for that (or from
        a generator that ``partial`` gives it). An exception, or Ctrl-C, leaves the model as the file has it.
    progress : bool
        Whether to show a bar, on a terminal, when it takes longer than two seconds.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; if the checkpoint is damaged or of another run, and then in what they differ.
    FloatingPointError
        If the loss or a parameter becomes NaN or infinite; the last parameters with a finite loss are kept.

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
    """What makes two runs the same but for their length and where they begin, as JSON can say it.

    Parameters
    ----------
    model, x, y, batch_size, optimizer, attack, rng
        As for ``fit``.

    Returns
    -------
    dict
        An optimiser or attack that cannot be described is ``checkpoint.OWN``.
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
    """With a checkpoint, what breaks off an epoch leaves the model where the file has it; NaN keeps its own."""
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
    """Return the batches of one epoch: the numbers 0 to n − 1 in random order, cut into parts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Shuffles the numbers.
    n : int
        How many examples there are.
    size : int
        Examples a batch; the last batch may be smaller.

    Returns
    -------
    list of array of int
    """
    order = rng.permutation(n)
    return [order[i : i + size] for i in range(0, n, size)]


def _epoch(step, x, y, batches, bar):
    """Mean loss and error of one pass over the examples."""
    losses, errors = [], []
    for batch in batches:
        rows = namespace(x).asarray(batch)
        loss, wrong = step(x[rows], y[rows])
        losses.append(loss)
        errors.append(wrong)
        bar.update()
    return (float(namespace(*parts).concatenate(parts).mean()) for parts in (losses, errors))


def training_step(run, optimizer, attack, factor, x, y):
    """Attack the batch, and take one step of the optimiser down the mean loss at the attacked examples.

    Parameters
    ----------
    run : Run
        The model and the state of the optimiser; both are replaced.
    optimizer : optimiser
    attack : callable or None
        ``attack(model, x, y)`` that returns δ.
    factor : float
        What the step size is multiplied by in this epoch.
    x : array, shape (m, *D)
    y : array, shape (m,)

    Returns
    -------
    loss : array, shape (m,)
        The loss of each example before the step.
    wrong : array of bool, shape (m,)
        Whether it was predicted wrongly.

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
    x = read_only(x)  # its pullback needs no copy of what nobody writes to
    (loss, wrong), grads = sum_chunks(partial(loss_and_gradients, model, len(x)), model, x, y, seeds)
    if not _finite(loss):
        model.params = run.good
        raise FloatingPointError(_ADVICE.format(len(run.factors)))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused right below
        params, state = optimizer.step(model.params, grads, run.state, factor)
    if not _finite(*params.values()):
        raise FloatingPointError(_ADVICE.format(len(run.factors)))
    run.good, model.params, run.state = model.params, params, state
    return loss, wrong


def attacked_examples(attack, model, x, y):
    """Return x + δ, with δ from the attack on the model as it is now.

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
        dtype of x.

    Raises
    ------
    ValueError
        If δ is not shaped like x.

    Source: slides "Adversarial Training".
    """
    with np.errstate(over="ignore", invalid="ignore"):
        delta = attack(model, x, y)
    checks.same_shape(delta, x, "the attack's delta")
    return x + delta.astype(x.dtype, copy=False)


def loss_and_gradients(model, m, x, y, seeds):
    r"""Return the loss and the error of some examples of a batch, and their part of the gradient of its mean loss.

    .. math:: \frac1m \sum_i \nabla_\theta L(y_i, f(x_i \mid \theta))

    Parameters
    ----------
    model : Model
    m : int
        How many examples the whole batch has.
    x : array, shape (n, *D)
        Some of them.
    y : array, shape (n,)
    seeds : array of int, shape (n,), optional
        The seed of what dropout drops for each example. Default: nothing is dropped.

    Returns
    -------
    rows : (array, array), each of shape (n,)
        The loss of each example, and whether it is predicted wrongly.
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
    return bool(xp.isfinite(xp.concatenate([a.ravel() for a in arrays])).all())  # one answer to wait for on a device
