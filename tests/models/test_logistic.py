"""Laws of logistic regression: one logit, linear in x and in theta."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.losses import logistic
from scratchadv.models import LogisticRegression

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
SHAPES = [(3,), (2, 2, 1), (1,)]
shapes = st.sampled_from(SHAPES)
DTYPES = [np.float32, np.float64]


def draw(seed, shape, dtype=np.float64, n=5):
    rng = np.random.default_rng(seed)
    theta, theta0 = rng.normal(size=shape).astype(dtype), rng.normal()
    return LogisticRegression(theta, theta0), rng.normal(size=(n, *shape)).astype(dtype), rng


def dot(a, b):
    """<a, b> over all entries."""
    return float(np.sum(np.asarray(a, float) * np.asarray(b, float)))


@few
@given(seeds, shapes)
def test_pull_by_x_is_the_adjoint_of_the_derivative(seed, shape):
    """<pull(dz), v> = <dz, J v>, and J v = f(x + v) - f(x) because f is linear"""
    model, x, rng = draw(seed, shape)
    z, pull = model.vjp_x(x)
    v, dz = rng.normal(size=x.shape), rng.normal(size=len(x))
    assert pull(dz).shape == x.shape
    np.testing.assert_allclose(dot(pull(dz), v), dot(dz, model.logits(x + v) - z), atol=1e-12)


@few
@given(seeds, shapes)
def test_pull_by_theta_is_the_adjoint_of_the_derivative(seed, shape):
    """<pull(dz), w> = <dz, J w>, and J w = f(x | theta + w) - f(x | theta)"""
    model, x, rng = draw(seed, shape)
    z, pull = model.vjp_theta(x)
    w, w0, dz = rng.normal(size=shape), rng.normal(), rng.normal(size=len(x))
    moved = LogisticRegression(model.params["theta"] + w, model.params["theta0"] + w0)
    g = pull(dz)
    np.testing.assert_allclose(dot(g["theta"], w) + dot(g["theta0"], w0), dot(dz, moved.logits(x) - z), atol=1e-12)


@few
@given(seeds, shapes)
def test_the_loss_by_theta_agrees_with_central_differences(seed, shape):
    """pull(dL/dz) = d sum_i L(y_i, f(x_i | theta)) / d theta"""
    model, x, rng = draw(seed, shape)
    y, h = rng.choice([-1, 1], len(x)), 1e-5
    theta, theta0 = model.params["theta"], model.params["theta0"]

    def value(theta, theta0):
        return logistic.value(LogisticRegression(theta, theta0).logits(x), y).sum()

    z, pull = model.vjp_theta(x)
    g = pull(logistic.grad(z, y))
    for j in np.ndindex(shape):
        step = np.zeros(shape)
        step[j] = h
        slope = (value(theta + step, theta0) - value(theta - step, theta0)) / (2 * h)
        np.testing.assert_allclose(g["theta"][j], slope, rtol=1e-7, atol=1e-8)
    slope = (value(theta, theta0 + h) - value(theta, theta0 - h)) / (2 * h)
    np.testing.assert_allclose(g["theta0"], slope, rtol=1e-7, atol=1e-8)


@few
@given(seeds, shapes)
def test_both_pullbacks_and_logits_give_the_same_z(seed, shape):
    """vjp_x(x)[0] = vjp_theta(x)[0] = logits(x) = sum_j theta_j x_j + theta0"""
    model, x, _ = draw(seed, shape)
    z = np.tensordot(x, model.params["theta"], axes=len(shape)) + model.params["theta0"]
    for found in (model.logits(x), model.vjp_x(x)[0], model.vjp_theta(x)[0]):
        np.testing.assert_allclose(found, z, atol=1e-14)


def test_golden():
    """theta = (2, -1), theta0 = 1/2: z = 2 a - b + 1/2"""
    model = LogisticRegression(np.array([2.0, -1.0]), 0.5)
    x = np.array([[1.0, 1.0], [0.0, 3.0]])
    np.testing.assert_array_equal(model.logits(x), [1.5, -2.5])
    dz = np.array([10.0, 1.0])
    np.testing.assert_array_equal(model.vjp_x(x)[1](dz), [[20, -10], [2, -1]])
    g = model.vjp_theta(x)[1](dz)
    np.testing.assert_array_equal(g["theta"], [10, 13])
    assert g["theta0"] == 11


@pytest.mark.parametrize("theta_dtype", DTYPES)
@pytest.mark.parametrize("x_dtype", DTYPES)
def test_logits_and_gradients_keep_the_dtype_of_what_they_are_like(x_dtype, theta_dtype):
    """z and the gradient in x have the dtype of x, the gradient in theta that of theta, whatever the other is"""
    model, _, _ = draw(0, (2, 2, 1), theta_dtype)
    x = np.ones((3, 2, 2, 1), x_dtype)
    z, pull_x = model.vjp_x(x)
    _, pull_theta = model.vjp_theta(x)
    assert {z.dtype, model.logits(x).dtype, pull_x(z).dtype} == {np.dtype(x_dtype)}
    assert {g.dtype for g in pull_theta(z).values()} == {np.dtype(theta_dtype)}
    assert {name: np.shape(g) for name, g in pull_theta(z).items()} == {"theta": (2, 2, 1), "theta0": ()}
    assert {p.dtype for p in model.params.values()} == {np.dtype(theta_dtype)}


def test_nothing_is_changed_in_place():
    """x, dz and theta are not changed"""
    model, x, rng = draw(1, (4,))
    dz = rng.normal(size=len(x))
    before = [a.copy() for a in (x, dz, model.params["theta"], model.params["theta0"])]
    model.vjp_x(x)[1](dz)
    model.vjp_theta(x)[1](dz)
    for a, b in zip((x, dz, model.params["theta"], model.params["theta0"]), before, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_pullbacks_nest():
    """A later call does not change what an earlier pullback returns: nothing is stored on the model"""
    model, x, _ = draw(2, (4,))
    dz = np.ones(len(x))
    _, early = model.vjp_theta(x)
    expected = early(dz)["theta"].copy()
    model.vjp_theta(2 * x)[1](dz)
    np.testing.assert_array_equal(early(dz)["theta"], expected)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 1, 2), (2, 2)])
@pytest.mark.parametrize("call", ["logits", "vjp_x", "vjp_theta"])
def test_examples_of_another_shape_are_refused(shape, call):
    """x of shape (N, *other) is an error that names both shapes, even where the sizes are equal"""
    model = LogisticRegression(np.ones((2, 2, 1)))
    with pytest.raises(ValueError, match=r"x has shape .* examples of shape \(2, 2, 1\) were expected"):
        getattr(model, call)(np.ones((3, *shape)))


@pytest.mark.parametrize(
    ("theta", "theta0", "error", "message"),
    [
        (np.array([1.0, np.nan]), 0.0, ValueError, "theta holds nan"),
        (np.array([1, 2]), 0.0, TypeError, "theta has dtype int64"),
        (np.array([]), 0.0, ValueError, "theta has shape"),
        (np.array(1.0), 0.0, ValueError, "theta has shape"),
        (np.array([1.0]), np.nan, ValueError, "theta0 = nan must be finite"),
        (np.array([1.0]), np.inf, ValueError, "theta0 = inf must be finite"),
    ],
)
def test_bad_parameters_are_refused(theta, theta0, error, message):
    """theta is a float array of shape D and theta0 a number, both finite"""
    with pytest.raises(error, match=message):
        LogisticRegression(theta, theta0)


@pytest.mark.parametrize("shape", [(28, 28, 1), (4,), (1,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_initial_parameters_lie_within_one_over_root_p(shape, dtype):
    """|theta_j|, |theta0| <= 1 / sqrt(P), in the requested dtype"""
    bound = 1 / math.sqrt(math.prod(shape))
    for seed in range(20):
        model = LogisticRegression.initial(shape, np.random.default_rng(seed), dtype)
        assert model.params["theta"].shape == shape
        assert {p.dtype for p in model.params.values()} == {np.dtype(dtype)}
        assert max(abs(model.params["theta"]).max(), abs(model.params["theta0"])) <= bound * (1 + 1e-6)


def test_initial_parameters_are_uniform():
    """P(|theta_j| sqrt(P) <= t) = t, and both signs are equally frequent, to 5 standard deviations; likewise theta0"""
    rng = np.random.default_rng(0)
    models = [LogisticRegression.initial((8, 8, 1), rng) for _ in range(400)]
    theta = 8 * np.stack([model.params["theta"] for model in models]).ravel()
    theta0 = 8 * np.stack([model.params["theta0"] for model in models])
    for sample in (theta, theta0):
        for t in (0.1, 0.5, 0.9):
            assert abs(np.mean(abs(sample) <= t) - t) < 5 * math.sqrt(t * (1 - t) / len(sample))
        assert abs(np.mean(sample > 0) - 0.5) < 5 * 0.5 / math.sqrt(len(sample))


def test_the_same_seed_gives_the_same_start():
    """initial(shape, rng(s)) is a function of s, and not constant in s"""
    start = {s: LogisticRegression.initial((5,), np.random.default_rng(s)).params for s in (0, 1)}
    again = LogisticRegression.initial((5,), np.random.default_rng(0)).params
    np.testing.assert_array_equal(start[0]["theta"], again["theta"], strict=True)
    np.testing.assert_array_equal(start[0]["theta0"], again["theta0"], strict=True)
    assert (start[0]["theta"] != start[1]["theta"]).all()
    assert start[0]["theta0"] != start[1]["theta0"]
