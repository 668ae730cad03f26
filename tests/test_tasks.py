"""Laws of the tasks: what logits and labels mean, label by label, and that no other code needs to know."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv import tasks
from scratchadv.attacks import apgd, bounded, carlini_wagner, deepfool, fab, fgsm, pgd
from scratchadv.checked import check_attack
from scratchadv.evaluate import judge, robust_accuracy, worst_case
from scratchadv.layers import Conv, Dense
from scratchadv.losses import cross_entropy, log_loss, logistic, margin, target_margin
from scratchadv.models import CNN, MLP, LogisticRegression, Network, SoftmaxRegression, SoftNeighbours, Taped
from scratchadv.models.protocol import predict
from scratchadv.numerics import rows
from scratchadv.sets import L2, Linf
from scratchadv.tasks import NO_LABEL, Binary, Classes, Task, differs, task_of, whole_labels

few = settings(max_examples=60, deadline=None)
finite = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0]) | st.floats(-30, 30, width=32)
unusual = finite | st.sampled_from([math.nan, -math.inf])


@st.composite
def problems(draw, entries=finite):
    """A task, logits with ties among them, labels, and other labels."""
    n, k = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    task = Binary() if k == 1 else Classes(k)
    size = n * k
    z = np.array(draw(st.lists(entries, min_size=size, max_size=size)), draw(st.sampled_from([np.float32, np.float64])))
    y = np.array(draw(st.lists(st.sampled_from(task.every), min_size=n, max_size=n)))
    other = [draw(st.sampled_from([label for label in task.every if label != own])) for own in y]
    return task, z if k == 1 else z.reshape(n, k), y, np.array(other)


def column(task, z, label):
    """The logits of one label, ``(N,)``, as the table in ``tasks`` says."""
    return label * z / 2 if task == Binary() else z[:, label]


def reference_label(task, z):
    """The label of one example, as it was computed before there were tasks."""
    if task == Binary():
        return NO_LABEL if math.isnan(z) else 1 if z >= 0 else -1
    return NO_LABEL if any(map(math.isnan, z)) else max(range(len(z)), key=lambda k: (z[k], -k))


# Labels


@few
@given(problems(unusual))
def test_decoding_is_the_largest_logit_and_none_for_nan(problem):
    """label(z) = the first argmax_k z_k, or the sign of one logit with label(0) = +1; no label where a logit is NaN"""
    task, z, _, _ = problem
    found = task.decode(z)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, [reference_label(task, row) for row in z])


@few
@given(problems())
def test_labels_go_round(problem):
    """label(c ∂z_y/∂z) = y for c > 0: if only the logits of y are positive, the label is y"""
    task, z, y, _ = problem
    np.testing.assert_array_equal(task.decode(3 * task.unit(z, y)), y)
    np.testing.assert_array_equal(task.check_labels(y, len(z)), y)


@few
@given(problems(), st.integers(-8, 8))
def test_a_shift_of_all_logits_changes_no_label(problem, shift):
    """label(z + c) = label(z) for classes, where the sum is exact; label(2 z) = label(z) for all tasks"""
    task, z, _, _ = problem
    if task != Binary():
        z = np.rint(z)
        np.testing.assert_array_equal(task.decode(z + shift), task.decode(z))
    np.testing.assert_array_equal(task.decode(2 * z), task.decode(z))


@few
@given(problems(unusual))
def test_fooled_is_another_label_or_the_target(problem):
    """fooled ⇔ label ≠ y and there is a label; with a target ⇔ label = target"""
    task, z, y, target = problem
    labels = [reference_label(task, row) for row in z]
    np.testing.assert_array_equal(
        task.is_fooled(z, y), [found not in (own, NO_LABEL) for found, own in zip(labels, y, strict=True)]
    )
    np.testing.assert_array_equal(
        task.is_fooled(z, y, target), [found == aim for found, aim in zip(labels, target, strict=True)]
    )
    np.testing.assert_array_equal(task.is_fooled(z, y, target), differs(np.array(labels), y, target))


@few
@given(problems())
def test_fooled_where_the_advantage_is_positive(problem):
    """advantage > 0 ⇒ fooled, advantage < 0 ⇒ not; at 0 the two labels tie, and the first one is decoded"""
    task, z, y, target = problem
    for aim in (None, target):
        lead, fooled = task.advantage(z, y, aim), task.is_fooled(z, y, aim)
        np.testing.assert_array_equal(fooled[lead != 0], lead[lead != 0] > 0)
    tie = np.zeros(1) if task == Binary() else np.zeros((1, task.k))
    for label in task.every:
        assert task.advantage(tie, np.array([label])) == 0
        assert task.is_fooled(tie, np.array([label])) == (label != task.every[0])


@pytest.mark.parametrize("task", [Binary(), Classes(3)])
def test_every_label_can_be_decoded(task):
    """``every`` lists each label once; a binary task begins with +1, the label of a tie"""
    z = np.array([3.0, -3.0]) if task == Binary() else 3 * np.eye(3)
    assert tuple(task.decode(z)) == task.every
    assert (tasks.task_of(z), task.models) == (task, {2: "binary models", 3: "models of 3 classes"}[len(z)])


# Competing labels


@few
@given(problems(st.floats(-30, 30, width=32) | st.just(-math.inf)))
def test_the_rivals_are_all_other_labels_largest_first(problem):
    """rivals: each label but y once, with z falling; the runner-up comes first; candidates also count the label"""
    task, z, y, _ = problem
    rivals = task.rivals(z, y)
    for i, own in enumerate(y):
        assert sorted([own, *rivals[i]]) == sorted(task.every)
        values = [column(task, z, k)[i] for k in rivals[i]]
        assert values == sorted(values, reverse=True)
        if max(values) > -math.inf:
            assert task.runner_up(z, y)[i] == rivals[i, 0]
        else:
            assert task.runner_up(z, y)[i] != own
    np.testing.assert_array_equal(task.rivals(z, y, 2), rivals[:, :1])
    possible = [[task == Binary() or z[i, k] > -math.inf for k in row] for i, row in enumerate(rivals)]
    np.testing.assert_array_equal(task.possible(z, rivals), possible)


@few
@given(problems(), st.data())
def test_differences_are_linear_and_their_derivative_is_the_direction(problem, data):
    """z_a − z_b = <∂, z> with ∂ = unit(a) − unit(b) in the dtype of z; the rest is the remaining share of all logits"""
    task, z, a, b = problem
    direction = task.direction(z, a, b)
    assert direction.dtype == z.dtype
    wide = z.astype(float)
    expected = [column(task, wide, a[i])[i] - column(task, wide, b[i])[i] for i in range(len(z))]
    np.testing.assert_allclose(task.difference(z, a, b), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(rows(direction * z).sum(axis=1), expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(direction, task.unit(z, a) - task.unit(z, b))
    whole = task.unit(z, a) + task.rest(z, a)
    np.testing.assert_array_equal(whole, np.zeros_like(z) if task == Binary() else np.ones_like(z))


@few
@given(problems())
def test_the_advantage_is_the_margin_and_its_derivative(problem):
    """advantage = the margin of the losses, or of the target; so are the derivatives, to the last bit"""
    task, z, y, target = problem
    pairs = np.stack([y, target], axis=1)
    np.testing.assert_array_equal(task.advantage(z, y), margin.value(z, y))
    np.testing.assert_array_equal(task.advantage_grad(z, y), margin.grad(z, y))
    np.testing.assert_array_equal(task.advantage(z, y, target), target_margin.value(z, pairs))
    np.testing.assert_array_equal(task.advantage_grad(z, y, target), target_margin.grad(z, pairs))


def test_masked_classes_compete_last():
    """If only z_y is finite, another class is the runner-up, at −∞; −∞ − (−∞) = −∞; masked classes have no rest"""
    z, task = np.array([[1.0, -math.inf, -math.inf]]), Classes(3)
    for y, expected in ((0, -math.inf), (1, math.inf)):
        assert task.runner_up(z, np.array([y])) != y
        assert task.advantage(z, np.array([y])) == expected
    assert task.difference(z, np.array([1]), np.array([2])) == -math.inf
    np.testing.assert_array_equal(task.rest(z, np.array([1])), [[1, 0, 0]])


# Probabilities


@few
@given(problems())
def test_probabilities_and_logits_say_the_same(problem):
    """Softmax: the sum is 1; log p; log p/(1 − p); the scores of p are z up to a shift, and p has the label of z"""
    task, z, y, target = problem
    z = z.astype(float)
    p, log_p = task.probabilities(z), task.log_probabilities(z)
    both = np.stack([1 - p, p], axis=1) if task == Binary() else p
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(log_p), both, atol=1e-12)
    place = (y + 1) // 2 if task == Binary() else y
    own = log_p[np.arange(len(z)), place]
    np.testing.assert_allclose(task.log_odds(z, y), own - np.log(-np.expm1(own)), rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(log_loss(z).value(z, y), -own, atol=1e-12)
    again = task.scores(p)
    np.testing.assert_allclose(task.difference(again, y, target), task.difference(z, y, target), rtol=1e-6, atol=1e-3)
    sure = abs(task.advantage(z, y)) > 1e-9
    np.testing.assert_array_equal(task.most_probable(p)[sure], task.decode(z)[sure])


def test_the_log_loss_is_that_of_the_task():
    """Logistic loss for one logit, cross-entropy for several"""
    assert log_loss(np.zeros(2)) is logistic
    assert log_loss(np.zeros((2, 3))) is cross_entropy


# Errors


@pytest.mark.parametrize("z", [np.zeros(()), np.zeros((2, 1)), np.zeros((2, 3, 4)), [0.0, 1.0], None])
def test_logits_that_may_mean_anything_are_refused(z):
    """task_of: (N,) or (N, K) with K > 1; otherwise an error that says so and names the shape"""
    with pytest.raises(ValueError, match=re.escape(f"have shape {getattr(z, 'shape', None)}; (N,) for a binary model")):
        task_of(z)


WRONG_LABELS = {
    "0 for -1": (Binary(), [1, 0], ValueError, "target holds 0; the labels of a binary model are -1 and +1"),
    "too large": (Classes(3), [0, 3], ValueError, "target holds 3; labels in 0..2 were expected"),
    "floats": (Classes(3), [0.0, 1.0], TypeError, "target has dtype float64; integer labels in 0..2 were expected"),
    "too few": (Classes(3), [0], ValueError, "target has shape (1,); one label for each example of x, (2,)"),
    "one-hot": (Binary(), [[1, 0], [0, 1]], ValueError, "target has shape (2, 2)"),
    "bool": (Binary(), [True, True], TypeError, "target has dtype bool; integer labels were expected"),
}


@pytest.mark.parametrize(("task", "y", "error", "words"), WRONG_LABELS.values(), ids=WRONG_LABELS)
def test_wrong_labels_are_named(task, y, error, words):
    """check_labels(y, n, name) says which label is wrong, under which name, and what was expected"""
    with pytest.raises(error, match=re.escape(words)):
        task.check_labels(y, 2, "target")


@pytest.mark.parametrize(
    ("y", "words"), [([0.5, 1], "y holds 0.5"), ([-2, 0], "y holds -2"), ([1, math.inf], "y holds inf")]
)
def test_labels_of_an_unknown_task_are_whole_numbers(y, words):
    """whole_labels: 0, 1, … or −1 and +1; integers become int64"""
    with pytest.raises(ValueError, match=words):
        whole_labels(y, 2)
    assert whole_labels(np.array([0, 7], np.uint8), 2).dtype == np.int64
    np.testing.assert_array_equal(whole_labels([-1, 1], 2), [-1, 1])


# The task of a model


def test_every_model_has_its_task():
    """Binary for one logit; the number of classes for several; Taped has the task that it is given"""
    rng, weight = np.random.default_rng(0), {"weight": np.ones((4, 3))}
    found = {
        LogisticRegression(np.ones(4)): Binary(),
        SoftmaxRegression(4, 3, rng=rng): Classes(3),
        MLP((4, 5, 3), rng=rng): Classes(3),
        CNN((6, 6, 1), (Conv(2),), (5, 3), rng=rng): Classes(3),
        Network([Dense(7)], (4,), rng): Classes(7),
        SoftNeighbours(np.eye(3), np.arange(3)): Classes(3),
        Taped(lambda params, x: x @ params["weight"], weight): None,
        Taped(lambda params, x: x @ params["weight"], weight, task=Classes(3)): Classes(3),
    }
    for model, task in found.items():
        assert model.task == task
    taped = list(found)[-2]
    assert tasks.of(taped, taped.logits(np.ones((2, 4)))) == Classes(3)


def test_a_model_without_a_task_is_read_by_its_logits():
    """A class with logits and vjp_x: one logit or K logits"""
    assert tasks.of(object(), np.zeros(3)) == Binary()
    assert tasks.of(object(), np.zeros((3, 4))) == Classes(4)


def test_logits_that_are_not_those_of_the_task_are_refused():
    """A model that claims Classes(3) but returns 4 logits: an error with both before any attack, even with NaN"""
    model = SimpleNamespace(task=Classes(3), logits=lambda x: np.zeros((len(x), 4)), vjp_x=None, loss=cross_entropy)
    for ask in (
        lambda: check_attack(model, np.ones((2, 4)), [0, 1], Linf(0.1)),
        lambda: predict(model, np.ones((2, 4))),
    ):
        with pytest.raises(ValueError, match=re.escape("as for Classes(k=4); its task is Classes(k=3)")):
            ask()
    with pytest.raises(ValueError, match="NaN for 1 of 2 examples of pictures"):
        Classes(2).check_logits(np.array([[0.0, 1.0], [math.nan, 1.0]]), "pictures")


# A task of another kind: no code outside of it knows what its logits look like.


class TwoDigits(Task):
    """Logits ``(N, 2, 3)``, three for each of two digits; labels 0 to 8 = 3 · first + second."""

    every = tuple(range(9))
    models = "models of two digits"

    def check_logits(self, z, what="x"):
        assert z.shape[1:] == (2, 3)
        return z

    def check_labels(self, y, n, name="y"):
        return Classes(9).check_labels(y, n, name)

    def decode(self, z):
        return Classes(9).decode(self.of_pairs(z))

    def difference(self, z, a, b):
        return Classes(9).difference(self.of_pairs(z), a, b)

    def unit(self, z, label):
        g = np.zeros_like(z)
        row = np.arange(len(z))
        g[row, 0, label // 3] = 1
        g[row, 1, label % 3] = 1
        return g

    def runner_up(self, z, y):
        return Classes(9).runner_up(self.of_pairs(z), y)

    def rivals(self, z, y, candidates=None):
        return Classes(9).rivals(self.of_pairs(z), y, candidates)

    @staticmethod
    def of_pairs(z):
        """The logit of each label is the sum of the logits of its digits."""
        return (z[:, 0, :, None] + z[:, 1, None, :]).reshape(len(z), 9)


class OfDigits:
    """The sum of the cross-entropies of the two digits."""

    def value(self, z, y):
        return sum(cross_entropy.value(z[:, i], digit) for i, digit in enumerate(divmod(y, 3)))

    def grad(self, z, y):
        return np.stack([cross_entropy.grad(z[:, i], digit) for i, digit in enumerate(divmod(y, 3))], axis=1)


class Digits:
    """Two softmax regressions side by side; the logits of both, in whatever shape."""

    loss = OfDigits()

    def __init__(self, weight, flat):
        self.params = {"weight": weight}
        self.task = Classes(9) if flat else TwoDigits()
        self.loss = cross_entropy if flat else OfDigits()
        self.flat = flat

    def logits(self, x):
        return self.vjp_x(x)[0]

    def vjp_x(self, x):
        weight = self.params["weight"]
        z = (x @ weight).reshape(len(x), 2, 3)
        if not self.flat:
            return z, lambda dz: dz.reshape(len(x), 6) @ weight.T

        def pull(dz):
            dz = dz.reshape(len(x), 3, 3)
            return np.concatenate([dz.sum(axis=2), dz.sum(axis=1)], axis=1) @ weight.T

        return TwoDigits.of_pairs(z), pull


@pytest.fixture
def digits():
    """The model with logits (N, 2, 3), the same model with the nine sums as logits, inputs, and their labels."""
    rng = np.random.default_rng(4)
    weight, x = rng.standard_normal((5, 6)), rng.random((12, 5))
    structured, flat = Digits(weight, flat=False), Digits(weight, flat=True)
    return structured, flat, x, predict(flat, x)


ATTACKS = {
    "fgsm": fgsm,
    "pgd": pgd,
    "apgd": apgd,
    "apgd until wrong": lambda *given: apgd(*given, steps=20, until_wrong=True),
    "deepfool": bounded(deepfool),
    "fab": bounded(lambda *given, **options: fab(*given, steps=20, **options)),
    "carlini_wagner": lambda *given: bounded(carlini_wagner)(*given, steps=60, searches=3),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_serve_any_task(digits, name):
    """The log-probability of a pair is the sum over its digits, so both models get the same δ"""
    structured, flat, x, y = digits
    threat = L2(0.3).within(0, 1)
    found, expected = (ATTACKS[name](model, x, y, threat) for model in (structured, flat))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(predict(structured, x + found), predict(flat, x + expected))
    assert (predict(structured, x + found) != y).any()


def test_evaluation_serves_any_task(digits):
    """judge, worst_case and robust_accuracy give the same numbers for both models"""
    structured, flat, x, y = digits
    threat = Linf(0.1).within(0, 1)
    delta = pgd(flat, x, y, threat)
    found, expected = (judge(model, x, y, delta, threat) for model in (structured, flat))
    for field in ("success", "inside", "norm", "loss", "prediction"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), atol=1e-12)
    found, expected = (worst_case(model, x, y, threat, [fgsm, pgd]).standing for model in (structured, flat))
    np.testing.assert_array_equal(found, expected)
    assert robust_accuracy(structured, x, y, threat, [pgd]) == robust_accuracy(flat, x, y, threat, [pgd])
