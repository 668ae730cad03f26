"""Laws of arrays on a device: everything that runs on NumPy arrays runs there, stays there, and gives the same.

On every machine the fixture ``device`` is a simulated GPU (``scratchadv.testing.device``), which refuses whatever would
leak to the host. Where there is a GPU, it is also CuPy itself: ``pytest -m gpu``.
"""

import copy
import dataclasses
import inspect
import sys
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from every_attack import OF_EXAMPLES

from scratchadv import attacks, checks, layers, losses, models, numerics, parallel, robust_logistic
from scratchadv.attacks.catalogue import find
from scratchadv.backend import has_gpu, host, namespace, to_device, to_host
from scratchadv.engine import grad, ops, vjp
from scratchadv.evaluate import judge, robust_accuracy, stands
from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Tanh
from scratchadv.models import CNN, MLP, LogisticRegression, Network, SoftmaxRegression, Taped
from scratchadv.models.protocol import loss_and_gradient, predict
from scratchadv.models.weights import load, save
from scratchadv.sets import L0, L1, L2, Box, Linf, Mask, Range, norms
from scratchadv.testing.device import gpu
from scratchadv.training import fit
from scratchadv.training.optim import SGD, Adam

SHAPE = (8, 8, 2)
N, K = 6, 4


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


X = np.random.default_rng(1).random((N, *SHAPE))
SIGNS = np.array([1, -1, -1, 1, 1, -1])
CLASSES = np.array([0, 3, 1, 2, 1, 0])
TARGETS = (CLASSES + 1) % K


# Helpers.


def moved(thing):
    """The same object with all its arrays on the device."""
    if isinstance(thing, tuple | list):
        return type(thing)(map(moved, thing))
    if isinstance(thing, np.ndarray | dict) or hasattr(thing, "params"):
        return to_device(thing)
    return thing


def check_same(device, found, expected, where="the result"):
    """Check that the result equals the expected one up to rounding, with device arrays in place of host arrays.

    A GPU sums in another order, which is visible in float32.
    """
    if isinstance(expected, np.ndarray | np.generic):
        assert isinstance(found, device.ndarray), f"{where} has left the device: {type(found)}"
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), where
        rtol, atol = (1e-6, 1e-6) if expected.dtype == np.float32 else (1e-7, 1e-9)
        np.testing.assert_allclose(found.get(), expected, rtol=rtol, atol=atol, err_msg=where)
    elif isinstance(expected, dict):
        assert list(found) == list(expected), where
        for name in expected:
            check_same(device, found[name], expected[name], f"{where}[{name!r}]")
    elif isinstance(expected, tuple | list):
        assert type(found) is type(expected), where
        assert len(found) == len(expected), where
        for i, both in enumerate(zip(found, expected, strict=True)):
            check_same(device, *both, f"{where}[{i}]")
    elif dataclasses.is_dataclass(expected):
        check_same(device, vars(found), vars(expected), where)
    elif hasattr(expected, "params"):
        check_same(device, found.params, expected.params, f"{where}.params")
    elif isinstance(expected, float):
        assert isinstance(found, float), where
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-9), where
    else:
        assert found == expected, where


def same(device, f, *args):
    """f returns the same on the device as on the host."""
    before = copy.deepcopy(args)
    on_device = moved(args)
    found = f(*on_device)
    check_same(device, found, f(*args))
    check_same(device, on_device, before, "an argument")
    return found


def test_the_helper_sees_what_has_left_the_device_and_what_differs(device):
    """check_same() refuses host arrays, other values and other dtypes, also inside containers"""
    same(device, lambda a: {"a": (a, [2.0 * a], float(a.sum()), "text", None)}, draw(3))
    one = to_device(np.ones(2))
    for found, expected in [
        (np.ones(2), np.ones(2)),
        (1.0, np.float64(1)),
        (one, np.array([1, 1 + 1e-6])),
        (one, np.ones(2, np.float32)),
        (one, np.ones((1, 2))),
        ((one, [one, 2.0]), (np.ones(2), [np.zeros(2), 2.0])),
        ({"a": 1.0}, {"a": 1.1}),
        (one, 1.0),
    ]:
        with pytest.raises(AssertionError):
            check_same(device, found, expected)
    with pytest.raises(AssertionError, match="an argument"):
        same(device, lambda a: a.fill(3), draw(3))


# The simulated GPU accepts no more than a real one.

REFUSED = {
    "NumPy's view of it": (TypeError, lambda d, h, xp: np.asarray(d)),
    "a host array beside it": (TypeError, lambda d, h, xp: d + h),
    "it beside a host array": (TypeError, lambda d, h, xp: h + d),
    "in place beside a host array": (TypeError, lambda d, h, xp: d.__iadd__(h)),
    "in place on a host array": (TypeError, lambda d, h, xp: h.__iadd__(d)),
    "a comparison": (TypeError, lambda d, h, xp: d < h),
    "a product": (TypeError, lambda d, h, xp: d @ h),
    "a list beside it": (TypeError, lambda d, h, xp: d * [1.0, 2.0, 3.0]),
    "NumPy's function of both": (TypeError, lambda d, h, xp: np.maximum(d, h)),
    "its own function of both": (TypeError, lambda d, h, xp: xp.maximum(d, h)),
    "a host array in where": (TypeError, lambda d, h, xp: xp.where(d > 0, d, h)),
    "a host array in concatenate": (TypeError, lambda d, h, xp: xp.concatenate([d, h])),
    "a number in where": (Exception, lambda d, h, xp: xp.where(True, d, d)),
    "a host array given to a method": (Exception, lambda d, h, xp: d.clip(h, 2 * h)),
    "a host array as a value": (Exception, lambda d, h, xp: d.__setitem__(slice(None), h)),
    "a mask for a ufunc": (TypeError, lambda d, h, xp: xp.exp(d, where=d > 0)),
    "where to begin": (TypeError, lambda d, h, xp: d.max(initial=0)),
    "stable": (TypeError, lambda d, h, xp: xp.argsort(d, stable=True)),
    "another sort": (ValueError, lambda d, h, xp: xp.argsort(d, kind="heapsort")),
    "objects": (Exception, lambda d, h, xp: xp.asarray(np.array([None]))),
    "errstate": (AttributeError, lambda d, h, xp: xp.errstate()),
    "the truth of many": (ValueError, lambda d, h, xp: bool(d > 0)),
    "an index of Python": (TypeError, lambda d, h, xp: range(d.argmax())),
    "a key": (TypeError, lambda d, h, xp: {d: 1}),
    "the length of a number": (TypeError, lambda d, h, xp: len(d.sum())),
    "the items of a number": (TypeError, lambda d, h, xp: list(d.sum())),
}


@pytest.mark.parametrize(("error", "f"), REFUSED.values(), ids=REFUSED)
def test_a_device_refuses(error, f, device):
    """An operation that would silently copy to the host, or that does not exist in CuPy, is an error"""
    h = np.array([1.0, 2.0, 3.0])
    d = to_device(h)
    with pytest.raises(error):
        f(d, h, device)
    np.testing.assert_array_equal(d.get(), [1, 2, 3])


HIDDEN = {
    "host indices": lambda d: d[np.array([0, 1])],
    "a list of indices": lambda d: d[[0, 1]],
    "a host mask": lambda d: d[np.array([True, False, True])],
    "host indices to write": lambda d: d.__setitem__(np.array([0]), 1.0),
    "host values": lambda d: d.__setitem__(gpu.asarray([0]), np.ones(1)),
    "one entry twice": lambda d: d.__setitem__(gpu.asarray([0, 0]), gpu.asarray([1.0, 2.0])),
    "an entry that is not there": lambda d: d[gpu.asarray([3])],
}


@pytest.mark.parametrize("f", HIDDEN.values(), ids=HIDDEN)
def test_the_simulated_gpu_refuses_what_cupy_silently_accepts(f):
    """Hidden copies from the host and undefined results are errors"""
    with pytest.raises((TypeError, IndexError)):
        f(gpu.asarray(np.ones(3)))


def test_a_device_computes_as_numpy_does(device):
    """Operators, NumPy functions, methods, views, in-place writing and numbers behave as in NumPy"""

    def f(a, b):
        xp = namespace(a)
        c, view = a.copy(), a.copy()
        c += 1
        c[0] = 2 * c[1]
        c[xp.arange(2), b.argmax(axis=1)] = 5
        c[c > 4] = 0
        view[:, 1:][...] = 7
        numbers = float(a.sum()), int(b.argmax()), bool((a > b).any()), a.max().item(), f"{a[0, 0]:.3f}", len(a)
        return (
            [c, view, 1 - a, a / 2, 2**a, -a, abs(a), a @ b.T, b.T @ a, a % 1, a // 2, ~(a > b), (a > 0) & (b > 0)],
            [
                np.exp(a),
                np.float64(2) * a,
                np.maximum(a, 0),
                np.concatenate([a, b]),
                np.isfinite(a).all(),
                np.add(a, b),
            ],
            [
                a.T,
                a.reshape(3, -1),
                a.transpose(1, 0),
                a.mean(axis=(0, 1)),
                a.astype(np.float32),
                a[:, None],
                a[..., -1],
            ],
            [xp.argsort(a, axis=1, kind="stable"), xp.take_along_axis(a, b.argmax(axis=1)[:, None], axis=1)],
            [row.sum() for row in a],
            numbers,
        )

    same(device, f, draw(2, 3), draw(2, 3, seed=1))


def test_adding_where_an_index_comes_twice(device):
    """add.at(z, index, v) adds every entry of v"""

    def f(v, index):
        xp = namespace(v)
        z = xp.zeros(4)
        xp.add.at(z, index, v)
        return z

    same(device, f, draw(5), np.array([0, 2, 2, 2, 3]))


def test_of_equals_the_first_comes_first(device):
    """Stable sorting and argmax keep the order of equal entries, also in long rows, as L0 and max-pooling need"""
    a = np.random.default_rng(0).integers(0, 3, (3, 5000)).astype(float)
    same(device, lambda a: (namespace(a).argsort(a, axis=1, kind="stable"), a.argmax(axis=1)), a)


# To the device and back again.


@pytest.mark.parametrize("array", [draw(2, 3), CLASSES, np.float32(2), np.array(1.5), draw(4) > 0])
def test_to_host_is_the_inverse_of_to_device(array, device):
    """to_host(to_device(a)) = a, with the same dtype and shape"""
    there = to_device(array)
    assert isinstance(there, device.ndarray)
    np.testing.assert_array_equal(to_host(there), np.asarray(array), strict=True)


def test_what_is_on_its_side_already_is_not_copied(device):
    """to_host(host array) and to_device(device array) are the array itself"""
    a = draw(3)
    assert to_host(a) is a
    there = to_device(a)
    assert to_device(there) is there
    assert to_host({"a": a})["a"] is a


def test_a_dict_is_moved_entry_by_entry(device):
    """to_device({name: a}) = {name: to_device(a)}"""
    arrays = {"a": draw(2), "b": CLASSES}
    there = to_device(arrays)
    assert all(isinstance(a, device.ndarray) for a in there.values())
    check_same(device, there, arrays)
    assert to_host(there).keys() == arrays.keys()


def test_a_model_is_moved_as_a_copy(device):
    """to_device(model) is a model of the same class with params on the device; the model itself does not change"""
    model = MLP((3, 4, 2), rng=np.random.default_rng(0))
    before = dict(model.params)
    there = to_device(model)
    assert type(there) is MLP
    assert there.layers == model.layers
    check_same(device, there.params, before)
    assert all(model.params[name] is before[name] for name in before)
    back = to_host(there)
    assert all(isinstance(p, np.ndarray) for p in back.params.values())
    assert all(isinstance(p, device.ndarray) for p in there.params.values())


def test_without_cupy_to_device_says_how_to_get_it(monkeypatch):
    """Without CuPy there is an ImportError with the command that installs it"""
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not has_gpu()
    with pytest.raises(ImportError, match=r"pip install 'scratchadv\[gpu\]'"):
        to_device(np.ones(2))
    assert to_host(np.ones(2)).sum() == 2


def refuse():
    raise RuntimeError("cudaErrorInsufficientDriver")  # as CuPy 13 does


@pytest.mark.parametrize("is_available", [lambda: False, refuse])
def test_without_a_gpu_to_device_says_so(is_available, monkeypatch):
    """CuPy can be imported without a GPU, so there is a RuntimeError before the first allocation"""
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=gpu.ndarray, is_available=is_available))
    assert not has_gpu()
    with pytest.raises(RuntimeError, match="CuPy finds none"):
        to_device(np.ones(2))


def test_a_gpu_is_found(device):
    """has_gpu() is true if there is a GPU"""
    assert has_gpu()


# Sets.

BALLS = [Linf(0.3), L2(1.0), L1(1.5), L0(3)]
BOXED = [ball.within(0, 1) for ball in BALLS]
TIES = np.round(draw(N, *SHAPE, seed=3), 1)  # with ties and zeros


def test_all_balls_are_here():
    """The list is complete"""
    assert {type(ball) for ball in BALLS} == set(norms.NormBall.__subclasses__()) | {L0}


@pytest.mark.parametrize("threat", BALLS + BOXED, ids=str)
def test_a_set_is_the_same_on_a_device(threat, device):
    """norm, project, contains, support, linear_max, step, ascend"""

    def f(x, v, g):
        delta_set = threat.at(x)
        inside = delta_set.project(v)
        results = (
            inside,
            delta_set.norm(v),
            delta_set.contains(v),
            delta_set.contains(inside),
            delta_set.scaled(0.5).norm(v),
        )
        if threat == BALLS[-1]:  # no bound
            return (*results, delta_set.support(g))
        best = delta_set.linear_max(g), delta_set.support(g)
        return (*results, *best, delta_set.step(g, 0.1), delta_set.ascend(inside, g, 0.1))

    for dtype in (np.float64, np.float32):
        same(device, f, *(a.astype(dtype) for a in (X, TIES, draw(N, *SHAPE, seed=4))))


@pytest.mark.parametrize("threat", BALLS[:-1] + BOXED, ids=str)
def test_a_seed_gives_the_same_starts_on_a_device(threat, device):
    """sample(rng, x) on the device = sample(rng, x) on the host, for the same seed"""
    for dtype in (np.float64, np.float32):
        same(device, lambda x: threat.sample(np.random.default_rng(5), x), X.astype(dtype))


MADE = {
    "ball, box and mask": lambda where, most: Linf(0.3) & Box(0, 1) & Mask(where),
    "ball and mask": lambda where, most: L2(1.0) & Mask(where),
    "range": lambda where, most: Range(-most, 0.5 * most),
    "range and box": lambda where, most: Range(-most, 0.5) & Box(0, 1),
    "ball and range": lambda where, most: L1(1.5) & Range(-most, most) & Mask(where),
    "components, range and box": lambda where, most: L0(3) & Range(-most, most) & Box(0, 1),
    "radii": lambda where, most: L2(np.linspace(0.1, 1, N)) & Box(0, 1),
    "radii alone": lambda where, most: L1(np.linspace(0.1, 1, N)),
    "radii of a range": lambda where, most: Range(-most, most).scaled(np.linspace(0.1, 1, N)),
}


@pytest.mark.parametrize("name", MADE)
def test_an_intersection_is_the_same_on_a_device(name, device):
    """All that a set answers, with masks and bounds where x lies, and radii on the host"""

    def f(x, v, g, where, most):
        delta_set = MADE[name](where, most).at(x)
        inside = delta_set.project(v)
        some = delta_set.rows(namespace(x).arange(N) % 2 == 0)
        return (
            inside,
            delta_set.norm(inside),
            delta_set.contains(v),
            delta_set.linear_max(g),
            delta_set.support(g),
            delta_set.support(g[:, None]),
            delta_set.step(g, 0.1),
            delta_set.ascend(inside, g, 0.1),
            delta_set.sample(np.random.default_rng(5), x),
            some.linear_max(g[::2]),
            *some.bounds(),
        )

    where = draw(*SHAPE, seed=5) > 0
    for dtype in (np.float64, np.float32):
        given = (a.astype(dtype) for a in (X, TIES, draw(N, *SHAPE, seed=4)))
        same(device, f, *given, where, abs(draw(*SHAPE, seed=6)).astype(dtype))


@pytest.mark.parametrize("ball", BALLS, ids=str)
def test_a_box_of_arrays_lies_where_x_lies(ball, device):
    """Bounds for each pixel, on the device"""
    lower, upper = np.zeros(SHAPE), np.ones(SHAPE)
    same(device, lambda x, v, lower, upper: ball.within(lower, upper).at(x).project(v), X, TIES, lower, upper)


def test_a_box_that_is_left_is_refused_on_a_device(device):
    """x outside the box, an empty box, and a box that does not contain 0 are refused"""
    x = to_device(X)
    with pytest.raises(ValueError, match="outside the box"):
        Linf(0.1).within(0, 0.5).at(x)
    with pytest.raises(ValueError, match="is empty"):
        Linf(0.1).within(x, x - 1)
    with pytest.raises(ValueError, match=r"call \.at\(x\) first"):
        Linf(0.1).within(x + 1, x + 2).project(x)


# Losses.

OF_PAIRS = [losses.logit_difference, losses.target_minus_rest, losses.target_margin]
BINARY = [losses.logistic, losses.margin, *OF_PAIRS]
MULTI = [losses.cross_entropy, losses.margin, losses.dlr, losses.targeted_dlr, *OF_PAIRS]


def test_all_losses_are_here():
    """The lists are complete"""
    have = {type(loss) for loss in BINARY + MULTI} | {losses.Targeted}
    found = [
        c for n, c in inspect.getmembers(losses, inspect.isclass) if c.__module__ == losses.__name__ and n[0] != "_"
    ]
    assert have == set(found) - {losses.Loss}


@pytest.mark.parametrize(
    ("loss", "y", "z"),
    [(loss, SIGNS, draw(N)) for loss in BINARY] + [(loss, CLASSES, draw(N, K)) for loss in MULTI],
)
def test_a_loss_is_the_same_on_a_device(loss, y, z, device):
    """Value and gradient are the same, as are those of the targeted objective"""

    def f(z, y, target):
        asked = [losses.objective(loss, y, target)]
        if not getattr(loss, "of_pairs", False):
            asked.append((loss, y))
        return [(some.value(z, its), some.grad(z, its)) for some, its in asked]

    for dtype in (np.float64, np.float32):
        same(device, f, z.astype(dtype), y, np.roll(y, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_careful_formulas_are_the_same_on_a_device(dtype, device):
    """softplus, sigmoid, log-sum-exp and entropy are the same, even for extreme arguments"""

    def f(z, a):
        return numerics.softplus(z), numerics.sigmoid(z), numerics.log_sum_exp(z), numerics.binary_entropy(a)

    same(device, f, np.array([[-80, 0, 80], [3, 3, -40]], dtype), np.array([0, 1e-9, 0.3, 1], dtype))


# Models.


def network(*chain, seed=0):
    return Network(list(chain), SHAPE, np.random.default_rng(seed), np.float64)


def taped(params, x):
    z = ops.relu(ops.conv(x - 0.5, params["kernel"], 2, 1))
    z = ops.max_pool(z, 2, 2).reshape(len(x), -1) @ params["weight"]
    return z - ops.log_sum_exp(z)


MODELS = {
    "logistic": LogisticRegression(draw(*SHAPE), 0.3),
    "softmax": SoftmaxRegression(np.prod(SHAPE), K, rng=np.random.default_rng(0), dtype=np.float64),
    "mlp": MLP((128, 9, 7, K), rng=np.random.default_rng(0), dtype=np.float64),
    "mlp, tanh": MLP((128, 9, K), "tanh", rng=np.random.default_rng(0), dtype=np.float64),
    "cnn": CNN(SHAPE, (Conv(4), Conv(5, stride=2)), (7, K), rng=np.random.default_rng(0), dtype=np.float64),
    "wide cnn": network(Conv(16), ReLU(), Conv(17), ReLU(), Conv(9, 2, 3, 0), Flatten(), Dense(K)),
    "every layer": network(
        Conv(6, 4, 1, 2), ReLU(), MaxPool(3, 2), Tanh(), AveragePool(2, 1), Dropout(0.5), Flatten(), Dense(K)
    ),
    "taped": Taped(taped, {"kernel": draw(3, 3, 2, 4), "weight": draw(16, K)}, SHAPE),
}


def labels(model):
    return SIGNS if isinstance(model, LogisticRegression) else CLASSES


def targets(model):
    return -SIGNS if isinstance(model, LogisticRegression) else TARGETS


def test_all_models_and_layers_are_here():
    """The table is complete"""
    assert {type(m).__name__ for m in MODELS.values()} == set(models.__all__) - {"Model", "SoftNeighbours"}
    have = {type(layer) for m in MODELS.values() for layer in getattr(m, "layers", [])}
    found = [c for _, c in inspect.getmembers(layers, inspect.isclass) if hasattr(c, "forward")]
    assert have == {c for c in found if c.__module__ == layers.__name__}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_the_same_on_a_device(model, device):
    """Logits, predictions and the gradients in x and in the parameters are the same"""

    def f(model, x, y):
        (z_x, pull_x), (z_theta, pull_theta) = model.vjp_x(x), model.vjp_theta(x)
        dz = model.loss.grad(z_x, y)
        gradients = pull_x(dz), pull_theta(dz), pull_x(2 * dz)
        return model.logits(x), predict(model, x), z_x, z_theta, gradients, loss_and_gradient(model, model.loss, x, y)

    same(device, f, model, X, labels(model))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_float32_stays_float32_on_a_device(model, device):
    """Logits and gradients in x have the dtype of x; gradients in the parameters have that of the parameters"""
    there, x = to_device(model), to_device(X.astype(np.float32))
    z, pull = there.vjp_x(x)
    assert z.dtype == pull(z).dtype == np.float32
    assert {g.dtype for g in there.vjp_theta(x)[1](z).values()} == {np.dtype(np.float64)}


def test_dropout_drops_the_same_on_a_device(device):
    """The same seeds give the same noise"""

    def f(model, x, y):
        z, pull = model.noisy(np.arange(len(x))).vjp_theta(x)
        return z, pull(model.loss.grad(z, y))

    same(device, f, MODELS["every layer"], X, CLASSES)


def test_a_model_on_the_device_can_be_saved(device, tmp_path):
    """load(save(to_device(model))) = model"""
    model = MODELS["cnn"]
    save(to_device(model), tmp_path / "model.npz")
    check_same(device, to_device(load(tmp_path / "model.npz").params), model.params)


# Attacks.


def generator():
    return np.random.default_rng(7)


def seeded(attack, **fixed):
    """The attack with fixed options and random numbers."""
    return lambda *args, **options: attack(*args, rng=generator(), **fixed, **options)


ATTACKS = {
    "exact": attacks.exact,
    "fgsm": attacks.fgsm,
    "fgsm_random_start": seeded(attacks.fgsm_random_start),
    "pgd": partial(attacks.pgd, steps=5),
    "pgd, plain": partial(attacks.pgd, steps=5, normalized=False, alpha=0.5),
    "pgd, restarts": seeded(attacks.pgd, steps=3, restarts=3),
    "pgd, another loss": partial(attacks.pgd, steps=3, loss=losses.margin),
    "iterated_fgsm": partial(attacks.iterated_fgsm, steps=3),
    "momentum_fgsm": partial(attacks.momentum_fgsm, steps=3),
    "apgd": partial(attacks.apgd, steps=5),
    "apgd, restarts": seeded(attacks.apgd, steps=4, restarts=2),
    "apgd, until wrong": partial(attacks.apgd, steps=5, until_wrong=True),
    "square": seeded(attacks.square, queries=10),
    "genattack": seeded(attacks.genattack, queries=20, population=4),
    "nes": seeded(attacks.nes, queries=20, pairs=3),
    "spsa": seeded(attacks.spsa, queries=20, pairs=3),
    "one_pixel": seeded(attacks.one_pixel, queries=20, population=8),
    "one_pixel, scipy": seeded(attacks.one_pixel, queries=20, population=8, solver="scipy"),
    "standard": seeded(attacks.standard, steps=3, targets=2, queries=10),
    "bounded, fab": attacks.bounded(partial(attacks.fab, steps=3)),
}
THREATS = [*BALLS[:-1], *BOXED]
KNOWN = {"bounded": {Linf, L2, L1}}  # like FAB, with which it is tried


def known(name, threats):
    """The threats in the list that the attack supports"""
    name = name.split(",")[0]
    balls = KNOWN.get(name, find(name).norms)
    return [threat for threat in threats if type(threat.ball) in balls]


AGAINST = [(name, threat) for name in ATTACKS for threat in known(name, THREATS)]
SMALLEST = {
    "fab": partial(attacks.fab, steps=4),
    "fab, restarts": seeded(attacks.fab, steps=3, restarts=2, eps=0.5),
    "deepfool": partial(attacks.deepfool, steps=5),
    "carlini_wagner": partial(attacks.carlini_wagner, steps=4, searches=3, c=1.0),
    "boundary": seeded(attacks.boundary, queries=60),
    "hopskipjump": seeded(attacks.hopskipjump, queries=120, directions=10),
    "jsma": attacks.jsma,
    "jsma, probabilities": partial(attacks.jsma, theta=-0.5, of="probabilities"),
}


def test_all_attacks_are_here():
    """The tables are complete; two attacks have tests of their own"""
    have = {name.split(",")[0] for name in [*ATTACKS, *SMALLEST]} | {"lbfgs", "universal", "universal_gradient"}
    assert have - {"bounded"} == OF_EXAMPLES


@pytest.mark.parametrize(("name", "threat"), AGAINST, ids=str)
def test_an_attack_is_the_same_on_a_device(name, threat, device):
    """δ and its judgement are the same on a linear model, and on a network, with a target too"""

    def f(model, x, y, target=None):
        options = {} if target is None else {"target": target}
        delta = ATTACKS[name](model, x, y, threat, **options)
        return delta, judge(model, x, y, delta, threat, **options)

    compare = same_loss if device is not gpu and (name, threat) in ROUNDING_DECIDES else same
    compare(device, f, MODELS["logistic"], X, SIGNS)
    if name != "exact":
        compare(device, f, MODELS["cnn"], X, CLASSES)
    if name not in ("exact", "standard"):
        compare(device, f, MODELS["mlp"], X, CLASSES, TARGETS)


# CuPy sums in another order, and the last bit of a pixel sends these attacks another way. Tried in a box only.
ROUNDING_DECIDES = [("pgd", BOXED[2]), ("apgd", BOXED[2]), ("carlini_wagner", Linf)]


def same_loss(device, f, model, x, y, *target):
    """On the device these attacks reach the same mean loss as on the host, to 5 %."""
    delta = f(*moved((model, x, y, *target)))[0]
    assert isinstance(delta, device.ndarray)
    assert loss_at(model, x, y, host(delta)) == pytest.approx(
        loss_at(model, x, y, f(model, x, y, *target)[0]), rel=0.05
    )


def loss_at(model, x, y, delta):
    return model.loss.value(model.logits(x + delta), y).mean()


@pytest.mark.parametrize(("name", "where"), ROUNDING_DECIDES, ids=str)
def test_there_rounding_decides_on_the_host_too(name, where):
    """Pixels that differ in their last bit lead to another δ, but to the same mean loss, to 5 %"""
    rng, differ = np.random.default_rng(0), []
    for model, y, target in (("logistic", SIGNS, None), ("mlp", CLASSES, TARGETS)):
        if name == "carlini_wagner":
            f = partial(SMALLEST[name], MODELS[model], y=y, target=target, norm=where, box=(0, 1))
        else:
            f = partial(ATTACKS[name], MODELS[model], y=y, target=target, threat=where)
        delta = f(X)
        for _ in range(10):
            x = np.nextafter(X, rng.integers(0, 2, X.shape))
            shaken = f(x)
            differ.append(abs(shaken - delta).max() > 1e-3)
            assert loss_at(MODELS[model], x, y, shaken) == pytest.approx(loss_at(MODELS[model], X, y, delta), rel=0.05)
    assert any(differ)


@pytest.mark.parametrize("box", [(0, 1), None], ids=["box", "no box"])
@pytest.mark.parametrize(
    ("attack", "norm"),
    [
        pytest.param(a, norm, id=f"{name}-{norm}")
        for name, a in SMALLEST.items()
        for norm in find(name.split(",")[0]).norms
    ],
)
def test_a_smallest_change_is_the_same_on_a_device(attack, norm, box, device):
    """δ, and the prediction at x + δ; one example is misclassified already; float32 stays float32"""

    def f(model, x, y, target=None):
        delta = attack(model, x, y, target=target, box=box, norm=norm)
        return delta, predict(model, x + delta)

    for model, target in (("logistic", None), ("cnn", None), ("mlp", TARGETS)):
        model, options = MODELS[model], [] if target is None else [target]
        y = predict(model, X)
        y[0] = -y[0] if model is MODELS["logistic"] else (y[0] + 1) % K
        if device is not gpu and box and (getattr(attack, "func", attack).__name__, norm) in ROUNDING_DECIDES:
            same_loss(device, f, model, X, y, *options)
            continue
        delta, _ = same(device, f, model, X, y, *options)
        assert delta.any()
    delta, _ = f(*moved((MODELS["cnn"], X.astype(np.float32), CLASSES)))
    assert isinstance(delta, device.ndarray)
    assert delta.dtype == np.float32


@pytest.mark.parametrize("of", ["logits", "probabilities"])
@pytest.mark.parametrize("theta", [1, -1])
def test_a_saliency_map_is_the_same_on_a_device(of, theta, device):
    """S+ and S- are the same"""
    for model in (MODELS["logistic"], MODELS["cnn"]):
        same(device, partial(attacks.saliency_map, theta=theta, of=of), model, X, targets(model))


def test_lbfgs_asks_for_host_arrays(device):
    """SciPy minimises on the host: a TypeError says what to do"""
    with pytest.raises(TypeError, match="lbfgs runs on NumPy arrays only; move these with to_host first"):
        attacks.lbfgs(*moved((MODELS["mlp"], X, CLASSES)), target=to_device(TARGETS))


def test_pgd_begins_where_it_is_told_on_a_device(device):
    """start has the shape (restarts, N, *D), and the callback gets arrays of the device"""

    def f(model, x, y, start):
        seen = []
        delta = attacks.pgd(model, x, y, BOXED[1], steps=3, restarts=2, start=start, callback=seen.append)
        return delta, seen

    same(device, f, MODELS["mlp"], X, CLASSES, draw(2, *X.shape))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_worst_case_over_attacks_is_the_same_on_a_device(model, device):
    """Which examples stand against one attack, and then against another"""

    def f(model, x, y):
        y = predict(model, x)  # all stand at first
        against = attacks.fgsm, partial(attacks.pgd, steps=3)
        threat = Linf(0.05).within(0, 1)
        return stands(model, x, y, threat, against), robust_accuracy(model, x, y, threat, against)

    same(device, f, model, X, labels(model))


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize("name", [name for name, threat in AGAINST if threat == BOXED[1] and name != "exact"])
def test_chunks_change_nothing_on_a_device(name, chunk, device):
    """An attack in chunks = the attack on the whole batch"""

    def f(model, x, y):
        with parallel.limit(chunk=chunk):
            return ATTACKS[name](model, x, y, BOXED[1])

    check_same(device, f(*moved((MODELS["cnn"], X, CLASSES))), ATTACKS[name](MODELS["cnn"], X, CLASSES, BOXED[1]))


def test_a_device_is_given_what_fits_its_memory(device, monkeypatch):
    """Chunks on a device are as large as its memory allows, and run one after the other"""
    x, sizes = to_device(X), []
    threads = set()

    def f(x):
        sizes.append(len(x))
        threads.add(threading.get_ident())
        return (2 * x,)

    def run():
        sizes.clear()
        check_same(device, parallel.map_chunks(f, None, x), (2 * X,))
        return sizes

    assert run() == [N]
    monkeypatch.setattr(parallel, "memory", lambda cupy: 4 * (10 * X[0].nbytes) / parallel.DEVICE)
    assert run() == [3, 3]  # at most four, of sizes as equal as possible
    assert threads == {threading.get_ident()}


# Training.

RUNS = {
    "logistic": ("logistic", {"optimizer": SGD(0.1)}),
    "exact": ("logistic", {"attack": partial(attacks.exact, threat=Linf(0.1))}),
    "cnn, momentum": ("cnn", {"optimizer": SGD(0.1, momentum=0.9, weight_decay=0.01)}),
    "mlp, Adam, fgsm": ("mlp", {"optimizer": Adam(0.01), "attack": partial(attacks.fgsm, threat=BOXED[0])}),
    "every layer, pgd": ("every layer", {"attack": partial(attacks.pgd, threat=BOXED[1], steps=2)}),
    "taped": ("taped", {"optimizer": SGD(0.01)}),
}


@pytest.mark.parametrize(("name", "options"), RUNS.values(), ids=RUNS)
def test_training_is_the_same_on_a_device(name, options, device):
    """History and parameters of two epochs are the same"""

    def f(model, x, y):
        model = copy.copy(model)
        history = fit(model, x, y, epochs=2, batch_size=4, rng=np.random.default_rng(0), progress=False, **options)
        return history, model.params

    same(device, f, MODELS[name], X, labels(MODELS[name]))


def test_an_interrupted_run_goes_on_on_a_device(device, tmp_path):
    """One epoch, a checkpoint and one more epoch are the same as two epochs"""

    def f(epochs, **options):
        model = to_device(MODELS["mlp"])
        x, y = to_device(X), to_device(CLASSES)
        fit(model, x, y, epochs=epochs, batch_size=4, optimizer=Adam(0.01), progress=False, **options)
        return model.params

    f(1, checkpoint=tmp_path / "run")
    check_same(device, f(2, checkpoint=tmp_path / "run"), to_host(f(2)))


# The engine.


def pick(x):
    first = ops.plain(x).argmax(axis=0)
    return x[1:, ::2] + x[first[:2]][:, :2] * x[0, 1] + x[:2, None, 0]


def rearrange(x, y):
    return ops.concatenate([x.T, y.reshape(4, 3)], axis=1) * ops.stack([x[0], y[0]])[0].max()


OPS = {
    "elementwise": (lambda x: ops.exp(x) + ops.sin(x) + ops.cos(x) * ops.tanh(x), (3, 4)),
    "of logits": (lambda x: ops.sigmoid(x) * ops.softplus(x), (3, 4)),
    "of positives": (lambda x: ops.log(x * x + 1) + ops.sqrt(ops.absolute(x) + 1) + ops.log1p(x * x), (3, 4)),
    "two": (lambda x, y: ops.maximum(x, y) / (2 + ops.minimum(x * y, 1)) - 3 * y + 2, (3, 4), (4,)),
    "powers": (lambda x: x**3 + (x**2 + 1) ** 0.5 - -x, (3, 4)),
    "where": (lambda x, y: ops.where(x > 0, x, ops.sign(y) * y), (3, 4), (3, 4)),
    "sums": (lambda x: x.sum(axis=0) * x.mean(axis=(0, 1)), (3, 4)),
    "copies": (lambda x: ops.broadcast_to(x.max(axis=1, keepdims=True), (2, 3, 4)) * x, (3, 4)),
    "picking": (pick, (3, 4)),
    "masks": (lambda x: x[ops.plain(x) > 0].sum() * x, (3, 4)),
    "shapes": (rearrange, (3, 4), (3, 4)),
    "products": (lambda x, y: (x @ y) @ y.T + x * (x[0] @ x[1]), (3, 4), (4, 4)),
    "softmax": (lambda x: ops.softmax(x) * ops.log_sum_exp(x), (3, 4)),
    "convolution": (lambda x, w: ops.conv(x, w, 2, 1), (2, 5, 5, 3), (3, 3, 3, 4)),
    "wide convolution": (lambda x, w: ops.conv(x, w, 2, 1), (2, 5, 5, 9), (3, 3, 9, 2)),
    "pooling": (lambda x: ops.max_pool(x, 2, 1) * ops.average_pool(x, 2, 1), (2, 5, 5, 3)),
}


@pytest.mark.parametrize(("f", "shapes"), [(f, shapes) for f, *shapes in OPS.values()], ids=OPS)
def test_the_engine_is_the_same_on_a_device(f, shapes, device):
    """Value, gradients and the gradient of the squared gradient are the same"""

    def run(*primals):
        value, pull = vjp(f, *primals)
        twice = grad(lambda x: (grad(lambda x: f(x, *primals[1:]).sum())(x) ** 2).sum() + (x * x).sum())
        return value, pull(value), twice(primals[0])

    same(device, run, *(draw(*shape, seed=i) for i, shape in enumerate(shapes)))


# The linear experiment.


@pytest.mark.parametrize("ball", [Linf(0.1), L2(0.3), L1(0.5), *(ball.within(0, 1) for ball in BALLS)], ids=str)
def test_the_robust_objective_is_the_same_on_a_device(ball, device):
    """The objective, its gradient and the worst margin are the same"""

    def f(theta, x, y):
        return [g(theta, 0.2, x, y, ball) for g in (robust_logistic.objective, robust_logistic.gradient)], (
            robust_logistic.worst_margin(theta, 0.2, x, y, ball)
        )

    same(device, f, draw(*SHAPE), X, SIGNS)


def test_the_exact_solvers_ask_for_host_arrays(device):
    """robust_logistic.fit and critical_radius of device arrays raise a TypeError that says what to do"""
    x, y = to_device(X), to_device(SIGNS)
    for solve in (robust_logistic.fit, robust_logistic.critical_radius):
        with pytest.raises(TypeError, match="runs on NumPy arrays only; move these with to_host first"):
            solve(x, y, Linf if solve is robust_logistic.critical_radius else Linf(0.1))
    assert robust_logistic.critical_radius(to_host(x), to_host(y), Linf) > 0


# Host and device mixed.

ENTRANCES = {
    **{
        name: partial(lambda attack, threat, m, x, y: attack(m, x, y, threat), attack, known(name, BOXED)[0])
        for name, attack in ATTACKS.items()
    },
    **{name: partial(lambda attack, m, x, y: attack(m, x, y), attack) for name, attack in SMALLEST.items()},
    "saliency_map": attacks.saliency_map,
    "judge": lambda m, x, y: judge(m, x, y, 0 * x, BOXED[0]),
    "robust_accuracy": lambda m, x, y: robust_accuracy(m, x, y, BOXED[0], [attacks.fgsm]),
    "fit": lambda m, x, y: fit(m, x, y, epochs=1, progress=False),
}
MIX = "NumPy and CuPy arrays are mixed; move all of them to one side first"


@pytest.mark.parametrize("name", ENTRANCES)
def test_a_mix_of_host_and_device_is_refused(name, device):
    """If one of model, x and y is not where the others are, a TypeError says so"""
    model = MODELS["logistic" if name == "exact" else "mlp"]
    here = [model, X, labels(model)]
    there = list(moved(here))
    ENTRANCES[name](*there)
    for i in range(3):
        for mixed in ([*here[:i], there[i], *here[i + 1 :]], [*there[:i], here[i], *there[i + 1 :]]):
            with pytest.raises(TypeError, match=MIX):
                ENTRANCES[name](*mixed)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_refuses_x_from_the_other_side(model, device):
    """logits, vjp_x and vjp_theta refuse arrays from both host and device"""
    for m, x in ((model, to_device(X)), (to_device(model), X)):
        for f in (m.logits, m.vjp_x, m.vjp_theta):
            with pytest.raises(TypeError, match=MIX):
                f(x)


MIXED = {
    "target of fgsm": lambda m, x, y, h: attacks.fgsm(m, x, y, BOXED[0], target=TARGETS),
    "target of pgd": lambda m, x, y, h: attacks.pgd(m, x, y, BOXED[0], target=TARGETS),
    "target of square": lambda m, x, y, h: ATTACKS["square"](m, x, y, BOXED[0], target=TARGETS),
    "target of deepfool": lambda m, x, y, h: attacks.deepfool(m, x, y, target=TARGETS),
    "rival of fab": lambda m, x, y, h: attacks.fab(m, x, y, rival=TARGETS),
    "target of judge": lambda m, x, y, h: judge(m, x, y, x, BOXED[0], target=TARGETS),
    "start": lambda m, x, y, h: attacks.pgd(m, x, y, BOXED[0], start=h),
    "start without a box": lambda m, x, y, h: attacks.pgd(m, x, y, Linf(0.1), start=h),
    "delta": lambda m, x, y, h: judge(m, x, y, h, BOXED[0]),
    "delta of an attack": lambda m, x, y, h: fit(m, x, y, epochs=1, attack=lambda *args: h, progress=False),
    "lower bound": lambda m, x, y, h: attacks.fgsm(m, x, y, Linf(0.1).within(np.zeros(SHAPE), 1)),
    "upper bound": lambda m, x, y, h: attacks.fgsm(m, x, y, Linf(0.1).within(0, np.ones(SHAPE))),
    "bounds": lambda m, x, y, h: Linf(0.1).within(0 * x, np.ones(SHAPE)),
    "a set": lambda m, x, y, h: BOXED[0].at(x).project(h),
    "a set of the host": lambda m, x, y, h: BOXED[0].at(h).project(x),
    "theta": lambda m, x, y, h: robust_logistic.objective(h[0], 0.0, x, 0 * y + 1, Linf(0.1)),
    "engine": lambda m, x, y, h: vjp(lambda t: ops.multiply(t, h), x),
    "cotangent": lambda m, x, y, h: vjp(lambda t: t * t, x)[1](h),
    "like": lambda m, x, y, h: checks.same_shape(x, h, "x"),
}


@pytest.mark.parametrize("f", MIXED.values(), ids=MIXED)
def test_a_mix_in_an_option_is_refused(f, device):
    """Every other array must be where x is"""
    with pytest.raises(TypeError, match=MIX):
        f(*moved((MODELS["mlp"], X, CLASSES)), X)


def test_host_takes_numbers_and_arrays_of_both_sides(device):
    """host(a) is a NumPy array"""
    for a in (1.5, np.float32(2), draw(2), to_device(draw(2))):
        assert isinstance(host(a), np.ndarray)
