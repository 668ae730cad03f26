"""Laws of FAB."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog

from scratchadv.attacks.constrained.fab import fab
from scratchadv.models import MLP, LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import predict
from scratchadv.numerics import rows
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems

NORMS = [L2, Linf, L1]


def best_in(norm, box, eps, model, x, y):
    """The part of the margin that the ball of radius eps, in the box, can take away: max <w, δ> − y z, shape (N,)."""
    z, pull = model.vjp_x(x)
    threat = norm(eps) if box is None else norm(eps).within(*box).at(x)
    return threat.support(pull(-y.astype(x.dtype))) - y * z


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [None, (0, 1)])
@settings(deadline=None, max_examples=25)
@given(problem=linear_problems())
def test_fab_is_exact_on_linear_models(norm, box, problem):
    """No δ that is shorter by 0.1 % (beyond rounding) fools the model, and where FAB finds none there is none"""
    model, x, y = problem.model, problem.x, problem.y
    delta = fab(model, x, y, norm=norm, box=box, steps=20)
    right, fooled = predict(model, x) == y, predict(model, x + delta) != y
    rounding = 100 * np.finfo(x.dtype).eps
    for i in np.flatnonzero(right):
        one = model, x[i : i + 1], y[i : i + 1]
        if fooled[i]:
            shorter = max(0.0, 0.999 * float(norm.norm(delta[i : i + 1])[0]) - rounding)
            assert best_in(norm, box, shorter, *one)[0] <= rounding
        else:
            assert best_in(norm, box, 1e3, *one)[0] <= rounding


@pytest.mark.parametrize("norm", [Linf, L1])
@pytest.mark.parametrize("box", [None, (0, 1)])
def test_a_linear_program_finds_no_shorter_change(norm, box):
    """Four linear classes: ‖δ‖ is the smallest value of three linear programs, to 0.1 %"""
    rng = np.random.default_rng(0)
    model = SoftmaxRegression(6, 4, rng=rng, dtype=np.float64)
    x = rng.random((8, 6))
    z, y = model.logits(x), predict(model, x)
    found = norm.norm(fab(model, x, y, norm=norm, box=box))
    eye, one = np.eye(6), np.eye(6) if norm is L1 else np.ones((6, 1))
    sizes = one.shape[1]
    weight = model.vjp_x(np.zeros((4, 6)))[1](np.eye(4))  # row k: the gradient of z_k
    for i in range(8):
        free = [(None, None)] * 6 if box is None else [*zip(-x[i], 1 - x[i], strict=True)]
        answers = []
        for k in set(range(4)) - {y[i]}:
            above = np.r_[-(weight[k] - weight[y[i]]), np.zeros(sizes)]  # −<w, δ> <= f
            less = np.vstack([np.block([[eye, -one], [-eye, -one]]), above])
            cost, right = np.r_[np.zeros(6), np.ones(sizes)], np.r_[np.zeros(12), z[i, k] - z[i, y[i]]]
            answer = linprog(cost, less, right, bounds=[*free, *[(0, None)] * sizes])
            answers += [answer.fun] if answer.status == 0 else []
        np.testing.assert_allclose(found[i], min(answers), rtol=1e-3)


def test_the_answer_by_hand():
    """z = 2 x₁ + x₂ − 1 at (0.9, 0.2), y = +1: ℓ2 (−0.4, −0.2); with the box the same; ℓ1 (−0.5, 0); ℓ∞ −1/3 each"""
    model, x, y = LogisticRegression(np.array([2.0, 1.0]), -1.0), np.array([[0.9, 0.2]]), np.array([1])
    for norm, box, expected in (
        (L2, None, [-0.4, -0.2]),
        (L2, (0, 1), [-0.4, -0.2]),
        (L1, None, [-0.5, 0]),
        (Linf, None, [-1 / 3, -1 / 3]),
        (Linf, (0, 1), [-0.4, -0.2]),
    ):
        np.testing.assert_allclose(fab(model, x, y, norm=norm, box=box)[0], expected, atol=1e-3)


@pytest.fixture(scope="module")
def network():
    """A network with 4 classes, 30 examples that it classifies correctly."""
    rng = np.random.default_rng(5)
    model = MLP((6, 12, 4), "tanh", rng=rng, dtype=np.float64)
    for name in model.params:
        model.params[name] = 3 * model.params[name]
    x = rng.random((30, 2, 3))
    return model, x, predict(model, x)


@pytest.mark.parametrize("norm", NORMS)
def test_the_found_change_cannot_be_shortened_along_its_line(norm, network):
    """0.99 δ does not fool the model: the final search ends on the boundary"""
    model, x, y = network
    delta = fab(model, x, y, norm=norm)
    fooled = predict(model, x + delta) != y
    assert fooled.mean() > 0.5
    assert (predict(model, x + 0.99 * delta) == y)[fooled].all()


def test_a_rival_is_one_boundary(network):
    """The shortest δ over all rivals is no longer than that of the untargeted attack, to 1 %"""
    model, x, y = network
    length = L2.norm

    def found(**options):
        delta = fab(model, x, y, **options)
        return np.where(predict(model, x + delta) != y, length(delta), np.inf)

    by_rival = np.min([found(rival=(y + k) % 4) for k in (1, 2, 3)], axis=0)
    assert (by_rival <= 1.01 * found()).all()


def test_more_restarts_are_not_longer(network):
    """‖δ‖ never grows with the number of restarts, and the same seed gives the same δ"""
    model, x, y = network
    options = {"eps": 0.5, "norm": Linf, "steps": 5}
    one = fab(model, x, y, **options)
    four, again = (fab(model, x, y, restarts=4, rng=np.random.default_rng(0), **options) for _ in range(2))
    np.testing.assert_array_equal(four, again)
    fooled = predict(model, x + one) != y
    assert (predict(model, x + four) != y)[fooled].all()
    shorter = abs(rows(four)).max(axis=1) - abs(rows(one)).max(axis=1)
    assert (shorter[fooled] <= 0).all()
    assert (shorter[fooled] < -1e-6).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"restarts": 2}, ValueError, "restarts = 2 begin at random points: pass rng and eps"),
        ({"restarts": 2, "eps": -1.0, "rng": np.random.default_rng(0)}, ValueError, r"eps = -1\.0 must be finite"),
        ({"norm": L0}, ValueError, r"norm = <class .*L0'>; L1 or L2 or Linf was expected"),
        ({"beta": np.nan}, ValueError, "beta = nan must be finite"),
        ({"rival": np.full(30, 4)}, ValueError, r"rival holds 4; labels in 0\.\.3 were expected"),
        ({"rival": np.zeros(30, int), "target": np.zeros(30, int)}, ValueError, "target and rival exclude each other"),
    ],
)
def test_bad_options_are_refused(change, error, message, network):
    """The message names the value and what was expected"""
    with pytest.raises(error, match=message):
        fab(*network, **change)
