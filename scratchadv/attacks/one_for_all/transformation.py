"""Adversarial transformation networks: a network that learns to attack others, and then needs one forward pass."""

import math
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace

import numpy as np

from ... import checks, tasks
from ...backend import namespace
from ...checked import anything, check_fields, checked, each, one_of, whole
from ...models.mlp import MLP
from ...models.network import Network
from ...models.protocol import clean_logits, vjp_x
from ...numerics import per_row, rows, sigmoid
from ...parallel import map_chunks, sum_chunks
from ...support.progress import progress as show_progress
from ...tasks import Classes
from ...training.optim import Adam, constant, scales

KINDS = ("perturbation", "autoencoding")
HIDDEN = 400


@dataclass(frozen=True)
class ATN:
    r"""A generator G in the form of its attack: ``atn(x)`` gives the changed images, ``atn(x) - x`` is δ.

    .. math::
        \text{perturbation (P-ATN): } x' = \max(\tanh(x + G(x)), 0), \qquad
        \text{autoencoding (AAE): } x' = \frac{1}{1 + e^{-G(x)}}

    The maximum is not in the paper: tanh(x + G(x)) may be negative, and x' is to be an image with pixels in [0, 1].

    Parameters
    ----------
    generator : Network
        Gives P numbers for an example of P components. With ``classes`` it takes rows of P + K numbers: x, and behind
        it the target, one-hot.
    kind : {"perturbation", "autoencoding"}
    classes : int
        K where one network serves all targets, else 0.
    losses : list of float
        The mean loss of each epoch of training.

    Source: slides "Adversarial transformation networks"; Baluja and Fischer (2017), section 3.
    """

    generator: Network
    kind: str = "perturbation"
    classes: int = 0
    losses: list = field(default_factory=list)

    def __post_init__(self):
        check_fields(
            self, generator=checks.trainable, kind=one_of(*KINDS), classes=whole(0), losses=each(checks.number)
        )

    def __call__(self, x, target=None):
        """The changed images x', in [0, 1].

        Parameters
        ----------
        x : array, shape (N, *D)
            In [0, 1].
        target : array, shape (N,), optional
            The labels to reach, where one network serves all targets, and only there.

        Returns
        -------
        array, shape (N, *D)
            dtype of x.
        """
        x = images_in_unit_range("x", x)
        target = self.checked_target(x, target)
        return map_chunks(lambda x, target: (self._image(x, target),), self.generator, x, target)[0]

    def checked_target(self, x, target):
        """Return the target as int64; refuse one where the network has none, and none where it needs one."""
        if (target is None) == (self.classes > 0):
            raise ValueError("target belongs to a network for all targets, and only to that")
        if target is None:
            return None
        checks.one_side(x, target)
        return Classes(self.classes).check_labels(target, len(x), "target")

    def vjp_theta(self, x, target=None):
        """x', and dx' to the gradients by the parameters of the generator."""
        raw, pull = self.generator.vjp_theta(self._seen(x, target))
        image, slope = self._formed(x, raw)
        return image, lambda dx: pull(rows(dx * slope))

    def _image(self, x, target):
        return self._formed(x, self.generator.logits(self._seen(x, target)))[0]

    def _seen(self, x, target):
        """What the generator sees of x and the target."""
        if not self.classes:
            return x
        xp = namespace(x)
        return xp.concatenate([rows(x), xp.eye(self.classes, dtype=x.dtype)[target]], axis=1)

    def _formed(self, x, raw):
        """x', and its derivative by G(x), component by component."""
        if raw.size != x.size:
            raise ValueError(f"generator: it gives {raw.shape[1]} numbers an image; {x[0].size} were expected")
        xp, raw = namespace(x), raw.reshape(x.shape)
        if self.kind == "autoencoding":
            image = sigmoid(raw)
            return image, image * (1 - image)
        image = xp.tanh(x + raw)
        return xp.maximum(image, 0), (1 - image * image) * (image > 0)


def images_in_unit_range(name, value):
    """Return the images; refuse pixels outside [0, 1]."""
    x = checks.images(value, name)
    checks.inside_box(x, 0, 1)
    return x


def above_one(name, value):
    """Refuse a number that is not above 1, so that t comes out on top."""
    value = checks.size(name, value)
    if value <= 1:
        raise ValueError(f"{name} = {value} must be above 1, so that t comes out on top")
    return value


@checked(alpha=above_one)
def rerank(p, t, alpha=1.5):
    r"""The probabilities p with t on top and the others in their order: what a victim is to say of x'.

    .. math::
        r_\alpha(p, t) = \frac{s}{\sum_k s_k}, \qquad
        s_k = \begin{cases} \alpha \max_j p_j & k = t \\ p_k & \text{otherwise} \end{cases}

    Parameters
    ----------
    p : array, shape (N, K)
    t : array of int, shape (N,)
    alpha : float
        Above 1: how many times the largest of p the entry at t is to be.

    Returns
    -------
    array, shape (N, K)
        Rows that sum to one. dtype of p.

    Source: Baluja and Fischer (2017), section 3.
    """
    p = checks.images(p, "p")
    t = checks.array("t", t, "of labels, shape (N,)")
    if p.ndim != 2 or t.shape != p.shape[:1]:
        raise ValueError(f"p has shape {p.shape} and t {t.shape}; shapes (N, K) and (N,) were expected")
    t = Classes(p.shape[1]).check_labels(t, len(p), "t")
    xp = namespace(p, t)
    s = p.copy()
    s[xp.arange(len(p)), t] = alpha * p.max(axis=1)
    return s / s.sum(axis=1, keepdims=True)


def answers(name, value):
    """Return a list of arrays, each of shape (N, K)."""
    return [checks.images(item, f"{name}[{i}]") for i, item in enumerate(checks.sequence(name, value))]


def network(name, value):
    """Refuse what is no :class:`ATN`."""
    return checks.has(name, value, ("generator", "vjp_theta", "classes"), "an ATN")


@checked(atn=network, victims=each(checks.model), x=images_in_unit_range, wanted=answers, target=anything)
def atn_loss(atn, victims, x, wanted, *, beta=0.005, target=None):
    r"""The loss of each image, and its pullback to the parameters of the generator.

    .. math::
        \beta \lVert x' - x \rVert_2^2 + \sum_f \lVert f(x') - r_f \rVert_2^2, \qquad f = \mathrm{softmax}(z)

    Parameters
    ----------
    atn : ATN
    victims : list of Model
    x : array, shape (N, *D)
    wanted : list of array, shape (N, K)
        What each victim is to say: :math:`r_\alpha(f(x), t)`.
    beta : float
        The price of the change.
    target : array, shape (N,), optional
        As for calling ``atn``.

    Returns
    -------
    value : array, shape (N,)
    pull : callable
        Takes weights of the images, ``(N,)``, to the gradients of the weighted sum, a dict like the parameters.

    Source: Baluja and Fischer (2017), section 3.
    """
    if len(victims) != len(wanted):
        raise ValueError(f"{len(victims)} victims and {len(wanted)} arrays in wanted; one for each was expected")
    if wrong := [r.shape for r in wanted if len(r) != len(x)]:
        raise ValueError(
            f"wanted has an array of shape {wrong[0]}; one row for each example of x, {len(x)}, was expected"
        )
    return _loss(atn, victims, x, wanted, beta, atn.checked_target(x, target))


def _loss(atn, victims, x, wanted, beta, target):
    """What :func:`atn_loss` returns, from arguments that have been checked."""
    image, pull = atn.vjp_theta(x, target)
    change = image - x
    value, dx = beta * (rows(change) ** 2).sum(axis=1), 2 * beta * change
    for victim, r in zip(victims, wanted, strict=True):
        z, pull_x = vjp_x(victim, image)
        f = tasks.of(victim, z).probabilities(z)
        apart = f - r
        value = value + (apart**2).sum(axis=1)
        dx = dx + pull_x(2 * f * (apart - (f * apart).sum(axis=1, keepdims=True)))
    return value, lambda weights: pull(per_row(weights, x) * dx)


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
        If an argument does not fit; before any step.
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
        value, pull = _loss(atn, victims, x, wanted, beta, t if atn.classes else None)
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
