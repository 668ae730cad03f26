"""The public tests of homework 3: the operations, and cases to check with paper and pencil."""

import functools
import importlib
import importlib.util
import math
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.engine import ops as library_ops

numbers = st.integers(-20, 20).map(lambda n: n / 8)
UNARY = {
    "exp": (lambda x: x.exp(), math.exp, math.exp),
    "tanh": (lambda x: x.tanh(), math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    "relu": (lambda x: x.relu(), lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "x ** 0": (lambda x: x**0, lambda x: 1.0, lambda x: 0.0),
    "x ** 1": (lambda x: x**1, lambda x: x, lambda x: 1.0),
    "x ** 3": (lambda x: x**3, lambda x: x * x * x, lambda x: 3 * x * x),
}


def value_of(x):
    """Return a ``Value`` of the student's class."""
    return importlib.import_module("scalar").Value(float(x))


def number(a, what):
    """Return a number as a Python float; anything else fails."""
    assert type(a) in (int, float, np.float64), f"{what} should be a number, but is of type {type(a).__name__}"
    return float(a)


def close(found, expected, what, accuracy=1e-9):
    """Compare a number with the expected one."""
    found = number(found, what)
    assert abs(found - expected) <= accuracy * (1 + abs(expected)), f"{what} should be {expected:.10g}, but is {found}"


def plain_array(a, shape, dtype, what):
    """Return a NumPy array with this shape and dtype; anything else fails."""
    plain = type(a) in (np.ndarray, np.float64, np.float32)
    assert plain, f"{what} should be a NumPy array, but is of type {type(a).__name__}"
    a = np.array(a)
    assert a.shape == shape, f"{what} should have shape {shape}, but has {a.shape}"
    assert a.dtype == dtype, f"{what} should have dtype {np.dtype(dtype)}, but has {a.dtype}"
    return a


def same_array(found, expected, what, accuracy=1e-9):
    """Compare an array with the expected one, including its shape and dtype."""
    expected = np.array(expected)
    found = plain_array(found, expected.shape, expected.dtype, what)
    far = ~(abs(found - expected) <= accuracy * (1 + abs(expected)))
    assert not far.any(), f"{what} should be {expected.tolist()}, but is {found.tolist()}"


def parents(z, what):
    """Check and return the pairs (x, ∂z/∂x) of a ``Value``."""
    kind = type(value_of(0))
    assert type(z) is kind, f"{what} should be a Value, but is of type {type(z).__name__}"
    pairs = list(z.parents)
    for pair in pairs:
        assert len(pair) == 2, f"the parents of {what} should be pairs (x, slope), but one is {pair!r}"
        assert type(pair[0]) is kind, f"the first entry of each pair in the parents of {what} should be a Value"
    return pairs


def engine():
    """Return the student's tape.py, and the library's table of rules on top of it."""
    tape = importlib.import_module("tape")
    return tape, _rules_on(tape)


@functools.cache
def _rules_on(tape):
    """Return a second copy of the module of rules, which imports the student's tape instead of the library's."""
    spec = importlib.util.spec_from_file_location("scratchadv.engine.ops_on_your_tape", library_ops.__file__)
    ops = importlib.util.module_from_spec(spec)
    name = "scratchadv.engine.tape"
    library_tape = sys.modules[name]
    sys.modules[name] = tape
    try:
        spec.loader.exec_module(ops)
    finally:
        sys.modules[name] = library_tape
    return ops


@given(numbers, numbers)
def test_the_values_of_the_six_operations(x, y):
    """Values are those that Python computes, also with a plain number on either side"""
    a, b = value_of(x), value_of(y)
    close((a + b).data, x + y, f"(Value({x}) + Value({y})).data")
    close((a + y).data, x + y, f"(Value({x}) + {y}).data")
    close((a * b).data, x * y, f"(Value({x}) * Value({y})).data")
    close((y * a).data, x * y, f"({y} * Value({x})).data")
    close((a - b).data, x - y, f"(Value({x}) - Value({y})).data")
    for name, (f, value, _) in UNARY.items():
        close(f(a).data, value(x), f"the value of {name} at x = {x}")


@given(numbers, numbers)
def test_the_slopes_of_the_six_operations(x, y):
    """``parents`` holds (x, ∂z/∂x) for each x from which z was computed"""
    a, b = value_of(x), value_of(y)
    for name, z, by_x, by_y in (("x + y", a + b, 1, 1), ("x * y", a * b, y, x)):
        slopes = {id(p): slope for p, slope in parents(z, name)}
        assert set(slopes) == {id(a), id(b)}, f"the parents of z = {name} should be x and y"
        close(slopes[id(a)], by_x, f"the slope of {name} in x at x = {x}, y = {y}")
        close(slopes[id(b)], by_y, f"the slope of {name} in y at x = {x}, y = {y}")
    close(sum(slope for _, slope in parents(a * a, "x * x")), 2 * x, f"the sum of the slopes of x * x at x = {x}")
    for name, (f, _, slope) in UNARY.items():
        pairs = parents(f(a), name)
        assert [p is a for p, _ in pairs] == [True], f"{name} should have one parent, x, but has {len(pairs)}"
        close(pairs[0][1], slope(x), f"the slope of {name} at x = {x}")


@given(numbers, numbers)
def test_backward_on_paper(x, y):
    """L = x y + x²: ∂L/∂x = y + 2 x and ∂L/∂y = x; L = (x + y) (x + y): both are 2 (x + y)"""
    a, b = value_of(x), value_of(y)
    loss = a * b + a**2
    loss.backward()
    close(a.grad, y + 2 * x, f"x.grad for L = x y + x² at x = {x}, y = {y}")
    close(b.grad, x, f"y.grad for L = x y + x² at x = {x}, y = {y}")
    close(loss.grad, 1, "L.grad after L.backward()")
    a, b = value_of(x), value_of(y)
    s = a + b
    (s * s).backward()
    for name, v in (("x", a), ("y", b)):
        close(v.grad, 2 * (x + y), f"{name}.grad for s = x + y, L = s s at x = {x}, y = {y}")
    close(s.grad, 2 * (x + y), f"s.grad for s = x + y, L = s s at x = {x}, y = {y}")


def test_what_was_copied_is_added_up():
    """undo_broadcasting(g, x) sums g over new axes and axes of length 1, and returns x's shape and dtype"""
    tape = importlib.import_module("tape")
    g = np.arange(6.0).reshape(2, 3)
    for shape, expected in (
        ((2, 3), g),
        ((3,), [3.0, 5.0, 7.0]),
        ((1, 3), [[3.0, 5.0, 7.0]]),
        ((2, 1), [[3.0], [12.0]]),
        ((1, 1), [[15.0]]),
        ((1,), [15.0]),
        ((), 15.0),
    ):
        what = f"undo_broadcasting(g, x) for g = [[0, 1, 2], [3, 4, 5]] and x of shape {shape}"
        same_array(tape.undo_broadcasting(g, np.zeros(shape)), expected, what)
        small = np.array(expected, np.float32)
        same_array(tape.undo_broadcasting(g, np.zeros(shape, np.float32)), small, f"{what}, in float32")


@settings(max_examples=30)
@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=4))
def test_vjp_on_paper(rows):
    """z = x y + x²: pull(g) = (g (y + 2 x), g x), and zero for an argument that f does not use"""
    tape, _ = engine()
    x, y, g = np.array(rows).T
    where = f"z = x y + x² at x = {x.tolist()}, y = {y.tolist()}"
    z, pull = tape.vjp(lambda x, y, unused: x * y + x * x, x, y, np.zeros((2, 1)))
    same_array(z, x * y + x * x, f"the value of {where}")
    gradients = pull(g)
    assert type(gradients) is tuple, f"pull(g) should be a tuple, but is of type {type(gradients).__name__}"
    assert len(gradients) == 3, f"pull(g) should have one gradient for each of 3 primals, but has {len(gradients)}"
    same_array(gradients[0], g * (y + 2 * x), f"the gradient in x for {where}, g = {g.tolist()}")
    same_array(gradients[1], g * x, f"the gradient in y for {where}, g = {g.tolist()}")
    same_array(gradients[2], np.zeros((2, 1)), "the gradient in a primal that f does not use")
    value, slope = tape.value_and_grad(lambda x: (x * x).sum())(x)
    same_array(value, (x * x).sum(), f"the value of f = Σ x² at x = {x.tolist()}, by value_and_grad")
    same_array(slope, 2 * x, f"the gradient of f = Σ x² at x = {x.tolist()}, by value_and_grad")
