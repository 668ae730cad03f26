"""The contract passes correct code, rejects wrong code, and says why in one sentence."""

import math

import numpy as np
import pytest
from scipy.optimize import linprog

import scratchadv.testing
from scratchadv import evaluate
from scratchadv.attacks import fgsm
from scratchadv.losses import cross_entropy, dlr, logistic, margin
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing import (
    ContractError,
    assert_attack_contract,
    assert_ball_contract,
    assert_evaluation_contract,
    assert_loss_contract,
    check_gradients,
)
from scratchadv.testing.contract import BALL_LAWS, EVALUATION_LAWS, LAWS, LOSS_LAWS
from scratchadv.testing.contract.measures import best_margin, margin_of
from scratchadv.testing.models import LIFT, Constant, Linear, LinearSoftmax, Recorded, Shifted, SmallNetwork
from scratchadv.testing.strategies import Case, other_labels

INF, TWO, ONE = (ball.within(0, 1) for ball in (Linf(0.3), L2(0.5), L1(0.7)))
ZERO, WIDE = L0(2).within(0, 1), Linf(0.25).within(-1, 1)


@pytest.mark.parametrize("ball", [Linf(0.3), L2(0.5), L1(0.7), Linf(0.0), INF, TWO, ONE, ZERO, WIDE], ids=str)
def test_the_balls_pass(ball):
    """Our balls break no law of balls"""
    assert_ball_contract(ball, max_examples=10)


def test_the_losses_pass():
    """Our losses break no law of losses"""
    for loss, options in ((cross_entropy, {}), (margin, {}), (dlr, {"classes": 3})):
        assert_loss_contract(loss, max_examples=20, **options)
    for loss in (logistic, margin):
        assert_loss_contract(loss, binary=True, max_examples=20)


@pytest.mark.parametrize("threat", [INF, TWO], ids=str)
def test_the_evaluation_passes(threat):
    """scratchadv.evaluate breaks no law of evaluations"""
    assert_evaluation_contract(evaluate, threat, max_examples=10)


# A failure


def weak(model, x, y, threat):
    """Return half of FGSM's δ."""
    return fgsm(model, x, y, threat) / 2


def test_a_failure_is_one_sentence_with_a_small_counterexample():
    """The error names the law and shows model, x, y, Δ and δ on one line; the law is also an attribute"""
    with pytest.raises(AssertionError) as caught:
        assert_attack_contract(weak, Linf(0.5), exact=True)
    message = str(caught.value)
    assert isinstance(caught.value, ContractError)
    assert caught.value.law == "the closed form"
    assert message.startswith("the closed form: ")
    assert "\n" not in message
    for part in ("model = Linear(", "x = ", "y = ", "Δ = ‖δ‖∞ ≤ 0.5", "δ = ", "the closed form's"):
        assert part in message
    assert len(message) < 300


def test_the_counterexample_is_the_same_at_every_call():
    """Derandomised: two calls give the same message"""

    def message():
        with pytest.raises(ContractError) as caught:
            assert_attack_contract(weak, L2(0.5), exact=True)
        return str(caught.value)

    assert message() == message()


def test_laws_follow_from_promises():
    """The weak attack passes if it promises no optimum, or if it names the laws that it does not keep"""
    assert_attack_contract(weak, Linf(0.5), max_examples=5)
    broken = ("the closed form", "pixels at the edges move", "confident logits", "a hole in the gradient")
    assert_attack_contract(weak, Linf(0.5), exact=True, without=broken, max_examples=5)
    with pytest.raises(ValueError, match="without names"):
        assert_attack_contract(weak, Linf(0.5), without=("gravity",))


def test_an_exception_in_the_attack_breaks_the_law():
    """The message contains the exception of the attack"""

    def breaks(model, x, y, threat):
        raise ZeroDivisionError("by eps")

    with pytest.raises(ContractError, match="the attack raised ZeroDivisionError: by eps"):
        assert_attack_contract(breaks, Linf(0.5))


def test_an_error_in_a_law_is_no_counterexample():
    """Errors other than ``Broken`` pass through, for example for an impossible threat"""
    with pytest.raises(AttributeError):
        assert_attack_contract(fgsm, "Linf")


@pytest.mark.parametrize("error", [IndexError("no rows"), ValueError()], ids=repr)
def test_no_examples_must_be_refused_with_a_word(error):
    """An IndexError, or a ValueError without a message, does not count as a refusal"""

    def careless(model, x, y, threat):
        if len(x) == 0:
            raise error
        return fgsm(model, x, y, threat)

    with pytest.raises(ContractError) as caught:
        assert_attack_contract(careless, Linf(0.5), exact=True, max_examples=5)
    assert caught.value.law == "no examples are refused"


def test_an_attack_that_is_random_now_and_then_is_told():
    """hypothesis calls such an attack flaky; here it breaks the law of seeds"""
    rng = np.random.default_rng(0)

    def moody(model, x, y, threat):
        return fgsm(model, x, y, threat) * rng.choice([1, 0.5], p=[0.9, 0.1]).astype(x.dtype)

    with pytest.raises(ContractError) as caught:
        assert_attack_contract(moody, Linf(0.5), max_examples=50)
    assert caught.value.law in ("the same again", "batch mates do not matter", "order and split do not matter")


# The laws


@pytest.mark.parametrize("laws", [LAWS, BALL_LAWS, LOSS_LAWS, EVALUATION_LAWS], ids=len)
def test_every_law_states_its_formula(laws):
    """The formula is the first line of the docstring; names are the function's words"""
    for law_name, law in laws.items():
        assert len(law.formula) > 10
        assert law.check.__name__ == law_name.replace(" ", "_")


def test_laws_are_asked_for_by_promises_that_there_are():
    """``needs`` holds names of promises, or says that the attack is not random"""
    promises = {"exact", "iterated", "keeps_best", "smallest", "random", "restarts", "targeted", "reach", "repeatable"}
    assert set().union(*(law.needs for law in LAWS.values())) <= promises


# The models


MODELS = [
    (Linear([[1.0, -2.0]], 0.5), np.array([1, -1])),
    (LinearSoftmax(np.arange(6.0).reshape(3, 1, 2), [0.0, 1.0, -1.0]), np.array([0, 2])),
    (LinearSoftmax.pair(np.array([[1.0, 2.0]]), 0.5, 4, 3, 1), np.array([3, 1])),
    (SmallNetwork((1, 2), 3, seed=3), np.array([0, 2])),
    (Constant([1.0, 0.0]), np.array([0, 1])),
    (Shifted(SmallNetwork((1, 2), 3, seed=3), -128.0), np.array([0, 2])),
]


@pytest.mark.parametrize(("model", "y"), MODELS, ids=lambda value: type(value).__name__)
def test_the_gradients_of_the_models_are_right(model, y):
    """<∇ z_k, v> = (z_k(x + hv) − z_k(x − hv)) / 2h, in the dtype of x"""
    x, h = np.array([[[0.25, 0.75]], [[0.75, 0.5]]]), 2.0**-6  # no ReLU near its kink
    z, pull = model.vjp_x(x)
    np.testing.assert_array_equal(z, model.logits(x))
    dz = np.random.default_rng(0).standard_normal(z.shape)
    for v in np.eye(2):
        difference = (model.logits(x + h * v) - model.logits(x - h * v)) / (2 * h)
        expected = (dz * difference).reshape(2, -1).sum(axis=1)
        np.testing.assert_allclose((pull(dz) * v).sum(axis=(1, 2)), expected, atol=1e-4)
    for dtype in (np.float32, np.float64):
        z, pull = model.vjp_x(x.astype(dtype))
        assert z.dtype == pull(z).dtype == dtype


def test_a_pair_is_a_two_class_problem():
    """Margin = ±(<θ, x> + θ0) for the labels of the pair, and the other classes cannot win"""
    model, x = LinearSoftmax.pair(np.array([1.0, -2.0]), 0.5, 4, 2, 0), np.array([[0.5, 0.25]] * 2)
    np.testing.assert_allclose(model.logits(x), [[LIFT, 0, LIFT + 0.5, 0]] * 2)
    np.testing.assert_allclose(margin.value(model.logits(x), np.array([2, 0])), [-0.5, 0.5])
    np.testing.assert_array_equal(other_labels(model, np.array([2, 0])), [0, 2])


def test_a_shift_keeps_differences_to_the_last_bit():
    """(z + c)_i − (z + c)_j = z_i − z_j"""
    x, model = np.random.default_rng(0).random((20, 3)), SmallNetwork((3,), 4, seed=0)
    z, moved = (Shifted(model, shift).logits(x) for shift in (0.0, -128.0))
    np.testing.assert_array_equal(z - z[:, :1], moved - moved[:, :1])
    assert (moved < 0).all()


def test_recorded_models_keep_what_they_are_given():
    """inputs has every x, pulls every dz with its z"""
    model = Recorded(Linear([1.0]))
    x = np.array([[0.5]])
    fgsm(model, x, np.array([1]), Linf(0.1))
    assert any(a is x or np.array_equal(a, x) for a in model.inputs)
    assert [dz.shape for dz, _ in model.pulls] == [(1,)]
    assert model.loss is logistic


@pytest.mark.parametrize("threat", [INF, ONE], ids=str)
@pytest.mark.parametrize("kind", ["logistic", "pair"])
def test_the_closed_form_is_that_of_linear_programming(kind, threat):
    """margin(x) + max <g, δ> over ball ∩ box, compared with scipy"""
    rng = np.random.default_rng(1)
    theta, x = rng.standard_normal(3), rng.random((4, 3))
    y = np.array([1, -1, 1, -1])
    if kind == "pair":
        model, labels = LinearSoftmax.pair(theta, 0.25, 4, 2, 1), np.where(y > 0, 2, 1)
    else:
        model, labels = Linear(theta, 0.25), y
    case = Case(model, x, labels, threat)
    for i in range(4):
        g = -y[i] * theta
        if threat is INF:
            bounds = [(max(-0.3, -v), min(0.3, 1 - v)) for v in x[i]]
            best = -linprog(-g, bounds=bounds).fun
        else:  # δ = p − n
            bounds = [(0, 1 - v) for v in x[i]] + [(0, v) for v in x[i]]
            best = -linprog(np.r_[-g, g], A_ub=np.ones((1, 6)), b_ub=[0.7], bounds=bounds).fun
        clean = -y[i] * (x[i] @ theta + 0.25)
        assert math.isclose(best_margin(case)[i], clean + best, abs_tol=1e-9)
        assert math.isclose(margin_of(case, 0 * x)[i], clean, abs_tol=1e-9)


def test_the_doors_of_the_package():
    """Contracts are loaded when they are asked for; an unknown name is an AttributeError"""
    assert scratchadv.testing.check_gradients is check_gradients
    assert scratchadv.testing.ContractError is ContractError
    with pytest.raises(AttributeError, match="no attribute 'assert_anything'"):
        _ = scratchadv.testing.assert_anything
