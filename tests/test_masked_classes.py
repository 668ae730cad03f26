"""A class whose logit is −∞ is masked out: it cannot be predicted, and it changes nothing for the other classes."""

import math

import numpy as np
import pytest
from every_attack import EVERY, ONE_PIXEL
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scratchadv import losses
from scratchadv.attacks import saliency_map
from scratchadv.evaluate import judge, signs_of_masking, worst_case
from scratchadv.losses import Targeted, cross_entropy, dlr, margin
from scratchadv.models.protocol import labels_of
from scratchadv.numerics import log_sum_exp
from scratchadv.tasks import task_of
from scratchadv.testing.models import SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

LOSSES = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}
PAIRED = {
    "targeted cross_entropy": Targeted(cross_entropy),
    "targeted margin": Targeted(margin),
    "targeted_dlr": losses.targeted_dlr,
    "logit_difference": losses.logit_difference,
    "target_minus_rest": losses.target_minus_rest,
    "target_margin": losses.target_margin,
}


class Masked:
    """A model with additional classes at the end, which are all masked out."""

    loss = cross_entropy

    def __init__(self, model, more=1):
        self.model, self.params, self.more = model, model.params, more

    def logits(self, x):
        return self._more(self.model.logits(x))

    def vjp_x(self, x):
        z, pull = self.model.vjp_x(x)
        return self._more(z), lambda dz: pull(dz[:, : z.shape[1]])

    def _more(self, z):
        return np.concatenate([z, np.full((len(z), self.more), -np.inf, z.dtype)], axis=1)


class Plain:
    """The model with the same slicing of the gradient, so that results are equal to the last bit."""

    loss = cross_entropy

    def __init__(self, model):
        self.model, self.params = model, model.params

    def logits(self, x):
        return self.model.logits(x)

    def vjp_x(self, x):
        return self.model.vjp_x(x)


finite = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0]) | st.floats(-30, 30, width=32)


@st.composite
def logits_and_labels(draw, least):
    """Logits of a few classes, with ties, and a label and another label for each row."""
    n, k = draw(st.integers(1, 3)), draw(st.integers(least, 5))
    z = np.array(draw(st.lists(st.lists(finite, min_size=k, max_size=k), min_size=n, max_size=n)))
    y = np.array(draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))
    shift = np.array(draw(st.lists(st.integers(1, k - 1), min_size=n, max_size=n)))
    return z, y, (y + shift) % k


def with_masked(z, at):
    """The logits with one more class in column ``at``, and the new indices of the old classes."""
    wide = np.insert(z, at, -np.inf, axis=1)
    return wide, np.delete(np.arange(wide.shape[1]), at)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LOSSES | PAIRED)
@settings(max_examples=30)
@given(given=st.data())
def test_a_masked_class_changes_no_loss(name, dtype, given):
    """L(y, z with −∞ inserted) = L(y, z), and likewise the gradient, which is 0 at the masked class"""
    loss = (LOSSES | PAIRED)[name]
    z, y, target = given.draw(logits_and_labels(4 if name == "targeted_dlr" else 3))
    z = z.astype(dtype)
    wide, places = with_masked(z, given.draw(st.integers(0, z.shape[1])))
    labels, moved = (
        (y, places[y])
        if name in LOSSES
        else (
            np.stack([y, target], axis=1),
            np.stack([places[y], places[target]], axis=1),
        )
    )
    value, g = loss.value(wide, moved), loss.grad(wide, moved)
    assert value.dtype == g.dtype == dtype
    np.testing.assert_allclose(value, loss.value(z, labels), rtol=1e-6)
    np.testing.assert_allclose(g[:, places], loss.grad(z, labels), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.delete(g, places, axis=1), 0)


@pytest.mark.parametrize("name", LOSSES | PAIRED)
@settings(max_examples=60)
@given(given=st.data())
def test_no_loss_makes_nan_of_masked_classes(name, given):
    """Whichever classes are −∞, also the label or the target, values and gradients are never NaN"""
    loss = (LOSSES | PAIRED)[name]
    z, y, target = given.draw(logits_and_labels(4))
    mask = np.array(given.draw(st.lists(st.booleans(), min_size=z.size, max_size=z.size))).reshape(z.shape)
    mask[:, given.draw(st.integers(0, z.shape[1] - 1))] = False  # a model predicts something
    z[mask] = -np.inf
    labels = y if name in LOSSES else np.stack([y, target], axis=1)
    assert not np.isnan(loss.value(z, labels)).any()
    assert np.isfinite(loss.grad(z, labels)).all()


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=20)
@given(given=st.data())
def test_a_masked_label_has_an_infinite_loss(name, given):
    """If z_y = −∞ and another class is finite, L = +∞; with y as the target, which is never reached, the value is −∞"""
    z, y, target = given.draw(logits_and_labels(4))
    masked = z.copy()
    masked[np.arange(len(z)), y] = -np.inf
    assert (LOSSES[name].value(masked, y) == math.inf).all()
    pairs = np.stack([target, y], axis=1)
    for loss in PAIRED.values():
        assert (loss.value(masked, pairs) == -math.inf).all()
    assert task_of(masked).is_fooled(masked, y).all()
    assert not task_of(masked).is_fooled(masked, target, y).any()


@settings(max_examples=40)
@given(given=st.data())
def test_dlr_of_few_finite_logits_is_the_margin(given):
    """With fewer than three finite logits (four with a target) the denominator is 1"""
    z, y, target = given.draw(logits_and_labels(4))
    z[:, :] = np.where(np.isin(np.arange(z.shape[1]), [y[0], target[0]]), z, -np.inf)
    y, target = np.full_like(y, y[0]), np.full_like(target, target[0])
    assume(abs(z[0, y[0]] - z[0, target[0]]) < 1e6)
    np.testing.assert_array_equal(dlr.value(z, y), margin.value(z, y))
    np.testing.assert_array_equal(dlr.grad(z, y), margin.grad(z, y))
    pairs = np.stack([y, target], axis=1)
    np.testing.assert_array_equal(losses.targeted_dlr.value(z, pairs), losses.logit_difference.value(z, pairs))
    np.testing.assert_array_equal(losses.targeted_dlr.grad(z, pairs), losses.logit_difference.grad(z, pairs))


def test_dlr_by_hand():
    """z = (2, 1, 0, −∞) gives (1 − 2) / (2 − 0) = −1/2 for y = 0, and (1 − 0) / 1 for y = 2 and target 1"""
    z = np.array([[2.0, 1.0, 0.0, -np.inf]])
    assert dlr.value(z, np.array([0])) == -0.5
    assert losses.targeted_dlr.value(z, np.array([[2, 1]])) == 1.0


def test_the_logarithm_of_no_exponential_is_minus_infinity():
    """log_sum_exp of a row of −∞ is −∞, not NaN; for other rows masked entries change nothing"""
    z = np.array([[-np.inf, -np.inf, -np.inf], [1.0, -np.inf, 1.0]])
    np.testing.assert_allclose(log_sum_exp(z), [[-np.inf], [1 + math.log(2)]])


# Attacks

ATTACKS = EVERY | ONE_PIXEL


def network(seed, dtype, classes=3):
    model = SmallNetwork((4,), classes, seed)
    x = np.random.default_rng(seed).random((3, 4)).astype(dtype)
    return model, x, labels_of(model.logits(x))


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=5)
@given(seed=st.integers(0, 999), more=st.integers(1, 2), dtype=st.sampled_from([np.float32, np.float64]))
def test_a_masked_class_changes_no_attack(name, seed, more, dtype):
    """attack(model with masked classes) = attack(model), for random networks"""
    attack = ATTACKS[name]
    model, x, y = network(seed, dtype, classes=4)  # standard uses DLR if there are at least four classes
    threat = attack.ball.within(0, 1)
    found, expected = (attack(m, x, y, threat) for m in (Masked(model, more), Plain(model)))
    fooled = [labels_of(model.logits(x + delta)) != y for delta in (found, expected)]
    np.testing.assert_array_equal(*fooled)
    np.testing.assert_allclose(found, expected, atol=1e-4)


TARGETED = [name for name in ATTACKS if name not in ("standard", "universal_gradient")]


@pytest.mark.parametrize("name", TARGETED)
@settings(max_examples=3)
@given(seed=st.integers(0, 999))
def test_a_masked_class_changes_no_targeted_attack(name, seed):
    """The same holds with targets that are not masked"""
    attack, (model, x, y) = ATTACKS[name], network(seed, np.float64)
    threat = attack.ball.within(0, 1)
    found, expected = (attack(m, x, y, threat, target=(y + 1) % 3) for m in (Masked(model), Plain(model)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", TARGETED)
def test_a_masked_target_is_never_reached(name):
    """With a masked class as the target there is no success, and δ is finite and in the box"""
    attack, (model, x, y) = ATTACKS[name], network(1, np.float64)
    model, threat, target = Masked(model), attack.ball.within(0, 1), np.full_like(y, 3)
    delta = attack(model, x, y, threat, target=target)
    assert np.isfinite(delta).all()
    if not attack.universal:
        assert ((x + delta >= -1e-9) & (x + delta <= 1 + 1e-9)).all()
        assert not judge(model, x, y, delta, threat, target=target).success.any()


@pytest.mark.parametrize("loss", [margin, dlr], ids=["margin", "dlr"])
@pytest.mark.parametrize("name", ["fgsm", "iterated_fgsm", "momentum_fgsm", "pgd", "apgd", "square", "nes", "spsa"])
def test_a_masked_class_changes_no_attack_with_another_loss(name, loss):
    """The same holds for margin and DLR"""
    attack, (model, x, y) = ATTACKS[name], network(5, np.float64)
    threat = attack.ball.within(0, 1)
    found, expected = (attack(m, x, y, threat, loss=loss) for m in (Masked(model), Plain(model)))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_masked_class_changes_no_evaluation():
    """judge, worst_case, signs_of_masking and saliency maps of logits are the same with a masked class"""
    model, x, y = network(2, np.float64)
    masked, threat = Masked(model), ATTACKS["pgd"].ball.within(0, 1)
    delta = ATTACKS["pgd"](model, x, y)
    for field in ("success", "norm", "loss", "prediction"):
        found, expected = (getattr(judge(m, x, y, delta, ATTACKS["pgd"].ball), field) for m in (masked, model))
        np.testing.assert_allclose(found, expected)
    found, expected = (worst_case(m, x, y, threat, [ATTACKS["pgd"]]).standing for m in (masked, model))
    np.testing.assert_array_equal(found, expected)
    found, expected = ([f.words for f in signs_of_masking(m, x, y, threat, steps=3)] for m in (masked, model))
    assert found == expected
    for of in ("logits", "probabilities"):
        found, expected = (saliency_map(m, x, y, of=of) for m in (masked, Plain(model)))
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_label_that_is_masked_is_fooled_already():
    """If the true label is masked out, the example is misclassified and stays so under every attack"""
    model, x, _ = network(4, np.float64)
    masked, y = Masked(model), np.full(len(x), 3)
    for name, attack in ATTACKS.items():
        delta = np.broadcast_to(attack(masked, x, y, attack.ball.within(0, 1)), x.shape)
        assert np.isfinite(delta).all(), name
        assert (labels_of(masked.logits(x + delta)) != y).all(), name
