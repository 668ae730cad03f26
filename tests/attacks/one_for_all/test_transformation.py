"""Laws of adversarial transformation networks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scratchadv.attacks.one_for_all.transformation import ATN, KINDS, atn_loss, rerank, train_atn
from scratchadv.engine import ops, vjp
from scratchadv.models import CNN, MLP, LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import labels_of
from scratchadv.numerics import sigmoid
from scratchadv.parallel import limit
from scratchadv.training import fit
from scratchadv.training.optim import SGD, Adam

both_kinds = pytest.mark.parametrize("kind", KINDS)
few = settings(max_examples=30, deadline=None)


def rng(seed=0):
    return np.random.default_rng(seed)


def images(n=12, shape=(4, 4, 1), dtype=np.float64):
    return rng(1).random((n, *shape)).astype(dtype)


def victim(seed=2, k=5, p=16, dtype=np.float64):
    """A smooth network whose predictions are confident."""
    model = MLP((p, 8, k), "tanh", rng=rng(seed), dtype=dtype)
    model.params = {name: 4 * value for name, value in model.params.items()}
    return model


def generator(classes=0, seed=3, p=16, dtype=np.float64):
    return MLP((p + classes, 7, p), "tanh", rng=rng(seed), dtype=dtype)


def probabilities(model, x):
    e = np.exp(model.logits(x))
    return e / e.sum(axis=1, keepdims=True)


@st.composite
def answers(draw):
    """Probabilities, a class for each row, and α."""
    n, k = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    p = draw(arrays(np.float64, (n, k), elements=st.floats(1e-6, 1)))
    t = draw(arrays(int, n, elements=st.integers(0, k - 1)))
    return p / p.sum(axis=1, keepdims=True), t, draw(st.floats(1.001, 10))


# The reranking


def test_reranking_by_hand():
    """(0.7, 0.2, 0.1) with t = 1 and α = 1.5: (0.7, 1.05, 0.1) / 1.85"""
    r = rerank(np.array([[0.7, 0.2, 0.1]]), np.array([1]))
    np.testing.assert_allclose(r, np.array([[0.7, 1.05, 0.1]]) / 1.85, rtol=1e-15)


@given(answers())
def test_reranking_puts_t_on_top_and_keeps_the_others(case):
    """Σ r = 1, argmax r = t, r_t = α max p / Σ s, and r_j / r_k = p_j / p_k for j, k ≠ t"""
    p, t, alpha = case
    before = p.copy()
    r = rerank(p, t, alpha)
    row = np.arange(len(p))
    np.testing.assert_array_equal(p, before)
    np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(r.argmax(axis=1), t)
    scale = (r.sum(axis=1) - r[row, t]) / (p.sum(axis=1) - p[row, t])
    others = np.arange(p.shape[1]) != t[:, None]
    np.testing.assert_allclose(r[others], (scale[:, None] * p)[others], rtol=1e-9)
    np.testing.assert_allclose(r[row, t], scale * alpha * p.max(axis=1), rtol=1e-9)


@pytest.mark.parametrize(
    ("t", "alpha", "error"),
    [
        ([1], 1.0, "above 1"),
        ([1], math.nan, "finite"),
        ([3], 1.5, "0..2"),
        ([0, 1], 1.5, r"p has shape \(1, 3\) and t \(2,\)"),
    ],
)
def test_reranking_refuses_bad_input(t, alpha, error):
    """α <= 1, and a t that is not a class, or not one for each row"""
    with pytest.raises(ValueError, match=error):
        rerank(np.array([[0.7, 0.2, 0.1]]), np.array(t), alpha)


# The network as an attack


@both_kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_changed_images_are_images(kind, dtype):
    """x' lies in [0, 1] with the shape and dtype of x, and x is not changed, even where G is large"""
    g, x = generator(dtype=np.float32), images(dtype=dtype)
    g.params = {name: 50 * value for name, value in g.params.items()}
    before = x.copy()
    changed = ATN(g, kind)(x)
    np.testing.assert_array_equal(x, before)
    assert changed.shape == x.shape
    assert changed.dtype == dtype
    assert changed.min() >= 0
    assert changed.max() <= 1


@pytest.mark.parametrize(
    ("kind", "expected"), [("perturbation", [[0, math.tanh(0.7)]]), ("autoencoding", [[1 / (1 + math.e), 0.5]])]
)
def test_both_forms_by_hand(kind, expected):
    """x = (0.5, 0.7), G = (−1, 0): (0, tanh 0.7) and (σ(−1), 1/2)"""
    g = SoftmaxRegression(2, 2, dtype=np.float64)
    g.params = {name: np.zeros_like(value) for name, value in g.params.items()}
    g.params["1.bias"] = np.array([-1.0, 0.0])
    np.testing.assert_allclose(ATN(g, kind)(np.array([[0.5, 0.7]])), expected, rtol=1e-12)


def test_a_network_for_all_targets_sees_the_target_one_hot():
    """G linear: G(x, t) = x W + W_{P + t} + b"""
    g, x, t = SoftmaxRegression(16 + 3, 16, rng=rng(), dtype=np.float64), images(6), np.array([0, 1, 2, 2, 1, 0])
    weight, bias = g.params["1.weight"], g.params["1.bias"]
    raw = x.reshape(6, 16) @ weight[:16] + weight[16 + t] + bias
    found = ATN(g, "perturbation", 3)(x, t)
    np.testing.assert_allclose(found.reshape(6, 16), np.maximum(np.tanh(x.reshape(6, 16) + raw), 0), rtol=1e-12)


@both_kinds
@pytest.mark.parametrize("classes", [0, 3])
def test_no_image_depends_on_its_batch(kind, classes):
    """atn(x)[i] = atn(x[i:i+1])[0], in any order and any chunks"""
    atn, x = ATN(generator(classes), kind, classes), images(9)
    t = np.arange(9) % 3 if classes else None
    whole, order = atn(x, t), rng(4).permutation(9)
    with limit(chunk=2, threads=2):
        np.testing.assert_allclose(atn(x, t), whole, rtol=1e-12)
    np.testing.assert_allclose(atn(x[order], t if t is None else t[order]), whole[order], rtol=1e-12)
    np.testing.assert_allclose(atn(x[4:5], t if t is None else t[4:5]), whole[4:5], rtol=1e-12)


def test_a_generator_may_be_convolutional():
    """Any Network with P outputs: the changed images have the shape of x"""
    g = CNN((4, 4, 1), (), (16,))
    assert ATN(g)(images(3)).shape == (3, 4, 4, 1)


def test_targets_and_forms_that_do_not_fit_are_refused():
    """No target for a network of one target, a target for one of all targets, a class that exists, a known form"""
    one, every, x = ATN(generator()), ATN(generator(3), classes=3), images(2)
    for call in (lambda: one(x, np.array([0, 1])), lambda: every(x)):
        with pytest.raises(ValueError, match="network for all targets"):
            call()
    with pytest.raises(ValueError, match=r"0\.\.2"):
        every(x, np.array([0, 3]))
    with pytest.raises(ValueError, match="outside the box"):
        one(x + 1)
    with pytest.raises(TypeError, match="float32 or float64"):
        one(np.zeros((2, 4, 4, 1), np.uint8))
    with pytest.raises(ValueError, match="has 9 outputs for each image; 16"):
        ATN(MLP((16, 9)))(x.astype(np.float64))
    with pytest.raises(ValueError, match="'residual'"):
        ATN(generator(), "residual")


# The loss


def taped_loss(kind, beta, victims, wanted, x, seen, theta):
    """The same networks of tensors: MLPs with one hidden tanh layer on flat rows."""

    def mlp(params, v):
        return ops.tanh(v @ params[0] + params[1]) @ params[2] + params[3]

    raw = mlp(theta, seen)
    image = 1 / (1 + ops.exp(-raw)) if kind == "autoencoding" else ops.relu(ops.tanh(x + raw))
    value = beta * ((image - x) ** 2).sum(axis=1)
    for model, r in zip(victims, wanted, strict=True):
        value = value + ((ops.softmax(mlp(list(model.params.values()), image)) - r) ** 2).sum(axis=1)
    return value


@both_kinds
@pytest.mark.parametrize("classes", [0, 5])
def test_gradient_three_ways(kind, classes):
    """∇_θ by hand = by the engine = by central differences, for two victims, weighted"""
    x, g, victims = images(), generator(classes), [victim(2), victim(5)]
    t, weights = np.arange(12) % 5, rng(6).random(12)
    wanted = [rerank(probabilities(model, x), t) for model in victims]
    atn, target = ATN(g, kind, classes), t if classes else None

    def at(params):
        g.params = params
        return atn_loss(atn, victims, x, wanted, beta=0.3, target=target)

    theta = g.params
    value, pull = at(theta)
    hand = pull(weights)
    flat = x.reshape(12, 16)
    seen = np.concatenate([flat, np.eye(5)[t]], axis=1) if classes else flat
    taped, taped_pull = vjp(lambda *theta: taped_loss(kind, 0.3, victims, wanted, flat, seen, theta), *theta.values())
    np.testing.assert_allclose(value, taped, rtol=1e-12)
    for name, engine in zip(theta, taped_pull(weights), strict=True):
        np.testing.assert_allclose(hand[name], engine, rtol=1e-10, atol=1e-14)
        v, h = rng(7).standard_normal(theta[name].shape), 1e-6
        up, down = (weights @ at(theta | {name: theta[name] + s * v})[0] for s in (h, -h))
        np.testing.assert_allclose((hand[name] * v).sum(), (up - down) / (2 * h), rtol=1e-6)


@given(seed=st.integers(0, 99), beta=st.floats(0, 1))
@few
def test_several_victims_are_a_sum(seed, beta):
    """L(f₁, f₂) = L(f₁) + L(f₂) − L(), and its gradient likewise"""
    x, atn, victims = images(), ATN(generator(seed=seed)), [victim(2), victim(5)]
    wanted = [rerank(probabilities(model, x), np.full(12, 1)) for model in victims]
    choices = [slice(0, 2), slice(0, 1), slice(1, 2), slice(0, 0)]
    found = [atn_loss(atn, victims[s], x, wanted[s], beta=beta) for s in choices]
    value = [v for v, _ in found]
    np.testing.assert_allclose(value[0], value[1] + value[2] - value[3], rtol=1e-12)
    g = [pull(np.ones(12)) for _, pull in found]
    for name in g[0]:
        np.testing.assert_allclose(g[0][name], g[1][name] + g[2][name] - g[3][name], rtol=1e-9, atol=1e-12)


def test_a_large_beta_is_plain_autoencoding():
    """∇L / β → ∇ ‖x' − x‖² as β → ∞: they differ by C / β, a thousandth for a β a thousand times larger"""
    x, atn, model = images(), ATN(generator(), "autoencoding"), victim()
    wanted = [rerank(probabilities(model, x), np.full(12, 1))]
    plain = atn_loss(atn, [], x, [], beta=1)[1](np.ones(12))
    apart = {}
    for beta in (1.0, 1e3, 1e6):
        g = atn_loss(atn, [model], x, wanted, beta=beta)[1](np.ones(12))
        apart[beta] = np.concatenate([(g[name] / beta - plain[name]).ravel() for name in plain])
    assert abs(apart[1.0]).max() > 1e-3
    for beta in (1e3, 1e6):
        np.testing.assert_allclose(beta * apart[beta], apart[1.0], rtol=1e-6, atol=1e-7)


# Training


class Reconstruction:
    """‖σ(z) − x_y‖², where the label y is the index of the image."""

    def __init__(self, x):
        self.x = x.reshape(len(x), -1)

    def value(self, z, y):
        return ((sigmoid(z) - self.x[y]) ** 2).sum(axis=1)

    def grad(self, z, y):
        s = sigmoid(z)
        return 2 * (s - self.x[y]) * s * (1 - s)


def test_without_victims_it_is_an_autoencoder():
    """The same steps as fit takes on ‖G(x) − x‖², with the same order of the examples"""
    x, autoencoder = images(), generator()
    autoencoder.loss = Reconstruction(x)
    options = {"epochs": 3, "batch_size": 5, "optimizer": Adam(0.01), "progress": False}
    fit(autoencoder, x, np.arange(12), rng=rng(8), **options)
    atn = train_atn([], x, kind="autoencoding", beta=1, generator=generator(), rng=rng(8), **options)
    for name, value in autoencoder.params.items():
        np.testing.assert_allclose(atn.generator.params[name], value, rtol=1e-9, atol=1e-12)


@both_kinds
def test_a_constant_victim_teaches_nothing(kind):
    """∇_x f = 0: the result is the network trained without victims"""
    constant, x = victim(), images()
    constant.params = {name: np.zeros_like(value) for name, value in constant.params.items()}
    options = {"kind": kind, "epochs": 2, "batch_size": 5, "progress": False}
    alone, beside = (train_atn(v, x, generator=generator(), rng=rng(), **options) for v in ([], [constant]))
    for name, value in alone.generator.params.items():
        np.testing.assert_array_equal(beside.generator.params[name], value)


@both_kinds
@pytest.mark.parametrize("target", [3, "all", None])
def test_training_reaches_its_targets(kind, target):
    """If changes are cheap, every image ends at its target (without one: elsewhere); some were there before"""
    x, model, t = images(40), victim(), np.arange(40) % 5
    before = labels_of(model.logits(x))
    t = np.full(40, 3) if target == 3 else t
    options = {"beta": 1e-4, "epochs": 300, "batch_size": 20, "optimizer": Adam(0.01), "progress": False}
    start = generator(5 if target == "all" else 0)
    atn = train_atn([model], x, target=target, kind=kind, generator=start, rng=rng(), **options)
    found = labels_of(model.logits(atn(x, t if target == "all" else None)))
    assert len(atn.losses) == 300
    assert atn.losses[-1] < atn.losses[0]
    assert ((found != before) if target is None else (found == t)).mean() >= 0.9


def test_untargeted_is_the_second_class():
    """With a step of size 0 the loss is that of r_α(f(x), second class of the victims' mean)"""
    x, victims = images(), [victim(2), victim(5)]
    p = [probabilities(model, x) for model in victims]
    t = np.array([sorted(range(5), key=lambda k, i=i: p[0][i, k] + p[1][i, k])[-2] for i in range(12)])
    value, _ = atn_loss(ATN(generator()), victims, x, [rerank(q, t) for q in p], beta=0.1)
    atn = train_atn(victims, x, beta=0.1, epochs=1, optimizer=SGD(0.0), generator=generator(), progress=False)
    np.testing.assert_allclose(atn.losses, [value.mean()], rtol=1e-12)


@pytest.mark.parametrize("target", [1, "all", None])
def test_training_is_seeded(target):
    """The same rng gives the same network, and another rng another; float32 stays float32"""
    x, model = images(dtype=np.float32), victim(dtype=np.float32)
    options = {"target": target, "epochs": 2, "batch_size": 5, "progress": False}
    one, same, other = (train_atn([model], x, rng=rng(seed), **options).generator.params for seed in (0, 0, 1))
    for name, value in one.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(same[name], value)
        assert (other[name] != value).any()


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_training_does_not_depend_on_chunks(chunk):
    """The network is the same up to rounding, however a batch is cut into pieces"""
    x, options = images(), {"target": "all", "epochs": 2, "batch_size": 5, "progress": False}
    whole = train_atn([victim()], x, generator=generator(5), rng=rng(), **options)
    with limit(chunk=chunk):
        split = train_atn([victim()], x, generator=generator(5), rng=rng(), **options)
    for name, value in whole.generator.params.items():
        np.testing.assert_allclose(split.generator.params[name], value, rtol=1e-7, atol=1e-9)


def test_one_image_is_enough():
    """N = 1 works, and neither x nor the victim is changed"""
    x, model = images(1), victim()
    before, theta = x.copy(), {name: value.copy() for name, value in model.params.items()}
    atn = train_atn([model], x, target=2, epochs=3, progress=False)
    assert len(atn.losses) == 3
    np.testing.assert_array_equal(x, before)
    for name, value in theta.items():
        np.testing.assert_array_equal(model.params[name], value)


def test_a_schedule_multiplies_the_step():
    """SGD with step 2 α and factor 1/2 is SGD with step α"""
    x, options = images(), {"target": 1, "epochs": 2, "progress": False}
    one = train_atn([victim()], x, generator=generator(), optimizer=SGD(0.01), **options)
    half = {"optimizer": SGD(0.02), "schedule": lambda epoch: 0.5}
    other = train_atn([victim()], x, generator=generator(), **half, **options)
    for name, value in one.generator.params.items():
        np.testing.assert_allclose(other.generator.params[name], value, rtol=1e-12)


def test_a_loss_that_explodes_is_told():
    """NaN leads to a FloatingPointError that says what to do"""
    with pytest.raises(FloatingPointError, match="smaller step size"):
        train_atn([], images(), beta=1e300, generator=generator(), optimizer=SGD(1e300), epochs=5, progress=False)


@pytest.mark.parametrize(
    ("options", "kind", "error"),
    [
        ({"target": 5}, ValueError, "below 5"),
        ({"target": -1}, ValueError, ">= 0"),
        ({"target": "every"}, TypeError, "whole number"),
        ({"alpha": 1.0}, ValueError, "above 1"),
        ({"beta": -1.0}, ValueError, "beta"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"victims": [], "target": 1}, ValueError, "needs a victim"),
        ({"victims": [victim(), victim(k=4)]}, ValueError, "4 and 5 classes"),
        ({"victims": [LogisticRegression(np.ones((4, 4, 1)))]}, ValueError, "single logit"),
        ({"x": images() + 1}, ValueError, "outside the box"),
        ({"x": images() * math.nan}, ValueError, "finite"),
    ],
)
def test_bad_input_is_refused_before_any_step(options, kind, error):
    """The message names the value and what was expected; the generator is not used"""
    start = generator()
    theta = start.params
    given = {"victims": [victim()], "x": images(), "generator": start, "progress": False} | options
    with pytest.raises(kind, match=error):
        train_atn(given.pop("victims"), given.pop("x"), **given)
    assert start.params is theta
