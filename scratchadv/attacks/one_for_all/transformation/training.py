"""How the network is trained."""

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
    r"""Train a network that changes images little, so that all victims give the answers that are wanted of them.

    .. math::
        \min_G \frac1N \sum_{i=1}^N \left( \beta \lVert x_i' - x_i \rVert_2^2
        + \sum_f \lVert f(x_i') - r_\alpha(f(x_i), t_i) \rVert_2^2 \right)

    No labels are needed. A black-box attack trains on a substitute, ``victims=[substitute]``. Without victims G learns
    to give x back.

    Parameters
    ----------
    victims : list of Model
        Of K classes each. Only their ``logits`` and ``vjp_x`` are called.
    x : array, shape (N, *D)
        In [0, 1].
    target : int or "all", optional
        One label to reach with all images; or one network for all labels, which are drawn for each image and epoch.
        Default: untargeted; t is then the second class of the victims' mean f(x), the wrong label that is nearest.
    kind : {"perturbation", "autoencoding"}
        See :class:`ATN`.
    beta : float
        The price of the change.
    alpha : float
        See :func:`rerank`.
    epochs, batch_size : int
    optimizer : optimiser
        See :mod:`scratchadv.training.optim`.
    schedule : callable
        ``schedule(epoch)`` multiplies the step size.
    generator : Network, optional
        Where to begin; it is trained itself. Default: an MLP with one hidden layer of 400, drawn from ``rng``.
    rng : numpy.random.Generator, optional
        Draws the generator, the order and the targets. Default: ``np.random.default_rng(0)``.
    progress : bool
        Whether to show a bar, on a terminal, when it takes longer than two seconds.

    Returns
    -------
    ATN

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
    factors, state = scales(schedule, epochs), optimizer.start(atn.generator.params)
    with show_progress(None, "training an ATN", epochs * -(-len(x) // batch_size), shown=progress) as bar:
        for factor in factors:
            t, total = _targets(target, answers, len(x), rng), 0.0
            for batch in _batches(rng, x, batch_size):
                given = [a if a is None else a[batch] for a in (x, t, *answers)]
                loss, state = step(state, factor, given)
                total += loss
                bar.update()
            atn.losses.append(total / len(x))
            bar.set_postfix(loss=f"{atn.losses[-1]:.4g}", refresh=False)
    return atn


def _step(atn, optimizer, part, size, state, factor, given):
    """One step of the optimiser; the summed loss before it, and the optimiser's new state."""
    (value,), grads = sum_chunks(partial(part, len(given[0])), size, *given)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused right below
        params, state = optimizer.step(atn.generator.params, grads, state, factor)
    if not all(namespace(a).isfinite(a).all() for a in (value, *params.values())):
        raise FloatingPointError("the loss became NaN or infinite: try a smaller step size")
    atn.generator.params = params
    return float(value.sum()), state


def _part(atn, victims, beta, alpha, m, x, t, *answers):
    """For some of the m images of a batch: the loss of each, and their part of the mean's gradient."""
    wanted = [rerank(p, t, alpha) for p in answers]
    with np.errstate(over="ignore", invalid="ignore"):
        value, pull = loss_and_pullback(atn, victims, x, wanted, beta, t if atn.classes else None)
        return (value,), pull(namespace(x).full_like(value, 1 / m))


def _targets(target, answers, n, rng):
    """The label that each image is to get; None without victims."""
    if not answers:
        return None
    xp = namespace(answers[0])
    if target == "all":
        return xp.asarray(rng.integers(answers[0].shape[1], size=n))
    return sum(answers).argsort(axis=1)[:, -2] if target is None else xp.full(n, target)


def _batches(rng, x, size):
    order = namespace(x).asarray(rng.permutation(len(x)))
    return [order[i : i + size] for i in range(0, len(x), size)]


def _generator(x, classes, rng):
    p = math.prod(x.shape[1:])
    return MLP((p + classes, HIDDEN, p), rng=rng)


def _size(generator, victims):
    """What the generator and the victims compute for one image: how many fit the cache together."""
    return SimpleNamespace(activations=sum(getattr(model, "activations", 0) for model in (generator, *victims)))


def _probabilities(victim, x):
    z = clean_logits(victim, x)
    task = tasks.of(victim, z)
    if not isinstance(task, Classes):
        raise ValueError("victims: one has a single logit; K classes were expected")
    return task.probabilities(z)


def _classes_of(answers, target):
    """K for a network that serves all targets, else 0; refuse victims that do not agree, or do not know the target."""
    counts = {p.shape[1] for p in answers}
    if len(counts) > 1:
        raise ValueError(f"victims: they have {' and '.join(map(str, sorted(counts)))} classes; the same was expected")
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
