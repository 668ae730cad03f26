"""The hidden tests of homework 2: no attack is stronger, and the objective is the loss under this attack."""

import linear as student_exact
import numpy as np
import risk as student
from checking import array_of, close, said
from hypothesis import given
from hypothesis import strategies as st
from public_tests import attack, call

from scratchadv.models import MLP, LogisticRegression
from scratchadv.sets import L1, L2, Linf

DUAL = {Linf: 1, L2: 2, L1: np.inf}
ORDER = {Linf: np.inf, L2: 2, L1: 1}
balls = st.tuples(st.sampled_from([Linf, L2, L1]), st.sampled_from([0.25, 0.0, 0.5, 2.0])).map(lambda b: b[0](b[1]))


def numbers(low, high):
    """Draw multiples of 1/4, with many zeros and ties among them."""
    return st.integers(4 * low, 4 * high).map(lambda n: n / 4)


@st.composite
def problems(draw, low=-2, high=2):
    """Draw theta, theta0, x and y: a linear model and up to three examples with their labels."""
    size, n = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    theta = draw(st.lists(numbers(-3, 3), min_size=size, max_size=size))
    x = draw(st.lists(st.lists(numbers(low, high), min_size=size, max_size=size), min_size=n, max_size=n))
    y = draw(st.lists(st.sampled_from([1, -1]), min_size=n, max_size=n))
    return np.array(theta), draw(numbers(-1, 1)), np.array(x), np.array(y)


def margins(theta, theta0, x, y):
    """Return y(θᵀx + θ0), written out."""
    return np.array([label * ((row * theta).sum() + theta0) for row, label in zip(x, y, strict=True)])


def psi(m):
    """Return log(1 + exp(−m))."""
    return np.maximum(-m, 0) + np.log1p(np.exp(-abs(m)))


def norms(ball, delta):
    """Return NumPy's norm of each row."""
    return np.linalg.norm(delta, ORDER[type(ball)], axis=1)


def harm_in_the_range(theta, x, y, eps):
    """Return how far each margin can fall if no pixel moves by more than ε and none leaves [0, 1]."""
    towards = -y[:, None] * theta
    room = np.minimum(eps, np.where(towards > 0, 1 - x, x))
    return (abs(theta) * room).sum(axis=1)


@given(problems(), balls)
def test_nothing_in_the_set_hurts_more(problem, ball):
    """δ lies in Δ, and the margin falls by ε‖θ‖ in the dual norm, which is the most that it can fall"""
    theta, theta0, x, y = problem
    delta, what = attack(theta, theta0, x, y, ball)
    assert (norms(ball, delta) <= ball.eps + 1e-9).all(), f"{what} is {said(delta)}, outside the set"
    fall = margins(theta, theta0, x, y) - margins(theta, theta0, x + delta, y)
    most = np.full(len(x), ball.eps * np.linalg.norm(theta, DUAL[type(ball)]))
    assert close(fall, most), f"{what} is {said(delta)}: the margins fall by {said(fall)}, but could by {said(most)}"


@given(problems(0, 1), st.sampled_from([0.25, 0.0, 0.5, 2.0]))
def test_exact_in_the_pixel_range(problem, eps):
    """With 0 ≤ x + δ ≤ 1 the attack moves each pixel as far as the range allows, and no farther"""
    theta, theta0, x, y = problem
    delta, what = attack(theta, theta0, x, y, Linf(eps).within(0, 1))
    pixels = x + delta
    assert ((pixels >= -1e-9) & (pixels <= 1 + 1e-9)).all(), f"{what}: x + δ is {said(pixels)}, outside [0, 1]"
    assert (abs(delta) <= eps + 1e-9).all(), f"{what} is {said(delta)}, outside the ball"
    fall = margins(theta, theta0, x, y) - margins(theta, theta0, pixels, y)
    most = harm_in_the_range(theta, x, y, eps)
    assert close(fall, most), f"{what} is {said(delta)}: the margins fall by {said(fall)}, but could by {said(most)}"


def test_exact_keeps_images_and_refuses_networks():
    """For images in float32, δ has their shape and is in float32; a network raises TypeError"""
    x, y = np.full((2, 2, 2, 1), 0.5, np.float32), np.array([1, -1])
    theta = np.array([[[1.0], [-2.0]], [[0.0], [3.0]]], np.float32)
    delta = student_exact.exact(LogisticRegression(theta, 0.5), x.copy(), y.copy(), Linf(0.25))
    dtype = getattr(delta, "dtype", None)
    assert dtype == np.float32, f"δ for images in float32 should be float32, but is {dtype}"
    delta = array_of(delta, x.shape, "δ for images of shape (2, 2, 2, 1)")
    expected = -0.25 * np.sign(theta) * y.reshape(2, 1, 1, 1)
    assert close(delta, expected), f"δ should be {said(expected)}, but is {said(delta)}"
    network = MLP((4, 3, 2))
    flat = x.reshape(2, 4)
    instead = "returns an answer"
    try:
        student_exact.exact(network, flat, np.array([0, 1]), Linf(0.25))
    except TypeError:
        return
    except Exception as error:
        instead = f"fails with: {error}"
    raise AssertionError(f"exact should refuse a network with a TypeError, but {instead}")


@given(problems(), balls)
def test_worst_margin_is_the_dual_norm(problem, ball):
    """m = y(θᵀx + θ0) − ε‖θ‖: ℓ1 for the ℓ∞ ball, ℓ2 for ℓ2, ℓ∞ for ℓ1"""
    theta, theta0, x, y = problem
    found, what = call("worst_margin", *problem, ball, y.shape)
    expected = margins(theta, theta0, x, y) - ball.eps * np.linalg.norm(theta, DUAL[type(ball)])
    assert close(found, expected), f"{what} should be {said(expected)}, but is {said(found)}"


@given(problems(0, 1), st.sampled_from([0.25, 0.0, 0.5, 2.0]))
def test_worst_margin_in_the_pixel_range(problem, eps):
    """With 0 ≤ x + δ ≤ 1 each example loses what its own range allows"""
    theta, theta0, x, y = problem
    found, what = call("worst_margin", *problem, Linf(eps).within(0, 1), y.shape)
    expected = margins(theta, theta0, x, y) - harm_in_the_range(theta, x, y, eps)
    assert close(found, expected), f"{what} should be {said(expected)}, but is {said(found)}"


def mean_loss(theta, theta0, x, y, ball):
    """Return the objective, written out."""
    worst = margins(theta, theta0, x, y) - ball.eps * np.linalg.norm(theta.ravel(), DUAL[type(ball)])
    return psi(worst).mean()


@given(problems(), balls)
def test_objective_is_the_mean_loss(problem, ball):
    """The mean of Ψ over the examples, under the worst attack"""
    found, what = call("objective", *problem, ball)
    expected = mean_loss(*problem, ball)
    assert close(found, expected), f"{what} should be {expected:.6g}, but is {said(found)}"


def test_objective_at_large_margins():
    """Margins of 2000 and −2000: no overflow, no infinity"""
    theta, y = np.array([1000.0]), np.array([1, 1])
    x = np.array([[2.0], [-2.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        try:
            found, what = call("objective", theta, 0.0, x, y, Linf(1))
        except FloatingPointError as error:
            raise AssertionError(f"a margin of −3000 makes NumPy say: {error}") from None
    assert close(found, 1500.0), f"{what} should be 1500, but is {said(found)}"


def smooth(problem, ball):
    """Move the problem to where the objective has a gradient: no θ_j is 0, and a single |θ_j| is the largest."""
    theta, theta0, x, y = problem
    theta = theta + 0.03 * (1 + np.arange(len(theta)))
    return (theta, theta0, x, y), ball


def gradients(problem, ball):
    """Return the student's gradient in θ and θ0, and the call in words."""
    theta, theta0, x, y = problem
    what = f"gradient({said(theta)}, {theta0:g}, x={said(x)}, y={said(y)}, {ball})"
    pair = student.gradient(theta.copy(), theta0, x.copy(), y.copy(), ball)
    assert type(pair) is tuple, f"{what} should be a pair, but is of type {type(pair).__name__}"
    assert len(pair) == 2, f"{what} should be a pair, but has length {len(pair)}"
    return array_of(pair[0], theta.shape, f"{what}, in θ"), array_of(pair[1], (), f"{what}, in θ0"), what


@given(problems(), balls)
def test_gradient_in_theta(problem, ball):
    """∂F/∂θ_j = (F(θ + h e_j) − F(θ − h e_j)) / 2h for small h"""
    problem, ball = smooth(problem, ball)
    theta, *rest = problem
    found, _, what = gradients(problem, ball)
    step = 1e-6 * np.eye(len(theta))
    expected = [(mean_loss(theta + e, *rest, ball) - mean_loss(theta - e, *rest, ball)) / 2e-6 for e in step]
    assert close(found, expected, 1e-7), f"{what}: in θ it should be {said(expected)}, but is {said(found)}"


@given(problems(), balls)
def test_gradient_in_theta0(problem, ball):
    """∂F/∂θ0 = (F(θ0 + h) − F(θ0 − h)) / 2h for small h"""
    problem, ball = smooth(problem, ball)
    theta, theta0, x, y = problem
    _, found, what = gradients(problem, ball)
    expected = (mean_loss(theta, theta0 + 1e-6, x, y, ball) - mean_loss(theta, theta0 - 1e-6, x, y, ball)) / 2e-6
    assert close(found, expected, 1e-7), f"{what}: in θ0 it should be {expected:.6g}, but is {said(found)}"
