"""The contract of evaluations, which judge attacks and count robust examples."""

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
    """Check an evaluation against the laws of ``EVALUATION_LAWS``.

    Parameters
    ----------
    evaluation : module or object
        It has ``judge(model, x, y, delta, threat, *, target=None, bits=None)``, whose result has ``success``, and
        ``robust_accuracy(model, x, y, threat, attacks)``. An example is ``scratchadv.evaluate``.
    threat : Set
        A perturbation set with the box [0, 1].
    max_examples : int
        The number of cases for each law.
    shrink : bool
        Whether to look for the smallest counterexample; otherwise the first one is reported.

    Raises
    ------
    ContractError
        If a law is broken.
    """
    hold(EVALUATION_LAWS, SimpleNamespace(evaluation=evaluation, threat=threat), max_examples, shrink)


@dataclass(frozen=True)
class _Tried:
    """A case, and perturbations: some of them fool the model, and some of them leave the set."""

    case: Any
    deltas: Any


@st.composite
def _tried(draw, subject):
    case = draw(cases(subject.threat, ("softmax", "network"), classes=3, least=2, most=4))
    rng = np.random.default_rng(case.seed)
    twin = _same(case.x, case.x).argmax(axis=1)  # equal examples get equal δ
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
    """Return what ``success`` must be: whether the label changes, or is the one to be reached, and δ is in the set."""
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
    delta = tried.deltas[0]
    k = case.model.logits(case.x).shape[1]
    for shift in range(k):
        target = (case.y + shift) % k
        found = subject.evaluation.judge(case.model, case.x, case.y, delta, subject.threat, target=target).success
        _compare(subject, case, delta, found, _fallen(subject, case, delta, reached=target))


@law(EVALUATION_LAWS, _tried)
def rounding_comes_before_the_judgement(subject, tried):
    """With bits: success_i = [label(r(x_i + δ_i)) ≠ y_i and δ_i ∈ Δ(x_i)], where r rounds to the file's levels."""
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
    case = tried.case
    delta = tried.deltas[0].copy()
    delta.ravel()[0] = math.nan
    try:
        subject.evaluation.judge(case.model, case.x, case.y, delta, subject.threat)
    except ValueError:
        return
    raise Broken("NaN in δ was not refused", model=case.model, x=case.x, δ=delta)


@law(EVALUATION_LAWS, _tried)
def robust_accuracy_is_the_worst_case(subject, tried):
    """Robust accuracy = mean over examples of min over attacks, where δ = 0 counts as an attack."""
    case = tried.case
    attacks = [_fixed(case, delta) for delta in tried.deltas]
    falls = np.any([_fallen(subject, case, delta) for delta in tried.deltas], axis=0)
    expected = float((~falls & (labels_of(case.model.logits(case.x)) == case.y)).mean())
    found = float(subject.evaluation.robust_accuracy(case.model, case.x, case.y, subject.threat, attacks))
    if not math.isclose(found, expected, abs_tol=1e-6):
        why = f"the robust accuracy is given as {found:.4g}, but {expected:.4g} of the examples withstand all attacks"
        raise Broken(why, model=case.model, x=case.x, y=case.y)


@law(EVALUATION_LAWS, _tried)
def logits_that_are_nan_have_no_accuracy(subject, tried):
    """robust_accuracy(model whose logits are NaN) raises a ValueError."""
    case = tried.case
    model = NotANumber(case.model)
    try:
        found = subject.evaluation.robust_accuracy(model, case.x, case.y, subject.threat, [_fixed(case, 0 * case.x)])
    except ValueError:
        return
    raise Broken(f"a model whose logits are NaN has the accuracy {float(found):.4g}", model=model, x=case.x, y=case.y)


@law(EVALUATION_LAWS, _tried)
def a_wrong_label_counts_as_fallen(subject, tried):
    """Robust accuracy = clean accuracy where no attack finds anything, even if label(x) ≠ y for some x."""
    case = tried.case
    y = case.y.copy()
    y[0] = (y[0] + 1) % case.model.logits(case.x).shape[1]
    expected = float((labels_of(case.model.logits(case.x)) == y).mean())
    nothing = _fixed(case, np.zeros_like(case.x))
    found = float(subject.evaluation.robust_accuracy(case.model, case.x, y, subject.threat, [nothing]))
    if not math.isclose(found, expected, abs_tol=1e-6):
        why = f"the robust accuracy is given as {found:.4g}, but {expected:.4g} are correctly classified"
        raise Broken(why, model=case.model, x=case.x, y=y)


def _fixed(case, delta):
    """Return an attack that returns this δ, for whichever of the examples it gets."""

    def attack(model, x, y, threat):
        return delta[_same(x, case.x).argmax(axis=1)]

    return attack


def _same(x, among):
    return (rows(x)[:, None] == rows(among)).all(axis=2)


def _compare(subject, case, delta, found, expected, how=""):
    wrong = some(np.asarray(found) != expected)
    if wrong:
        raise Broken(
            f"success is {bool(found[wrong][0])}, but should be {bool(expected[wrong][0])}{how}",
            **{"model": case.model, "x": case.x[wrong], "y": case.y[wrong], "δ": delta[wrong], "Δ": subject.threat},
        )
