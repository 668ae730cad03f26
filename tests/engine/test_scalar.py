"""Laws of the scalar engine: its rules are correct, and it agrees with the array engine on any expression."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.engine import ops, scalar, vjp
from scratchadv.engine.scalar import Value

numbers = st.floats(-2, 2).map(lambda x: round(x, 3))
UNARY = {
    "neg": (lambda a: -a, lambda a: -a),
    "tanh": (Value.tanh, ops.tanh),
    "exp tanh": (lambda a: a.tanh().exp(), lambda a: ops.exp(ops.tanh(a))),
    "relu": (Value.relu, ops.relu),
    "square": (lambda a: a**2, lambda a: a**2),
    "inverse": (lambda a: (a**2 + 1) ** -1, lambda a: (a**2 + 1) ** -1),
    "one minus": (lambda a: 1 - a, lambda a: 1 - a),
    "two over": (lambda a: 2 / (1 + a * a), lambda a: 2 / (1 + a * a)),
}
BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / (b * b + 1),
}


@st.composite
def programs(draw):
    """Draw a list of steps; each is a function of one or two earlier results, so that results are shared."""
    steps = []
    for size in range(3, 3 + draw(st.integers(1, 12))):
        pick = st.integers(0, size - 1)
        name = draw(st.sampled_from([*UNARY, *BINARY]))
        steps.append((name, draw(pick), draw(pick)))
    return steps


def run(program, inputs, side):
    """The last result of the program, on scalars (side 0) or tensors (side 1)."""
    results = list(inputs)
    for name, i, j in program:
        results.append(BINARY[name](results[i], results[j]) if name in BINARY else UNARY[name][side](results[i]))
        results[-1] = results[-1] * 0.5
    return results[-1]


@settings(max_examples=200, deadline=None)
@given(programs(), st.tuples(numbers, numbers, numbers))
def test_scalars_and_tensors_agree(program, inputs):
    """Both engines compute the same values and derivatives of a random program, up to rounding"""
    values = [Value(x) for x in inputs]
    output = run(program, values, 0)
    output.backward()
    z, pull = vjp(lambda *xs: run(program, xs, 1), *inputs)
    np.testing.assert_allclose(output.data, z, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([v.grad for v in values], pull(1.0), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x: x + 3, lambda x: 1),
        (lambda x: 3 + x, lambda x: 1),
        (lambda x: x * 3, lambda x: 3),
        (lambda x: 3 * x, lambda x: 3),
        (lambda x: x - 3, lambda x: 1),
        (lambda x: 3 - x, lambda x: -1),
        (lambda x: x / 4, lambda x: 1 / 4),
        (lambda x: 4 / x, lambda x: -4 / x**2),
        (lambda x: x / x, lambda x: 0),
        (lambda x: x**0, lambda x: 0),
        (lambda x: x**3, lambda x: 3 * x**2),
        (lambda x: x**-1.5, lambda x: -1.5 * x**-2.5),
        (lambda x: x.exp(), math.exp),
        (lambda x: x.tanh(), lambda x: 1 / math.cosh(x) ** 2),
        (lambda x: x.relu() + (-x).relu() * 7, lambda x: 1),
        (lambda x: x, lambda x: 1),
        (lambda x: x + x, lambda x: 2),
    ],
)
def test_each_rule_is_the_derivative_of_the_textbook(f, slope):
    """The derivative equals df/dx in closed form"""
    x = Value(1.7)
    f(x).backward()
    assert math.isclose(x.grad, slope(1.7), rel_tol=1e-14, abs_tol=1e-15)


def test_powers_at_zero():
    """d/dx x^0 = 0, d/dx x^1 = 1 at x = 0"""
    for p in (0, 1, 2):
        x = Value(0.0)
        (x**p).backward()
        assert x.grad == (p == 1)


def test_backward_twice_counts_once():
    """A second call of backward sets grad anew and does not add to it"""
    x = Value(3.0)
    z = x * x
    z.backward()
    z.backward()
    assert x.grad == 6


def test_a_chain_of_100_000_operations_and_a_ladder_of_diamonds():
    """d/dx (x + 1 + ... + 1) = 1;  x -> x + x 60 times is 2^60 x"""
    x = z = Value(1.0)
    for _ in range(100_000):
        z = z + 1
    z.backward()
    assert (z.data, x.grad) == (100_001, 1)
    x = z = Value(1.0)
    for _ in range(60):
        z = z + z
    z.backward()
    assert x.grad == 2.0**60


def test_it_is_one_page():
    """The file has fewer than 90 lines"""
    assert len(inspect.getsource(scalar).splitlines()) < 90
