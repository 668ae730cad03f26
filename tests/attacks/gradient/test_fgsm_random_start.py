"""Laws of FGSM with a random start."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchadv import parallel
from scratchadv.attacks import exact, fgsm_random_start
from scratchadv.losses import logistic, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.sets import L1, L2, Linf
from scratchadv.testing.strategies import linear_problems

THREATS = [Linf(0.2), L2(0.4), L1(0.6), Linf(0.2).within(0, 1), L2(0.4).within(0, 1), L1(0.6).within(0, 1)]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def net():
    """A network with curvature, 30 examples in [0, 1]⁶ and labels."""
    random = rng(4)
    return MLP((6, 9, 3), "tanh", rng=random, dtype=np.float64), random.random((30, 6)), random.integers(0, 3, 30)


@given(linear_problems(), st.integers(0, 2**32 - 1))
def test_it_keeps_the_conventions(problem, seed):
    """Seeded, inside Δ(x), dtype and shape of x, nothing changed in place."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    before = x.copy()
    first, second = (fgsm_random_start(model, x, y, threat, rng=rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert threat.at(x).contains(first).all()
    assert (first.dtype, first.shape) == (x.dtype, x.shape)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("alpha", [None, 0.05, 0.3])
def test_for_linf_it_is_the_formula_of_the_paper(net, alpha):
    """δ = clip(δ[0] + α sign(∇L(x + δ[0])), ±ε), then clip(x + δ, 0, 1) − x; α = 1.25 ε by default."""
    model, x, y = net
    for threat, low, high in ((Linf(0.2), -np.inf, np.inf), (Linf(0.2).within(0, 1), 0, 1)):
        start = threat.sample(rng(7), x)
        z, pull = model.vjp_x(x + start)
        step = (0.25 if alpha is None else alpha) * np.sign(pull(model.loss.grad(z, y)))
        expected = np.clip(x + np.clip(start + step, -0.2, 0.2), low, high) - x
        found = fgsm_random_start(model, x, y, threat, rng=rng(7), alpha=alpha)
        np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_no_step_is_the_start(net, threat):
    """α = 0: δ = δ[0], drawn from Δ(x)."""
    model, x, y = net
    found = fgsm_random_start(model, x, y, threat, rng=rng(1), alpha=0)
    np.testing.assert_allclose(found, threat.sample(rng(1), x), atol=1e-9)


def test_a_step_across_the_ball_is_exact_on_linear_models():
    """α = 2 ε in ℓ∞: every component reaches the end to which the gradient points, from every start."""
    x, y = rng().random((5, 4)), np.array([1, -1, 1, 1, -1])
    model = LogisticRegression(np.array([1.0, -2.0, 0.5, -0.1]))
    for threat in (Linf(0.3), Linf(0.3).within(0, 1)):
        found = fgsm_random_start(model, x, y, threat, rng=rng(2), alpha=0.6)
        np.testing.assert_allclose(found, exact(model, x, y, threat), atol=1e-15)


def test_loss_and_target_say_what_goes_up(net):
    """loss=margin maximises the margin; target=t maximises L(y) − L(t): swapped labels reverse the direction."""
    model, x, y = net
    binary = LogisticRegression(np.array([1.0, -1.0, 2, 1, 1, 1]))
    y2 = np.where(y > 0, 1, -1)
    options = {"rng": rng(3), "alpha": 0.4}
    expected = fgsm_random_start(binary, x, y2, Linf(0.2), rng=rng(3), alpha=0.4)
    np.testing.assert_array_equal(fgsm_random_start(binary, x, y2, Linf(0.2), target=-y2, **options), expected)
    options["rng"] = rng(3)
    np.testing.assert_array_equal(fgsm_random_start(binary, x, y2, Linf(0.2), loss=margin, **options), expected)
    target = (y + 1) % 3
    delta = fgsm_random_start(model, x, y, Linf(0.01), rng=rng(3), target=target, alpha=0.02)
    worth = [model.loss.value(z, y) - model.loss.value(z, target) for z in (model.logits(x), model.logits(x + delta))]
    assert (worth[1] > worth[0]).all()
    assert binary.loss is logistic


def test_chunks_and_threads_change_nothing(net):
    """Starts are drawn for the whole batch and cut with the examples."""
    model, x, y = net
    whole = fgsm_random_start(model, x, y, L2(0.4), rng=rng(5))
    with parallel.limit(2, 7):
        np.testing.assert_allclose(fgsm_random_start(model, x, y, L2(0.4), rng=rng(5)), whole, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, r"alpha = -1\.0 must be finite and >= 0"),
        ({"alpha": "1"}, TypeError, "alpha must be a number"),
        ({"y": np.full(30, 3)}, ValueError, "y holds 3"),
        ({"x": np.full((30, 6), 1.5)}, ValueError, r"x holds 1\.5, outside the box"),
        ({"target": np.full(30, -1)}, ValueError, "target holds -1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(change, error, message, net):
    """The message names the value and what was expected."""
    model, x, y = net
    untouched = rng(7)
    arguments = {"model": model, "x": x, "y": y, "threat": Linf(0.1).within(0, 1), "rng": untouched} | change
    with pytest.raises(error, match=message):
        fgsm_random_start(**arguments)
    assert untouched.bit_generator.state == rng(7).bit_generator.state
