"""Laws of networks: gradients three ways, dtypes, nothing changed in place, refusals, dropout, softmax regression."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Tanh
from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import CNN, MLP, LogisticRegression, Network, SoftmaxRegression
from scratchadv.testing import check_gradients

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
SMALL = (Conv(16), Conv(17, stride=2), Conv(16), Conv(3, 2, 2, 0))  # both kinds of kernels


def pooled(dtype=np.float32):
    layers = [Conv(4), Tanh(), MaxPool(), Dropout(0.5), Conv(9, 2), ReLU(), AveragePool(2, 1), Flatten(), Dense(3)]
    return Network(layers, (8, 9, 2), np.random.default_rng(0), dtype)


MODELS = {
    "MLP": lambda dtype=np.float32: MLP((12, 9, 7, 4), dtype=dtype),
    "MLP tanh": lambda dtype=np.float32: MLP((12, 9, 4), "tanh", dtype=dtype),
    "softmax": lambda dtype=np.float32: SoftmaxRegression(12, 3, dtype=dtype),
    "CNN": lambda dtype=np.float32: CNN((8, 8, 1), SMALL, (6, 3), dtype=dtype),
    "pooled": pooled,
}
each_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)


def examples(model, n=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    k = model.logits(np.zeros((1, *model.shape))).shape[1]
    return rng.random((n, *model.shape)).astype(dtype), rng.integers(0, k, n)


@each_model
@pytest.mark.parametrize("loss", [cross_entropy, margin], ids=["cross_entropy", "margin"])
def test_gradients_three_ways(build, loss):
    """By hand = engine = central differences in float64, to 1e-6, in x and in every parameter"""
    model = build()
    x, y = examples(model)
    seen = check_gradients(model, x, y, loss=loss, samples=4)
    assert seen.error <= 1e-6
    assert seen.skipped <= seen.compared / 4


@few
@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.sampled_from(["relu", "tanh"]), seeds)
def test_gradients_of_any_mlp_three_ways(widths, activation, seed):
    """For all widths, including one input and one class"""
    rng = np.random.default_rng(seed)
    model = MLP(widths, activation, rng=rng)
    check_gradients(model, rng.normal(size=(2, widths[0])), samples=3, rng=rng)


def test_the_chain_golden():
    """max(x W, 0) V with W = (1 −1), V = (1, 10): x = 2 gives 2, x = −3 gives 30; slopes 1 and −10"""
    model = MLP((1, 2, 1), dtype=np.float64)
    model.params |= {"1.weight": np.array([[1.0, -1]]), "1.bias": np.zeros(2)}
    model.params |= {"3.weight": np.array([[1.0], [10]]), "3.bias": np.zeros(1)}
    z, pull = model.vjp_x(np.array([[2.0], [-3]]))
    np.testing.assert_array_equal(z, [[2], [30]])
    np.testing.assert_array_equal(pull(np.ones((2, 1))), [[1], [-10]])


# Dtypes, and nothing changed in place


@each_model
@pytest.mark.parametrize("x_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes(build, x_dtype, dtype):
    """Logits and gradients in x have the dtype of x, gradients in the parameters that of the parameters"""
    model = build(dtype)
    x, _ = examples(model, dtype=x_dtype)
    assert {p.dtype for p in model.params.values()} == {np.dtype(dtype)}
    z, pull_x = model.vjp_x(x)
    _, pull_theta = model.vjp_theta(x)
    assert {z.dtype, model.logits(x).dtype, pull_x(z).dtype} == {np.dtype(x_dtype)}
    by_theta = pull_theta(z)
    assert {name: (g.shape, g.dtype) for name, g in by_theta.items()} == {
        name: (p.shape, p.dtype) for name, p in model.params.items()
    }


@each_model
def test_float32_is_right_to_its_precision(build):
    """|float32 − float64| <= 1e-5 (1 + max), for logits and all gradients"""
    model = build()
    x, y = examples(model)
    results = []
    for dtype in (np.float32, np.float64):
        z, pull_x = model.vjp_x(x.astype(dtype))
        dz = cross_entropy.grad(z, y)
        results.append([z, pull_x(dz), *model.vjp_theta(x.astype(dtype))[1](dz).values()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * (1 + abs(b).max()))


def snapshot(model, *arrays):
    return [a.copy() for a in (*arrays, *model.params.values())]


@each_model
def test_nothing_is_changed_in_place_and_pulls_repeat(build):
    """x, dz and parameters are not changed, and the second pull returns what the first returned"""
    model = build(np.float64)
    x, _ = examples(model)
    dz = np.random.default_rng(1).normal(size=model.logits(x).shape)
    before = snapshot(model, x, dz)
    (_, pull_x), (_, pull_theta) = model.vjp_x(x), model.vjp_theta(x)
    first = [pull_x(dz), *pull_theta(dz).values()]
    values = [g.copy() for g in first]
    second = [pull_x(dz), *pull_theta(dz).values()]
    for g, value, again in zip(first, values, second, strict=True):
        np.testing.assert_array_equal(again, value)
        np.testing.assert_array_equal(g, value)  # the first is not overwritten by the second
        assert not any(np.shares_memory(g, other) for other in (again, x, dz, *model.params.values()))
    for a, b in zip((x, dz, *model.params.values()), before, strict=True):
        np.testing.assert_array_equal(a, b)


@each_model
@pytest.mark.parametrize("n", [1, 3])
def test_calls_nest(build, n):
    """A pullback returns the same after other calls on other inputs; z is not overwritten"""
    model = build(np.float64)
    x, _ = examples(model, n)
    (z, pull_x), (_, pull_theta) = model.vjp_x(x), model.vjp_theta(x)
    dz, kept = np.ones_like(z), z.copy()
    expected = [pull_x(dz).copy(), *(g.copy() for g in pull_theta(dz).values())]
    model.vjp_x(1 - x)[1](2 * dz)
    model.vjp_theta(1 - x)[1](2 * dz)
    np.testing.assert_array_equal(z, kept)
    for found, value in zip([pull_x(dz), *pull_theta(dz).values()], expected, strict=True):
        np.testing.assert_array_equal(found, value)


@each_model
def test_examples_do_not_see_each_other(build):
    """Logits and gradients in x of a batch are those of its examples, one by one"""
    model = build(np.float64)
    x, y = examples(model, 5)
    z, pull = model.vjp_x(x)
    g = pull(cross_entropy.grad(z, y))
    for i in range(5):
        z_i, pull_i = model.vjp_x(x[i : i + 1])
        np.testing.assert_allclose(z_i[0], z[i], atol=1e-12)
        np.testing.assert_allclose(pull_i(cross_entropy.grad(z_i, y[i : i + 1]))[0], g[i], atol=1e-12)


@pytest.mark.parametrize("begin", [[Flatten()], [Dropout(0.5), Flatten()], [Flatten(), Dropout(0.5)], []], ids=str)
def test_a_network_cannot_begin_in_place(begin):
    """ReLU on x itself, or on a view of x, is refused, because x belongs to the caller"""
    with pytest.raises(ValueError, match="a network cannot begin with ReLU"):
        Network([*begin, ReLU(), Dense(2)], (4,), np.random.default_rng(0))


def test_layers_that_follow_each_other_do_not_spoil_what_was_saved():
    """In-place layers after every layer whose output another layer keeps"""
    chain = [
        Conv(4),
        ReLU(),
        ReLU(),
        Tanh(),
        ReLU(),
        Dropout(0.2),
        ReLU(),
        MaxPool(),
        ReLU(),
        AveragePool(2, 1),
        ReLU(),
    ]
    chain += [Flatten(), ReLU(), Dense(5), ReLU(), Dense(5), Dense(3), ReLU(), Dense(3), Tanh()]
    model = Network(chain, (6, 6, 2), np.random.default_rng(3), np.float64)
    model.params |= {name: value + 0.2 for name, value in model.params.items()}  # so that few units are dead
    assert check_gradients(model, examples(model)[0]).error <= 1e-6


# Shapes


@pytest.mark.parametrize("call", ["logits", "vjp_x", "vjp_theta"])
@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 8, 2), (3, 9, 8, 1), (3, 64), (8, 8, 1)])
def test_examples_of_another_shape_are_refused(shape, call):
    """The message names both shapes, even where the sizes are equal"""
    model = CNN((8, 8, 1), SMALL, (3,))
    with pytest.raises(ValueError, match=r"x has shape \(.*\); examples of shape \(8, 8, 1\) were expected"):
        getattr(model, call)(np.zeros(shape))


@pytest.mark.parametrize("call", ["logits", "vjp_x", "vjp_theta"])
def test_rows_of_another_length_are_refused(call):
    """x of shape (N, P') for a network on P inputs"""
    with pytest.raises(ValueError, match=r"x has shape \(3, 11\); examples of shape \(12,\) were expected"):
        getattr(MLP((12, 3)), call)(np.zeros((3, 11)))


@pytest.mark.parametrize("begin", [[Flatten()], []], ids=["Flatten", "none"])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 2), (1, 12)])
def test_a_network_on_rows_takes_images_of_that_size(begin, shape):
    """x (N, *D) may be given as (N, P), with Flatten or without it; the gradient has the shape of x"""
    model = Network([*begin, Dense(4)], (12,), np.random.default_rng(0), np.float64)
    x = np.random.default_rng(1).random((3, *shape))
    z, pull = model.vjp_x(x)
    flat, pull_flat = model.vjp_x(x.reshape(3, 12))
    np.testing.assert_array_equal(z, flat)
    np.testing.assert_array_equal(pull(z), pull_flat(z).reshape(x.shape))
    for a, b in zip(model.vjp_theta(x)[1](z).values(), model.vjp_theta(x.reshape(3, 12))[1](z).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_bad_networks_are_refused():
    """Logits are (N, K), an MLP has two widths and a known activation, a convolution must leave some pixels"""
    rng = np.random.default_rng(0)
    with pytest.raises(
        ValueError,
        match=r"layers: the last one returns shape \(4, 4, 2\) for one example; logits of shape \(K,\)",
    ):
        Network([Conv(2)], (4, 4, 1), rng)
    with pytest.raises(ValueError, match=r"widths = \(5,\) must have at least 2 values"):
        MLP((5,))
    with pytest.raises(ValueError, match="activation = 'sine'; 'relu' or 'tanh' was expected"):
        MLP((5, 2), "sine")
    with pytest.raises(ValueError, match=r"leaves nothing of images of shape \(2, 2, 1\)"):
        CNN((2, 2, 1), [Conv(3, 5, padding=0)])


def test_the_tutorials_networks():
    """The numbers of parameters of the tutorial's layers; activations counts every layer's output for one example"""
    cnn, mlp = CNN(), MLP((784, 200, 10))
    convs = [9 * c * f + f for c, f in [(1, 32), (32, 32), (32, 64), (64, 64)]]
    dense = [7 * 7 * 64 * 100 + 100, 100 * 10 + 10]
    assert sum(p.size for p in cnn.params.values()) == sum(convs + dense)
    assert sum(p.size for p in mlp.params.values()) == 784 * 200 + 200 + 200 * 10 + 10
    assert mlp.activations == 784 + 2 * 200 + 10
    maps = 2 * (28 * 28 * 32 + 14 * 14 * 32 + 14 * 14 * 64 + 7 * 7 * 64)
    assert cnn.activations == maps + 7 * 7 * 64 + 2 * 100 + 10
    assert cnn.logits(np.zeros((2, 28, 28, 1), np.float32)).shape == (2, 10)


@pytest.mark.parametrize("build", [lambda **o: MLP((4, 3), **o), lambda **o: CNN((6, 6, 1), (Conv(2),), (3,), **o)])
def test_the_seed_decides(build):
    """The same rng gives the same parameters, another rng others; the default seed is 0"""
    first, again, other = (build(rng=np.random.default_rng(s)).params for s in (0, 0, 1))
    for name, value in build().params.items():
        np.testing.assert_array_equal(value, first[name])
        np.testing.assert_array_equal(value, again[name])
        assert (value != other[name]).any()


# Dropout


def test_noisy_keeps_the_mean_of_a_linear_network():
    """The mean of the noisy logits over masks = the plain logits, to 5 standard deviations"""
    model = Network([Dropout(0.3), Dense(4)], (30,), np.random.default_rng(0), np.float64)
    x = np.random.default_rng(1).random((1, 30))
    noisy = model.noisy(np.random.default_rng(2).integers(2**63, size=20_000))
    z = noisy.logits(x.repeat(20_000, axis=0))  # a mask for each row
    assert (z.std(axis=0) > 0).all()
    assert (abs(z.mean(axis=0) - model.logits(x)) < 5 * z.std(axis=0) / math.sqrt(len(z))).all()


def test_noisy_leaves_the_plain_network_alone():
    """The plain network has no noise before or after; parameters are shared, even while they are trained"""
    model = pooled(np.float64)
    x, _ = examples(model)
    before = model.logits(x)
    noisy = model.noisy(np.arange(len(x)))
    assert (noisy.logits(x) != before).any()
    np.testing.assert_array_equal(model.logits(x), before)
    assert noisy.params is model.params
    assert noisy.loss is model.loss
    others = 9 + np.arange(len(x))
    np.testing.assert_array_equal(noisy.noisy(others).logits(x), model.noisy(others).logits(x))


def test_noisy_pulls_back_through_the_mask_that_was_drawn():
    """For Dropout before Dense: dx = (dz Wᵀ) m and dW = (x m)ᵀ dz with the same mask m that gave z"""
    model = Network([Dropout(0.5), Dense(3)], (6,), np.random.default_rng(0), np.float64)
    x, dz, w = np.random.default_rng(1).random((4, 6)) + 1, np.ones((4, 3)), model.params["1.weight"]
    z, pull = model.noisy(np.array([5, 6, 7, 8])).vjp_x(x)
    mask = pull(dz) / (dz @ w.T)
    assert set(np.unique(mask.round(9))) == {0, 2}
    np.testing.assert_allclose(z, (x * mask) @ w + model.params["1.bias"])
    _, pull_theta = model.noisy(np.array([5, 6, 7, 8])).vjp_theta(x)
    np.testing.assert_allclose(pull_theta(dz)["1.weight"], (x * mask).T @ dz)


@few
@given(seeds, st.permutations(range(5)), st.integers(1, 5))
def test_what_is_dropped_from_an_example_is_a_function_of_its_seed(seed, order, size):
    """Masks are the same to the last bit alone, in another order and in another batch; other seeds give other masks"""
    layers = [Flatten(), Dropout(0.5), Dropout(0.25)]
    model = Network(layers, (2, 3, 4), np.random.default_rng(0), np.float64)
    x, own = np.ones((5, 2, 3, 4)), np.random.default_rng(seed).integers(2**63, size=5)
    whole, rows = model.noisy(own).logits(x), list(order)[:size]
    np.testing.assert_array_equal(model.noisy(own[rows]).logits(x[rows]), whole[rows], strict=True)
    assert len({row.tobytes() for row in whole}) == 5
    first, second = (Network([Flatten(), *layers[1 : 1 + k]], (24,), np.random.default_rng(0)) for k in (1, 2))
    one, both = (net.noisy(own).logits(np.ones((5, 24))) != 0 for net in (first, second))
    assert (both <= one).all()
    assert (both != one).any()  # the second layer has random numbers of its own


def test_noisy_wants_one_seed_an_example():
    """Three seeds are enough for three examples only"""
    model = Network([Dropout(0.5), Dense(3)], (6,), np.random.default_rng(0))
    with pytest.raises(ValueError, match="x has 4 examples; 3, one for each seed, were expected"):
        model.noisy(np.arange(3)).logits(np.ones((4, 6), np.float32))
    for wrong in (np.random.default_rng(0), 3, np.ones(3), np.ones((3, 1), int)):
        with pytest.raises(TypeError, match="seeds must be an array of whole numbers, one for each example"):
            model.noisy(wrong)


def test_noisy_of_a_network_without_dropout_is_the_same_function():
    """Nothing to drop: the logits are the same"""
    model = MLP((4, 5, 3))
    x, _ = examples(model)
    np.testing.assert_array_equal(model.noisy(np.arange(len(x))).logits(x), model.logits(x))


# Softmax regression


@few
@given(seeds, st.sampled_from([(4,), (2, 3), (2, 2, 1)]))
def test_softmax_regression_with_two_classes_is_logistic_regression(seed, shape):
    """With θ = w₁ − w₀ and θ0 = b₁ − b₀: z₁ − z₀ = θᵀx + θ0; losses and their gradients in x agree"""
    rng = np.random.default_rng(seed)
    softmax = SoftmaxRegression(math.prod(shape), 2, rng=rng, dtype=np.float64)
    w, b = softmax.params["1.weight"], softmax.params["1.bias"]
    binary = LogisticRegression((w[:, 1] - w[:, 0]).reshape(shape), b[1] - b[0])
    x, y = rng.normal(size=(5, *shape)), rng.integers(0, 2, 5)
    (z, pull), (m, pull_binary) = softmax.vjp_x(x), binary.vjp_x(x)
    np.testing.assert_allclose(z[:, 1] - z[:, 0], m, atol=1e-12)
    np.testing.assert_allclose(cross_entropy.value(z, y), logistic.value(m, 2 * y - 1), atol=1e-12)
    g, g_binary = pull(cross_entropy.grad(z, y)), pull_binary(logistic.grad(m, 2 * y - 1))
    np.testing.assert_allclose(g, g_binary, atol=1e-12)
