"""Laws of the table of rules: derivatives of the first, second and third order, adjoints, broadcasting, dtypes."""

import inspect
import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchadv.engine import Tensor, grad, ops, vjp

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


# Helpers and their tests.


def inner(a, b):
    """<a, b> for tuples of arrays or tensors."""
    return sum((x * y).sum() for x, y in zip(a, b, strict=True))


def difference(f, xs, us, h=3e-4):
    """d/dt f(x + t u) at t = 0 from five points, with the error h^4 f'''''/30."""
    at = {k: f(*(x + k * h * u for x, u in zip(xs, us, strict=True))) for k in (-2, -1, 1, 2)}
    return (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)


def along(f, vs):
    """The function x -> <grad f(x), v> of arrays or tensors."""
    return lambda *xs: inner(vjp(f, *xs)[1](1.0), vs)


def random_like(rng, xs):
    return [rng.normal(size=x.shape) for x in xs]


def assert_differentiable(f, xs, rng, order):
    """<grad D^k f(x), u> = d/dt D^k f(x + t u), with D f = <grad f, v>, k = 0, ..., order - 1"""
    for _ in range(order):
        us = random_like(rng, xs)
        gradients = vjp(f, *xs)[1](1.0)
        for g, x in zip(gradients, xs, strict=True):
            assert (type(g), g.shape, g.dtype) == (type(x), x.shape, x.dtype)
        scale = 1 + sum(abs(g * u).sum() for g, u in zip(gradients, us, strict=True))
        assert abs(inner(gradients, us) - difference(f, xs, us)) <= 1e-8 * scale
        f = along(f, random_like(rng, xs))


def test_the_difference_is_exact_for_polynomials_of_degree_four():
    """d/dt (x + t u)^4 y = 4 x^3 u y"""
    x, u = np.array(2.0), np.array(3.0)
    assert abs(difference(lambda x, y: x**4 * y, (x, x), (u, 0 * u)) - 4 * 2**3 * 3 * 2) < 1e-9


def test_the_law_finds_a_wrong_rule_at_each_order():
    """A rule that is wrong, or correct but not differentiable again, breaks the law"""
    rng = np.random.default_rng(0)
    x = [rng.normal(size=3)]
    wrong = ops.operation("exp", "", lambda g, z, x: 1.001 * g * z)
    frozen = ops.operation("exp", "", lambda g, z, x: g * ops.plain(z))
    with pytest.raises(AssertionError):
        assert_differentiable(lambda x: wrong(x).sum(), x, rng, 1)
    assert_differentiable(lambda x: frozen(x).sum(), x, rng, 1)
    with pytest.raises(AssertionError):
        assert_differentiable(lambda x: frozen(x).sum(), x, rng, 2)


# The cases: each operation with a way to draw its arguments.


def normal(*shapes):
    return lambda rng: [rng.normal(size=s) for s in shapes]


def positive(*shapes):
    return lambda rng: [rng.uniform(0.5, 2, size=s) for s in shapes]


def apart(*shapes):
    """Draw arrays whose entries are at least 0.1 apart and away from zero, so that the differences meet no kink."""

    def draw(rng):
        sizes = [math.prod(s) for s in shapes]
        n = sum(sizes)
        values = (rng.permutation(n) - n // 2 + rng.uniform(0.3, 0.7, n)) / 4
        return [v.reshape(s) for v, s in zip(np.split(values, np.cumsum(sizes)[:-1]), shapes, strict=True)]

    return draw


def test_apart_keeps_its_promise():
    """min |a - b| >= 0.1 and min |a| >= 0.075 over all entries"""
    for seed in range(20):
        a = np.sort(np.concatenate([x.ravel() for x in apart((2, 3), (4,))(np.random.default_rng(seed))]))
        assert np.diff(a).min() >= 0.1
        assert abs(a).min() >= 0.075


class Case(NamedTuple):
    op: str
    f: object
    draw: object
    linear: bool = False  # in each of its arguments


MASK = np.array([[True, False, True], [False, False, True]])
TWICE = np.array([[0, 2, 2], [1, 1, 0]])
IMAGES, KERNEL = (2, 5, 6, 2), (3, 2, 2, 3)
STRIDES = [(1, 0), (1, 2), (2, 1), (3, 1)]  # with paddings


def windows(stride, padding):
    """The shape of the result of conv."""
    return 2, (5 + 2 * padding - 3) // stride + 1, (6 + 2 * padding - 2) // stride + 1, 3


winners = np.random.default_rng(0).integers(0, 4, (2, 2, 3, 2))

CASES = [
    *(Case(op, getattr(ops, op), normal((2, 3))) for op in ["exp", "sin", "cos", "tanh", "sigmoid", "softplus"]),
    *(Case(op, getattr(ops, op), positive((2, 3))) for op in ["log", "log1p", "sqrt"]),
    *(Case(op, getattr(ops, op), apart((2, 3))) for op in ["sign", "absolute", "relu"]),
    *(Case(op, getattr(ops, op), apart((2, 3), (2, 3))) for op in ["maximum", "minimum"]),
    Case("negative", ops.negative, normal((2, 3)), True),
    Case("add", ops.add, normal((2, 3), (2, 3))),
    Case("subtract", ops.subtract, normal((2, 3), (2, 3))),
    Case("multiply", ops.multiply, normal((2, 3), (2, 3)), True),
    Case("divide", ops.divide, positive((2, 3), (2, 3))),
    *(Case("power", lambda x, p=p: ops.power(x, p), positive((3,))) for p in (-2, 0.5, 0, 1, 2, 3, 2.5)),
    *(Case("power", lambda x, p=p: ops.power(x, p), normal((3,))) for p in (0, 1, 2, 3)),
    Case("where", lambda x, y: ops.where(MASK, x, y), normal((2, 3), (2, 3))),
    Case("where", lambda x: ops.where(MASK, x, 0.0), normal((2, 3)), True),
    Case("astype", lambda x: ops.astype(x, np.longdouble), normal((2, 3)), True),
    *(
        Case(name, lambda x, op=op, a=axis, k=keepdims: op(x, axis=a, keepdims=k), normal((2, 3, 4)), True)
        for name, op in (("sum", ops.sum), ("mean", ops.mean))
        for axis in (None, 0, -1, (0, 2), (-1, 1), (0, 1, 2), ())
        for keepdims in (False, True)
    ),
    *(
        Case("max", lambda x, a=axis, k=keepdims: ops.max(x, axis=a, keepdims=k), apart((2, 3, 4)))
        for axis in (None, 0, 1, -1)
        for keepdims in (False, True)
    ),
    Case("broadcast_to", lambda x: ops.broadcast_to(x, (4, 2, 3)), normal((2, 1)), True),
    *(
        Case("getitem", lambda x, i=i: ops.getitem(x, i), normal((2, 3)), True)
        for i in (
            1,
            -1,
            (0, 2),
            slice(None, None, -1),
            (slice(None), slice(0, 3, 2)),
            (..., 1),
            (None, 1, ...),
            [0, 0, 1],
            TWICE[:, 0],
            MASK,
            (slice(None), TWICE),
            (np.array([[0], [1]]), TWICE),
            (np.int64(1), slice(1, 1)),
        )
    ),
    Case("scatter_add", lambda v: ops.scatter_add(v, (0, slice(0, 2)), (2, 3)), normal((2,)), True),
    Case("scatter_add", lambda v: ops.scatter_add(v, TWICE, (4,)), normal((2, 3)), True),
    *(
        Case("take_along_axis", lambda x, a=a: ops.take_along_axis(x, TWICE[:, :2] % 2, a), normal((2, 2)), True)
        for a in (0, 1, -1)
    ),
    *(Case("concatenate", lambda *xs, a=a: ops.concatenate(xs, a), normal((2, 1), (2, 3), (2, 2))) for a in (1, -1)),
    Case("concatenate", lambda x, y: ops.concatenate([x, np.ones((2, 3), np.float32), x, y]), normal((1, 3), (2, 3))),
    *(Case("stack", lambda *xs, a=a: ops.stack(xs, a), normal((2, 3), (2, 3))) for a in (0, 1, 2, -1)),
    Case("reshape", lambda x: ops.reshape(x, (3, -1)), normal((2, 3)), True),
    *(
        Case("transpose", lambda x, a=axes: ops.transpose(x, a), normal((2, 3, 4)), True)
        for axes in (None, *itertools.permutations(range(3)), (-1, 0, 1))
    ),
    Case("matmul", ops.matmul, normal((2, 3), (3, 4)), True),
    Case("log_sum_exp", ops.log_sum_exp, normal((3, 4))),
    Case("softmax", ops.softmax, normal((3, 4))),
    *(
        case
        for s, p in STRIDES
        for case in (
            Case("conv", lambda x, w, s=s, p=p: ops.conv(x, w, s, p), normal(IMAGES, KERNEL), True),
            Case(
                "conv_input_gradient",
                lambda v, w, s=s, p=p: ops.conv_input_gradient(v, w, IMAGES[1:3], stride=s, padding=p),
                normal(windows(s, p), KERNEL),
                True,
            ),
            Case(
                "conv_kernel_gradient",
                lambda x, v, s=s, p=p: ops.conv_kernel_gradient(x, v, KERNEL[:2], stride=s, padding=p),
                normal(IMAGES, windows(s, p)),
                True,
            ),
        )
    ),
    *(
        case
        for size, stride in ((2, 2), (3, 2), (2, 1), (2, 3))
        for case in (
            Case("max_pool", lambda x, k=size, s=stride: ops.max_pool(x, k, s), apart(IMAGES)),
            Case("average_pool", lambda x, k=size, s=stride: ops.average_pool(x, k, s), normal(IMAGES), True),
        )
    ),
    Case("max_pool_gather", lambda x: ops.max_pool_gather(x, winners, 2, 2), normal(IMAGES), True),
    Case(
        "max_pool_input_gradient",
        lambda v: ops.max_pool_input_gradient(v, winners, IMAGES, 2, 2),
        normal(winners.shape),
        True,
    ),
    Case(
        "average_pool_input_gradient",
        lambda v: ops.average_pool_input_gradient(v, IMAGES, 2, 2),
        normal(winners.shape),
        True,
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.op)
each_linear_case = pytest.mark.parametrize("case", [c for c in CASES if c.linear], ids=lambda case: case.op)


def test_every_operation_of_the_table_is_a_case():
    """Every public function of ops.py has a case, except the helper that makes rows of the table"""
    own = {
        name
        for name, value in vars(ops).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__.startswith("scratchadv.engine")
        and name not in ("elementwise", "operation", "plain")
    }
    assert len(own) > 40
    assert own == {case.op for case in CASES}
    assert all(getattr(ops, name).__doc__ for name in own)


@each_case
def test_derivatives_of_the_first_three_orders_are_those_of_differences(case):
    """<grad D^k f(x), u> = d/dt D^k f(x + t u), k = 0, 1, 2, for f = sum sin(c + op(x))"""
    rng = np.random.default_rng(7)
    xs = case.draw(rng)
    c = rng.normal(size=case.f(*xs).shape)
    assert_differentiable(lambda *xs: ops.sin(c + case.f(*xs)).sum(), xs, rng, order=3)


@each_linear_case
def test_a_linear_operation_has_its_adjoint_as_pullback(case):
    """<A x, g> = <x, A* g> = <x, pull(g)>, for each argument separately"""
    rng = np.random.default_rng(5)
    xs = case.draw(rng)
    z, pull = vjp(case.f, *xs)
    g = rng.normal(size=z.shape)
    for x, dx in zip(xs, pull(g), strict=True):
        terms = abs(x * dx).sum() + abs(z * g).sum()
        assert abs((z * g).sum() - (x * dx).sum()) <= 1e-14 * terms


@each_case
def test_the_forward_value_is_that_of_plain_arrays_and_nothing_is_changed_in_place(case):
    """vjp(f, x)[0] = f(x) to the last bit; x and the cotangent are unchanged, also when they are read-only"""
    xs = case.draw(np.random.default_rng(3))
    for x in xs:
        x.flags.writeable = False
    expected = case.f(*xs)
    assert not isinstance(expected, Tensor)
    z, pull = vjp(case.f, *xs)
    np.testing.assert_array_equal(z, expected, strict=True)
    g = np.ones_like(np.asarray(z))
    g.flags.writeable = False
    for x, dx in zip(xs, pull(g), strict=True):
        assert dx.flags.writeable
        assert not any(np.shares_memory(dx, other) for other in (x, g, np.asarray(z)))


@each_case
def test_float32_stays_float32(case):
    """For x of float32 the value, the gradient and its gradient are float32, and close to those of float64"""
    if case.op == "astype":
        return
    xs = case.draw(np.random.default_rng(3))
    xs32 = [x.astype(np.float32) for x in xs]
    values = []

    def f(*xs):
        values.append(case.f(*xs))
        assert values[-1].dtype == xs[0].dtype
        return (values[-1] * values[-1]).sum()

    def twice(*xs):
        first = vjp(f, *xs)[1](1.0)
        assert all(g.dtype == x.dtype for g, x in zip(first, xs, strict=True))
        return inner(first, first)

    z, pull = vjp(twice, *xs32)
    assert z.dtype == np.float32
    for g, g64 in zip(pull(1.0), vjp(twice, *xs)[1](1.0), strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, g64, rtol=1e-3, atol=1e-4 * (1 + abs(g64).max()))


A, B = np.random.default_rng(2).normal(size=(2, 2, 3, 4))
NUMPY = {
    **{f"sum {a} {k}": (ops.sum(A, axis=a, keepdims=k), A.sum(a, keepdims=k)) for a in (None, 1) for k in (0, 1)},
    **{f"mean {a} {k}": (ops.mean(A, axis=a, keepdims=k), A.mean(a, keepdims=k)) for a in (None, 1) for k in (0, 1)},
    **{f"max {a} {k}": (ops.max(A, axis=a, keepdims=k), A.max(a, keepdims=k)) for a in (None, 1, -1) for k in (0, 1)},
    **{f"stack {a}": (ops.stack([A, B], a), np.stack([A, B], a)) for a in (0, 1, 3, -1, -2)},
    **{f"concatenate {a}": (ops.concatenate([A, B], a), np.concatenate([A, B], a)) for a in (0, 2, -1)},
    **{
        f"take {a}": (ops.take_along_axis(A, i, a), np.take_along_axis(A, i, a))
        for a in (0, 2, -2)
        for i in [(A < B) * 1]
    },
    "relu": (ops.relu(A), np.maximum(A, 0)),
    "sum of none": (ops.sum(A, axis=()), A),
    "power": (ops.power(A, 3), A**3),
    "softmax": (ops.softmax(A[0]), np.exp(A[0]) / np.exp(A[0]).sum(1, keepdims=True)),
}


@pytest.mark.parametrize("name", NUMPY)
def test_values_are_those_of_numpy(name):
    """On plain arrays op(x) is NumPy's op(x), with its shape and dtype"""
    found, expected = NUMPY[name]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15, strict=True)


# Broadcasting with all shapes.

BINARY = {name: getattr(ops, name) for name in ["add", "subtract", "multiply", "divide", "maximum", "minimum"]}
BINARY["where"] = lambda x, y: ops.where(ops.plain(x) > ops.plain(y), x, y)


@pytest.mark.parametrize("name", BINARY)
@few
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), seeds)
def test_broadcasting_is_undone(name, shapes, seed):
    """For any two shapes that broadcast, gradients have the shapes of the arguments and the law of differences holds"""
    rng = np.random.default_rng(seed)
    draw = positive if name == "divide" else apart
    xs = [np.asarray(x) for x in draw(*shapes.input_shapes)(rng)]
    c = rng.normal(size=shapes.result_shape)
    assert_differentiable(lambda x, y: (c * BINARY[name](x, y)).sum(), xs, rng, order=2 if name == "multiply" else 1)


@few
@given(hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3), seeds)
def test_matmul_of_vectors_matrices_and_stacks(shapes, seed):
    """z = x @ y for all shapes that NumPy accepts, as a function and as Python's operator from both sides"""
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=s) for s in shapes.input_shapes)
    np.testing.assert_array_equal(vjp(lambda x: x @ y, x)[0].shape, shapes.result_shape)
    np.testing.assert_allclose(ops.matmul(x, y), x @ y, rtol=1e-13, atol=1e-13)
    c = rng.normal(size=shapes.result_shape)
    assert_differentiable(lambda x, y: (c * (x @ y)).sum(), [x, y], rng, order=2)
    dx, dy = vjp(lambda x, y: (c * (x @ y)).sum(), x, y)[1](1.0)
    np.testing.assert_array_equal(grad(lambda x: (c * (x @ y)).sum())(x), dx)
    np.testing.assert_array_equal(grad(lambda y: (c * (x @ y)).sum())(y), dy)


@pytest.mark.parametrize("shapes", [((3,), (1,)), ((1,), (3,)), ((2, 3), (2,)), ((2,), (3, 2)), ((2, 3), (2, 3))])
def test_matmul_of_lengths_that_do_not_match_is_refused(shapes):
    """Shapes that do not fit raise NumPy's ValueError; nothing is broadcast silently"""
    with pytest.raises(ValueError, match="matmul"):
        vjp(ops.matmul, *map(np.ones, shapes))


@few
@given(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3), st.data())
def test_indexing_picks_and_its_pullback_places(shape, data):
    """<x[i], g> = <x, pull(g)> for all basic indices"""
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    z, pull = vjp(lambda x: x[index], x)
    np.testing.assert_array_equal(z, x[index])
    g = rng.normal(size=z.shape)
    np.testing.assert_allclose((pull(g)[0] * x).sum(), (z * g).sum(), rtol=1e-12, atol=1e-12)


# Choices at kinks, tails and Python's operators.


def test_the_slopes_chosen_at_kinks():
    """relu'(0) = |.|'(0) = sign'(0) = 0; of two equal arguments the first one gets the gradient"""
    zero = np.zeros(2)
    for op in (ops.relu, ops.absolute, ops.sign):
        np.testing.assert_array_equal(vjp(op, zero)[1](np.ones(2))[0], zero)
    for op in (ops.maximum, ops.minimum):
        dx, dy = vjp(op, zero, zero)[1](np.ones(2))
        np.testing.assert_array_equal(dx, [1, 1])
        np.testing.assert_array_equal(dy, [0, 0])
    np.testing.assert_array_equal(grad(lambda x: x.max())(np.array([1.0, 2.0, 2.0])), [0, 1, 0])
    images = np.ones((1, 2, 2, 1))
    np.testing.assert_array_equal(grad(lambda x: ops.max_pool(x, 2, 2).sum())(images).ravel(), [1, 0, 0, 0])


@pytest.mark.parametrize("p", [0, 1, 2])
def test_powers_at_zero_have_no_nan_at_any_order(p):
    """d^k/dx^k x^p at 0 is p! for k = p and 0 otherwise"""
    f, zero = (lambda x: x**p), 0.0
    for k in range(4):
        assert f(zero) == (math.factorial(p) if k == p else 0)
        f = grad(f)


def test_far_tails_are_precise_and_silent():
    """tau'(z) = tau(z) tau(-z) = e^-|z| (1 + O(e^-|z|)); the gradient of log sum exp is the softmax"""
    with np.errstate(all="raise", under="ignore"):
        for z in (-80.0, 80.0):
            assert math.isclose(grad(ops.sigmoid)(z), math.exp(-80), rel_tol=1e-13)
            assert math.isclose(grad(grad(ops.softplus))(z), math.exp(-80), rel_tol=1e-13)
        p = grad(lambda x: ops.log_sum_exp(x).sum())(np.array([[1e4, 0.0], [-1e4, -1e4]]))
    np.testing.assert_array_equal(p, [[1, 0], [0.5, 0.5]])


OPERATORS = {
    "x + c": lambda x, c: x + c,
    "c + x": lambda x, c: c + x,
    "x - c": lambda x, c: x - c,
    "c - x": lambda x, c: c - x,
    "x * c": lambda x, c: x * c,
    "c * x": lambda x, c: c * x,
    "x / c": lambda x, c: x / c,
    "c / x": lambda x, c: c / x,
    "x ** 3": lambda x, c: x**3,
    "-x": lambda x, c: -x,
    "abs(x)": lambda x, c: abs(x),
    "x @ c": lambda x, c: x @ (c + np.ones(3)),
    "c @ x": lambda x, c: (c + np.ones((2, 2))) @ x,
    "x.T": lambda x, c: x.T,
    "x.transpose()": lambda x, c: x.transpose(),
    "x.transpose(1, 0)": lambda x, c: x.transpose(1, 0),
    "x.transpose((1, 0))": lambda x, c: x.transpose((1, 0)),
    "x.reshape(-1)": lambda x, c: x.reshape(-1),
    "x.reshape(3, 2)": lambda x, c: x.reshape(3, 2),
    "x.reshape((3, 2))": lambda x, c: x.reshape((3, 2)),
    "x.sum()": lambda x, c: x.sum(),
    "x.sum(axis=1, keepdims=True)": lambda x, c: x.sum(axis=1, keepdims=True),
    "x.sum(0)": lambda x, c: x.sum(0),
    "x.mean(axis=0)": lambda x, c: x.mean(axis=0),
    "x.max(axis=0)": lambda x, c: x.max(axis=0),
    "x[1, ::2]": lambda x, c: x[1, ::2],
    "unpacked": lambda x, c: (lambda a, b: a * b)(*x),
    "x[x > 0]": lambda x, c: x[x > 0],
    "flat rows": lambda x, c: x.reshape(len(x), x.size // x.shape[0]) * x.ndim,
    "a branch": lambda x, c: x * x if x[0, 0] < 1e9 else x,
    "comparisons": lambda x, c: x * ((x > 0) & (x >= 0) | (x < -9) | (x <= -9) | (x == 5) & (x != 6)),
}


@pytest.mark.parametrize("c", [2.0, 3, np.float64(1.5), np.array(2.5), np.array([1.0, -2.0, 3.0])], ids=repr)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_and_methods_are_those_of_arrays(name, c):
    """An expression has the same value for an array and a tensor, from either side, and the correct gradient"""
    if "@" in name:
        c = 1.0
    rng = np.random.default_rng(1)
    (x,) = apart((2, 3))(rng)
    value = vjp(lambda x: OPERATORS[name](x, c), x)[0]
    np.testing.assert_allclose(value, OPERATORS[name](x, c), rtol=1e-15, strict=True)
    assert_differentiable(lambda x: OPERATORS[name](x, c).sum(), [x], rng, order=1)


def test_mixed_dtypes_give_each_argument_its_own():
    """float32 times float64 is float64, as in NumPy, but the gradient in the float32 factor is float32 on all levels"""
    x, y = np.ones(3, np.float32), np.full(3, 2.0)

    def f(x, y):
        z, pull = vjp(lambda x, y: x * y, x, y)
        assert z.dtype == np.float64
        gradients = pull(np.ones(3))
        assert [g.dtype for g in gradients] == [np.float32, np.float64]
        return gradients[0].sum() + gradients[1].sum()

    f(x, y)
    assert [g.dtype for g in vjp(f, x, y)[1](1.0)] == [np.float32, np.float64]


@pytest.mark.parametrize("g", [1.0, 1, np.float64(1), np.array(1)], ids=repr)
def test_no_float64_is_hidden_on_the_way_back(g):
    """Every rule sees float32, whatever the dtype of the cotangent"""
    seen = []
    spy = ops.operation("negative", "", lambda g, z, x: seen.append(g.dtype) or -g)
    x = np.ones((2, 3), np.float32)
    vjp(lambda x: spy(spy(spy(ops.sigmoid(spy(x)) * 2.0 + 1).mean(axis=0) ** 2).sum()), x)[1](g)
    assert seen == [np.float32] * 4
