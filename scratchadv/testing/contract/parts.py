"""Laws of what an attack is made of, its ball and its loss, and of what judges it."""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...losses import margin
from ...models.protocol import labels_of
from ...numerics import rows
from ...sets import L0, Box
from ..models import NotANumber
from ..strategies import cases, picture_shapes, pictures, seeds
from .hold import Broken, hold, law
from .laws import some

BALL_LAWS, LOSS_LAWS, EVALUATION_LAWS = {}, {}, {}


# Balls


def assert_ball_contract(ball, *, max_examples=50, shrink=True):
    """Hold the laws of ``BALL_LAWS`` against a perturbation set.

    Parameters
    ----------
    ball : Set
    max_examples : int
        Cases a law.
    shrink : bool
        Whether to look for the smallest counterexample, or to tell the first one.

    Raises
    ------
    ContractError
        If a law is broken.
    """
    hold(BALL_LAWS, ball, max_examples, shrink)


@dataclass(frozen=True)
class _Vectors:
    """The set at x, vectors v to project, and others g."""

    set: Any
    x: Any
    v: Any
    g: Any


@st.composite
def _vectors(draw, ball):
    x = draw(pictures(ball, draw(picture_shapes(ball)), draw(st.integers(1, 3))))
    rng = np.random.default_rng(draw(seeds))
    size = draw(st.sampled_from([1.0, 0.1, 4.0]))
    v, g = ((size * rng.standard_normal(x.shape)).round(2).astype(x.dtype) for _ in range(2))
    return _Vectors(ball.at(x), x, v, g)


def _inner(u, v):
    return rows(u.astype(float) * v.astype(float)).sum(axis=1)


def _tolerance(v):
    return (1e-4 if v.dtype == np.float32 else 1e-9) * (1 + abs(v).max() ** 2)


def _told(case, i, **values):
    shown = {"Δ": case.set} | ({"x": case.x[i]} if case.set.pixels is not None else {})
    return shown | {name: a[i] for name, a in values.items()}


@law(BALL_LAWS, _vectors)
def what_is_projected_lies_inside(_, case):
    """P(v) ∈ Δ, and linear_max(g) ∈ Δ; shape and dtype are kept."""
    for v, result in ((case.v, case.set.project(case.v)), (case.g, case.set.linear_max(case.g))):
        if (result.shape, result.dtype) != (v.shape, v.dtype):
            raise Broken(f"shape {v.shape} and {v.dtype} became {result.shape} and {result.dtype}", Δ=case.set)
        out = some(~case.set.contains(result))
        if out:
            raise Broken("the result lies outside", **_told(case, out, v=v, result=result))


@law(BALL_LAWS, _vectors)
def what_lies_inside_stays(_, case):
    """P(v) = v for v ∈ Δ."""
    inside = case.set.linear_max(case.v) / 2
    again = case.set.project(inside)
    moved = some(abs(rows(again - inside)).max(axis=1) > _tolerance(inside))
    if moved:
        raise Broken("the projection moves what is inside", **_told(case, moved, v=inside, projected=again))


@law(BALL_LAWS, _vectors)
def the_projection_is_the_nearest_point(_, case):
    """<v − P(v), u − P(v)> <= 0 for all u ∈ Δ, the worst of which is linear_max(v − P(v)); not for ℓ0, not convex."""
    if isinstance(case.set.ball, L0):
        return
    p = case.set.project(case.v)
    u = case.set.linear_max(case.v - p)
    wrong = some(_inner(case.v - p, u - p) > _tolerance(case.v))
    if wrong:
        raise Broken("a point u of the set is nearer than the projection", **_told(case, wrong, v=case.v, p=p, u=u))


@law(BALL_LAWS, _vectors)
def the_linear_maximum_is_the_largest(_, case):
    """<g, linear_max(g)> = support(g) >= <g, u> for u ∈ Δ."""
    best, u = case.set.linear_max(case.g), case.set.project(case.v)
    found = _inner(case.g, best)
    beaten = some(found < _inner(case.g, u) - _tolerance(case.g))
    if beaten:
        raise Broken("another point u is better", **_told(case, beaten, g=case.g, linear_max=best, u=u))
    off = some(abs(found - case.set.support(case.g)) > _tolerance(case.g))
    if off:
        raise Broken("the support is not <g, linear_max(g)>", **_told(case, off, g=case.g, linear_max=best))


@law(BALL_LAWS, _vectors)
def a_tiny_gradient_has_a_direction(_, case):
    """linear_max(1e-30 g) = linear_max(g)."""
    for g in (case.g, np.sign(case.g)):
        best, tiny = case.set.linear_max(g), case.set.linear_max((1e-30 * g).astype(g.dtype))
        lost = some(abs(_inner(g, best) - _inner(g, tiny)) > _tolerance(g))
        if lost:
            raise Broken("1e-30 g has another maximum than g", **_told(case, lost, g=g, linear_max=best, tiny=tiny))


@law(BALL_LAWS, lambda ball: st.builds(lambda case, seed: (case, seed), _vectors(ball), seeds))
def samples_lie_inside(ball, drawn):
    """sample(rng, x) ∈ Δ(x), and the same seed draws the same."""
    case, seed = drawn
    first, again = (ball.sample(np.random.default_rng(seed), case.x) for _ in range(2))
    out = some(~case.set.contains(first))
    if out:
        raise Broken("a sample lies outside", **_told(case, out, sample=first))
    if not np.array_equal(first, again):
        raise Broken(f"the seed {seed} draws two samples", Δ=ball)


@law(BALL_LAWS, _vectors)
def an_infinite_side_is_no_bound(ball, case):
    """On ball ∩ [−∞, ∞]: P(v) and max <g, u> are those of the ball; not for ℓ0, which alone has no maximum."""
    bare = ball.ball
    if bare is None or isinstance(bare, L0):
        return
    wide = (bare & Box(-math.inf, math.inf)).at(case.x)
    for what, v in (("project", case.v), ("linear_max", case.g)):
        found, expected = getattr(wide, what)(case.v), getattr(bare, what)(case.v)
        if what == "linear_max":
            found, expected = _inner(case.v, found)[:, None], _inner(case.v, expected)[:, None]
        off = some(~(abs(rows(found - expected)).max(axis=1) <= _tolerance(v)))
        if off:
            raise Broken(f"{what} is another one in a box without ends", **_told(case, off, v=case.v, result=found))


# Losses


def assert_loss_contract(loss, *, binary=False, classes=2, shifts=True, max_examples=50, shrink=True):
    """Hold the laws of ``LOSS_LAWS`` against a loss.

    Parameters
    ----------
    loss : Loss
    binary : bool
        Whether it is tried on one logit and labels −1/+1 instead of ``(N, K)``.
    classes : int
        The fewest classes that it is made for.
    shifts : bool
        Whether it does not change when all logits are shifted.
    max_examples : int
        Cases a law.
    shrink : bool
        Whether to look for the smallest counterexample, or to tell the first one.

    Raises
    ------
    ContractError
        If a law is broken.
    """
    due = dict(LOSS_LAWS)
    if binary or not shifts:
        del due["shifted logits give the same loss"]
    hold(due, SimpleNamespace(loss=loss, binary=binary, classes=classes), max_examples, shrink)


@st.composite
def _logits(draw, subject):
    """Logits with all kinds of signs and sizes, no ties, and labels."""
    rng, n = np.random.default_rng(draw(seeds)), draw(st.integers(1, 3))
    k = draw(st.integers(subject.classes, max(4, subject.classes)))
    middle, size = draw(st.sampled_from([0.0, 20.0, -20.0])), draw(st.sampled_from([1.0, 5.0]))
    z = (middle + size * rng.standard_normal(n if subject.binary else (n, k))).round(4)
    return z, rng.choice([-1, 1], n) if subject.binary else rng.integers(0, k, n)


def _alike(a, b):
    return np.allclose(a, b, rtol=1e-4, atol=1e-6)


@law(LOSS_LAWS, _logits)
def one_value_an_example(subject, case):
    """value(z, y) is (N,), grad(z, y) like z; the values of a batch are those of its examples, never a mean."""
    z, y = case
    value, g = subject.loss.value(z, y), subject.loss.grad(z, y)
    if value.shape != y.shape or g.shape != z.shape:
        raise Broken(f"a value of shape {y.shape} and a gradient of {z.shape} were expected", z=z, y=y, value=value)
    alone = np.concatenate([subject.loss.grad(z[i : i + 1], y[i : i + 1]) for i in range(len(z))])
    if not _alike(g, alone):
        raise Broken("the gradient of a batch is not that of its examples", z=z, y=y, gradient=g, alone=alone)


@law(LOSS_LAWS, _logits)
def shifted_logits_give_the_same_loss(subject, case):
    """L(z + c) = L(z), the gradients too, for a constant c."""
    z, y = case
    for c in (-50.0, 50.0):
        for what in (subject.loss.value, subject.loss.grad):
            if not _alike(what(z, y), what(z + c, y)):
                raise Broken(f"all logits shifted by {c:g} give another {what.__name__}", z=z, y=y)


@law(LOSS_LAWS, _logits)
def the_gradient_is_the_slope(subject, case):
    """<grad, v> = (L(z + hv) − L(z − hv)) / 2h, h small."""
    z, y = case
    g, h = subject.loss.grad(z, y), 1e-5
    for v in np.eye(math.prod(z.shape[1:])).reshape(-1, *z.shape[1:]):
        slope = (subject.loss.value(z + h * v, y) - subject.loss.value(z - h * v, y)) / (2 * h)
        wrong = some(~np.isclose(rows(g * v).sum(axis=1), slope, rtol=1e-3, atol=1e-6))
        if wrong:
            raise Broken("the gradient is not the slope", z=z[wrong], y=y[wrong], gradient=g[wrong], slope=slope[wrong])


@law(LOSS_LAWS, _logits)
def a_masked_class_does_not_count(subject, case):
    """L(z with one class more at −∞) = L(z): the label's logit and all others are finite."""
    z, y = case
    if subject.binary:
        return
    masked = np.concatenate([z, np.full_like(z[:, :1], -math.inf)], axis=1)
    with np.errstate(all="ignore"):
        value, g = subject.loss.value(masked, y), subject.loss.grad(masked, y)
    if not _alike(value, subject.loss.value(z, y)) or not _alike(g[:, :-1], subject.loss.grad(z, y)):
        raise Broken("a class whose logit is −∞ changes the loss or its gradient", z=masked, y=y, value=value)


@law(LOSS_LAWS, _logits)
def float32_is_kept(subject, case):
    """Dtype value = dtype grad = dtype z."""
    z, y = case[0].astype(np.float32), case[1]
    kept = {subject.loss.value(z, y).dtype, subject.loss.grad(z, y).dtype}
    if kept != {np.dtype(np.float32)}:
        raise Broken(f"z is float32, value and gradient are {', '.join(map(str, kept))}", z=z, y=y)


@law(LOSS_LAWS, _logits)
def confident_logits_have_a_gradient(subject, case):
    """Float32: the label's logit leads by 60, and ∂L/∂z_y < 0 still."""
    _, y = case
    if subject.binary:
        z, sign = 60 * y.astype(np.float32), y
    else:
        k = max(3, subject.classes)
        y = y % k
        z, sign = np.arange(k, dtype=np.float32) - 60 * (np.arange(k) != y[:, None]), 1
        z = z.astype(np.float32)
    g = subject.loss.grad(z, y)
    slope = g * sign if subject.binary else g[np.arange(len(y)), y]
    lost = some(~(slope < 0))
    if lost:
        raise Broken("the label leads by 60, and the loss has no slope", z=z[lost], y=y[lost], gradient=g[lost])


# Evaluation


def assert_evaluation_contract(evaluation, threat, *, max_examples=30, shrink=True):
    """Hold the laws of ``EVALUATION_LAWS`` against what judges attacks.

    Parameters
    ----------
    evaluation : module or object
        With ``judge(model, x, y, delta, threat, *, target=None, bits=None)``, whose result has ``success``, and
        ``robust_accuracy(model, x, y, threat, attacks)``; such as ``scratchadv.evaluate``.
    threat : Set
        With the box [0, 1].
    max_examples : int
        Cases a law.
    shrink : bool
        Whether to look for the smallest counterexample, or to tell the first one.

    Raises
    ------
    ContractError
        If a law is broken.
    """
    hold(EVALUATION_LAWS, SimpleNamespace(evaluation=evaluation, threat=threat), max_examples, shrink)


@dataclass(frozen=True)
class _Tried:
    """An attack's case, and perturbations some of which fool, and some of which leave the set."""

    case: Any
    deltas: Any


@st.composite
def _tried(draw, subject):
    case = draw(cases(subject.threat, ("softmax", "network"), classes=3, least=2, most=4))
    rng, twin = np.random.default_rng(case.seed), _same(case.x, case.x).argmax(axis=1)  # equal examples, equal δ
    best = subject.threat.at(case.x).linear_max(_uphill(case))
    deltas = [
        (scale * best + noise * rng.uniform(-1, 1, case.x.shape)).astype(case.x.dtype)[twin]
        for scale, noise in ((1, 0), (0, 1), (2, 0.5), (0, 0))
    ]
    return _Tried(case, deltas)


def _uphill(case):
    z, pull = case.model.vjp_x(case.x)
    return pull(margin.grad(z, case.y))


def _fallen(subject, case, delta, labels=None, reached=None):
    """What ``success`` means, from scratch: the labels of the images, and whether δ keeps to ball and box."""
    labels = labels_of(case.model.logits(case.x + delta)) if labels is None else labels
    fooled = labels != case.y if reached is None else labels == reached
    return fooled & subject.threat.at(case.x).contains(delta)


@law(EVALUATION_LAWS, _tried)
def success_is_another_label_inside_the_set(subject, tried):
    """success_i = [label(x_i + δ_i) ≠ y_i and δ_i ∈ Δ(x_i)]."""
    for delta in tried.deltas:
        found = subject.evaluation.judge(tried.case.model, tried.case.x, tried.case.y, delta, subject.threat).success
        _compare(subject, tried.case, delta, found, _fallen(subject, tried.case, delta))


@law(EVALUATION_LAWS, _tried)
def a_target_is_that_label_and_no_other(subject, tried):
    """success_i = [label(x_i + δ_i) = target_i and δ_i ∈ Δ(x_i)], for every target."""
    case = tried.case
    k = case.model.logits(case.x).shape[1]
    for shift in range(k):
        target, delta = (case.y + shift) % k, tried.deltas[0]
        found = subject.evaluation.judge(case.model, case.x, case.y, delta, subject.threat, target=target).success
        _compare(subject, case, delta, found, _fallen(subject, case, delta, reached=target))


@law(EVALUATION_LAWS, _tried)
def rounding_comes_before_the_judgement(subject, tried):
    """With bits: success_i = [label(r(x_i + δ_i)) ≠ y_i and δ_i ∈ Δ(x_i)], r to the levels of the picture file."""
    case = tried.case
    for bits in (8, 1):
        for delta in tried.deltas[:2]:
            levels = 2**bits - 1
            image = (np.rint(np.clip(case.x + delta, 0, 1) * levels) / levels).astype(case.x.dtype)
            expected = _fallen(subject, case, delta, labels_of(case.model.logits(image)))
            found = subject.evaluation.judge(case.model, case.x, case.y, delta, subject.threat, bits=bits).success
            _compare(subject, case, delta, found, expected, f" after rounding to {bits} bits")


@law(EVALUATION_LAWS, _tried)
def what_is_not_a_number_is_no_perturbation(subject, tried):
    """judge(δ with NaN) raises a ValueError."""
    case, delta = tried.case, tried.deltas[0].copy()
    delta.ravel()[0] = math.nan
    try:
        subject.evaluation.judge(case.model, case.x, case.y, delta, subject.threat)
    except ValueError:
        return
    raise Broken("NaN in δ was not refused", model=case.model, x=case.x, δ=delta)


@law(EVALUATION_LAWS, _tried)
def robust_accuracy_is_the_worst_case(subject, tried):
    """robust accuracy = mean over examples of min over attacks, the clean image among them."""
    case, attacks = tried.case, [_fixed(tried.case, delta) for delta in tried.deltas]
    falls = np.any([_fallen(subject, case, delta) for delta in tried.deltas], axis=0)
    expected = float((~falls & (labels_of(case.model.logits(case.x)) == case.y)).mean())
    found = float(subject.evaluation.robust_accuracy(case.model, case.x, case.y, subject.threat, attacks))
    if not math.isclose(found, expected, abs_tol=1e-6):
        raise Broken(f"{found:.4g}, where {expected:.4g} of the examples stand", model=case.model, x=case.x, y=case.y)


@law(EVALUATION_LAWS, _tried)
def logits_that_are_nan_have_no_accuracy(subject, tried):
    """robust_accuracy(model whose logits are NaN) raises a ValueError."""
    case, model = tried.case, NotANumber(tried.case.model)
    try:
        found = subject.evaluation.robust_accuracy(model, case.x, case.y, subject.threat, [_fixed(case, 0 * case.x)])
    except ValueError:
        return
    raise Broken(f"a model whose logits are NaN has the accuracy {float(found):.4g}", model=model, x=case.x, y=case.y)


@law(EVALUATION_LAWS, _tried)
def a_wrong_label_counts_as_fallen(subject, tried):
    """label(x) ≠ y, no attack finds anything: robust accuracy = clean accuracy, and no error."""
    case = tried.case
    y = case.y.copy()
    y[0] = (y[0] + 1) % case.model.logits(case.x).shape[1]
    expected = float((labels_of(case.model.logits(case.x)) == y).mean())
    nothing = _fixed(case, np.zeros_like(case.x))
    found = float(subject.evaluation.robust_accuracy(case.model, case.x, y, subject.threat, [nothing]))
    if not math.isclose(found, expected, abs_tol=1e-6):
        raise Broken(f"{found:.4g}, where {expected:.4g} are classified rightly", model=case.model, x=case.x, y=y)


def _fixed(case, delta):
    """An attack that gives this δ, whichever of the examples it is asked for."""

    def attack(model, x, y, threat):
        return delta[_same(x, case.x).argmax(axis=1)]

    return attack


def _same(x, among):
    return (rows(x)[:, None] == rows(among)).all(axis=2)


def _compare(subject, case, delta, found, expected, how=""):
    wrong = some(np.asarray(found) != expected)
    if wrong:
        raise Broken(
            f"success is {bool(found[wrong][0])}, and should be {bool(expected[wrong][0])}{how}",
            **{"model": case.model, "x": case.x[wrong], "y": case.y[wrong], "δ": delta[wrong], "Δ": subject.threat},
        )
