"""The public tests of homework 2: examples to check with paper and pencil."""

import linear as student_exact
import numpy as np
import risk as student
from checking import answer, close, said

from scratchadv.models import LogisticRegression
from scratchadv.sets import L1, L2, Linf


def attack(theta, theta0, x, y, threat):
    """Return the student's δ, and the call in words."""
    what = f"exact(LogisticRegression({said(theta)}, {theta0:g}), x={said(x)}, y={said(y)}, {threat})"
    model = LogisticRegression(theta.copy(), theta0)
    return answer(student_exact.exact, model, x, y, threat, shape=x.shape, what=what), what


def expect_attack(x, y, threat, expected):
    """Compare the attack on θ = (2, −1), θ0 = 0.5 with the expected one."""
    found, what = attack(np.array([2.0, -1.0]), 0.5, np.array(x), np.array(y), threat)
    assert close(found, expected), f"{what} should be {said(expected)}, but is {said(found)}"


def call(name, theta, theta0, x, y, ball, shape=()):
    """Return the student's ``worst_margin`` or ``objective``, and the call in words."""
    what = f"{name}({said(theta)}, {theta0:g}, x={said(x)}, y={said(y)}, {ball})"
    return answer(getattr(student, name), theta, theta0, x, y, ball, shape=shape, what=what), what


def expect(name, theta, theta0, x, y, ball, expected):
    """Compare the answer with the expected one."""
    found, what = call(name, np.array(theta), theta0, np.array(x), np.array(y), ball, np.shape(expected))
    assert close(found, expected), f"{what} should be {said(expected)}, but is {said(found)}"


def test_exact_by_hand():
    """δ* = −y ε sign(θ) for ℓ∞; along −y θ for ℓ2; at the largest weight for ℓ1; clipped by the pixel range"""
    x, y = [[0.5, 0.5], [0.5, 0.5]], [1, -1]
    expect_attack(x, y, Linf(0.25), [[-0.25, 0.25], [0.25, -0.25]])
    root = np.sqrt(5)
    expect_attack(x, y, L2(1), [[-2 / root, 1 / root], [2 / root, -1 / root]])
    expect_attack(x, y, L1(0.25), [[-0.25, 0], [0.25, 0]])
    expect_attack([[0.125, 0.5]], [1], Linf(0.25).within(0, 1), [[-0.125, 0.25]])


def test_worst_margin_by_hand():
    """y(θᵀx + θ0) − ε‖θ‖ in the dual norm, for θ = (3, −4)"""
    x, y = [[1.0, 1.0], [1.0, 0.0]], [1, -1]
    expect("worst_margin", [3.0, -4.0], 0.5, x, y, Linf(0.5), [-0.5 - 3.5, -3.5 - 3.5])
    expect("worst_margin", [3.0, -4.0], 0.5, x, y, L2(0.5), [-0.5 - 2.5, -3.5 - 2.5])
    expect("worst_margin", [3.0, -4.0], 0.5, x, y, L1(0.5), [-0.5 - 2.0, -3.5 - 2.0])


def test_objective_by_hand():
    """The mean of Ψ(m) = log(1 + exp(−m)): log 2 for m = 0"""
    expect("objective", [0.0, 0.0], 0.0, [[1.0, 1.0]], [1], Linf(0.5), np.log(2))
    expect("objective", [1.0, -1.0], 0.0, [[1.0, 0.0]], [1], Linf(0.5), np.log(2))
    expect("objective", [1.0], 1.0, [[1.0], [1.0]], [1, -1], L2(1), (np.log1p(np.exp(-1)) + np.log1p(np.exp(3))) / 2)
