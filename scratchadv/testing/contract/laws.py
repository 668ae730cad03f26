"""The laws of attacks, and the contract that holds them against anyone's."""

import copy
import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...losses import margin
from ...models.protocol import labels_of
from ...parallel import limit
from ..models import LIFT, Constant, Linear, LinearSoftmax, Shifted, Watched, short
from ..strategies import Case, cases, picture_shapes, pictures, seeds
from .hold import Broken, hold, law

KINDS = ("logistic", "softmax", "network")
LAWS = {}


def assert_attack_contract(
    attack,
    threat,
    *,
    exact=False,
    iterated=False,
    keeps_best=None,
    smallest=False,
    random=False,
    restarts=False,
    targeted=False,
    models=KINDS,
    classes=2,
    loss=None,
    tolerance=0.02,
    reach=None,
    without=(),
    max_examples=20,
    shrink=True,
):
    r"""Hold the laws that follow from what an attack promises against it, on small models whose worst case is known.

    All laws are in the table ``LAWS``. Every attack promises the conventions: δ is an array like x, inside Δ(x);
    nothing is changed in place, no example depends on its batch mates, bad input is refused, no linear model gains.
    The cases are the same at each call, and nothing is written to disk.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat)`` gives δ; with ``rng=`` where it is random, ``target=`` where it is targeted,
        ``restarts=`` where it has them. Other options: ``functools.partial``.
    threat : Set
        The perturbation set to try it under; its radius and its pixel range are kept.
    exact : bool
        It reaches the closed form on linear models up to rounding.
    iterated : bool
        It reaches the closed form on linear models up to ``tolerance``.
    keeps_best : bool, optional
        It returns the best of its iterates, δ = 0 among them. Default: ``iterated``.
    smallest : bool
        It looks for the smallest change: δ = 0, or x + δ is misclassified; δ = 0 where x is misclassified already.
    random : bool
        It takes ``rng``, a NumPy Generator.
    restarts : bool
        It takes ``restarts`` beside ``rng``, and the first start of several is that of one.
    targeted : bool
        It takes ``target``, and goes up z_target − z_y or down the loss of the target.
    models : tuple of {"logistic", "softmax", "network"}
        What it can attack: one logit with labels −1/+1, several logits that are linear in x, a network.
    classes : int
        The fewest classes that it can attack, for models with several logits.
    loss : Loss, optional
        What it maximises. Default: the loss of the model.
    tolerance : float
        The share of what is to be gained that an iterated attack may leave.
    reach : float, optional
        On linear models it fools whatever the closed form fools with this share of the radius (smallest-change attacks,
        which promise no optimum).
    without : tuple of str
        Names of laws that the attack openly does not keep.
    max_examples : int
        Cases a law.
    shrink : bool
        Whether to look for the smallest counterexample, or to tell the first one.

    Raises
    ------
    ContractError
        If a law is broken: which, how, and a small case that shows it, in one sentence.

    Examples
    --------
    A student's own FGSM, without the sign:

    >>> from scratchadv.checked import checked
    >>> from scratchadv.models.protocol import loss_and_gradient
    >>> @checked
    ... def my_fgsm(model, x, y, threat):
    ...     _, g = loss_and_gradient(model, model.loss, x, y)
    ...     return np.clip(g, -threat.eps, threat.eps)
    >>> assert_attack_contract(my_fgsm, Linf(0.5), exact=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchadv.testing.contract.hold.ContractError: the closed form: the margin ...
    """
    promise = Promise(
        attack,
        threat,
        exact,
        iterated,
        iterated if keeps_best is None else keeps_best,
        smallest,
        random,
        restarts,
        targeted,
        tuple(models),
        classes,
        loss,
        tolerance,
        reach,
    )
    unknown = set(without) - set(LAWS)
    if unknown:
        raise ValueError(f"without names {sorted(unknown)}; the laws are {sorted(LAWS)}")
    due = {name: one for name, one in LAWS.items() if name not in without and promise.keeps(one)}
    with limit(threads=1):  # a few small examples at a time
        hold(due, promise, max_examples, shrink)


@dataclass(frozen=True)
class Promise:
    """An attack and what it promises: the arguments of ``assert_attack_contract``."""

    attack: Any
    threat: Any
    exact: bool
    iterated: bool
    keeps_best: bool
    smallest: bool
    random: bool
    restarts: bool
    targeted: bool
    models: tuple
    classes: int
    loss: Any
    tolerance: float
    reach: float | None

    def keeps(self, law):
        """Whether the law follows from the promises."""
        made = {f.name for f in fields(self) if getattr(self, f.name)}
        made.add("random" if self.random else "repeatable")
        return not law.needs or bool(made & set(law.needs))

    def __call__(self, case, **options):
        """δ for a copy of the case; what is no array like x, and an exception, break the law that is being held."""
        return self.run(copied(case), **options)

    def run(self, case, **options):
        """δ for the case itself."""
        if self.random:
            options["rng"] = np.random.default_rng(case.seed)
        if case.target is not None:
            options["target"] = case.target
        try:
            with np.errstate(all="ignore"):
                delta = self.attack(case.model, case.x, case.y, case.threat, **options)
        except Exception as error:
            raise Broken(f"the attack raised {type(error).__name__}: {error}", **told(case)) from error
        if not isinstance(delta, np.ndarray) or delta.shape != case.x.shape:
            what = f"an array of shape {delta.shape}" if isinstance(delta, np.ndarray) else repr(delta)
            raise Broken(f"an array of shape {case.x.shape} was expected, not {what}", **told(case))
        return delta


def copied(case):
    """The case with its own arrays, so that an attack that writes to them breaks one law and not all."""
    target = None if case.target is None else case.target.copy()
    return replace(case, x=case.x.copy(), y=case.y.copy(), target=target)


def told(case, delta=None):
    """The values of a case, for the sentence."""
    target = {} if case.target is None else {"target": case.target}
    return {"model": case.model, "x": case.x, "y": case.y, **target, "Δ": case.threat, "δ": delta}


def value(promise, case, delta):
    """The loss that the attack climbs, at x + δ, in float64, ``(N,)``."""
    return (promise.loss or case.model.loss).value(_far(case.model, case.x, delta), case.y)


def margin_of(case, delta):
    """How far the true label is behind at x + δ, in float64, ``(N,)``."""
    return margin.value(_far(case.model, case.x, delta), case.y)


def best_margin(case, share=1.0):
    """margin(x) + max over Δ of <∇ margin, δ>, the closed form of linear models, ``(N,)``; ``share`` of the radius."""
    x = case.x.astype(float)
    z, pull = case.model.vjp_x(x)
    threat = case.threat if share == 1 else case.threat.scaled(share * case.threat.radius)
    return margin.value(z, case.y) + threat.at(x).support(pull(margin.grad(z, case.y)))


def slack(case, size=1.0):
    """What rounding may do to a number of this size."""
    return (1e-4 if case.x.dtype == np.float32 else 1e-9) * (1 + abs(size))


def some(bad):
    """The first row that is bad, as a slice, or None."""
    return slice(int(bad.argmax()), int(bad.argmax()) + 1) if bad.any() else None


def row_of(case, i):
    """The case with the examples i alone."""
    target = None if case.target is None else case.target[i]
    return replace(case, x=case.x[i], y=case.y[i], target=target)


def _far(model, x, delta):
    return model.logits(x.astype(float) + delta.astype(float))


# What the cases are drawn from.


def ordinary(promise):
    """Any model, labels that it gives."""
    return cases(promise.threat, promise.models, classes=promise.classes)


def something_to_gain(promise):
    """Any model, labels that it gives, and a gradient that leads somewhere in Δ (unless it is {0}) for each example."""

    def leads(case):
        z, pull = case.model.vjp_x(case.x)
        return (case.threat.at(case.x).support(pull(margin.grad(z, case.y))) > 1e-6).all()

    return ordinary(promise).filter(leads) if promise.threat.radius else ordinary(promise)


def mislabelled(promise):
    """Any model, labels that it does not give."""
    return cases(promise.threat, promise.models, classes=promise.classes, right=False)


def linear(promise, **options):
    """A linear model of two classes, alone or among others out of reach."""
    kinds = [kind for kind in promise.models if kind != "network"]
    return cases(promise.threat, kinds, classes=promise.classes, **options) if kinds else st.nothing()


def off_the_edges(promise):
    """Linear, and pixels lie near the ends of their range, but not at them."""
    return linear(promise, places=(0.5, 0.25, 0.75, 0.0625, 0.9375))


def at_the_edges(promise):
    """Linear, and every pixel lies at an end of its range."""
    return linear(promise, places=(0.0, 1.0))


def confident(promise):
    """Linear, one example, and the model scaled until its label leads by 60: in float32, 1 − p is far below 1e-16."""

    def scale(case):
        size = max(abs(margin_of(case, 0 * case.x)[0]), 0.05)
        return replace(case, model=scaled(case.model, 60 / size))

    return linear(promise, most=1).map(scale)


def scaled(model, factor):
    """The linear model with its logits, or those of the pair, times the factor and the others out of reach."""
    if isinstance(model, Linear):
        return Linear(*(factor * p for p in model.params.values()))
    weight, bias = model.params.values()
    return LinearSoftmax(factor * weight, np.where(bias != 0, LIFT + factor * (bias - LIFT), -1e4))


def shifted(promise):
    """Several logits, all of them made negative, or larger."""
    kinds = [kind for kind in promise.models if kind != "logistic"]
    if not kinds:
        return st.nothing()
    shift = st.sampled_from([-128.0, 64.0])
    drawn = cases(promise.threat, kinds, classes=promise.classes, dtype=np.float64)
    return st.builds(lambda case, shift: replace(case, more=shift), drawn, shift)


@st.composite
def constant(draw, promise):
    """A model that gives the same logits to all; the label of the first example is right, the others are any."""
    shape = draw(picture_shapes(promise.threat))
    x = draw(pictures(promise.threat, shape, draw(st.integers(1, 3))))
    binary = promise.models == ("logistic",) or ("logistic" in promise.models and draw(st.booleans()))
    k = max(3, promise.classes)
    model, labels = (Linear(np.zeros(shape), 1.0), [1, -1]) if binary else (Constant(np.arange(k) % 2), [*range(k)])
    y = np.array(draw(st.lists(st.sampled_from(labels), min_size=len(x), max_size=len(x))))
    y[0] = labels_of(model.logits(x))[0]
    return Case(model, x, y, promise.threat, seed=draw(seeds))


@st.composite
def with_other_mates(draw, promise):
    """Two batches of the same model that have one example in common: at least two examples, the first is the same."""
    case = draw(cases(promise.threat, promise.models, classes=promise.classes, least=2))
    x = draw(pictures(promise.threat, case.x.shape[1:], len(case.x), dtype=case.x.dtype))
    x[0] = case.x[0]
    return replace(case, more=replace(case, x=x, y=labels_of(case.model.logits(x))))


@st.composite
def targets(draw, promise):
    """Three or four classes that all count; one image, once for every target; its logits nearly equal.

    The weights are drawn, not chosen, so that no two components tie and the best δ is one point.
    """
    shape = draw(picture_shapes(promise.threat))
    k = draw(st.integers(max(3, promise.classes), max(4, promise.classes)))
    x = draw(pictures(promise.threat, shape, 1)).repeat(k - 1, axis=0)
    label = draw(st.integers(0, k - 1))
    y, target = np.full(k - 1, label), (label + np.arange(1, k)) % k
    weight = np.random.default_rng(draw(seeds)).standard_normal((k, *shape))
    gain = promise.threat.at(x.astype(float)).support(weight[target] - weight[y]).min()
    weight *= 20 / max(gain, 1e-3)
    bias = LinearSoftmax(weight, np.zeros(k)).logits(-x[:1].astype(float))[0] + (np.arange(k) == label)
    return Case(LinearSoftmax(weight, bias), x, y, promise.threat, target, seed=draw(seeds))


def wider(promise):
    """Linear, and how many times larger the radius becomes."""
    return st.builds(lambda case, k: replace(case, more=k), linear(promise), st.sampled_from([2, 1.5, 4]))


# The laws, from the plainest on.


@law(LAWS, something_to_gain)
def an_array_like_x(promise, case):
    """δ is a NumPy array, shape δ = shape x, dtype δ = dtype x."""
    delta = promise(case)
    if delta.dtype != case.x.dtype:
        raise Broken(f"δ has dtype {delta.dtype}, x has {case.x.dtype}", **told(case))


@law(LAWS, something_to_gain)
def inside_the_set(promise, case):
    """δ ∈ Δ(x): ‖δ‖ <= ε and l <= x + δ <= u, up to rounding."""
    delta = promise(case)
    outside = some(~case.threat.at(case.x).contains(delta))
    if outside:
        one = row_of(case, outside)
        raise Broken(_how_far_out(one, delta[outside]), **told(one, delta[outside]))


@law(LAWS, constant)
def a_constant_model(promise, case):
    """∇L = 0 everywhere: δ is finite and inside Δ(x); a smallest-change attack gives δ = 0."""
    delta = _inside(promise, case)
    if promise.smallest and delta.any():
        raise Broken("nothing fools this model, and δ is not 0", **told(case, delta))


@law(LAWS, ordinary)
def nothing_is_changed(promise, case):
    """x, y, the model and its parameters are after the attack what they were before."""

    case = copied(case)

    def state():
        return {"x": case.x, "y": case.y, "the threat": case.threat, **_parts(case.model)}

    before = copy.deepcopy(state())
    promise.run(case)
    after = state()
    for name in sorted({*before, *after}):
        if name not in before or name not in after or not np.array_equal(before[name], after[name]):
            raise Broken(f"{name} was {_brief(before.get(name))}, and is {_brief(after.get(name))}", Δ=case.threat)


@law(LAWS, ordinary)
def the_model_sees_pixels_only(promise, case):
    """l <= x' <= u for every x' that the attack asks the model about."""
    pixels = case.threat.pixels
    lower, upper = (-math.inf, math.inf) if pixels is None else (pixels.lower, pixels.upper)
    watched = replace(case, model=Watched(case.model))
    promise(watched)
    for x in watched.model.asked:
        if not ((x >= lower - 1e-5) & (x <= upper + 1e-5)).all():
            raise Broken(f"the model was asked about {_brief(x)}, outside [{lower}, {upper}]", **told(case))


@law(LAWS, ordinary)
def float64_nowhere_unasked(promise, case):
    """Dtype x' = dtype x for every x' the model is asked about; dtype dz = dtype z for every pullback."""
    watched = replace(case, model=Watched(case.model))
    promise(watched)
    for x in watched.model.asked:
        if x.dtype != case.x.dtype:
            raise Broken(f"x has dtype {case.x.dtype}, the model was asked about {x.dtype}", **told(case))
    for dz, z in watched.model.pulled:
        if dz.dtype != z.dtype:
            raise Broken(f"z has dtype {z.dtype}, {dz.dtype} was pulled back", **told(case))


@law(LAWS, ordinary)
def no_examples_are_refused(promise, case):
    """attack(x of shape (0, *D)) raises a ValueError."""
    refused(promise, row_of(case, slice(0, 0)), "no examples")


@law(LAWS, ordinary)
def what_is_not_a_number_is_refused(promise, case):
    """attack(x with NaN or ∞) raises a ValueError."""
    for bad in (math.nan, math.inf):
        x = case.x.copy()
        x.ravel()[-1] = bad
        refused(promise, replace(case, x=x), f"{bad} in x")


@law(LAWS, ordinary)
def the_same_again(promise, case):
    """attack(x, rng seeded with s) twice gives one δ; without rng, attack(x) twice."""
    first, second = promise(case), promise(case)
    if not np.array_equal(first, second):
        given_ = f"the seed {case.seed}" if promise.random else "the same arguments"
        raise Broken(f"{given_} gave δ = {_brief(first)}, and then another", **told(case, second))


@law(LAWS, ordinary, "restarts")
def more_restarts_are_not_weaker(promise, case):
    """L(δ of three restarts) >= L(δ of one), or they fool and it does not; the first start is the same."""
    one, three = promise(case, restarts=1), promise(case, restarts=3)
    before, after = value(promise, case, one), value(promise, case, three)
    worse = some((after < before - slack(case, before)) & ~_now_fooled(case, one, three))
    if worse:
        at = told(row_of(case, worse), three[worse])
        raise Broken(f"one start gives the loss {_brief(before[worse])}, three give {_brief(after[worse])}", **at)


@law(LAWS, with_other_mates)
def batch_mates_do_not_matter(promise, case):
    """δ of the first example is the same, whatever the other examples are; given the same seed."""
    among, others = promise(case)[:1], promise(case.more)[:1]
    if not _alike(among, others, case):
        raise Broken(
            f"δ of the first example is {_brief(others)} beside x' = {_brief(case.more.x[1:])} with the labels "
            f"{_brief(case.more.y[1:])}, and another beside the rest of x",
            **told(case, among),
        )


@law(LAWS, ordinary, "repeatable")
def order_and_split_do_not_matter(promise, case):
    """attack(x[π]) = attack(x)[π], and the batch = its examples one by one.

    Not for random attacks, which draw row after row: an example's draws depend on where it stands.
    """
    whole = promise(case)
    turned = promise(row_of(case, slice(None, None, -1)))[::-1]
    parts = np.concatenate([promise(row_of(case, slice(i, i + 1))) for i in range(len(case.x))])
    for how, other in (("back to front", turned), ("one by one", parts)):
        if not _alike(whole, other, case):
            raise Broken(f"{how}, δ = {_brief(other)}, and another in one batch", **told(case, whole))


@law(LAWS, ordinary)
def one_example_will_do(promise, case):
    """attack(x[:1]) is one δ inside Δ(x[:1])."""
    _inside(promise, row_of(case, slice(0, 1)))


@law(LAWS, mislabelled)
def misclassified_inputs(promise, case):
    """label(x) ≠ y: δ ∈ Δ(x), not worse than δ = 0 for what keeps its best, δ = 0 for smallest changes."""
    delta = _inside(promise, case)
    if promise.smallest and delta.any():
        raise Broken("x is misclassified already, and δ is not 0", **told(case, delta))
    if promise.keeps_best:
        _not_worse(promise, case, delta)


@law(LAWS, linear)
def no_worse_than_no_attack_on_linear_models(promise, case):
    """L(x + δ) >= L(x), or x + δ fools and x does not, for linear models."""
    _not_worse(promise, case, promise(case))


@law(LAWS, ordinary, "keeps_best")
def no_worse_than_no_attack(promise, case):
    """L(x + δ) >= L(x), or x + δ fools and x does not, for every model; no success at δ = 0 is lost."""
    _not_worse(promise, case, promise(case))


@law(LAWS, ordinary, "smallest")
def success_is_predicting_again(promise, case):
    """δ = 0, or label(x + δ) ≠ y, the sum taken in the dtype of x."""
    delta = promise(case)
    moved = delta.reshape(len(delta), -1).any(axis=1)
    failed = some(moved & (labels_of(case.model.logits(case.x + delta)) == case.y))
    if failed:
        raise Broken("δ is not 0, and x + δ has its label still", **told(row_of(case, failed), delta[failed]))


@law(LAWS, off_the_edges, "exact", "iterated", "reach")
def the_closed_form(promise, case):
    """margin(x + δ) = margin(x) + max over Δ(x) of <∇ margin, v>, on linear models, for every ball and ball ∩ box.

    Up to rounding, up to the tolerance, or (reach) whatever is fooled with that share of the radius is fooled.
    """
    _reaches_the_closed_form(promise, case)


@law(LAWS, at_the_edges, "exact", "iterated", "reach")
def pixels_at_the_edges_move(promise, case):
    """The closed form is reached where every pixel is exactly at an end of its range."""
    _reaches_the_closed_form(promise, case)


@law(LAWS, confident, "exact", "iterated", "reach")
def confident_logits(promise, case):
    """The closed form is reached where 1 − p rounds to 0 and the squares of the gradient underflow."""
    _reaches_the_closed_form(promise, case)


@law(LAWS, shifted)
def shifted_logits(promise, case):
    """attack(model + c) is as strong as attack(model), for a constant c added to all logits."""
    plain, moved = (promise(replace(case, model=Shifted(case.model, shift))) for shift in (0.0, case.more))
    before, after = value(promise, case, plain), value(promise, case, moved)
    worse = some(abs(after - before) > 1e-6 * (1 + abs(before)))
    if worse:
        raise Broken(
            f"the loss is {_brief(before[worse])}, but {_brief(after[worse])} after an attack on the same model with "
            f"all logits shifted by {case.more:g}",
            **told(row_of(case, worse), moved[worse]),
        )


@law(LAWS, wider, "exact", "keeps_best", "smallest")
def a_larger_radius_is_not_weaker(promise, case):
    """ε' > ε: margin(x + δ') >= margin(x + δ), on linear models."""
    wide = replace(case, threat=case.threat.scaled(case.more * case.threat.radius))
    delta, more = promise(case), promise(wide)
    before, after = margin_of(case, delta), margin_of(wide, more)
    left = promise.tolerance * abs(after - margin_of(case, 0 * case.x)) if promise.iterated else 0
    worse = some(after < before - slack(case, before) - left)
    if worse:
        raise Broken(
            f"the margin is {_brief(before[worse])}, and {_brief(after[worse])} with {case.more:g} times the radius",
            **told(row_of(wide, worse), more[worse]),
        )


@law(LAWS, targets, "targeted")
def targets_are_respected(promise, case):
    """label(x + δ) = target wherever argmax <w_target − w_y, δ> over Δ(x) is predicted as the target, clearly."""
    delta = _inside(promise, case)
    if not (promise.exact or promise.iterated or promise.reach):
        return
    closed = _best_for_target(case, 1 if promise.reach is None else promise.reach)
    lead = -margin.value(_far(case.model, case.x, closed), case.target)
    missed = some((lead > 2) & (labels_of(case.model.logits(case.x + delta)) != case.target))
    if missed:
        one = row_of(case, missed)
        label = labels_of(case.model.logits(one.x + delta[missed]))
        raise Broken(
            f"the label of x + δ is {label[0]}, where the closed form gets the target by {lead[missed][0]:.3g}",
            **told(one, delta[missed]),
        )


def refused(promise, case, what):
    """A ValueError with a message."""
    try:
        with np.errstate(all="ignore"):
            promise.attack(case.model, case.x, case.y, case.threat, **_rng(promise, case))
    except ValueError as error:
        if str(error):
            return
        raise Broken(f"{what}: a ValueError without a word") from error
    except Exception as error:
        raise Broken(f"{what}: a ValueError was expected, not {type(error).__name__}: {error}", **told(case)) from error
    raise Broken(f"{what} was not refused", **told(case))


def _rng(promise, case):
    return {"rng": np.random.default_rng(case.seed)} if promise.random else {}


def _parts(model):
    """Whatever the model holds, by name."""
    held = {f"the model's {name}": part for name, part in vars(model).items() if name != "params"}
    return held | {f"the model's {name}": part for name, part in model.params.items()}


def _inside(promise, case):
    delta = promise(case)
    if not case.threat.at(case.x).contains(delta).all():
        raise Broken(_how_far_out(case, delta), **told(case, delta))
    return delta


def _how_far_out(case, delta):
    low, high = (case.x + delta).min(), (case.x + delta).max()
    return f"δ is not in Δ(x): its norm is {case.threat.norm(delta).max():.4g}, x + δ lies in [{low:.4g}, {high:.4g}]"


def _not_worse(promise, case, delta):
    before, after = value(promise, case, 0 * case.x), value(promise, case, delta)
    worse = some(~(after >= before - slack(case, before)) & ~_now_fooled(case, 0 * case.x, delta))
    if worse:
        at = told(row_of(case, worse), delta[worse])
        raise Broken(f"the loss falls from {_brief(before[worse])} to {_brief(after[worse])}", **at)
    lost = some((margin_of(case, 0 * case.x) > slack(case)) & (margin_of(case, delta) < -slack(case)))
    if lost:
        raise Broken("x is misclassified already, and x + δ is not", **told(row_of(case, lost), delta[lost]))


def _now_fooled(case, before, after):
    """Whether the model errs at the second δ and not at the first, ``(N,)``."""
    return (margin_of(case, after) > 0) & (margin_of(case, before) <= 0)


def _reaches_the_closed_form(promise, case):
    delta = _inside(promise, case)
    found, best, clean = margin_of(case, delta), best_margin(case), margin_of(case, 0 * case.x)
    if promise.exact or promise.iterated:
        left = 0 if promise.exact else promise.tolerance * (best - clean)
        short_of = some(~(found >= best - slack(case, best - clean) - slack(case, best) - left))
    else:
        short_of = some((best_margin(case, promise.reach) > slack(case, best)) & (found < 0))
    if short_of:
        one = row_of(case, short_of)
        raise Broken(
            f"the margin by which the label loses is {_brief(found[short_of])}, the closed form's "
            f"{_brief(best[short_of])}",
            **told(one, delta[short_of]),
        )


def _best_for_target(case, share):
    """The best δ in Δ(x) for z_target − z_y, with this share of the radius."""
    x, weight = case.x.astype(float), case.model.params["weight"]
    return case.threat.scaled(share * case.threat.radius).at(x).linear_max(weight[case.target] - weight[case.y])


def _alike(a, b, case):
    return np.allclose(a, b, rtol=0, atol=1e-4 if case.x.dtype == np.float32 else 1e-8)


def _brief(a):
    return short(a) if isinstance(a, np.ndarray) else str(a)
