"""The hidden tests of homework 3: laws on random programs, deep graphs, broadcasting, gradients of gradients."""

import importlib
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from public_tests import close, engine, numbers, plain_array, same_array, value_of

DEEP = 100_000
BINARY = {
    "{} + {}": lambda a, b: a + b,
    "{} - {}": lambda a, b: a - b,
    "{} * {}": lambda a, b: a * b,
    "{0} / ({1} * {1} + 1)": lambda a, b: a / (b * b + 1),
}
UNARY = {
    "tanh {}": (lambda a: a.tanh(), math.tanh),
    "exp(tanh {})": (lambda a: a.tanh().exp(), lambda a: math.exp(math.tanh(a))),
    "relu {}": (lambda a: a.relu(), lambda a: max(a, 0.0)),
    "{} ** 3": (lambda a: a**3, lambda a: a**3),
    "1 - {}": (lambda a: 1 - a, lambda a: 1 - a),
}
SMOOTH = {
    "sin x": lambda ops, x: ops.sin(x),
    "exp(-x²)": lambda ops, x: ops.exp(-x * x),
    "tanh x": lambda ops, x: ops.tanh(x),
    "x³": lambda ops, x: x**3,
}


@st.composite
def programs(draw):
    """Draw steps, each on one or two of the results so far, so that results are used several times."""
    steps = []
    for size in range(2, 2 + draw(st.integers(1, 8))):
        pick = st.integers(0, size - 1)
        steps.append((draw(st.sampled_from([*BINARY, *UNARY])), draw(pick), draw(pick)))
    return steps


def smooth(drawn):
    """Return whether no relu of the program is near its kink, where it has no derivative."""
    program, *inputs = drawn
    results = results_of(program, inputs, 1)
    return all(abs(results[i]) > 1e-3 for name, i, _ in program if name == "relu {}")


def run(program, inputs, side):
    """Return the last result, on Values (side 0) or on plain numbers (side 1)."""
    return results_of(program, inputs, side)[-1]


def results_of(program, inputs, side):
    """Return the inputs and the results of all steps; each result is halved, so that the numbers stay small."""
    results = list(inputs)
    for name, i, j in program:
        z = BINARY[name](results[i], results[j]) if name in BINARY else UNARY[name][side](results[i])
        results.append(z * 0.5)
    return results


def written(program):
    """Return the program in words."""
    names = ["x", "y", *(f"v{i}" for i in range(len(program)))]
    steps = [f"v{k} = ({name.format(names[i], names[j])}) / 2" for k, (name, i, j) in enumerate(program)]
    return "; ".join(steps)


def vectors(n):
    """Draw arrays of n numbers."""
    return st.lists(numbers, min_size=n, max_size=n).map(np.array)


def along(f, primals, directions, h=1e-5):
    """Return the slope of f along the directions, by central differences."""
    ahead, behind = (f(*(x + s * h * v for x, v in zip(primals, directions, strict=True))) for s in (1, -1))
    return (ahead - behind) / (2 * h)


def fails(error, call, what):
    """Check that the call raises an error of this type."""
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{what} should raise {error.__name__}, but raises {type(other).__name__}") from other
    raise AssertionError(f"{what} should raise {error.__name__}, but does not")


@given(st.tuples(programs(), numbers, numbers).filter(smooth))
def test_backward_agrees_with_differences_on_any_program(drawn):
    """∂L/∂x = (L(x + h) − L(x − h)) / 2h for small h"""
    program, x, y = drawn
    h = 1e-6
    by_x = (run(program, (x + h, y), 1) - run(program, (x - h, y), 1)) / (2 * h)
    by_y = (run(program, (x, y + h), 1) - run(program, (x, y - h), 1)) / (2 * h)
    a, b = value_of(x), value_of(y)
    output = run(program, (a, b), 0)
    output.backward()
    where = f"at x = {x}, y = {y} for {written(program)}"
    close(output.data, run(program, (x, y), 1), f"the value {where}")
    close(a.grad, by_x, f"x.grad {where} (by differences)", accuracy=1e-5)
    close(b.grad, by_y, f"y.grad {where} (by differences)", accuracy=1e-5)


@given(numbers, numbers)
def test_backward_begins_anew_each_time(x, y):
    """A second backward gives the same gradients, and each output has gradients of its own"""
    a, b = value_of(x), value_of(y)
    z = a * b
    z.backward()
    z.backward()
    close(a.grad, y, f"x.grad after z = x y and z.backward() twice, at x = {x}, y = {y}")
    (z + a).backward()
    close(a.grad, y + 1, f"x.grad after z = x y, z.backward() and then (z + x).backward(), at x = {x}, y = {y}")
    close(z.grad, 1, "z.grad after (z + x).backward()")
    a.backward()
    close(a.grad, 1, "x.grad after x.backward()")


def test_a_chain_of_100000_values_and_a_ladder():
    """x + 1 + … + 1 has slope 1; x doubled 60 times has slope 2⁶⁰, without a walk along all 2⁶⁰ paths"""
    x = z = value_of(1)
    for _ in range(DEEP):
        z = z + 1
    z.backward()
    close(x.grad, 1, f"x.grad for x + 1 + ... + 1 ({DEEP:,} times)")
    x = z = value_of(1)
    for _ in range(60):
        z = z + z
    z.backward()
    close(x.grad, 2.0**60, "x.grad for z = x and then z = z + z 60 times")
    x = value_of(3)
    y = x * x
    order = list(importlib.import_module("scalar").topological_order(y * x + y))
    place = {id(v): i for i, v in enumerate(order)}
    assert len(place) == len(order), f"topological_order should name each value once, but names {len(order)} for 4"
    assert len(order) == 4, f"topological_order of x² x + x² should have 4 values, but has {len(order)}"
    for v in order:
        for p, _ in v.parents:
            assert place[id(p)] < place[id(v)], "topological_order should have parents before their children"


@settings(max_examples=30)
@given(vectors(3), vectors(3), vectors(3), numbers)
def test_the_pullback_is_linear_and_can_be_called_again(x, g, h, a):
    """pull(g + a h) = pull(g) + a pull(h), in any order, and pull does not change its argument"""
    tape, ops = engine()
    _, pull = tape.vjp(lambda x: ops.sin(x) * x[::-1], x)
    kept = g.copy()
    first, other, both = pull(g)[0], pull(h)[0], pull(g + a * h)[0]
    where = f"for z = sin(x) · (x reversed), x = {x.tolist()}, g = {g.tolist()}, h = {h.tolist()}, a = {a}"
    expected = np.cos(x) * x[::-1] * g + (np.sin(x) * g)[::-1]
    same_array(first, expected, f"pull(g) {where}")
    same_array(both, expected + a * np.array(other), f"pull(g + a h) {where}")
    same_array(pull(g)[0], expected, f"pull(g), called a second time, {where}")
    same_array(g, kept, "g after pull(g)")


@settings(max_examples=30)
@given(st.sampled_from([*SMOOTH]), st.sampled_from([*SMOOTH]), vectors(3))
def test_the_product_rule(u, v, x):
    """(u v)' = u' v + u v', with the derivatives from the textbook"""
    tape, ops = engine()
    slopes = {
        "sin x": np.cos(x),
        "exp(-x²)": -2 * x * np.exp(-x * x),
        "tanh x": 1 / np.cosh(x) ** 2,
        "x³": 3 * x * x,
    }
    values = {"sin x": np.sin(x), "exp(-x²)": np.exp(-x * x), "tanh x": np.tanh(x), "x³": x**3}
    _, pull = tape.vjp(lambda x: SMOOTH[u](ops, x) * SMOOTH[v](ops, x), x)
    expected = slopes[u] * values[v] + values[u] * slopes[v]
    same_array(pull(np.ones(3))[0], expected, f"the derivative of ({u}) · ({v}) at x = {x.tolist()}")


@settings(max_examples=40)
@given(
    st.sampled_from([(2, 3), (3,), (1, 3), (2, 1), (1, 1), ()]),
    st.sampled_from([(2, 3), (3,), (1, 3), (2, 1), (4, 2, 3), (1, 1, 1)]),
    st.integers(0, 99),
)
def test_vjp_agrees_with_differences_where_arrays_are_broadcast(first, second, seed):
    """<g, J v> = <pull(g), v>, where J v comes from differences"""
    tape, ops = engine()
    rng = np.random.default_rng(seed)
    x, y, v, w = (rng.standard_normal(shape).round(2) for shape in (first, second, first, second))
    z, pull = tape.vjp(lambda x, y: ops.sin(x) * y + y / (x * x + 1) - x, x, y)

    def f(x, y):
        return np.sin(x) * y + y / (x * x + 1) - x

    where = f"for z = sin(x) y + y / (x² + 1) - x with x of shape {first} and y of shape {second}"
    same_array(z, f(x, y), f"the value {where}")
    g = rng.standard_normal(z.shape).round(2)
    for name, gradient, direction in (("x", pull(g)[0], (v, 0 * w)), ("y", pull(g)[1], (0 * v, w))):
        what = f"the gradient in {name} {where}"
        gradient = plain_array(gradient, first if name == "x" else second, float, what)
        found = float((gradient * (v if name == "x" else w)).sum())
        slope = float((g * along(f, (x, y), direction)).sum())
        close(found, slope, f"<pull(g), v>, with {what},", accuracy=1e-6)


def test_a_chain_of_100000_tensors_and_a_ladder():
    """The same depth, and the same ladder, with arrays"""
    tape, _ = engine()

    def chain(x):
        for _ in range(DEEP // 2):
            x = x + 1.0
        for _ in range(DEEP // 2):
            x = 1.0 * x
        return x

    def ladder(x):
        for _ in range(60):
            x = x + x
        return x

    x = np.array([1.0, 2.0])
    same_array(tape.vjp(chain, x)[1](x)[0], x, f"pull(g) of {DEEP:,} operations of slope 1, which should be g")
    same_array(tape.vjp(ladder, x)[1](x)[0], 2.0**60 * x, "pull(g) of z = x and then z = z + z 60 times")


@settings(max_examples=20)
@given(vectors(2), vectors(2), vectors(2))
def test_gradients_of_gradients(x, u, v):
    """<u, H v> = <H u, v>, H v agrees with differences of gradients, and an outer call differentiates an inner one"""
    tape, ops = engine()

    def f(x):
        return (ops.sin(x) * x[::-1]).sum() + ops.exp(-(x * x).sum() / 8)

    def times_hessian(v):
        return tape.grad(lambda x: (tape.grad(f)(x) * v).sum())(x)

    where = f"for f = Σ sin(x) · (x reversed) + exp(-Σ x² / 8) at x = {x.tolist()}"
    hu = times_hessian(u)
    hv = times_hessian(v)
    by_differences = along(tape.grad(f), (x,), (v,))
    same_array(hv, by_differences, f"H v {where}, v = {v.tolist()} (by differences)", accuracy=1e-5)
    close(float((u * hv).sum()), float((np.array(hu, float) * v).sum()), f"<u, H v> {where}, which should be <H u, v>,")
    slope = tape.grad(tape.grad(tape.grad(lambda t: t**4)))(1.5)
    close(slope, 36.0, "the third derivative of t⁴ at t = 1.5")
    confused = tape.grad(lambda s: s * tape.grad(lambda t: s * t)(2.0))(3.0)
    close(confused, 6.0, "d/ds of s · (d/dt of s t at t = 2) at s = 3, which is 2 s,")
    outer = tape.grad(lambda s: tape.value_and_grad(lambda t: s * s)(2.0)[0])(3.0)
    close(outer, 6.0, "d/ds of the value at t = 2 of the function t -> s s, at s = 3")
    constant = tape.grad(lambda s: s + tape.grad(lambda t: t * t)(2.0))(3.0)
    close(constant, 1.0, "d/ds of s + (d/dt of t² at t = 2) at s = 3")


def test_what_vjp_gives_back_and_what_it_refuses():
    """Gradients have the shape and dtype of their primal and memory of their own; wrong arguments raise errors"""
    tape, ops = engine()
    x, y = np.array([1.0, 2.0]), np.array([[3.0], [4.0]], np.float32)
    by_x, by_y = tape.vjp(lambda x, y: x * y, x, y)[1](np.ones((2, 2)))
    same_array(by_x, [7.0, 7.0], "the gradient in x of z = x y, x = [1, 2], y = [[3], [4]], g = 1")
    same_array(by_y, np.array([[3.0], [3.0]], np.float32), "the gradient in y of the same z, with y in float32,")
    g = np.ones(2)
    (gradient,) = tape.vjp(lambda x: x, x)[1](g)
    same_array(gradient, g, "pull(g) of the identity")
    gradient += 1
    same_array(g, np.ones(2), "g after the result of pull(g) was changed in place")
    same_array(tape.vjp(lambda x: x * x, 3.0)[1](1.0)[0], np.float64(6), "the gradient of x² in a float, x = 3")
    first, second = tape.vjp(lambda a, b: a * a * b, x, x)[1](g)
    same_array(first, 2 * x * x, "the gradient in a of a² b, where a and b are the same array [1, 2],")
    same_array(second, x * x, "the gradient in b of a² b, where a and b are the same array [1, 2],")
    fails(
        ValueError, lambda: tape.vjp(lambda x: x * x, x)[1](np.ones((2, 1))), "pull(g) with g of another shape than z"
    )
    fails(TypeError, lambda: tape.vjp(lambda x: np.ones(2), x), "vjp of an f that returns an array instead of a tensor")
    fails(TypeError, lambda: tape.vjp(lambda x: x * x, np.array([1, 2])), "vjp at integers")
    fails(ValueError, lambda: tape.value_and_grad(lambda x: x * x)(x), "value_and_grad of an f that is not scalar")
    value, slope = tape.value_and_grad(lambda x, k, p=1: k * (x**p).sum())(x, 10.0, p=2)
    close(float(value), 50.0, "value_and_grad(f)(x, 10, p=2) for f = k Σ xᵖ, x = [1, 2], the value")
    same_array(slope, 20 * x, "value_and_grad(f)(x, 10, p=2) for f = k Σ xᵖ, x = [1, 2], the gradient")
    same_array(tape.vjp(lambda x: ops.exp(x), x)[0], np.exp(x), "the value that vjp returns for exp")
