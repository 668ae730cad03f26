"""Laws of the exact attack on linear models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from scratchadv.attacks import exact, fgsm, pgd
from scratchadv.losses import logistic
from scratchadv.models import LogisticRegression
from scratchadv.robust_logistic import worst_margin
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems, norm_balls


def loss(problem, delta):
    return logistic.value(problem.model.logits(problem.x + delta), problem.y)


def slack(problem):
    return 1e-4 if problem.x.dtype == np.float32 else 1e-12


@given(linear_problems(threats=st.floats(0, 2).map(Linf)))
def test_linf_is_the_slides_formula(problem):
    """δ* = −y ε sign(θ)."""
    delta = exact(problem.model, problem.x, problem.y, problem.threat)
    theta = problem.model.params["theta"]
    expected = [-y * problem.threat.eps * np.sign(theta) for y in problem.y]
    np.testing.assert_array_equal(delta, np.array(expected, problem.x.dtype))


@given(linear_problems(), st.integers(0, 2**32 - 1))
def test_no_feasible_point_beats_it(problem, seed):
    """Ψ at x + exact is at least Ψ at x + δ for random δ in Δ(x), FGSM's δ and PGD's δ."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    best = loss(problem, exact(model, x, y, threat))
    rng = np.random.default_rng(seed)
    rivals = [threat.sample(rng, x) for _ in range(10)]
    rivals += [fgsm(model, x, y, threat), pgd(model, x, y, threat, steps=3, rng=rng)]
    for delta in rivals:
        assert (loss(problem, delta) <= best + slack(problem)).all()


@given(linear_problems())
def test_it_attains_the_worst_margin(problem):
    """y f(x + δ*) = y f(x) − max <−yθ, δ>, the margin of the robust objective."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    attained = y * model.logits(x + exact(model, x, y, threat))
    expected = worst_margin(model.params["theta"], model.params["theta0"], x, y, threat)
    np.testing.assert_allclose(attained, expected, atol=slack(problem))


@given(linear_problems())
def test_it_keeps_the_conventions(problem):
    """δ is in Δ(x), has the shape and dtype of x, row by row, and nothing is changed in place."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    before = x.copy(), y.copy()
    delta = exact(model, x, y, threat)
    assert threat.at(x).contains(delta).all()
    assert (delta.dtype, delta.shape) == (x.dtype, x.shape)
    for i in range(len(x)):
        np.testing.assert_array_equal(delta[i : i + 1], exact(model, x[i : i + 1], y[i : i + 1], threat))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("norm", [Linf, L1])
@pytest.mark.parametrize("boxed", [False, True])
def test_it_is_the_linear_programs_optimum(norm, boxed):
    """min y θᵀδ over Δ(x), solved by linprog with δ = p − q."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        n, eps = rng.integers(1, 8), rng.random()
        x, theta, y = rng.random(n), rng.standard_normal(n), rng.choice([-1, 1])
        limits = [(0, 1 - xj) for xj in x] + [(0, xj) for xj in x] if boxed else [(0, None)] * (2 * n)
        budget = np.hstack([np.eye(n), np.eye(n)]) if norm is Linf else np.ones((1, 2 * n))
        solution = linprog(np.concatenate([y * theta, -y * theta]), budget, np.full(len(budget), eps), bounds=limits)
        threat = norm(eps).within(0, 1) if boxed else norm(eps)
        delta = exact(LogisticRegression(theta), x[None], np.array([y]), threat)
        np.testing.assert_allclose(y * (delta[0] @ theta), solution.fun, atol=1e-9)


def test_by_hand():
    """θ = (2, −1), y = +1: ℓ∞ moves both, ℓ1 only the first, ℓ2 along θ; at the edge of the box nothing moves."""
    model, y = LogisticRegression(np.array([2.0, -1.0])), np.array([1])
    x = np.array([[1.0, 1.0]])
    np.testing.assert_allclose(exact(model, x, y, Linf(0.5)), [[-0.5, 0.5]])
    np.testing.assert_allclose(exact(model, x, y, L1(0.5)), [[-0.5, 0.0]])
    np.testing.assert_allclose(exact(model, x, y, L2(np.sqrt(5))), [[-2.0, 1.0]])
    np.testing.assert_allclose(exact(model, x, y, Linf(0.5).within(0, 1)), [[-0.5, 0.0]])
    np.testing.assert_allclose(exact(model, x, y, L0(1).within(0, 1)), [[-1.0, 0.0]])


def test_karpathys_example():
    """Breaking linear classifiers: x + w/2 takes the score from −3 to 2, the probability from .047 to .881."""
    x = np.array([[2.0, -1, 3, -2, 2, 2, 1, -4, 5, 1]])
    w = np.array([-1.0, -1, 1, -1, 1, -1, 1, 1, -1, 1])
    model = LogisticRegression(w)
    delta = exact(model, x, np.array([-1]), Linf(0.5))
    np.testing.assert_array_equal(delta[0], w / 2)
    np.testing.assert_array_equal([model.logits(x)[0], model.logits(x + delta)[0]], [-3, 2])


@given(linear_problems(threats=norm_balls))
def test_it_does_not_depend_on_x_without_a_box(problem):
    """δ*(x) = δ*(x') for the same label (slide "Linear Models")."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    np.testing.assert_array_equal(exact(model, x, y, threat), exact(model, np.zeros_like(x), y, threat))


def test_it_refuses_models_that_are_not_linear():
    """A model that is not linear is refused, because the maximum is known only for linear models."""

    class Quadratic(LogisticRegression):
        linear = False

    with pytest.raises(TypeError, match="exact solves linear models only; for Quadratic use pgd"):
        exact(Quadratic(np.ones(2)), np.ones((1, 2)), np.array([1]), Linf(1))
