"""Laws of DeepFool."""

import numpy as np
import pytest

from scratchadv.attacks.constrained.deepfool import deepfool
from scratchadv.models import MLP, LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import jacobian, predict
from scratchadv.sets import L1, L2, Linf


@pytest.fixture
def linear():
    """Softmax regression with five classes, and 40 examples that it classifies correctly."""
    rng = np.random.default_rng(0)
    model = SoftmaxRegression(12, 5, rng=rng, dtype=np.float64)
    x = rng.random((40, 12))
    return model, x, predict(model, x)


@pytest.mark.parametrize("norm", [L2, Linf])
@pytest.mark.parametrize("overshoot", [0.02, 0.5])
def test_without_a_box_the_distance_is_exact_on_linear_models(norm, overshoot, linear):
    """‖δ‖ = (1 + overshoot) min_k |z_k − z_y| / ‖w_k − w_y‖_*, after one step (DeepFool, equations 6 and 11)"""
    model, x, y = linear
    z, w = jacobian(model, x)
    rows = np.arange(len(x))
    gaps, differences = z - z[rows, y][:, None], w - w[rows, y][:, None]
    dual = np.linalg.norm(differences, axis=2, ord=2 if norm is L2 else 1)
    dual[rows, y], gaps[rows, y] = 1, np.inf
    delta = deepfool(model, x, y, norm=norm, box=None, steps=1, overshoot=overshoot)
    np.testing.assert_allclose(norm.norm(delta), (1 + overshoot) * (abs(gaps) / dual).min(axis=1))
    assert (predict(model, x + delta) != y).all()


@pytest.mark.parametrize("norm", [L2, Linf])
def test_a_binary_model_has_the_closed_form(norm):
    """δ = −(1 + overshoot) z θ / ‖θ‖², or with sign(θ) / ‖θ‖₁ for ℓ∞ (algorithm 1)"""
    rng = np.random.default_rng(1)
    theta, x = rng.standard_normal((2, 3)), rng.random((20, 2, 3))
    model = LogisticRegression(theta, 0.1)
    z, y = model.logits(x), predict(model, x)
    direction = theta / (theta**2).sum() if norm is L2 else np.sign(theta) / abs(theta).sum()
    expected = -1.02 * z[:, None, None] * direction
    np.testing.assert_allclose(deepfool(model, x, y, norm=norm, box=None), expected, rtol=1e-9)


def test_the_step_by_hand():
    """z = 3 x₁ + 4 x₂ − 2 at (1, 1): ℓ2 distance 5 / 5 = 1 along (0.6, 0.8); with 10 % overshoot (−0.66, −0.88)"""
    model = LogisticRegression(np.array([3.0, 4.0]), -2.0)
    x, y = np.ones((1, 2)), np.array([1])
    np.testing.assert_allclose(deepfool(model, x, y, overshoot=0.1), [[-0.66, -0.88]])


@pytest.mark.parametrize("norm", [L2, Linf])
def test_in_a_box_a_binary_linear_model_loses_only_the_overshoot(norm):
    """The ball of radius ‖δ‖ / 1.021, in the box, does not reach the boundary: max <w, v> − y z < 0"""
    rng = np.random.default_rng(2)
    model = LogisticRegression(rng.standard_normal(20), 0.05)
    x = np.clip(rng.normal(0.5, 0.6, (60, 20)), 0, 1)  # many pixels at the ends
    y = predict(model, x)
    delta = deepfool(model, x, y, norm=norm)
    fooled = predict(model, x + delta) != y
    assert fooled.mean() > 0.9
    z, pull = model.vjp_x(x)
    for i in np.flatnonzero(fooled):
        threat = norm(float(norm.norm(delta)[i]) / 1.021).within(0, 1).at(x[i : i + 1])
        assert threat.support(pull(-y.astype(float))[i : i + 1])[0] < y[i] * z[i]


def test_fewer_candidates_are_the_likeliest_classes(linear):
    """candidates=2: only the second largest logit is a rival, and δ is no shorter"""
    model, x, y = linear
    two, all_five = (deepfool(model, x, y, box=None, candidates=n) for n in (2, 5))
    second = model.logits(x).argsort(axis=1)[:, -2]
    z, w = jacobian(model, x)
    rows = np.arange(len(x))
    gap, difference = z[rows, second] - z[rows, y], w[rows, second] - w[rows, y]
    np.testing.assert_allclose(two, 1.02 * -(gap / (difference**2).sum(axis=1))[:, None] * difference)
    assert (L2.norm(two) >= L2.norm(all_five) - 1e-12).all()


def test_more_steps_fool_no_fewer():
    """Examples that n steps have fooled are left as they are by n + 1 steps"""
    rng = np.random.default_rng(3)
    model = MLP((8, 16, 4), "tanh", rng=rng, dtype=np.float64)
    model.params = {name: 4 * value for name, value in model.params.items()}
    x = rng.random((50, 8))
    y = predict(model, x)
    found = [deepfool(model, x, y, steps=n) for n in (1, 2, 3, 30)]
    fooled = [predict(model, x + delta) != y for delta in found]
    assert fooled[0].mean() < fooled[3].mean()
    for n in range(3):
        np.testing.assert_array_equal(found[n + 1][fooled[n]], found[n][fooled[n]])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"candidates": 1}, ValueError, "candidates = 1 must be >= 2"),
        ({"overshoot": -0.1}, ValueError, r"overshoot = -0\.1 must be finite and >= 0"),
        ({"norm": L1}, ValueError, r"norm = <class .*L1'>; L2 or Linf was expected"),
    ],
)
def test_bad_options_are_refused(change, error, message, linear):
    """The message names the value and what was expected"""
    with pytest.raises(error, match=message):
        deepfool(*linear, **change)
