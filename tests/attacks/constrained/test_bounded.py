"""Laws of smallest-change attacks inside a set, and the laws that all smallest-change attacks keep."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings

from scratchadv.attacks.constrained.bounded import bounded
from scratchadv.attacks.constrained.deepfool import deepfool
from scratchadv.attacks.constrained.fab import fab
from scratchadv.attacks.constrained.jsma import jsma
from scratchadv.attacks.constrained.lbfgs import lbfgs
from scratchadv.evaluate import robust_accuracy
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.numerics import rows
from scratchadv.parallel import limit
from scratchadv.sets import L0, L2, Linf
from scratchadv.testing.strategies import linear_problems

FAB = partial(fab, steps=10)
LBFGS = partial(lbfgs, searches=4, steps=10)
ATTACKS = {"fab": FAB, "deepfool": deepfool, "lbfgs": LBFGS}
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.fixture(scope="module")
def network():
    """A network with 4 classes, 12 examples that it classifies correctly, and other classes as targets."""
    rng = np.random.default_rng(7)
    model = MLP((6, 12, 4), "tanh", rng=rng, dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    x = rng.random((12, 2, 3))
    y = predict(model, x)
    return model, x, y, np.argsort(model.logits(x), axis=1)[:, -2]


@attacks
@settings(deadline=None, max_examples=40)
@given(problem=linear_problems())
def test_a_change_fools_or_is_zero(attack, problem):
    """δ ≠ 0 only where the prediction on x was right and on x + δ is wrong; in the box; dtype, shape and x kept"""
    model, x, y = problem.model, problem.x, problem.y
    before = x.copy()
    delta = attack(model, x, y, target=-y)
    np.testing.assert_array_equal(x, before)
    assert (delta.dtype, delta.shape) == (x.dtype, x.shape)
    assert ((x + delta >= 0) & (x + delta <= 1)).all()
    moved = rows(delta != 0).any(axis=1)
    assert (predict(model, x)[moved] == y[moved]).all()
    assert (predict(model, x + delta)[moved] == -y[moved]).all()


@attacks
def test_targets_are_respected(attack, network):
    """Where δ ≠ 0 the prediction is the target, which at least half of them reach; δ = 0 if it is the target already"""
    model, x, y, target = network
    delta = attack(model, x, y, target=target)
    moved = rows(delta != 0).any(axis=1)
    assert moved.mean() >= 0.5
    np.testing.assert_array_equal(predict(model, x + delta)[moved], target[moved])
    assert not attack(model, x, target, target=y).any()


@pytest.mark.parametrize("attack", [FAB, deepfool])
def test_misclassified_inputs_are_left_alone(attack, network):
    """δ = 0 where y is wrong already (torchattacks issue 51); the other examples are attacked as if alone"""
    model, x, y, other = network
    labels = np.where(np.arange(len(x)) % 2, y, other)
    delta = attack(model, x, labels)
    assert not delta[::2].any()
    np.testing.assert_allclose(delta[1::2], attack(model, x[1::2], y[1::2]), atol=1e-9)


@attacks
def test_a_constant_model_cannot_be_fooled(attack):
    """θ = 0: δ = 0, neither NaN nor an error (ART issue 368; Foolbox issue 175)"""
    for model, y in ((LogisticRegression(np.zeros(3)), np.array([1, 1])), (constant_network(), np.array([1, 1]))):
        target = -y if isinstance(model, LogisticRegression) else y + 1
        for box in (None, (0, 1)):
            np.testing.assert_array_equal(attack(model, np.full((2, 3), 0.5), y, target=target, box=box), 0)


def constant_network():
    model = MLP((3, 4, 3), rng=np.random.default_rng(0), dtype=np.float64)
    model.params = {name: 0 * value for name, value in model.params.items()}
    bias = [name for name in model.params if name.endswith("bias")][-1]
    model.params[bias] = np.array([0.0, 1.0, 0.0])
    return model


@pytest.mark.parametrize("attack", [FAB, deepfool])
def test_on_the_boundary_a_tiny_change_fools(attack):
    """z = 0 is predicted +1; a δ of less than 1e-3 makes it −1"""
    model, x, y = LogisticRegression(np.array([1.0, -1.0])), np.full((1, 2), 0.25, np.float32), np.array([1])
    delta = attack(model, x, y, target=-y)
    assert predict(model, x + delta)[0] == -1
    assert 0 < L2.norm(delta)[0] < 1e-3


@attacks
@pytest.mark.parametrize("limits", [{"chunk": 1}, {"chunk": 5}, {"threads": 3, "chunk": 4}], ids=str)
def test_batch_order_chunks_and_threads_do_not_matter(attack, limits, network):
    """attack(x[π]) = attack(x)[π] under any parallel.limit, up to rounding (torchattacks issue 12)"""
    model, x, y, target = network
    with limit(chunk=len(x)):
        whole = attack(model, x, y, target=target)
    order = np.random.default_rng(0).permutation(len(x))
    with limit(**limits):
        shuffled = attack(model, x[order], y[order], target=target[order])
    np.testing.assert_allclose(shuffled, whole[order], atol=1e-6)


@attacks
def test_a_float64_model_does_not_widen_float32_images(attack, network):
    """float32 images, float64 weights: δ is float32 and fools (ART issue 366)"""
    model, x, y, target = network
    x = x.astype(np.float32)
    delta = attack(model, x[:3], y[:3], target=target[:3])
    assert delta.dtype == np.float32
    assert (predict(model, x[:3] + delta) == target[:3]).any()


@attacks
@pytest.mark.parametrize(
    ("x", "y", "box", "message"),
    [
        (np.array([[0.5, np.nan]]), np.array([1]), (0, 1), "x holds nan"),
        (np.array([[1, 0]]), np.array([1]), (0, 1), "x has dtype int64"),
        (np.array([[0.5, 0.5]]), np.array([0]), (0, 1), "y holds 0; the labels of a binary model are -1 and"),
        (np.zeros((0, 2)), np.zeros(0), (0, 1), r"x has shape \(0, 2\); at least one example"),
        (np.array([[0.5, 1.5]]), np.array([1]), (0, 1), r"x holds 1\.5, outside the box \[0\.0, 1\.0\]"),
        (np.array([[0.5, 0.5]]), np.array([1]), (1, 0), r"the box \[1, 0\] is empty"),
    ],
)
def test_bad_input_is_refused(attack, x, y, box, message):
    """NaN, integers, labels 0/1, empty batches, pixels out of range, an empty box"""
    with pytest.raises((ValueError, TypeError), match=message):
        attack(LogisticRegression(np.ones(2)), x, y, target=-y, box=box)


# Inside a set


@pytest.mark.parametrize("attack", [FAB, deepfool])
@pytest.mark.parametrize("threat", [Linf(0.3).within(0, 1), Linf(0.3), L2(0.5), L2(0.5).within(-1, 2)], ids=str)
def test_inside_a_set_the_change_is_kept_or_zero(attack, threat, network):
    """bounded: δ in Δ(x), equal to the attack's own δ in that norm and box where ‖δ‖ <= ε, else 0"""
    model, x, y, _ = network
    inside = bounded(attack)(model, x, y, threat)
    norm = type(threat.ball)
    box = None if threat.box is None else (threat.pixels.lower, threat.pixels.upper)
    free = attack(model, x, y, norm=norm, box=box)
    short = norm.norm(free) <= threat.radius
    assert threat.at(x).contains(inside).all()
    np.testing.assert_array_equal(inside, np.where(short[:, None, None], free, 0))


def test_a_larger_set_fools_no_fewer(network):
    """The robust accuracy under bounded(fab) never rises with ε; it is 1 at ε = 0, and it falls"""
    model, x, y, _ = network
    curve = [robust_accuracy(model, x, y, Linf(eps).within(0, 1), [bounded(FAB)]) for eps in (0, 0.05, 0.1, 0.2, 0.4)]
    assert curve == sorted(curve, reverse=True)
    assert curve[0] == 1 > curve[-1]


def test_options_and_targets_are_handed_on(network):
    """bounded(f)(..., target=t, steps=n) calls f with them, and judges by the target"""
    model, x, y, target = network
    threat = L2(5.0).within(0, 1)
    delta = bounded(deepfool)(model, x, y, threat, target=target, steps=30, overshoot=0.1)
    np.testing.assert_array_equal(delta, deepfool(model, x, y, target=target, steps=30, overshoot=0.1))
    assert bounded(fab).__name__ == "fab"


def test_a_norm_that_the_attack_has_not_is_refused(network):
    """FAB refuses L0 with its own message"""
    model, x, y, _ = network
    with pytest.raises(ValueError, match="L1 or L2 or Linf was expected"):
        bounded(fab)(model, x, y, L0(2).within(0, 1))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_jsma_is_bounded_by_a_number_of_components(network, k):
    """‖δ‖₀ <= k, in the box, and δ ≠ 0 only where it fools the model"""
    model, x, y, _ = network
    threat = L0(k).within(0, 1)
    delta = bounded(partial(jsma, upsilon=1.0))(model, x, y, threat)
    assert threat.at(x).contains(delta).all()
    moved = rows(delta != 0).any(axis=1)
    assert (predict(model, x + delta)[moved] != y[moved]).all()
    assert k == 1 or moved.any()  # components move in pairs
