"""Attacks in intersections: only the pixels of glasses may change, or each feature has its own budget."""

from functools import partial

import numpy as np
import pytest

from scratchadv.attacks import (
    apgd,
    exact,
    fgsm,
    genattack,
    iterated_fgsm,
    momentum_fgsm,
    nes,
    pgd,
    spsa,
    square,
    standard,
    universal,
    universal_gradient,
)
from scratchadv.evaluate import judge, report, robust_accuracy, signs_of_masking, transfer, worst_case
from scratchadv.losses import logistic
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import labels_of, predict
from scratchadv.robust_logistic import worst_margin
from scratchadv.sets import L0, L1, L2, Box, Linf, Mask, Range
from scratchadv.testing import assert_attack_contract
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).random((20, 6))
NETWORK, LINEAR = SmallNetwork((6,), 3, seed=3), Linear([2.0, -1.0, 0.5, 1.0, 0.0, -3.0], -0.5)
Y = labels_of(NETWORK.logits(X))
GLASSES = np.array([True, True, False, True, True, False])
BUDGET = Range(-np.array([0.3, 0.3, 0.0, 0.4, 0.3, 0.0]), np.array([0.3, 0.4, 0.0, 0.3, 0.4, 0.0]))
THREATS = [
    Linf(0.4) & Box(0, 1) & Mask(GLASSES),
    L2(0.8) & Mask(GLASSES),
    BUDGET & Box(0, 1),
    BUDGET,
    Linf(0.4) & BUDGET & Box(0, 1),
]
threats = pytest.mark.parametrize("threat", THREATS, ids=str)
ATTACKS = {
    "fgsm": fgsm,
    "iterated_fgsm": iterated_fgsm,
    "momentum_fgsm": momentum_fgsm,
    "pgd": pgd,
    "pgd, restarts": partial(pgd, restarts=2, steps=5, rng=0),
    "pgd, plain steps": partial(pgd, normalized=False, alpha=0.2),
    "apgd": partial(apgd, steps=20, restarts=2, rng=0),
    "standard": partial(standard, rng=0, steps=10, queries=50),
    "square": partial(square, rng=0, queries=100),
    "nes": partial(nes, rng=0, queries=100, pairs=4),
    "spsa": partial(spsa, rng=0, queries=100, pairs=4),
}


@threats
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_keep_to_the_set(name, threat):
    """δ ∈ Δ(x), features that the mask or the budget fixes never move, and some examples are fooled"""
    delta = ATTACKS[name](NETWORK, X, Y, threat)
    assert threat.at(X).contains(delta).all()
    assert (delta[:, ~GLASSES] == 0).all()
    assert (predict(NETWORK, X + delta) != Y).any()


@pytest.mark.parametrize("threat", [THREATS[0], THREATS[4]], ids=str)
def test_genattack_keeps_to_the_set(threat):
    """δ ∈ Δ(x) and fixed features never move"""
    delta = genattack(NETWORK, X, Y, threat, rng=0, queries=100)
    assert threat.at(X).contains(delta).all()
    assert (delta[:, ~GLASSES] == 0).all()


@threats
@pytest.mark.parametrize("make", [partial(universal, passes=2), lambda m, x, t: universal_gradient(m, x, Y, t)])
def test_one_change_for_all_keeps_to_the_set(make, threat):
    """The δ of a universal attack lies in the set without its box, and is zero where nothing may move"""
    delta = make(NETWORK, X, threat)
    assert threat.everywhere.contains(delta).all()
    assert (delta[:, ~GLASSES] == 0).all()
    assert delta.any()


def test_one_change_for_all_needs_one_set_for_all():
    """A mask for each example, or a radius for each: a ValueError"""
    for threat in (L2(1) & Mask(np.random.default_rng(0).random(X.shape) < 0.5), L2(np.ones(20))):
        with pytest.raises(ValueError, match="one change for all"):
            universal(NETWORK, X, threat)


def test_one_change_for_all_pictures_with_a_mask():
    """A mask of the shape of one picture is the same for all"""
    model, glasses = SmallNetwork((3, 2, 1), 3, seed=3), GLASSES.reshape(3, 2, 1)
    x = X.reshape(-1, 3, 2, 1)
    delta = universal_gradient(model, x, labels_of(model.logits(x)), L2(0.8) & Box(0, 1) & Mask(glasses))
    assert delta.any()
    assert (delta[:, ~glasses] == 0).all()


@threats
def test_the_exact_attack_is_the_support(threat):
    """On a linear model exact and pgd reduce the margin by support(−y θ), and worst_margin agrees"""
    z = LINEAR.logits(X)
    y, theta = labels_of(z), LINEAR.params["theta"]
    lost = threat.at(X).support(-y[:, None] * theta)
    np.testing.assert_allclose(y * LINEAR.logits(X + exact(LINEAR, X, y, threat)), y * z - lost, atol=1e-12)
    climbed = pgd(LINEAR, X, y, threat, steps=60, loss=logistic, keep="loss")
    np.testing.assert_allclose(y * LINEAR.logits(X + climbed), y * z - lost, atol=1e-3)
    np.testing.assert_allclose(worst_margin(theta, -0.5, X, y, threat), y * z - lost, atol=1e-12)


def test_glasses_by_hand():
    """θ = (2, −1, 4), without the third pixel in the glasses: the margin of (0.5, 0.5, 0.5) falls by 0.25 · (2 + 1)"""
    model, x = LogisticRegression(np.array([2.0, -1.0, 4.0])), np.full((1, 3), 0.5)
    threat = Linf(0.25) & Box(0, 1) & Mask(np.array([True, True, False]))
    delta = exact(model, x, np.array([1]), threat)
    np.testing.assert_array_equal(delta, [[-0.25, 0.25, 0]])
    np.testing.assert_array_equal(model.logits(x + delta), model.logits(x) - 0.75)


CONTRACT = [
    Linf(0.25) & Box(0, 1) & Mask(np.array([True, False])),
    L2(0.5) & Mask(np.array([True, False])),
    Range(np.array([-0.25, 0.0]), np.array([0.125, 0.25])) & Box(0, 1),
]


@pytest.mark.parametrize("threat", CONTRACT, ids=str)
@pytest.mark.parametrize("attack", [fgsm, partial(pgd, steps=8), partial(apgd, steps=8)], ids=["fgsm", "pgd", "apgd"])
def test_the_attack_contract_holds_in_intersections(attack, threat):
    """assert_attack_contract, including the closed form on linear models"""
    assert_attack_contract(attack, threat, exact=True, max_examples=8)


@threats
def test_evaluation_in_intersections(threat, tmp_path):
    """worst_case, robust_accuracy, judge, masking, noise and the report"""
    attacks = [pgd, partial(square, rng=0, queries=30)]
    worst = worst_case(NETWORK, X, Y, threat, attacks)
    assert worst.accuracy == robust_accuracy(NETWORK, X, Y, threat, attacks)
    assert judge(NETWORK, X, Y, worst.delta, threat).inside.all()
    assert np.isfinite(judge(NETWORK, X, Y, worst.delta, threat).norm).all()
    assert all(np.isfinite(sign.figure) for sign in signs_of_masking(NETWORK, X, Y, threat, steps=4, trials=2))
    noise = transfer.noise_like(worst.delta, X, threat, np.random.default_rng(0))
    assert threat.at(X).contains(noise).all()
    report(tmp_path / "r.html", NETWORK, X, Y, threat, attacks)
    assert "nan" not in (tmp_path / "r.html").read_text(encoding="utf-8").lower()


@pytest.mark.parametrize("ball", [L1(0.8), L0(2)], ids=str)
def test_pgd_in_the_other_balls_with_a_mask(ball):
    """ℓ1 and ℓ0 in a box with a mask: δ ∈ Δ(x), and only the glasses move"""
    threat = ball & Box(0, 1) & Mask(GLASSES)
    delta = pgd(NETWORK, X, Y, threat)
    assert threat.at(X).contains(delta).all()
    assert (delta[:, ~GLASSES] == 0).all()
    assert delta.any()
