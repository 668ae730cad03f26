"""The training of the network."""

import math
from functools import partial
from types import SimpleNamespace

import numpy as np

from .... import checks, tasks
from ....backend import namespace
from ....checked import anything, checked, each, one_of
from ....models.mlp import MLP
from ....models.protocol import clean_logits
from ....parallel import sum_chunks
from ....support.progress import progress as show_progress
from ....tasks import Classes
from ....training.optim import Adam, constant, scales
from .loss import above_one, loss_and_pullback, rerank
from .network import ATN, KINDS, images_in_unit_range

HIDDEN = 400


@checked(
    x=images_in_unit_range,
    victims=each(checks.model),
    target=anything,
    kind=one_of(*KINDS),
    alpha=above_one,
    generator=checks.trainable,
)
def train_atn(
    victims,
    x,
    *,
    target=None,
    kind="perturbation",
    beta=0.005,
    alpha=1.5,
    epochs=5,
    batch_size=100,
    optimizer=Adam(1e-3),  # noqa: B008  # frozen
    schedule=constant,
    generator=None,
    rng=None,
    progress=True,
):
    r"""Train a network that makes small changes to images, after which all victims give the wanted outputs.

    .. math::
        \min_G \frac1N \sum_{i=1}^N \left( \beta \lVert x_i' - x_i \rVert_2^2
        + \sum_f \lVert f(x_i') - r_\alpha(f(x_i), t_i) \rVert_2^2 \right)

    The training needs no labels. For a black-box attack, train on a substitute: ``victims=[substitute]``. Without
    victims, G learns to reproduce x.

    Parameters
    ----------
    victims : list of Model
        The models to fool, with K classes each. Only their ``logits`` and ``vjp_x`` are called.
    x : array, shape (N, *D)
        The training images, in [0, 1].
    target : int or "all", optional
        The label t to reach for all images. With "all", one network serves all labels, and t is drawn for each image
        and epoch. Default: untargeted; t is then the class of the second largest mean probability f(x) of the victims.
    kind : {"perturbation", "autoencoding"}
        The form of the network; see :class:`ATN`.
    beta : float
        The weight β of the squared change.
    alpha : float
        The factor α of the wanted output; see :func:`rerank`.
    epochs : int
        The number of passes through the images.
    batch_size : int
        The number of images of a minibatch.
    optimizer : optimiser
        One of the optimisers of :mod:`scratchadv.training.optim`.
    schedule : callable
        ``schedule(epoch)`` returns the factor that multiplies the step size.
    generator : Network, optional
        The network to train, in place. Default: an MLP with one hidden layer of 400 units, drawn from ``rng``.
    rng : numpy.random.Generator, optional
        Draws the generator, the order of the images and the targets. Default: ``np.random.default_rng(0)``.
    progress : bool
        Whether to show a progress bar, on a terminal, if the training takes longer than two seconds.

    Returns
    -------
    ATN
        The trained network.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.
    FloatingPointError
        If the loss or a parameter becomes NaN or infinite.

    Source: slides "Adversarial transformation networks"; Baluja and Fischer (2017), section 3.
    """
    answers = [_probabilities(victim, x) for victim in victims]
    classes = _classes_of(answers, target)
    rng = np.random.default_rng(0) if rng is None else rng
    atn = ATN(generator or _generator(x, classes, rng), kind, classes)
    step = partial(_step, atn, optimizer, partial(_part, atn, victims, beta, alpha), _size(atn.generator, victims))
    factors = scales(schedule, epochs)
    state = optimizer.start(atn.generator.params)
    with show_progress(None, "training an ATN", epochs * -(-len(x) // batch_size), shown=progress) as bar:
        for factor in factors:
            t = _targets(target, answers, len(x), rng)
            total = 0.0
            for batch in _batches(rng, x, batch_size):
                given = [a if a is None else a[batch] for a in (x, t, *answers)]
                loss, state = step(state, factor, given)
                total += loss
                bar.update()
            atn.losses.append(total / len(x))
            bar.set_postfix(loss=f"{atn.losses[-1]:.4g}", refresh=False)
    return atn


def _step(atn, optimizer, part, size, state, factor, given):
    """Take one step of the optimiser; return the sum of the losses before it, and the new state of the optimiser."""
    (value,), grads = sum_chunks(partial(part, len(given[0])), size, *given)
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is refused below
        params, state = optimizer.step(atn.generator.params, grads, state, factor)
    if not all(namespace(a).isfinite(a).all() for a in (value, *params.values())):
        raise FloatingPointError("the loss became NaN or infinite: try a smaller step size")
    atn.generator.params = params
    return float(value.sum()), state


def _part(atn, victims, beta, alpha, m, x, t, *answers):
    """Return the losses of some of the m images of a batch, and their part of the gradient of the mean loss."""
    wanted = [rerank(p, t, alpha) for p in answers]
    with np.errstate(over="ignore", invalid="ignore"):
        value, pull = loss_and_pullback(atn, victims, x, wanted, beta, t if atn.classes else None)
        return (value,), pull(namespace(x).full_like(value, 1 / m))


def _targets(target, answers, n, rng):
    """Return the label t to reach for each image; None without victims."""
    if not answers:
        return None
    xp = namespace(answers[0])
    if target == "all":
        return xp.asarray(rng.integers(answers[0].shape[1], size=n))
    return sum(answers).argsort(axis=1)[:, -2] if target is None else xp.full(n, target)


def _batches(rng, x, size):
    """Return the row numbers of each minibatch, in random order."""
    order = namespace(x).asarray(rng.permutation(len(x)))
    return [order[i : i + size] for i in range(0, len(x), size)]


def _generator(x, classes, rng):
    """Return an untrained MLP with one hidden layer."""
    p = math.prod(x.shape[1:])
    return MLP((p + classes, HIDDEN, p), rng=rng)


def _size(generator, victims):
    """Return the total size of the generator and the victims, which decides how many images make a chunk."""
    return SimpleNamespace(activations=sum(getattr(model, "activations", 0) for model in (generator, *victims)))


def _probabilities(victim, x):
    """Return the probabilities of the victim for x; refuse a binary victim."""
    z = clean_logits(victim, x)
    task = tasks.of(victim, z)
    if not isinstance(task, Classes):
        raise ValueError("victims: a model has a single logit; K classes were expected")
    return task.probabilities(z)


def _classes_of(answers, target):
    """Return K if one network serves all targets, else 0; refuse victims whose classes do not match, or lack t."""
    counts = {p.shape[1] for p in answers}
    if len(counts) > 1:
        raise ValueError(
            f"victims: they have {' and '.join(map(str, sorted(counts)))} classes; the same number was expected"
        )
    if target is None:
        return 0
    if not counts:
        raise ValueError(f"target = {target!r} needs a victim")
    (k,) = counts
    if isinstance(target, str) and target == "all":
        return k
    if checks.count("target", target) >= k:
        raise ValueError(f"target = {target} must be below {k}, or 'all'")
    return 0
