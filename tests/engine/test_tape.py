"""Laws of vjp, grad and value_and_grad: arguments, results, nesting, deep graphs, threads and errors."""

import doctest
import gc
import math
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import scratchadv.engine
from scratchadv.engine import Tensor, grad, ops, plain, tape, value_and_grad, vjp

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])


@pytest.mark.parametrize("module", [scratchadv.engine, tape, ops])
def test_the_examples_of_the_docstrings(module):
    """The examples in the docstrings give the results that are shown"""
    assert doctest.testmod(module).failed == 0


# Arguments and results.


def test_vjp_returns_arrays_for_arrays():
    """For z = x y, pull(g) = (g y, g x), each with the shape and dtype of its primal"""
    x, y = X, 2 * X.astype(np.float32)
    z, pull = vjp(lambda x, y: x * y, x, y)
    np.testing.assert_array_equal(z, x * y, strict=True)
    dx, dy = pull(X)
    np.testing.assert_array_equal(dx, X * y, strict=True)
    np.testing.assert_array_equal(dy, (X * x).astype(np.float32), strict=True)


def test_f_sees_tensors_that_look_like_their_arrays():
    """Shape, ndim, size, dtype and len of a tensor are those of its array; plain returns that array, read-only"""

    def f(x):
        assert isinstance(x, Tensor)
        assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == (X.shape, X.ndim, X.size, X.dtype, len(X))
        np.testing.assert_array_equal(plain(x), X, strict=True)
        with pytest.raises(ValueError, match="read-only"):
            plain(x)[0] = 0
        assert repr(x) == f"Tensor({X!r})"
        return x

    vjp(f, X)


@pytest.mark.parametrize(
    "x", [2.0, np.float64(2), np.float32(2), np.array(2.0), np.array(2, np.float32), np.array([2.0]), X], ids=repr
)
def test_a_gradient_is_like_its_primal(x):
    """The gradient is a float for a float and an array for an array, also a 0-d one, of the same shape and dtype"""
    value, g = value_and_grad(lambda x: (x * x * x).sum() if x.shape else x * x * x)(x)
    assert isinstance(g, type(x))
    np.testing.assert_allclose(g, 3 * x * x, rtol=1e-6)
    np.testing.assert_allclose(value, (x * x * x).sum() if np.shape(x) else x**3, rtol=1e-6)
    if hasattr(x, "dtype"):
        assert (value.dtype, g.dtype, g.shape) == (x.dtype, x.dtype, x.shape)


def test_the_pullback_is_linear_and_may_be_called_often_in_any_order():
    """pull(a g + b h) = a pull(g) + b pull(h), the same at each call"""
    _, pull = vjp(lambda x, y: ops.exp(x) * y, X, X)
    g, h = np.ones_like(X), X + 1
    first = pull(g)
    both = pull(2 * g - 3 * h)
    for a, b, ab in zip(first, pull(h), both, strict=True):
        np.testing.assert_allclose(2 * a - 3 * b, ab, rtol=1e-13, atol=1e-13)
    for a, again in zip(first, pull(g), strict=True):
        np.testing.assert_array_equal(a, again, strict=True)


def test_one_array_given_twice_is_two_primals():
    """The gradients of x y at y = x, one array, are y and x separately, not their sum"""
    x = np.array(3.0)
    assert vjp(lambda x, y: x * x * y, x, x)[1](1.0) == (18, 9)


def test_unused_primals_and_constant_functions_have_zero_gradients():
    """For a primal y that f does not use, dz/dy = 0 has the shape and dtype of y"""
    y = np.ones((2, 1), np.float32)
    _, dy, ds = vjp(lambda x, y, s: x.sum(), X, y, 1.0)[1](1.0)
    np.testing.assert_array_equal(dy, np.zeros_like(y), strict=True)
    assert ds == 0
    assert isinstance(ds, float)
    np.testing.assert_array_equal(grad(lambda x: (x * 0).sum())(X), 0 * X, strict=True)


def test_the_identity_and_views_hand_out_memory_of_their_own():
    """pull(g) never shares memory with g, x, or another gradient"""
    g = np.ones_like(X)
    for f in (lambda x, y: x, lambda x, y: x + y, lambda x, y: x.T.T + y):
        gradients = vjp(f, X, X)[1](g)
        for one, other in zip((*gradients, *gradients), (*gradients[::-1], g, X), strict=True):
            assert not np.shares_memory(one, other)
        for one in gradients:
            one += 1
    np.testing.assert_array_equal(g, 1)


def test_grad_hands_on_further_arguments_as_they_are():
    """grad(f)(x, y, k=...) is the gradient of f(x, y, k=...) in x"""

    def f(x, labels, k):
        assert labels.dtype == np.int64
        return k * (x[np.arange(2), labels] ** 2).sum()

    labels = np.array([2, 0])
    np.testing.assert_array_equal(grad(f)(X, labels, k=2), [[0, 0, 12], [2, 0, 0]])
    assert value_and_grad(f)(X, labels, k=2)[0] == 18.5


# Graphs with shared tensors.


def test_a_diamond_is_counted_once():
    """For z = y + y and y = x^2, dz/dx = 4 x, and each pullback runs once"""
    calls = []
    square = ops.operation("square", "", lambda g, z, x: calls.append(1) or 2 * g * x)

    def f(x):
        y = square(x)
        return y + y * 3 + y

    assert grad(f)(2.0) == 20
    assert len(calls) == 1


def test_a_ladder_of_diamonds_takes_linear_time():
    """After 60 times x -> x + x, dz/dx = 2^60, and the walk takes 60 steps instead of 2^60"""

    def f(x):
        for _ in range(60):
            x = x + x
        return x

    assert grad(f)(1.0) == 2.0**60


def test_uneven_paths_are_joined_before_they_are_followed():
    """z = x + sin(x) e^sin(x) + sin(x): a parent waits for all its children, near and far"""

    def f(x, sin, exp):
        s = sin(x)
        return x + s * exp(s) + s

    def slope(x):
        s, c = math.sin(x), math.cos(x)
        return 1 + c * math.exp(s) * (1 + s) + c

    assert math.isclose(grad(f)(0.7, ops.sin, ops.exp), slope(0.7), rel_tol=1e-14)


# Deep graphs.

DEPTH = 100_000


def test_a_chain_of_100_000_operations():
    """d/dx of x + 1 + ... + 1 and of x c^n; the graphs are freed at once, without recursion"""

    def f(x):
        for _ in range(DEPTH // 2):
            x = x * 1.00001 + 0.0
        return x

    assert math.isclose(grad(f)(3.0), 1.00001 ** (DEPTH // 2), rel_tol=1e-9)


def test_a_chain_is_differentiable_twice():
    """d^2/dx^2 (x^2 c^n) = 2 c^n through 20 000 operations"""

    def f(x):
        x = x * x
        for _ in range(20_000):
            x = x * 1.00001
        return x

    assert math.isclose(grad(grad(f))(3.0), 2 * 1.00001**20_000, rel_tol=1e-9)


def test_deep_graphs_are_freed_in_threads_with_small_stacks():
    """The graph of 200 000 operations is freed with a stack of 256 KiB, in a fresh interpreter"""
    program = """
import threading, numpy as np
from scratchadv.engine import vjp
def f(x):
    for _ in range(200_000): x = -x
    return x
def work():
    z, pull = vjp(f, np.ones(()))
    del z, pull
    print("freed")
threading.stack_size(256 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "freed"), done.stderr


def test_the_graph_goes_without_the_garbage_collector():
    """There are no cycles: arrays are freed together with value and pull, or at once if only the gradient is kept"""
    alive = []

    def f(x):
        y = ops.exp(x)
        alive.append(weakref.ref(tape._array(y)))
        return (y * y).sum()

    gc.disable()
    try:
        z, pull = vjp(f, X)
        assert alive[-1]() is not None
        del z, pull
        assert alive[-1]() is None
        kept = grad(f)(X)
        assert alive[-1]() is None
        inner = grad(lambda x: (grad(f)(x) ** 2).sum())(X)
        assert alive[-1]() is None
        del kept, inner
    finally:
        gc.enable()


def test_intermediate_gradients_are_freed_on_the_way_back():
    """For a chain of n operations on an array of m bytes the backward walk needs a few times m bytes, not n m"""
    sizes = []

    def note(g):
        sizes.append(sum(ref() is not None for ref in alive))
        alive.append(weakref.ref(g))
        return -g

    alive = []
    step = ops.operation("negative", "", lambda g, z, x: note(g))

    def f(x):
        for _ in range(50):
            x = step(x)
        return x

    vjp(f, np.ones(10))[1](np.ones(10))
    assert len(sizes) == 50
    assert max(sizes) <= 3


# Nesting.


def test_perturbations_are_not_confused():
    """d/dx (x d/dy (x + y)) = 1;  d/dx (x d/dy (x y)) = 2 x;  the inner x is not the outer one"""
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(5.0) == 1
    assert grad(lambda x: x * grad(lambda y: x * y)(3.0))(5.0) == 10
    assert grad(lambda x: x * grad(lambda y: x * y)(x))(5.0) == 10
    assert grad(lambda x: grad(lambda x: x * x)(x) * x)(5.0) == 20


@pytest.mark.parametrize("order", range(7))
def test_derivatives_of_any_order(order):
    """d^k/dx^k x^5 = 5! / (5 - k)! x^(5 - k), and 0 for k = 6: constant and linear functions have derivatives too"""
    f = lambda x: x**5  # noqa: E731
    for _ in range(order):
        f = grad(f)
    assert f(2.0) == (math.perm(5, order) * 2.0 ** (5 - order) if order <= 5 else 0)


def test_inside_another_call_results_are_tensors_exactly_if_they_depend_on_it():
    """vjp of a tensor returns tensors; vjp of an array that is unrelated to the outer call returns arrays"""

    def f(x):
        z, pull = vjp(lambda y: 3 * y, x)
        assert isinstance(z, Tensor)
        assert isinstance(pull(X)[0], Tensor)
        z, pull = vjp(lambda y: 3 * y, X)
        assert isinstance(z, np.ndarray)
        assert isinstance(pull(X)[0], np.ndarray)
        z, pull = vjp(lambda y: x * y, X)
        assert isinstance(z, Tensor)
        assert isinstance(pull(X)[0], Tensor)
        z, pull = vjp(lambda y: x * 2, X)  # depends on the outer call only
        np.testing.assert_array_equal(plain(z), 2 * X)
        assert isinstance(z, Tensor)
        np.testing.assert_array_equal(pull(X)[0], 0 * X, strict=True)
        return x.sum()

    vjp(f, X)


def test_closed_over_tensors_get_their_gradient():
    """d/dtheta |d/dx theta x^2|^2 = d/dtheta (2 theta x)^2 = 8 theta x^2"""
    x, theta = np.array(3.0), np.array(0.5)
    penalty = lambda theta: grad(lambda x: theta * x * x)(x) ** 2  # noqa: E731
    assert grad(penalty)(theta) == 8 * theta * x**2


def test_the_pullback_of_the_pullback_is_the_jacobian():
    """pull is linear in g, and its own pullback at v is J v, the result of forward mode"""
    f = lambda x: ops.tanh(x @ np.arange(6.0).reshape(3, 2)) * x.sum()  # noqa: E731
    v = np.array([[1.0, 0.0, 2.0], [-1.0, 1.0, 0.5]])
    z, pull = vjp(f, X)
    (jv,) = vjp(lambda g: pull(g)[0], np.zeros_like(z))[1](v)
    jacobian = np.stack([pull(e.reshape(z.shape))[0] for e in np.eye(z.size)])
    np.testing.assert_allclose(jv.ravel(), jacobian.reshape(z.size, -1) @ v.ravel(), rtol=1e-13, atol=1e-13)


def test_a_tensor_that_escapes_from_an_inner_call_counts_with_its_value():
    """Of a tensor that an inner call left in a list only the dependence on the outer call is remembered"""

    def f(x):
        left = []
        grad(lambda y: left.append(y * x) or y * y)(x)
        return left[0]  # x^2, after the inner call has ended

    assert vjp(f, 3.0)[0] == 9
    assert grad(f)(3.0) == 6


def test_gradients_through_unrolled_steps_of_gradient_descent():
    """For y_{t+1} = y_t - a d/dy (y_t - x)^2 / 2, dy_T/dx = 1 - (1 - a)^T"""

    def descend(x, steps=20, a=0.1):
        y = 0 * x
        for _ in range(steps):
            y = y - a * grad(lambda y: 0.5 * (y - x) ** 2)(y)
        return y

    assert math.isclose(grad(descend)(2.0), 1 - 0.9**20, rel_tol=1e-13)


def test_threads_do_not_disturb_each_other():
    """Eight threads at the same time, each with its own nested calls, return what one thread returns"""
    barrier = threading.Barrier(8)

    def work(i):
        v = np.full_like(X, i)

        def f(x):
            return (ops.exp(0.1 * x * i) * x).sum()

        barrier.wait()
        return [grad(lambda x: (grad(f)(x) * v).sum())(X + i) for _ in range(20)]

    def alone(i):
        t = X + i
        return i * np.exp(0.1 * t * i) * (0.2 * i + 0.01 * i * i * t)

    with ThreadPoolExecutor(8) as pool:
        for i, results in enumerate(pool.map(work, range(8))):
            for result in results:
                np.testing.assert_allclose(result, alone(i), rtol=1e-12, atol=1e-12)


def test_one_pullback_may_be_called_by_many_threads():
    """Threads may share a pull, since it keeps no state"""
    _, pull = vjp(lambda x: ops.exp(x) * x, X)
    with ThreadPoolExecutor(4) as pool:
        for i, (g,) in enumerate(pool.map(lambda i: pull(np.full_like(X, i)), range(50))):
            np.testing.assert_allclose(g, i * np.exp(X) * (1 + X), rtol=1e-14)


# Error messages name the wrong value and what was expected.


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.arange(3), r"primal 1 is an array of int64; an array of floats was expected"),
        (np.ones(2, bool), r"primal 1 is an array of bool;"),
        (np.ones(2, complex), r"primal 1 is an array of complex128;"),
        (3, r"primal 1 is 3 \(int\);"),
        (True, r"primal 1 is True \(bool\);"),
        ([1.0, 2.0], r"primal 1 is \[1.0, 2.0\] \(list\);"),
        (None, r"primal 1 is None \(NoneType\);"),
    ],
)
def test_primals_that_are_not_of_floats_are_refused(x, message):
    """A primal that does not hold floats raises a TypeError before f is called"""

    def f(*xs):
        raise AssertionError("f was called")

    with pytest.raises(TypeError, match=message):
        vjp(f, X, x)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, r"f returned None \(NoneType\); a Tensor"),
        (3.0, r"f returned 3.0 \(float\)"),
        (np.ones(3), r"f returned an array of float64"),
        ((1, 2), r"f returned \(1, 2\) \(tuple\)"),
    ],
)
def test_functions_that_return_no_tensor_are_refused(output, message):
    """An f that does not return a tensor raises a TypeError"""
    with pytest.raises(TypeError, match=message):
        vjp(lambda x: output, X)
    with pytest.raises(TypeError, match=message):
        grad(lambda x: output)(X)


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 2)])
def test_gradients_of_what_is_no_scalar_are_refused(shape):
    """A value that is not a scalar raises a ValueError that names its shape"""
    message = rf"f returned shape \({', '.join(map(str, shape))},?\); a scalar, shape \(\), was expected"
    for of in (grad, value_and_grad):
        with pytest.raises(ValueError, match=message):
            of(lambda x: 2 * x)(np.ones(shape))


@pytest.mark.parametrize("g", [1.0, np.ones(3), np.ones((3, 2)), np.ones((1, 2, 3)), None])
def test_cotangents_of_another_shape_are_refused(g):
    """A cotangent of another shape raises a ValueError that names both shapes; nothing is broadcast silently"""
    _, pull = vjp(lambda x: 2 * x, X)
    with pytest.raises(ValueError, match=r"the cotangent has shape \(.*\); \(2, 3\), the shape of f's value"):
        pull(g)


@pytest.mark.parametrize("g", [np.ones((2, 3), int), np.ones((2, 3), np.float32), np.ones((2, 3))])
def test_cotangents_are_taken_in_the_dtype_of_the_value(g):
    """The gradient has the dtype of its primal, whatever the dtype of the cotangent"""
    x = X.astype(np.float32)
    for f in (lambda x: x, lambda x: 2 * x):
        (dx,) = vjp(f, x)[1](g)
        assert dx.dtype == np.float32


def test_where_there_is_no_rule_there_is_no_silence():
    """A tensor as an exponent or an index is refused, and so are NumPy's own functions"""
    with pytest.raises(TypeError, match="pow has no derivative in argument 1; a constant was expected there"):
        grad(lambda x: ops.power(2.0, x))(3.0)
    with pytest.raises(TypeError, match="where has no derivative in argument 0"):
        grad(lambda x: ops.where(x, 1.0, 2.0))(3.0)
    for numpys in (np.exp, np.sum, np.asarray, math.exp, float, lambda x: np.where(X > 0, x, 0)):
        with pytest.raises(TypeError):
            vjp(lambda x, numpys=numpys: numpys(x), X)


def test_a_failing_function_leaves_nothing_behind():
    """After an error inside nested calls everything works as before"""
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: x * grad(lambda y: y * (1 // 0))(x))(1.0)
    assert grad(lambda x: x * grad(lambda y: y * x)(x))(2.0) == 4
