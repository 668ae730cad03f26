"""Laws of the layers: gradients computed in three ways, worked examples, initial parameters, and purity."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Tanh
from scratchadv.testing import check_gradients

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
ON_IMAGES = [
    *(Conv(5), Conv(16), Conv(2, 1, 1, 0), Conv(3, 2, 2, 0), Conv(4, 5, 3, 2), Conv(1, 2, 3, 1)),
    *(MaxPool(), MaxPool(3, 2), MaxPool(2, 3), MaxPool(1), AveragePool(), AveragePool(3, 1), AveragePool(2, 3)),
    *(ReLU(), Tanh(), Flatten(), Dropout(0.3)),
]
ON_ROWS = [Dense(1), Dense(4), ReLU(), Tanh(), Flatten(), Dropout(0.3)]


def name(layer):
    return repr(layer) if hasattr(layer, "__dataclass_fields__") else type(layer).__name__


@few
@given(st.sampled_from(ON_ROWS), seeds)
def test_gradients_of_layers_on_rows_three_ways(layer, seed):
    """By hand = engine = central differences, to 1e-6"""
    x = np.random.default_rng(seed).normal(size=(3, 5))
    assert check_gradients(layer, x, samples=4, rng=np.random.default_rng(seed)).error <= 1e-6


@pytest.mark.parametrize("channels", [1, 3, 8, 16])
@pytest.mark.parametrize("layer", ON_IMAGES, ids=name)
def test_gradients_of_layers_on_images_three_ways(layer, channels):
    """By hand = engine = central differences, to 1e-6, on both sides of every switch in the kernels"""
    for seed, size in enumerate([(6, 6), (7, 5)]):
        x = np.random.default_rng(seed).normal(size=(2, *size, channels))
        assert check_gradients(layer, x, samples=4).error <= 1e-6


# Worked examples


def images(rows):
    return np.array(rows, float)[None, :, :, None]


def test_dense_golden():
    """z = x W + b; dx = dz Wᵀ, dW = xᵀ dz, db = Σ dz"""
    params = {"weight": np.array([[1.0, 2], [3, 4]]), "bias": np.array([10.0, 20])}
    z, saved = Dense(2).forward(params, np.array([[1.0, 1], [0, 2]]))
    np.testing.assert_array_equal(z, [[14, 26], [16, 28]])
    dz = np.array([[1.0, 0], [0, 1]])
    np.testing.assert_array_equal(Dense(2).input_gradient(params, saved, dz), [[1, 3], [2, 4]])
    g = Dense(2).parameter_gradient(params, saved, dz)
    np.testing.assert_array_equal(g["weight"], [[1, 0], [1, 2]])
    np.testing.assert_array_equal(g["bias"], [1, 1])


def test_conv_golden():
    """A kernel that sees one pixel to the left moves x to the right, fills in a zero, and moves dz back"""
    weight = np.zeros((3, 3, 1, 1))
    weight[1, 0] = 2
    params = {"weight": weight, "bias": np.array([0.5])}
    z, saved = Conv(1).forward(params, images([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(z, images([[0.5, 2.5], [0.5, 6.5]]))
    dz = images([[1, 10], [100, 1000]])
    np.testing.assert_array_equal(Conv(1).input_gradient(params, saved, dz), images([[20, 0], [2000, 0]]))
    g = Conv(1).parameter_gradient(params, saved, dz)
    assert g["bias"].item() == 1111
    assert g["weight"][1, 0].item() == 1 * 10 + 3 * 1000
    assert g["weight"][1, 1].item() == 4321


def test_relu_golden():
    """The output is max(z, 0), and no gradient passes where z <= 0"""
    z = np.array([[-1.0, 0, 2]])
    y, saved = ReLU().forward({}, z)
    assert y is z
    np.testing.assert_array_equal(y, [[0, 0, 2]])
    np.testing.assert_array_equal(ReLU().input_gradient({}, saved, np.full((1, 3), 5.0)), [[0, 0, 5]])


def test_tanh_golden():
    """tanh(atanh 0.6) = 0.6 with slope 1 − 0.36; z and dz do not change"""
    z, dy = np.array([[0.0, math.atanh(0.6)]]), np.array([[1.0, 1.0]])
    before = z.copy()
    y, saved = Tanh().forward({}, z)
    np.testing.assert_allclose(y, [[0, 0.6]])
    np.testing.assert_allclose(Tanh().input_gradient({}, saved, dy), [[1, 0.64]])
    np.testing.assert_array_equal(z, before)
    np.testing.assert_array_equal(dy, 1)


def test_flatten_golden():
    """The rows of an image one after the other, and back"""
    x = np.arange(12.0).reshape(2, 3, 2, 1)
    z, saved = Flatten().forward({}, x)
    np.testing.assert_array_equal(z, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
    np.testing.assert_array_equal(Flatten().input_gradient({}, saved, z), x)


@pytest.mark.parametrize(("layer", "dx"), [(MaxPool(), [[0, 0], [0, 8]]), (AveragePool(), [[2, 2], [2, 2]])], ids=name)
def test_pooling_golden(layer, dx):
    """In a single window the largest entry gets 8, or each of four entries gets 2"""
    z, saved = layer.forward({}, images([[1, 2], [3, 6]]))
    assert z.item() == (6 if isinstance(layer, MaxPool) else 3)
    np.testing.assert_array_equal(layer.input_gradient({}, saved, images([[8]])), images(dx))


# Dropout


def drawn(n, seed=7):
    """A function that returns the same numbers below 65536 for n examples every time."""
    return lambda m: np.random.default_rng(seed).integers(65536, size=(n, m), dtype=np.uint16)


def test_dropout_without_random_numbers_is_nothing():
    """Without random numbers z is x, the same array, and dx = dz"""
    x = np.ones((2, 3))
    z, saved = Dropout(0.9).forward({}, x)
    assert z is x
    assert Dropout(0.9).input_gradient({}, saved, x) is x


def test_dropout_with_random_numbers_scales_what_it_keeps():
    """z = x / (1 − rate) where u >= 65536 rate, else 0; the gradient uses the same mask, in all three ways"""
    x = np.random.default_rng(0).normal(size=(3, 4))
    mask = (drawn(3)(4) >= 0.5 * 65536) / 0.5
    assert 0 < (mask == 0).sum() < mask.size
    layer = Dropout(0.5, rng=drawn(3))
    z, saved = layer.forward({}, x)
    np.testing.assert_allclose(z, x * mask)
    np.testing.assert_allclose(layer.input_gradient({}, saved, x), x * mask)
    check_gradients(layer, x, reference=lambda params, x: x * mask)


@few
@given(st.floats(0, 0.9), seeds)
def test_dropout_keeps_the_mean_and_the_dtype(rate, seed):
    """E z = x to 5 standard deviations, Var z = x² rate / (1 − rate); entries are 0 or x / (1 − rate)"""
    x = np.full((200, 50), 3, np.float32)
    z, _ = Dropout(rate, rng=drawn(200, seed)).forward({}, x)
    assert z.dtype == np.float32
    assert ((z == 0) | np.isclose(z, 3 / (1 - rate), rtol=1e-4)).all()
    deviation = 3 * math.sqrt(rate / (1 - rate) / x.size)
    assert abs(z.mean(dtype=float) - 3) <= 5 * deviation + 1e-5


@pytest.mark.parametrize("rate", [0, 1e-9, 0.1, 1 / 3, 0.5, 0.9, 1 - 1e-9])
def test_dropout_keeps_the_mean_exactly(rate):
    """Over all 65536 numbers the mean of z is x and the share of zeros is the rate, to 1/65536; rate 0 drops nothing"""
    x = np.full((1, 65536), 2.0)
    z, _ = Dropout(rate, rng=lambda m: np.arange(m)[None]).forward({}, x)
    assert abs(z.mean() - 2) < 1e-12
    assert abs((z == 0).mean() - rate) <= 1 / 65536
    assert (z == 0).any() == (rate >= 1e-3)


def test_dropout_wants_one_row_of_numbers_an_example():
    """Random numbers for 3 examples are refused for an x of 2"""
    with pytest.raises(ValueError, match="x has 2 examples; 3, one for each seed, were expected"):
        Dropout(0.5, rng=drawn(3)).forward({}, np.ones((2, 4)))


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, math.nan])
def test_a_rate_outside_zero_one_is_refused(rate):
    """A rate outside [0, 1) is refused"""
    with pytest.raises(ValueError, match=rf"rate = {float(rate)} must be "):
        Dropout(rate)


# Initial parameters and promises


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", [*ON_IMAGES, Dense(4)], ids=name)
def test_the_shapes_that_are_promised_are_kept(layer, dtype):
    """initial(shape) returns the output's shape; gradients have the shapes and the dtype of x and of the parameters"""
    shape = (5,) if isinstance(layer, Dense) else (6, 7, 3)
    params, out = layer.initial(shape, np.random.default_rng(0), dtype)
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(dtype)
    before = {key: value.copy() for key, value in params.items()}
    z, saved = layer.forward(params, x.copy())
    assert (z.shape, z.dtype) == ((2, *out), dtype)
    g = layer.parameter_gradient(params, saved, z.copy())
    dx = layer.input_gradient(params, saved, z.copy())
    assert (dx.shape, dx.dtype) == (x.shape, dtype)
    assert {key: (a.shape, a.dtype) for key, a in g.items()} == {key: (a.shape, a.dtype) for key, a in params.items()}
    for key, value in before.items():
        np.testing.assert_array_equal(params[key], value)


@pytest.mark.parametrize(
    ("layer", "shape", "inputs"), [(Dense(50), (100,), 100), (Conv(50, 5), (9, 9, 4), 100)], ids=name
)
def test_parameters_begin_uniform_in_one_over_root_of_the_inputs(layer, shape, inputs):
    """|θ| <= 1/√inputs with mean 0 and variance 1/(3 inputs), to 5 standard deviations; equal seeds give equal θ"""
    params, _ = layer.initial(shape, np.random.default_rng(0), np.float64)
    again, _ = layer.initial(shape, np.random.default_rng(0), np.float64)
    assert set(params) == {"weight", "bias"}
    for key, value in params.items():
        scaled = value * math.sqrt(inputs)
        assert abs(scaled).max() <= 1
        assert abs(scaled.mean()) < 5 * math.sqrt(1 / 3 / scaled.size)
        assert abs((scaled**2).mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / scaled.size)
        np.testing.assert_array_equal(value, again[key])


@pytest.mark.parametrize("layer", [Conv(2, 5, 1, 0), Conv(2, 7, 1, 1), MaxPool(5), AveragePool(5)], ids=name)
def test_a_window_larger_than_the_image_is_refused(layer):
    """Examples of the wrong shape are refused; the error names the layer and the shape"""
    with pytest.raises(ValueError, match=r"leaves nothing of images of shape \(4, 4, 1\)"):
        layer.initial((4, 4, 1), np.random.default_rng(0), np.float32)


@pytest.mark.parametrize("layer", [*ON_IMAGES, Dense(4)], ids=name)
def test_shapes_are_those_of_the_parameters_and_of_the_output(layer):
    """shapes(shape) and initial(shape) agree, and shapes draws no random numbers"""
    shape = (5,) if isinstance(layer, Dense) else (6, 7, 3)
    params, out = layer.initial(shape, np.random.default_rng(0), np.float32)
    assert layer.shapes(shape) == ({key: a.shape for key, a in params.items()}, out)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "features = 0 must be >= 1"),
        (lambda: Dense(2.0), "features must be a whole number, not 2.0"),
        (lambda: Conv(2, 0), "size = 0 must be >= 1"),
        (lambda: Conv(2, stride=0), "stride = 0 must be >= 1"),
        (lambda: Conv(2, padding=-1), "padding = -1 must be >= 0"),
        (lambda: Conv(None), "features must be a whole number, not None"),
        (lambda: MaxPool(0), "size = 0 must be >= 1"),
        (lambda: AveragePool(2, stride=-1), "stride = -1 must be >= 1"),
    ],
)
def test_a_geometry_that_makes_no_sense_is_refused(make, message):
    """A wrong setting is refused when the layer is made, and the error names it"""
    with pytest.raises((ValueError, TypeError), match=message):
        make()
