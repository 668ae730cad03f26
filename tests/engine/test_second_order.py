"""Uses of gradients of gradients: Hessian-vector products and input-gradient regularisation of networks."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scratchadv import losses
from scratchadv.engine import grad, ops, vjp
from scratchadv.kernels import pool

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=10, deadline=None)


def cross_entropy(z, y):
    """The mean of log sum exp z - z_y."""
    return (ops.log_sum_exp(z)[:, 0] - z[np.arange(len(y)), y]).mean()


def mlp(theta, x):
    w1, b1, w2, b2 = theta
    return ops.tanh(x @ w1 + b1) @ w2 + b2


def cnn(theta, x):
    w1, w2, w3, b = theta
    h = ops.max_pool(ops.softplus(ops.conv(x, w1, padding=1)), 2, 2)
    h = ops.average_pool(ops.tanh(ops.conv(h, w2, stride=2, padding=1)), 2, 1)
    return h.reshape(len(x), -1) @ w3 + b


def relu_net(theta, x):
    w1, b1, w2, b2 = theta
    return ops.relu(x @ w1 + b1) @ w2 + b2


DENSE = (4, 5), (5,), (5, 3), (3,)
NETWORKS = {
    "mlp": (mlp, (3, 4), DENSE),
    "relu": (relu_net, (3, 4), DENSE),
    "cnn": (cnn, (3, 6, 6, 2), ((3, 3, 2, 3), (2, 2, 3, 2), (2, 3), (3,))),
}


PATTERN = {  # on which linear piece of a function with kinks theta and x lie
    "mlp": lambda theta, x: 0,
    "relu": lambda theta, x: x @ theta[0] + theta[1] > 0,
    "cnn": lambda theta, x: pool.max_pool(ops.conv(x, theta[0], padding=1), 2, 2)[1],
}


def draw(name, rng):
    net, x_shape, theta_shapes = NETWORKS[name]
    theta = [0.5 * rng.normal(size=s) for s in theta_shapes]
    return net, theta, rng.normal(size=x_shape), rng.integers(0, 3, x_shape[0])


def moved(xs, t, us):
    return [x + t * u for x, u in zip(xs, us, strict=True)]


def on_one_piece(name, theta, x, theta_step, x_step):
    """Whether five points within two steps of theta and x show no kink of the network."""
    here = PATTERN[name](theta, x)
    return all(np.array_equal(here, PATTERN[name](moved(theta, t, theta_step), x + t * x_step)) for t in (-2, -1, 1, 2))


def hvp(f, x, v):
    """H v = grad <grad f(x), v>, without the Hessian."""
    return grad(lambda x: (grad(f)(x) * v).sum())(x)


def slope(f, h=1e-3):
    """f'(0) from five points."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def test_slope_is_exact_for_polynomials_of_degree_four():
    """d/dt (1 + t)^4 = 4 at 0"""
    assert abs(slope(lambda t: (1 + t) ** 4) - 4) < 1e-12


@pytest.mark.parametrize("name", ["mlp", "cnn"])
@few
@given(seeds)
def test_the_hessian_vector_product_is_the_slope_of_the_gradient_and_symmetric(name, seed):
    """H v = d/dt grad f(x + t v);  <u, H v> = <v, H u>"""
    rng = np.random.default_rng(seed)
    net, theta, x, y = draw(name, rng)
    f = lambda x: cross_entropy(net(theta, x), y)  # noqa: E731
    u, v = rng.normal(size=x.shape), 0.1 * rng.normal(size=x.shape)
    assume(on_one_piece(name, theta, x, [0 * t for t in theta], 1e-3 * v))
    hu, hv = hvp(f, x, u), hvp(f, x, v)
    assert abs((u * hv).sum() - (v * hu).sum()) <= 1e-12 * (abs(u * hv).sum() + abs(v * hu).sum())
    np.testing.assert_allclose(hv, slope(lambda t: grad(f)(x + t * v)), rtol=1e-7, atol=1e-9 * abs(hv).max())


def test_the_hessian_of_a_quadratic_form_is_its_matrix():
    """For f = x^T A x / 2, H = (A + A^T) / 2, row by row from the unit vectors"""
    a = np.arange(9.0).reshape(3, 3)
    x = np.array([1.0, -2.0, 0.5])
    rows = [hvp(lambda x: 0.5 * (x @ a @ x), x, e) for e in np.eye(3)]
    np.testing.assert_allclose(rows, (a + a.T) / 2, rtol=1e-14)


@pytest.mark.parametrize("name", NETWORKS)
@few
@given(seeds)
def test_input_gradient_regularisation(name, seed):
    """The gradient of L + 3 |grad_x L|^2 in theta along a direction is the slope of the penalised loss"""
    rng = np.random.default_rng(seed)
    net, theta, x, y = draw(name, rng)

    def penalised(*theta):
        loss, pull = vjp(lambda x: cross_entropy(net(theta, x), y), x)
        (g,) = pull(1.0)
        return loss + 3.0 * (g * g).sum()

    directions = [0.1 * rng.normal(size=t.shape) for t in theta]
    assume(on_one_piece(name, theta, x, [1e-3 * d for d in directions], 0))
    gradients = vjp(penalised, *theta)[1](1.0)
    terms = [g * d for g, d in zip(gradients, directions, strict=True)]
    expected = slope(lambda t: penalised(*moved(theta, t, directions)))
    assert abs(sum(t.sum() for t in terms) - expected) <= 1e-8 * sum(abs(t).sum() for t in terms)


def test_the_penalty_of_a_linear_model_in_closed_form():
    """L = Psi(y theta x): |grad_x L|^2 = tau(-m)^2 |theta|^2 and its gradient in theta, with m = y theta x"""
    theta, x, y = np.array([0.5, -1.0]), np.array([2.0, 0.3]), -1.0
    t = 1 / (1 + np.exp(y * theta @ x))

    def penalty(theta):
        return (grad(lambda x: ops.softplus(-y * (theta @ x)))(x) ** 2).sum()

    expected = 2 * t**2 * theta - 2 * t**2 * (1 - t) * y * x * (theta @ theta)
    np.testing.assert_allclose(grad(penalty)(theta), expected, rtol=1e-13)


@few
@given(seeds, st.sampled_from([np.float32, np.float64]))
def test_losses_and_their_hand_written_gradients_are_those_of_the_engine(seed, dtype):
    """The engine's grad_z sum L(y, z) is the grad of losses.py, for the logistic loss and the cross-entropy"""
    rng = np.random.default_rng(seed)
    z, y = rng.normal(size=(5, 4)).astype(dtype), rng.integers(0, 4, 5)
    tolerance = 20 * np.finfo(dtype).eps
    g = grad(lambda z: cross_entropy(z, y) * 5.0)(z)
    assert g.dtype == dtype
    np.testing.assert_allclose(g, losses.cross_entropy.grad(z, y), rtol=tolerance, atol=tolerance)
    signs = np.where(y > 1, 1, -1)
    g = grad(lambda m: ops.softplus(-signs.astype(dtype) * m).sum())(z[:, 0])
    np.testing.assert_allclose(g, losses.logistic.grad(z[:, 0], signs), rtol=tolerance, atol=tolerance, strict=True)
