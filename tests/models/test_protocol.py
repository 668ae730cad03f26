"""Laws of what attacks use of a model: labels from logits, loss and gradient from a pullback."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import jacobian, labels_of, loss_and_gradient, predict

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


class Softmax:
    """z = x W, with K logits."""

    loss = cross_entropy

    def __init__(self, w):
        self.params = {"w": w}

    def logits(self, x):
        return x @ self.params["w"]

    def vjp_x(self, x):
        return self.logits(x), lambda dz: dz @ self.params["w"].T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_label_of_one_logit_is_its_sign_and_plus_one_on_the_boundary(dtype):
    """label(z) = sign(z), label(0) = label(-0) = +1, an integer"""
    found = labels_of(np.array([3, -2, 0, -0.0, 1e-38, -1e-38], dtype))
    np.testing.assert_array_equal(found, [1, -1, 1, 1, 1, -1])
    assert found.dtype.kind == "i"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_label_of_k_logits_is_the_largest_and_the_first_of_equals(dtype):
    """label(z) = argmax_k z_k"""
    found = labels_of(np.array([[-3, -1, -2], [2, 2, 1], [0, 0, 5], [7, 0, 0]], dtype))
    np.testing.assert_array_equal(found, [1, 0, 2, 0])
    assert found.dtype.kind == "i"


@few
@given(seeds)
def test_predict_is_the_label_of_the_logits(seed):
    """predict(model, x)_i is the sign of theta.x_i + theta0, or the class with the largest logit"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, 3))
    theta, w = rng.normal(size=3), rng.normal(size=(3, 4))
    np.testing.assert_array_equal(
        predict(LogisticRegression(theta, 0.5), x), [1 if theta @ row + 0.5 > 0 else -1 for row in x]
    )
    np.testing.assert_array_equal(predict(Softmax(w), x), [max(range(4), key=lambda k: row @ w[:, k]) for row in x])


@few
@given(seeds, st.sampled_from([np.float32, np.float64]))
def test_loss_and_gradient_of_a_linear_model(seed, dtype):
    """nabla_x L(y, z) = L'(z) theta, example by example and not divided by N"""
    rng = np.random.default_rng(seed)
    x, theta, y = rng.normal(size=(6, 3)).astype(dtype), rng.normal(size=3).astype(dtype), rng.choice([-1, 1], 6)
    model = LogisticRegression(theta, 0.25)
    for loss in (logistic, margin):
        value, g = loss_and_gradient(model, loss, x, y)
        assert value.dtype == g.dtype == dtype
        z = x @ theta + dtype(0.25)
        np.testing.assert_allclose(value, loss.value(z, y), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(g, np.outer(loss.grad(z, y), theta), rtol=1e-5, atol=1e-6)


@few
@given(seeds)
def test_loss_and_gradient_agree_with_central_differences(seed):
    """nabla_x L(y, f(x))_j = (L(x + h e_j) - L(x - h e_j)) / 2h, for the given loss"""
    rng = np.random.default_rng(seed)
    model, x, y, h = Softmax(rng.normal(size=(3, 4))), rng.normal(size=(5, 3)), rng.integers(0, 4, 5), 1e-5
    value, g = loss_and_gradient(model, cross_entropy, x, y)
    np.testing.assert_allclose(value, cross_entropy.value(model.logits(x), y))
    for j in range(3):
        step = h * (np.arange(3) == j)
        up, down = (cross_entropy.value(model.logits(x + side), y) for side in (step, -step))
        np.testing.assert_allclose(g[:, j], (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


def test_the_jacobian_of_a_linear_model_is_its_weights():
    """z = x W: J = Wᵀ for every example; one logit: θ"""
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    z, j = jacobian(Softmax(w), x)
    np.testing.assert_array_equal(z, x @ w, strict=True)
    np.testing.assert_array_equal(j, np.broadcast_to(w.T, (5, 3, 4)), strict=True)
    theta = rng.normal(size=(2, 2))
    z, j = jacobian(LogisticRegression(theta, 0.5), rng.normal(size=(3, 2, 2)))
    assert z.shape == (3,)
    np.testing.assert_allclose(j, np.broadcast_to(theta, (3, 1, 2, 2)), rtol=1e-12)
