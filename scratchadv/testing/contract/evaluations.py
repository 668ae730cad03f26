"""The contract of evaluations: of what judges attacks and counts robust examples."""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...losses import margin
from ...models.protocol import labels_of
from ...numerics import rows
from ..models import NotANumber
from ..strategies import cases
from .hold import Broken, hold, law
from .measures import some

EVALUATION_LAWS = {}


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
