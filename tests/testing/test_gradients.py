"""Laws of ``check_gradients``: correct gradients pass, every planted error is found and named, kinks are not errors."""

import inspect
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from scratchadv import layers, losses
from scratchadv.engine import ops
from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Tanh
from scratchadv.losses import (
    Targeted,
    cross_entropy,
    dlr,
    logistic,
    logit_difference,
    margin,
    target_margin,
    target_minus_rest,
    targeted_dlr,
)
from scratchadv.models import LogisticRegression, Network, SoftmaxRegression
from scratchadv.testing import check_gradients
from scratchadv.testing.gradients import LAYERS, LOSSES

RNG = np.random.default_rng(0)
X, IMAGES, Y = RNG.normal(size=(4, 5)), RNG.normal(size=(2, 6, 7, 3)), np.array([0, 2, 1, 2])
CNN = [Conv(4), ReLU(), MaxPool(), Flatten(), Dense(3)]


def network(chain, x, seed=0):
    return Network(chain, x.shape[1:], np.random.default_rng(seed), np.float64)


def name(thing):
    """Return what a test's name shows."""
    return str(thing.shape) if isinstance(thing, np.ndarray) else type(thing).__name__


# Correct gradients pass.

RIGHT_LAYERS = [
    (Dense(3), X),
    *[
        (layer, IMAGES)
        for layer in (Conv(4), Conv(9, 2, 2, 0), Conv(2, 3, 4, 2), ReLU(), Tanh(), Flatten(), Dropout(0.5))
    ],
    *[(layer, IMAGES) for layer in (MaxPool(), MaxPool(3, 2), MaxPool(2, 3), AveragePool(), AveragePool(3, 2))],
]


@pytest.mark.parametrize(("layer", "x"), RIGHT_LAYERS, ids=name)
def test_the_layers_of_the_library_pass(layer, x):
    """By hand = engine = differences, and nothing is skipped"""
    seen = check_gradients(layer, x)
    assert seen.compared >= 11
    assert seen.skipped == 0
    assert seen.error <= 1e-6


BINARY = RNG.choice([-1, 1], 4)
PAIRS, BINARY_PAIRS = np.stack([Y, (Y + 1) % 5], axis=1), np.stack([BINARY, -BINARY], axis=1)
RIGHT_LOSSES = [
    (cross_entropy, X, Y),
    (margin, X, Y),
    (dlr, X, Y),
    *[(Targeted(loss), X, PAIRS) for loss in (cross_entropy, margin)],
    *[(loss, X, PAIRS) for loss in (targeted_dlr, logit_difference, target_minus_rest, target_margin)],
    (logistic, X[:, 0], BINARY),
    (margin, X[:, 0], BINARY),
    (Targeted(logistic), X[:, 0], BINARY_PAIRS),
    *[(loss, X[:, 0], BINARY_PAIRS) for loss in (logit_difference, target_minus_rest, target_margin)],
]


def test_the_engine_knows_all_losses():
    """The table of maps of tensors is complete, and so is the list above"""
    found = {
        c for n, c in inspect.getmembers(losses, inspect.isclass) if c.__module__ == losses.__name__ and n[0] != "_"
    }
    assert set(LOSSES) == found - {losses.Loss} == {type(loss) for loss, _, _ in RIGHT_LOSSES}


@pytest.mark.parametrize(("loss", "z", "y"), RIGHT_LOSSES, ids=name)
def test_the_losses_of_the_library_pass(loss, z, y):
    """The same for the derivative in z"""
    assert check_gradients(loss, z, y).skipped == 0


RIGHT_MODELS = [
    (network(CNN, IMAGES), IMAGES, Y[:2]),
    (SoftmaxRegression(5, 3), X, Y),
    (LogisticRegression(X[0], 0.5), X, BINARY),
]


@pytest.mark.parametrize(("model", "x", "y"), RIGHT_MODELS, ids=name)
def test_the_models_of_the_library_pass(model, x, y):
    """The same in x and in all parameters; float32 parameters are checked in float64"""
    assert check_gradients(model, x.astype(np.float32), y).error <= 1e-6
    assert check_gradients(model, x, y, loss=margin).error <= 1e-6
    assert check_gradients(model, x).compared < check_gradients(model, x, y).compared


def test_a_function_of_tensors_can_be_given():
    """reference(params, x), or reference(z, y) for a loss, replaces the known map, or supplies one"""

    class Square(layers.Layer):
        def forward(self, params, x):
            return x * x, x

        def input_gradient(self, params, x, dz):
            return 2 * x * dz

    class Squares:
        def value(self, z, y):
            return ((z - y) ** 2).sum(axis=1)

        def grad(self, z, y):
            return 2 * (z - y)

    for reference in (None, lambda params, x: x**2):
        assert check_gradients(Square(), X, reference=reference).error < 1e-6
    for reference in (None, lambda z, y: ((z - y) ** 2).sum(axis=1)):
        assert check_gradients(Squares(), X, X[::-1], reference=reference).error < 1e-6
    with pytest.raises(AssertionError, match=r"Square: z by the reference at \[0, 0\] is .*, by hand "):
        check_gradients(Square(), X, reference=lambda params, x: x**3)
    with pytest.raises(AssertionError, match=r"Square: z by the reference has shape \(4,\), by hand \(4, 5\)"):
        check_gradients(Square(), X, reference=lambda params, x: (x**2).sum(axis=1))


# Planted errors are found.


class WrongSign(Dense):
    def input_gradient(self, params, x, dz):
        return -super().input_gradient(params, x, dz)


class MissingBias(Dense):
    def parameter_gradient(self, params, x, dz):
        return super().parameter_gradient(params, x, dz) | {"bias": np.zeros(self.features)}


class MeanBias(Dense):
    def parameter_gradient(self, params, x, dz):
        return super().parameter_gradient(params, x, dz) | {"bias": dz.mean(axis=0)}


class TransposedKernel(Conv):
    def input_gradient(self, params, x, dz):
        return super().input_gradient(params | {"weight": params["weight"].swapaxes(0, 1)}, x, dz)


class TransposedKernelGradient(Conv):
    def parameter_gradient(self, params, x, dz):
        g = super().parameter_gradient(params, x, dz)
        return g | {"weight": g["weight"].swapaxes(0, 1)}


class ForgottenMask(ReLU):
    def input_gradient(self, params, y, dy):
        return dy


class ForgottenSquare(Tanh):
    def input_gradient(self, params, y, dy):
        return (1 - y) * dy


class ForgottenShare(AveragePool):
    def input_gradient(self, params, shape, dz):
        return super().input_gradient(params, shape, dz) * self.size**2


class OneEntry(Dense):
    def parameter_gradient(self, params, x, dz):
        g = super().parameter_gradient(params, x, dz)
        g["weight"][3, 61] *= 1.01
        return g


PLANTED = [
    (WrongSign(3), X, "x at"),
    (MissingBias(3), X, r"params\['bias'\] at"),
    (MeanBias(3), X, r"params\['bias'\] at"),
    (TransposedKernel(4), IMAGES, "x at"),
    (TransposedKernelGradient(4), IMAGES, r"params\['weight'\] at"),
    (ForgottenMask(), X, "x at"),
    (ForgottenSquare(), X, "x at"),
    (ForgottenShare(), IMAGES, "x at"),
    (OneEntry(70), X, r"params\['weight'\] at \[3, 61\]"),
]


@pytest.mark.parametrize("known", [True, False], ids=["three ways", "two ways"])
@pytest.mark.parametrize(("layer", "x", "where"), PLANTED, ids=name)
def test_planted_errors_in_layers_are_found(layer, x, where, known):
    """The message names the layer, the array, the index and all numbers, with and without the engine"""
    reference = None
    if known:
        parent = type(layer).__bases__[0]
        reference = partial(LAYERS[parent], parent(**vars(layer)))
    number = r"-?[0-9.e+-]+"
    engine = f"{number} by the engine, " if known else ""
    sentence = (
        f"^{type(layer).__name__}: the gradient in {where}.* is {number} by hand, {engine}"
        rf"{number} by central differences: relative error {number}, over 1e-06$"
    )
    with pytest.raises(AssertionError, match=sentence):
        check_gradients(layer, x, reference=reference)


class WrongLoss(losses.CrossEntropy):
    def grad(self, z, y):
        g = super().grad(z, y)
        g[np.arange(len(y)), y] += 1  # the one-hot was forgotten
        return g


def test_planted_errors_in_losses_are_found():
    """In a loss itself, and in the loss of a model"""
    with pytest.raises(AssertionError, match=r"WrongLoss: the gradient in z at \[\d, \d\] is"):
        check_gradients(WrongLoss(), X, Y)
    with pytest.raises(AssertionError, match=r"WrongLoss: the gradient in z at \[\d, \d\] is"):
        check_gradients(network([Dense(3)], X), X, Y, loss=WrongLoss())


def spoiled(chain, x, **methods):
    """A network with some methods replaced."""
    model = network(chain, x)
    model.__class__ = type("Spoiled", (Network,), methods)
    return model


def test_a_shift_of_all_classes_is_seen():
    """An error in the bias that is the same for all classes is invisible to cross-entropy, but not to the check"""

    def vjp_theta(self, x):
        z, pull = Network.vjp_theta(self, x)
        return z, lambda dz: pull(dz) | {"0.bias": pull(dz)["0.bias"] + dz.sum()}

    with pytest.raises(AssertionError, match=r"Spoiled: the gradient in params\['0.bias'\] at \[\d\]"):
        check_gradients(spoiled([Dense(3)], X, vjp_theta=vjp_theta), X, Y)


def _dz_in_place(self, x):
    z, pull = Network.vjp_x(self, x)

    def spoiling(dz):
        g = pull(dz)
        dz *= 0
        return g

    return z, spoiling


def _x_in_place(self, x):
    z, pull = Network.vjp_x(self, x)
    x *= 2
    return z, pull


def _adds_up(self, x):
    z, pull = Network.vjp_x(self, x)
    kept = self.__dict__.setdefault("kept", [np.zeros_like(x)])

    def adding(dz):
        kept[0] = kept[0] + pull(dz)
        return kept[0]

    return z, adding


def _flat(self, x):
    z, pull = Network.vjp_x(self, x)
    return z, lambda dz: pull(dz).ravel()


def _nan(self, x):
    z, pull = Network.vjp_x(self, x)
    return z, lambda dz: np.where(np.arange(5) == 3, np.nan, pull(dz))


def _other_z(self, x):
    z, pull = Network.vjp_x(self, x)
    return 2 * z, pull


PROTOCOL = [
    (_dz_in_place, "Spoiled: dz is changed in place"),
    (_x_in_place, "Spoiled: x is changed in place by vjp_x"),
    (_adds_up, "Spoiled: the gradient in x differs when the pullback is called again"),
    (_flat, r"Spoiled: the gradient in x has shape \(20,\); \(4, 5\) was expected"),
    (_nan, r"Spoiled: the gradient in x at \[0, 3\] is nan by hand"),
    (_other_z, r"Spoiled: z by vjp_x at \[0, 0\] is .*, by logits "),
]


@pytest.mark.parametrize(("vjp_x", "message"), PROTOCOL, ids=[f.__name__ for f, _ in PROTOCOL])
def test_what_breaks_the_protocol_is_found(vjp_x, message):
    """Nothing changes in place, pullbacks repeat, shapes agree, there is no NaN, and z is the same everywhere"""
    with pytest.raises(AssertionError, match=message):
        check_gradients(spoiled([Dense(3)], X, vjp_x=vjp_x), X)


def test_a_missing_gradient_is_found():
    """vjp_theta returns exactly the names of params"""

    def vjp_theta(self, x):
        z, pull = Network.vjp_theta(self, x)
        return z, lambda dz: {"0.weight": pull(dz)["0.weight"]}

    with pytest.raises(AssertionError, match=r"gradients in \['0.weight'\]; in \['0.bias', '0.weight'\] were expected"):
        check_gradients(spoiled([Dense(3)], X, vjp_theta=vjp_theta), X)


# Kinks


def test_kinks_are_skipped_and_counted():
    """max(x, 0) at 0 has no derivative; elsewhere it is compared, and errors are still found"""
    x = X.copy()
    x[:2] = 0
    seen = check_gradients(ReLU(), x, samples=20)
    assert seen.skipped == 10 + 7  # the zeros, and all directions
    assert seen.compared == 10
    with pytest.raises(AssertionError, match=r"x at \[[23], \d\]"):
        check_gradients(ForgottenMask(), x, samples=20)


def test_at_a_kink_any_subgradient_will_do():
    """The gradient by hand and the engine's may choose different subgradients: this is no error"""

    class Generous(ReLU):
        def forward(self, params, z):
            return np.maximum(z, 0), z

        def input_gradient(self, params, z, dy):
            return dy * (z >= 0)

    x = X.copy()
    x[0] = 0
    assert check_gradients(Generous(), x, reference=lambda params, x: ops.relu(x)).skipped >= 5


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4, 1e-5])
def test_near_a_kink_the_step_is_shortened(distance):
    """For x at any distance from the kink, a step that does not cross it is chosen, and the comparison is right"""
    x = distance * np.sign(X) * (1 + np.arange(5) / 7)
    assert check_gradients(ReLU(), x).skipped == 0


def test_where_all_is_kink_the_check_says_so():
    """A check that compares nothing does not pass"""
    with pytest.raises(AssertionError, match="ReLU: f has kinks in all 11 directions of x; choose another x"):
        check_gradients(ReLU(), np.zeros((4, 5)))


def test_functions_with_a_narrow_domain_and_large_entries():
    """log x at x = 0.001, x W at x = 1e4: steps that leave the domain are shortened, and long steps are taken"""

    class Log(layers.Layer):
        def forward(self, params, x):
            return np.log(x), x

        def input_gradient(self, params, x, dz):
            return dz / x

    assert check_gradients(Log(), np.full((2, 3), 1e-3)).skipped == 0
    assert check_gradients(Dense(3), 1e4 * X).skipped == 0


# Conventions


def test_nothing_is_changed_and_the_seed_decides():
    """x, y and the model are not changed; the same rng gives the same result"""
    model = network(CNN, IMAGES)
    before = {name: value.copy() for name, value in model.params.items()} | {"x": IMAGES.copy()}
    first, second = (check_gradients(model, IMAGES, Y[:2], rng=np.random.default_rng(5)) for _ in range(2))
    assert first == second
    for name, value in (model.params | {"x": IMAGES}).items():
        np.testing.assert_array_equal(value, before[name])


def test_what_is_neither_model_nor_layer_nor_loss_is_refused():
    """The message names the type and what was expected"""
    with pytest.raises(TypeError, match="a model, a layer or a loss was expected, not 3"):
        check_gradients(3, X)
    with pytest.raises(TypeError, match="CrossEntropy is a loss, so labels y were expected"):
        check_gradients(cross_entropy, X)


def test_it_needs_no_hypothesis():
    """import scratchadv.testing does not import hypothesis"""
    code = "import sys, scratchadv.testing; print('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
