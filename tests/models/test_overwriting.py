"""Laws of models whose examples, logits or parameters are changed between the forward pass and the pullback."""

import numpy as np
import pytest

from scratchadv.engine import ops
from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Tanh
from scratchadv.models import LogisticRegression, Network, Taped

RNG = np.random.default_rng(0)


def network(layers, shape=(6, 6, 2)):
    return Network(layers, shape, np.random.default_rng(1), np.float64)


def squares(params, x):
    """Logits that use x, every parameter, and a constant that the function keeps."""
    return ops.tanh(x**2 @ params["weight"]) * params["scale"]


MODELS = {
    "dense": network([Flatten(), Dense(4), ReLU(), Dense(3)]),
    "convolution": network([Conv(3), ReLU(), MaxPool(), Conv(9), Tanh(), AveragePool(), Flatten(), Dense(3)]),
    "pooling first": network([MaxPool(), Flatten(), Dense(3)]),
    "tanh first and last": network([Tanh(), Flatten(), Dense(3), Tanh()]),
    "relu last": network([Flatten(), Dense(3), ReLU()]),
    "dropout first": network([Dropout(0.5), Flatten(), Dense(3)]),
    "logistic": LogisticRegression(RNG.normal(size=(6, 6, 2)), 0.5),
    "taped": Taped(squares, {"weight": RNG.normal(size=(2, 3)), "scale": RNG.normal(size=3)}),
}


def gradients(model, method, change):
    """The gradients for a random dz; ``change(model, x, z)`` is called between the forward pass and the pullback."""
    x = np.random.default_rng(2).random((5, 6, 6, 2))
    z, pull = getattr(model, method)(x)
    dz = np.random.default_rng(3).normal(size=z.shape)
    change(model, x, z)
    found = pull(dz)
    return found if isinstance(found, dict) else {"x": found}


def overwrite(model, x, z):
    x[...] = 99
    z[...] = np.nan


def replace(model, x, z):
    model.params = {name: value.astype(np.float32) * np.float32(0) for name, value in model.params.items()}


@pytest.mark.parametrize("change", [overwrite, replace])
@pytest.mark.parametrize("method", ["vjp_x", "vjp_theta"])
@pytest.mark.parametrize("name", MODELS)
def test_the_pullback_is_that_of_the_forward_pass(name, method, change):
    """If x and z are overwritten, or the parameters replaced, the gradients are the same to the last bit"""
    model = MODELS[name]
    before = model.params
    try:
        expected = gradients(model, method, lambda *given: None)
        found = gradients(model, method, change)
    finally:
        model.params = before
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, strict=True)


def test_what_a_taped_function_keeps_for_itself_may_be_overwritten():
    """A mean that f subtracts and scales by, in a buffer that the next call fills again"""
    buffer = np.empty(4)

    def f(params, x):
        buffer[...] = ops.plain(x).mean(axis=0)
        return (x - buffer) * buffer

    model, a, b = Taped(f, {}), RNG.random((3, 4)), RNG.random((3, 4))
    _, pull = model.vjp_x(a)
    model.logits(b)
    np.testing.assert_array_equal(pull(np.ones((3, 4))), np.broadcast_to(a.mean(axis=0), (3, 4)))
