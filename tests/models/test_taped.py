"""Laws of taped models: equal to a model by hand, follow the protocol, can be attacked without any derivation."""

import numpy as np
import pytest

from scratchadv.attacks import exact, fgsm, pgd
from scratchadv.engine import ops
from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import MLP, LogisticRegression, Taped
from scratchadv.parallel import limit
from scratchadv.sets import L2, Linf
from scratchadv.testing import check_gradients

RNG = np.random.default_rng(0)
X, Y = RNG.random((5, 6)), np.array([0, 2, 1, 1, 0])


def hidden(params, x):
    """The same as MLP((6, 4, 3))."""
    x = ops.relu(x.reshape(len(x), -1) @ params["1.weight"] + params["1.bias"])
    return x @ params["3.weight"] + params["3.bias"]


def pair(dtype=np.float64):
    model = MLP((6, 4, 3), dtype=dtype)
    return model, Taped(hidden, model.params)


def cleaned(params, x):
    """A network behind an autoencoder: x first passes through two numbers."""
    return hidden(params, ops.sigmoid(ops.tanh(x @ params["encode"]) @ params["decode"]))


CLEANED = MLP((6, 4, 3), dtype=np.float64).params
CLEANED = CLEANED | {"encode": RNG.normal(size=(6, 2)), "decode": RNG.normal(size=(2, 6))}


def test_a_taped_model_is_the_model_by_hand():
    """z, the gradient in x and the gradient in θ agree with the model that was derived on paper"""
    model, taped = pair()
    dz = RNG.normal(size=(5, 3))
    np.testing.assert_allclose(taped.logits(X), model.logits(X), atol=1e-14)
    for method in ("vjp_x", "vjp_theta"):
        (z, pull), (z_hand, pull_hand) = getattr(taped, method)(X), getattr(model, method)(X)
        np.testing.assert_allclose(z, z_hand, atol=1e-14)
        g, g_hand = pull(dz), pull_hand(dz)
        if method == "vjp_x":
            g, g_hand = {"x": g}, {"x": g_hand}
        assert set(g) == set(g_hand)
        for name in g:
            np.testing.assert_allclose(g[name], g_hand[name], atol=1e-14)


@pytest.mark.parametrize("f", [hidden, cleaned])
def test_gradients_three_ways(f):
    """By the model = by the engine = by central differences, to 1e-6"""
    assert check_gradients(Taped(f, CLEANED), X, Y).error <= 1e-6


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_attacks_do_not_see_the_difference(attack):
    """The same δ on the model by hand and on the taped one, up to rounding"""
    model, taped = pair()
    for threat in (Linf(0.1), L2(0.3).within(0, 1)):
        np.testing.assert_allclose(attack(taped, X, Y, threat), attack(model, X, Y, threat), atol=1e-9)


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.2)], ids=str)
def test_a_binary_linear_function_is_attacked_exactly(threat):
    """f(x) = θᵀx with the logistic loss: PGD reaches the exact attack of LogisticRegression"""
    binary, y = LogisticRegression(RNG.normal(size=6), 0.3), np.where(Y > 0, 1, -1)
    taped = Taped(lambda params, x: x @ params["theta"] + params["theta0"], binary.params, loss=logistic)
    delta = pgd(taped, X, y, threat)
    np.testing.assert_allclose(
        logistic.value(binary.logits(X + delta), y),
        logistic.value(binary.logits(X + exact(binary, X, y, threat)), y),
        atol=1e-9,
    )


def test_an_attack_sees_through_an_autoencoder():
    """PGD on the whole does more harm than PGD on the network alone, which ignores the autoencoder"""
    whole, behind = Taped(cleaned, CLEANED), MLP((6, 4, 3), dtype=np.float64)
    y = whole.logits(X).argmax(axis=1)
    threat = Linf(0.3).within(0, 1)
    seen, unseen = (
        cross_entropy.value(whole.logits(X + pgd(model, X, y, threat)), y).mean() for model in (whole, behind)
    )
    assert seen > unseen


@pytest.mark.parametrize("x_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes(dtype, x_dtype):
    """Logits and gradients in x have the dtype of x, gradients in the parameters that of the parameters"""
    _, taped = pair(dtype)
    x = X.astype(x_dtype)
    (z, pull_x), (_, pull_theta) = taped.vjp_x(x), taped.vjp_theta(x)
    assert {z.dtype, taped.logits(x).dtype, pull_x(z).dtype} == {np.dtype(x_dtype)}
    assert {name: (g.shape, g.dtype) for name, g in pull_theta(z).items()} == {
        name: (p.shape, p.dtype) for name, p in taped.params.items()
    }


def test_nothing_is_changed_in_place_by_a_function_that_would():
    """f may use x += θ: for tensors this changes nothing in place; pullbacks repeat"""

    def careless(params, x):
        x += params["shift"]
        x *= 2
        return x

    shift = np.arange(6.0)
    taped, x = Taped(careless, {"shift": shift}), X.copy()
    np.testing.assert_array_equal(taped.logits(x), 2 * (X + shift))
    (_, pull_x), (_, pull_theta) = taped.vjp_x(x), taped.vjp_theta(x)
    for _ in range(2):
        np.testing.assert_array_equal(pull_x(X), 2 * X)
        np.testing.assert_allclose(pull_theta(X)["shift"], 2 * X.sum(axis=0))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(shift, np.arange(6.0))


def test_parameters_that_are_not_used_get_zero():
    """∂z/∂θ = 0, an array like θ; a function without parameters has no gradients in them"""
    taped = Taped(lambda params, x: x * params["used"], {"used": np.ones(6), "not used": np.ones((2, 3))})
    np.testing.assert_array_equal(taped.vjp_theta(X)[1](X)["not used"], np.zeros((2, 3)))
    z, pull = Taped(lambda params, x: x * x, {}).vjp_theta(X)
    np.testing.assert_array_equal(z, X * X)
    assert pull(X) == {}


def test_the_default_loss_and_another_one():
    """cross_entropy, unless another loss is given"""
    assert Taped(hidden, {}).loss is cross_entropy
    assert Taped(hidden, {}, loss=margin).loss is margin


def test_shapes_are_refused():
    """x of another shape than the given one is refused, and so is f if it does not return one row per example"""
    _, taped = pair()
    shaped = Taped(hidden, taped.params, (6,))
    for call in ("logits", "vjp_x", "vjp_theta"):
        with pytest.raises(ValueError, match=r"x has shape \(5, 2, 3\); examples of shape \(6,\) were expected"):
            getattr(shaped, call)(X.reshape(5, 2, 3))
        with pytest.raises(ValueError, match=r"f returns shape \(\) for 5 examples; one row for each example"):
            getattr(Taped(lambda params, x: (x @ params["w"]).sum(), {"w": np.ones((6, 2))}), call)(X)
        with pytest.raises(ValueError, match="f returns None for 5 examples; one row for each example was expected"):
            getattr(Taped(lambda params, x: None, {"w": np.ones(6)}), call)(X)
    np.testing.assert_array_equal(taped.logits(X.reshape(5, 2, 3)), taped.logits(X))  # f cannot tell the difference


def test_activations_count_what_stands_on_the_tape():
    """One example: x W, + b, max and 0, V, + c; without a shape the activations are not known"""
    _, taped = pair()
    assert taped.activations == 0
    model = Taped(lambda params, x: ops.relu(x @ params["1.weight"] + params["1.bias"]), taped.params, (6,))
    assert model.activations == 3 * 4
    x = RNG.random((40, 6))
    y = RNG.integers(0, 3, 40)
    whole = pgd(taped, x, y, Linf(0.1), steps=3)
    with limit(threads=2, chunk=3):
        np.testing.assert_allclose(pgd(Taped(hidden, taped.params, (6,)), x, y, Linf(0.1), steps=3), whole, atol=1e-12)
