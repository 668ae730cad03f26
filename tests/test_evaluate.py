"""Laws of judging: success is predicting again, inside Delta(x)."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.balls import L0, L1, L2, Linf
from scratchadv.evaluate import judge, robust_accuracy, stands
from scratchadv.losses import cross_entropy, logistic
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)
ORDERS = {Linf: np.inf, L2: 2, L1: 1}


class Softmax:
    """z = x W."""

    loss = cross_entropy

    def __init__(self, w):
        self.w = w

    def logits(self, x):
        return x @ self.w


def draw(seed, dtype=np.float64, n=8):
    """A model, examples in the unit box, labels, and perturbations some of which leave ball or box."""
    rng = np.random.default_rng(seed)
    model = LogisticRegression(rng.normal(size=3).astype(dtype), rng.normal())
    x, y = rng.random((n, 3)).astype(dtype), rng.choice([-1, 1], n)
    return model, x, y, rng.normal(0, 0.3, (n, 3)).astype(dtype)


@few
@given(seeds, st.sampled_from(list(ORDERS)), st.booleans(), st.booleans())
def test_success_is_another_label_inside_the_set(seed, norm, boxed, targeted):
    """success_i iff |delta_i| <= eps, l <= x_i + delta_i <= u, and the label there is not y_i (or is the target)"""
    model, x, y, delta = draw(seed)
    threat = norm(0.5).within(0, 1) if boxed else norm(0.5)
    target = np.random.default_rng(seed + 1).choice([-1, 1], len(y)) if targeted else None
    found = judge(model, x, y, delta, threat, target=target)

    size = np.linalg.norm(delta, ORDERS[norm], axis=1)
    inside = size <= 0.5
    if boxed:
        inside &= ((x + delta >= 0) & (x + delta <= 1)).all(axis=1)
    z = (x + delta) @ model.params["theta"] + model.params["theta0"]
    label = np.where(z >= 0, 1, -1)
    fooled = label == target if targeted else label != y
    np.testing.assert_array_equal(found.inside, inside)
    np.testing.assert_array_equal(found.prediction, label)
    np.testing.assert_array_equal(found.success, fooled & inside)
    np.testing.assert_allclose(found.norm, size, rtol=1e-14)
    np.testing.assert_allclose(found.loss, np.logaddexp(0, -y * z), rtol=1e-12)


def test_the_draws_meet_every_case():
    """The helper: over some seeds all four pairs of (fooled, inside) occur"""
    cases = set()
    for seed in range(20):
        model, x, y, delta = draw(seed)
        found = judge(model, x, y, delta, Linf(0.5).within(0, 1))
        cases |= set(zip((found.prediction != y).tolist(), found.inside.tolist(), strict=True))
    assert len(cases) == 4


MODEL = LogisticRegression(np.array([1.0, 0.0]), -0.5)  # +1 iff the first pixel is at least 1/2
X, Y = np.array([[0.75, 0.5]]), np.array([1])


@pytest.mark.parametrize(
    ("delta", "threat", "success", "inside"),
    [
        ([-0.5, 0], Linf(0.5), True, True),
        ([-0.5, 0], Linf(0.4), False, False),
        ([-0.125, 0], Linf(0.5), False, True),
        ([-0.75, 0], Linf(1).within(0, 1), True, True),
        ([-1, 0], Linf(1).within(0, 1), False, False),
        ([-1, 0], Linf(1), True, True),
        ([-0.5, 0.5], L1(1), True, True),
        ([-0.5, 0.5], L1(0.9), False, False),
        ([-0.3, 0.4], L2(0.5), True, True),
        ([-0.3, 0.4], L2(0.49), False, False),
        ([-0.5, 0], L0(1).within(0, 1), True, True),
        ([-0.5, 0.1], L0(1).within(0, 1), False, False),
    ],
)
def test_golden_judgements(delta, threat, success, inside):
    """x = (3/4, 1/2) is +1 and falls to -1 once its first pixel is below 1/2"""
    found = judge(MODEL, X, Y, np.array([delta], float), threat)
    assert found.success.tolist() == [success]
    assert found.inside.tolist() == [inside]


def test_golden_loss_norm_and_prediction():
    """x + delta = (1/4, 1): z = -1/4, so label -1, loss log(1 + e^(1/4)); the 2-norm of (-1/2, 1/2) is sqrt(1/2)"""
    found = judge(MODEL, X, Y, np.array([[-0.5, 0.5]]), L2(1))
    np.testing.assert_array_equal(found.prediction, [-1])
    np.testing.assert_allclose(found.loss, [np.log1p(np.exp(0.25))], rtol=1e-15)
    np.testing.assert_allclose(found.norm, [np.sqrt(0.5)], rtol=1e-15)


def test_an_example_that_was_wrong_already_falls_to_no_perturbation():
    """delta = 0: success iff the clean prediction is wrong"""
    y = np.array([1, -1])
    found = judge(MODEL, np.repeat(X, 2, axis=0), y, np.zeros((2, 2)), Linf(0))
    assert found.success.tolist() == [False, True]


def test_targeted_success_is_the_target_and_no_other_wrong_label():
    """K = 3, z = x: label 0 pushed to 1 is a success for target 1, none for target 2, and one without a target"""
    model, x, y = Softmax(np.eye(3)), np.array([[0.6, 0.5, 0.0]]), np.array([0])
    delta = np.array([[-0.2, 0.2, 0.0]])
    for target, success in ((1, True), (2, False), (0, False), (None, True)):
        goal = None if target is None else np.array([target])
        found = judge(model, x, y, delta, Linf(0.2), target=goal)
        assert found.success.tolist() == [success]
        assert found.prediction.tolist() == [1]
        np.testing.assert_allclose(found.loss, cross_entropy.value(x + delta, y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(dtype):
    """Every field is (N,); success and inside are bool, prediction whole, norm and loss in the dtype of x"""
    model, x, y, delta = draw(0, dtype)
    before = [a.copy() for a in (x, y, delta)]
    found = judge(model, x, y, delta, Linf(0.5).within(0, 1))
    assert {a.shape for a in vars(found).values()} == {(8,)}
    assert found.success.dtype == found.inside.dtype == bool
    assert found.prediction.dtype.kind == "i"
    assert found.norm.dtype == found.loss.dtype == dtype
    for a, b in zip((x, y, delta), before, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@few
@given(seeds)
def test_it_is_the_label_that_predict_gives(seed):
    """prediction = predict(model, x + delta)"""
    model, x, y, delta = draw(seed, np.float32)
    np.testing.assert_array_equal(judge(model, x, y, delta, L1(1)).prediction, predict(model, x + delta))


def test_the_loss_is_the_models_own():
    """loss = model.loss at (x + delta, y)"""
    model, x, y, delta = draw(1)
    found = judge(model, x, y, delta, Linf(1))
    np.testing.assert_array_equal(found.loss, logistic.value(model.logits(x + delta), y))


DELTA = np.zeros((1, 2))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"delta": np.zeros((1, 3))}, ValueError, r"delta has shape \(1, 3\); the shape of x, \(1, 2\)"),
        ({"delta": np.zeros((2, 2))}, ValueError, "delta has shape"),
        ({"delta": np.array([[0, np.nan]])}, ValueError, "delta holds nan"),
        ({"delta": np.zeros((1, 2), int)}, TypeError, "delta has dtype int64"),
        ({"delta": None}, TypeError, "delta must be an array"),
        ({"x": np.array([[np.inf, 0]])}, ValueError, "x holds inf"),
        ({"x": np.array([[1.5, 0]])}, ValueError, "x holds 1.5, outside the box"),
        ({"y": np.array([0])}, ValueError, "y holds 0"),
        ({"target": np.array([2])}, ValueError, "target holds 2"),
        ({"target": np.array([1, 1])}, ValueError, "target has shape"),
    ],
)
def test_bad_input_is_refused(wrong, error, message):
    """An argument that does not fit is an error that names it"""
    good = {"model": MODEL, "x": X, "y": Y, "delta": DELTA, "threat": Linf(0.1).within(0, 1)}
    judge(**good)
    with pytest.raises(error, match=message):
        judge(**good | wrong)


@few
@given(seed=seeds)
def test_stands_is_the_worst_case_over_attacks(seed):
    """stands = right when clean and after each attack alone, example by example; more attacks only lower it"""
    rng = np.random.default_rng(seed)
    model, x, threat = LogisticRegression(rng.standard_normal(3)), rng.random((20, 3)), Linf(0.3)
    y = rng.choice([-1, 1], 20)
    attacks = [partial(noise, seed=k) for k in range(3)]
    alone = [judge(model, x, y, noise(model, x, y, threat, seed=k), threat).success for k in range(3)]
    right = predict(model, x) == y
    np.testing.assert_array_equal(stands(model, x, y, threat, []), right)
    np.testing.assert_array_equal(stands(model, x, y, threat, attacks), right & ~np.any(alone, axis=0))
    assert robust_accuracy(model, x, y, threat, attacks) == (right & ~np.any(alone, axis=0)).mean()
    assert robust_accuracy(model, x, y, threat, attacks) <= robust_accuracy(model, x, y, threat, attacks[:1])


def noise(model, x, y, threat, seed):
    """A weak attack that depends on the example alone, not on who is left beside it."""
    return np.stack([threat.sample(np.random.default_rng([seed, *(row * 1e6).astype(int)]), row[None])[0] for row in x])


def test_the_fallen_are_not_attacked_again():
    """An attack sees only the examples that stood until then."""
    model, x, y = LogisticRegression(np.array([1.0])), np.array([[0.1], [0.5], [-0.2]]), np.array([1, 1, 1])
    seen = []

    def attack(model, x, y, threat):
        seen.append(x[:, 0].tolist())
        return np.full_like(x, -0.3)

    np.testing.assert_array_equal(stands(model, x, y, Linf(0.3), [attack, attack]), [False, True, False])
    assert seen == [[0.1, 0.5], [0.5]]
