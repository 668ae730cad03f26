"""Laws of FGSM in small steps, without and with momentum."""

import numpy as np
import pytest
from hypothesis import given, settings

from scratchadv.attacks.gradient.fgsm import fgsm
from scratchadv.attacks.gradient.iterated_fgsm import iterated_fgsm, momentum_fgsm
from scratchadv.attacks.gradient.pgd import pgd
from scratchadv.attacks.linear import exact
from scratchadv.losses import logit_difference
from scratchadv.models import MLP, LogisticRegression
from scratchadv.parallel import limit
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems, radii

BALLS = [Linf(0.2), L2(0.4), L1(0.6)]
THREATS = [*BALLS, *(ball.within(0, 1) for ball in [*BALLS, L0(2)])]
both = pytest.mark.parametrize("attack", [iterated_fgsm, momentum_fgsm])


class Parabolas:
    """z = −Σ c_j (x_j − a_j)²: the sign of the gradient changes on the way."""

    def __init__(self, c, a):
        self.c, self.a, self.params = np.array(c), np.array(a), {}

    def logits(self, x):
        return -(self.c * (x - self.a) ** 2).sum(axis=1)

    def vjp_x(self, x):
        return self.logits(x), lambda dz: dz[:, None] * -2 * self.c * (x - self.a)


class Climb:
    """L = z for every label."""

    value = staticmethod(lambda z, y: z)
    grad = staticmethod(lambda z, y: np.ones_like(z))


@pytest.fixture
def net():
    """A network with curvature, 20 examples in [0, 1]⁶ and labels."""
    rng = np.random.default_rng(4)
    return MLP((6, 9, 3), "tanh", rng=rng, dtype=np.float64), rng.random((20, 6)), rng.integers(0, 3, 20)


def loss(model, x, y, delta):
    return model.loss.value(model.logits(x + delta), y)


def tolerance(x):
    return 1e-4 if x.dtype == np.float32 else 1e-9


@both
@settings(deadline=None)
@given(problem=linear_problems(threats=radii.map(Linf) | radii.map(L2) | radii.map(lambda eps: Linf(eps).within(0, 1))))
def test_it_is_exact_on_linear_models(attack, problem):
    """T steps of ε / T along one gradient end at the exact attack"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    found, best = (loss(model, x, y, a(model, x, y, threat)) for a in (attack, exact))
    np.testing.assert_allclose(found, best, atol=tolerance(x))


@both
@settings(deadline=None)
@given(problem=linear_problems())
def test_it_keeps_the_conventions(attack, problem):
    """For every ball: inside Δ(x), not below the clean loss, dtype and shape of x, nothing changed in place"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    before = x.copy()
    delta = attack(model, x, y, threat, steps=3)
    assert threat.at(x).contains(delta).all()
    assert (delta.dtype, delta.shape) == (x.dtype, x.shape)
    assert (loss(model, x, y, delta) >= loss(model, x, y, 0 * x)).all()
    np.testing.assert_array_equal(x, before)


@both
@pytest.mark.parametrize("threat", THREATS[:4], ids=str)
def test_one_step_is_fgsm_where_that_is_better_than_nothing(attack, threat, net):
    """T = 1: δ of FGSM, or δ = 0 where the loss falls"""
    model, x, y = net
    one = fgsm(model, x, y, threat)
    better = loss(model, x, y, one) > loss(model, x, y, 0 * x)
    expected = np.where(better[:, None], one, 0)
    np.testing.assert_allclose(attack(model, x, y, threat, steps=1), expected, atol=1e-12)
    assert better.any()


def test_without_momentum_both_are_pgd_from_zero(net):
    """μ = 0: the same δ as PGD with α = ε / T"""
    model, x, y = net
    for threat in THREATS:
        expected = pgd(model, x, y, threat, steps=6, alpha=threat.radius / 6)
        np.testing.assert_array_equal(iterated_fgsm(model, x, y, threat, steps=6), expected)
        np.testing.assert_allclose(momentum_fgsm(model, x, y, threat, steps=6, mu=0.0), expected, atol=1e-12)


def test_momentum_by_hand():
    """L = −(x₁ − 3/4)² − (x₂ − 3)² from 0 with α = 1, g = (3/2 − 2 x₁, 6 − 2 x₂)

    At (0, 0) g = (3/2, 6), v = (1/5, 4/5): to (1, 1). There g = (−1/2, 4), v = (1/5 − 1/9, 4/5 + 8/9): on to (2, 2),
    where the gradient alone would go back to (0, 2). There g = (−5/2, 2), v₁ = 1/5 − 1/9 − 5/9 < 0: to (1, 3).
    """
    model = Parabolas([1.0, 1.0], [0.75, 3.0])
    x, y, options = np.zeros((1, 2)), np.array([1]), {"alpha": 1.0, "loss": Climb()}
    for steps, expected in ((1, [[1, 1]]), (2, [[2, 2]]), (3, [[1, 3]])):
        np.testing.assert_array_equal(momentum_fgsm(model, x, y, Linf(10.0), steps=steps, **options), expected)
    np.testing.assert_array_equal(iterated_fgsm(model, x, y, Linf(10.0), steps=2, **options), [[0, 2]])


@both
def test_batch_order_and_split_do_not_matter(attack, net):
    """attack(x[π]) = attack(x)[π], a batch = its parts, chunks = the whole"""
    model, x, y = net
    threat = L2(0.4).within(0, 1)
    whole = attack(model, x, y, threat)
    for part in (np.random.default_rng(1).permutation(len(x)), slice(0, 7), slice(7, 20)):
        np.testing.assert_allclose(attack(model, x[part], y[part], threat), whole[part], atol=1e-12)
    with limit(threads=2, chunk=3):
        np.testing.assert_allclose(attack(model, x, y, threat), whole, atol=1e-12)


@both
def test_targets_travel_with_their_examples(attack, net):
    """target=t maximises L(y) − L(t), which for cross-entropy is the logit difference"""
    model, x, y = net
    target = (y + 1) % 3
    expected = attack(model, x, y, Linf(0.1), target=target, loss=logit_difference)
    np.testing.assert_allclose(attack(model, x, y, Linf(0.1), target=target), expected, atol=1e-12)


@both
def test_zero_gradients_leave_zero(attack):
    """θ = 0: δ = 0, no NaN and no warning"""
    model, x, y = LogisticRegression(np.zeros(4)), np.full((2, 4), 0.25), np.array([1, -1])
    with np.errstate(all="raise"):
        for threat in THREATS:
            assert not attack(model, x, y, threat).any()


@pytest.mark.parametrize("scale", [1e-30, 1e-38, 1e30])
def test_momentum_does_not_see_the_scale_of_the_gradient(scale):
    """g / ‖g‖₁ works for tiny and huge gradients in float32 (CleverHans pull request 1175)"""
    theta = np.array([1.0, -2.0, 0.5, -0.25], np.float32)
    model, x, y = LogisticRegression(np.float32(scale) * theta), np.full((1, 4), 0.5, np.float32), np.array([1])
    delta = momentum_fgsm(model, x, y, Linf(0.1), loss=logit_difference, target=-y)
    np.testing.assert_allclose(delta, -0.1 * np.sign(theta)[None], rtol=1e-6)


@both
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"alpha": -1.0}, ValueError, r"alpha = -1\.0 must be finite and >= 0"),
        ({"loss": logit_difference}, ValueError, "needs the labels to reach: pass target"),
        ({"target": np.zeros(20)}, TypeError, "target has dtype float64"),
        ({"x": np.full((20, 6), np.nan)}, ValueError, "x holds nan"),
    ],
)
def test_bad_options_are_refused(attack, change, error, message, net):
    """The message names the value and what was expected"""
    model, x, y = net
    with pytest.raises(error, match=message):
        attack(model, **({"x": x, "y": y, "threat": Linf(0.1)} | change))


def test_momentum_is_a_number_from_zero(net):
    """μ < 0 is refused"""
    model, x, y = net
    with pytest.raises(ValueError, match=r"mu = -0\.5 must be finite and >= 0"):
        momentum_fgsm(model, x, y, Linf(0.1), mu=-0.5)
