"""The public tests of homework 1: examples to check with paper and pencil, and two laws."""

import norms as student
import numpy as np
from checking import answer, close, said
from hypothesis import given
from hypothesis import strategies as st

EPS = (0.0, 0.25, 1.0, 2.5)


def numbers(low=-3, high=3):
    """Draw multiples of 1/8, with many zeros and ties among them."""
    return st.integers(8 * low, 8 * high).map(lambda n: n / 8)


def vectors(low=-3, high=3, least=1):
    """Draw one example of up to five components, as a batch of one row."""
    return st.lists(numbers(low, high), min_size=least, max_size=5).map(lambda row: np.array([row]))


def call(ball, method, v, shape=None):
    """Return the answer of ``ball.method(v)``, and the call in words."""
    what = f"{type(ball).__name__}({ball.radius:g}).{method}({said(v)})"
    return answer(getattr(ball, method), v, shape=v.shape if shape is None else shape, what=what), what


def expect(ball, method, v, expected):
    """Compare the answer with the expected one."""
    v, expected = np.array(v), np.array(expected)
    found, what = call(ball, method, v, expected.shape)
    assert close(found, expected), f"{what} should be {said(expected)}, but is {said(found)}"


@given(st.sampled_from(EPS), vectors())
def test_linf_project(eps, v):
    """Every component is clipped at −ε and ε"""
    expect(student.Linf(eps), "project", v, [[min(max(vj, -eps), eps) for vj in v[0]]])


@given(st.sampled_from(EPS), vectors())
def test_l2_project(eps, v):
    """A point inside does not move; a point outside moves straight towards 0 until its length is ε"""
    expect(student.L2(1), "project", [[3.0, 4.0]], [[0.6, 0.8]])
    expect(student.L2(5), "project", [[3.0, 4.0], [-6.0, 8.0]], [[3.0, 4.0], [-3.0, 4.0]])
    length = np.sqrt((v**2).sum())
    expect(student.L2(eps), "project", v, v if length <= eps else v * eps / length)


def test_l1_project():
    """Every component shrinks by the same λ, and those that reach 0 stay there"""
    expect(student.L1(1), "project", [[3.0, 4.0]], [[0.0, 1.0]])
    expect(student.L1(1), "project", [[1.0, -1.0]], [[0.5, -0.5]])
    expect(student.L1(3), "project", [[1.0, -3.0, 2.0]], [[0.0, -2.0, 1.0]])
    expect(student.L1(2), "project", [[0.5, -0.5], [0.0, 5.0]], [[0.5, -0.5], [0.0, 2.0]])
    expect(student.L1(0), "project", [[1.0, 2.0]], [[0.0, 0.0]])


def test_best_points_by_hand():
    """linear_max and support of (3, −4) and (2, 1), for ℓ∞, ℓ2 and ℓ1"""
    g = [[3.0, -4.0], [2.0, 1.0]]
    expect(student.Linf(0.5), "linear_max", g, [[0.5, -0.5], [0.5, 0.5]])
    expect(student.Linf(0.5), "support", g, [3.5, 1.5])
    root = np.sqrt(5)
    expect(student.L2(0.5), "linear_max", g, [[0.3, -0.4], [1 / root, 0.5 / root]])
    expect(student.L2(0.5), "support", g, [2.5, 0.5 * root])
    expect(student.L1(0.5), "linear_max", g, [[0.0, -0.5], [0.5, 0.0]])
    expect(student.L1(0.5), "support", g, [2.0, 1.0])
