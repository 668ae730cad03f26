"""Laws of the worst case over attacks."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import fgsm, pgd
from scratchadv.evaluate import judge, robust_accuracy, stands, worst_case
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L1, L2, Linf

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@few
@given(seed=seeds)
def test_stands_is_the_worst_case_over_attacks(seed):
    """stands = right when clean and after each attack alone, example by example; more attacks can only lower it"""
    rng = np.random.default_rng(seed)
    model, x, threat = LogisticRegression(rng.standard_normal(3)), rng.random((20, 3)), Linf(0.3)
    y = rng.choice([-1, 1], 20)
    attacks = [partial(noise, seed=k) for k in range(3)]
    alone = [judge(model, x, y, noise(model, x, y, threat, seed=k), threat).success for k in range(3)]
    right = predict(model, x) == y
    np.testing.assert_array_equal(stands(model, x, y, threat, []), right)
    np.testing.assert_array_equal(stands(model, x, y, threat, attacks), right & ~np.any(alone, axis=0))
    assert robust_accuracy(model, x, y, threat, attacks) == (right & ~np.any(alone, axis=0)).mean()
    assert robust_accuracy(model, x, y, threat, attacks) <= robust_accuracy(model, x, y, threat, attacks[:1])


def noise(model, x, y, threat, seed):
    """A weak attack that depends on each example alone, not on which others are left."""
    return np.stack([threat.sample(np.random.default_rng([seed, *(row * 1e6).astype(int)]), row[None])[0] for row in x])


def test_the_fallen_are_not_attacked_again():
    """An attack gets only the examples that have not fallen yet."""
    model, x, y = LogisticRegression(np.array([1.0])), np.array([[0.1], [0.5], [-0.2]]), np.array([1, 1, 1])
    seen = []

    def attack(model, x, y, threat):
        seen.append(x[:, 0].tolist())
        return np.full_like(x, -0.3)

    np.testing.assert_array_equal(stands(model, x, y, Linf(0.3), [attack, attack]), [False, True, False])
    assert seen == [[0.1, 0.5], [0.5]]


def network(seed=0):
    """A network, examples in [0, 1]^6 and labels of which it predicts most."""
    rng = np.random.default_rng(seed)
    model = MLP((6, 12, 3), "tanh", rng=rng, dtype=np.float64)
    x = rng.random((40, 6))
    y = predict(model, x)
    y[:4] = (y[:4] + 1) % 3
    return model, x, y


THREATS = [Linf(0.15), L2(0.3).within(0, 1), L1(0.5).within(0, 1)]
ATTACKS = {"fgsm": fgsm, "pgd": partial(pgd, steps=10), "noise": partial(noise, seed=0)}


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_the_order_of_attacks_does_not_change_who_stands(threat):
    """stands(A) is the same for every order of A, and never above that of a subset of A"""
    model, x, y = network()
    all_of_them = stands(model, x, y, threat, ATTACKS)
    assert 0 < all_of_them.sum() < len(x)
    for order in permutations(ATTACKS.values()):
        np.testing.assert_array_equal(stands(model, x, y, threat, order), all_of_them)
    for attack in ATTACKS.values():
        assert (all_of_them <= stands(model, x, y, threat, [attack])).all()


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("bits", [None, 5])
def test_the_changes_prove_the_verdict(threat, bits):
    """judge(delta) succeeds exactly where an example that was right has fallen; elsewhere delta = 0"""
    model, x, y = network()
    found = worst_case(model, x, y, threat, ATTACKS, bits=bits)
    fell = found.standing[0] & ~found.stands
    judged = judge(model, x[fell], y[fell], found.delta[fell], threat, bits=bits)
    assert judged.success.all()
    assert not found.delta[~fell].any()
    assert (found.delta.dtype, found.delta.shape) == (x.dtype, x.shape)
    assert found.accuracy == robust_accuracy(model, x, y, threat, ATTACKS, bits=bits) == found.stands.mean()


def constant(value):
    """An attack that always returns the same δ."""

    def attack(model, x, y, threat):
        return np.full_like(x, value)

    return attack


def test_golden_table():
    """f(x) = sign(x), y = +1: three of four are right; -0.15 fools 0.1, +0.1 no other, -0.3 fools 0.2"""
    model, x, y = LogisticRegression(np.array([1.0])), np.array([[0.5], [0.1], [0.2], [-0.3]]), np.ones(4, int)
    attacks = {"down": constant(-0.15), "up": constant(0.1), "far down": constant(-0.3)}
    found = worst_case(model, x, y, Linf(0.3), attacks)
    assert found.rows() == [("clean", 0.75, 0.75), ("down", 2 / 3, 0.5), ("up", 1.0, 0.5), ("far down", 0.5, 0.25)]
    np.testing.assert_array_equal(found.delta[:, 0], [0, -0.15, -0.3, 0])
    assert found.table().splitlines() == [
        "- threat: ‖δ‖∞ ≤ 0.3, no box",
        "- examples: 4",
        "",
        "| accuracy | of those left | of all  |",
        "|----------|---------------|---------|",
        "| clean    | 75.00 %       | 75.00 % |",
        "| down     | 66.67 %       | 50.00 % |",
        "| up       | 100.00 %      | 50.00 % |",
        "| far down | 50.00 %       | 25.00 % |",
    ]


@pytest.mark.parametrize(
    ("threat", "bits", "lines"),
    [
        (Linf(0.3).within(0, 1), None, ["- threat: ‖δ‖∞ ≤ 0.3, 0 ≤ x + δ ≤ 1", "- examples: 40"]),
        (L2(2), 8, ["- threat: ‖δ‖₂ ≤ 2, no box", "- examples: 40", "- rounded: to 8 bits"]),
    ],
)
def test_the_threat_model_is_in_the_head_of_the_table(threat, bits, lines):
    """Norm, radius, box or no box, number of examples, rounding"""
    model, x, y = network()
    found = worst_case(model, x, y, threat, [fgsm], bits=bits).table().splitlines()
    assert found[: len(lines) + 1] == [*lines, ""]


def test_attacks_are_named_by_what_they_are():
    """A function is named by its name, a partial one also by its options, an object by its class"""

    class Attack:
        def __call__(self, model, x, y, threat):
            return 0 * x

    rng = np.random.default_rng(0)
    attacks = [fgsm, partial(pgd, steps=3, alpha=0.25, rng=rng), Attack()]
    names = worst_case(*network(), Linf(0.1), attacks).attacks
    assert names == ("fgsm", "pgd(steps=3, alpha=0.25, rng=Generator)", "Attack")


def test_when_nothing_is_left_no_attack_is_asked():
    """If all are wrong from the start, the shares are 0 and no attack is called"""

    def never(model, x, y, threat):
        raise AssertionError("an attack was called")

    model, x, _ = network()
    found = worst_case(model, x, (predict(model, x) + 1) % 3, Linf(0.1), {"never": never, "nor": never})
    assert found.rows() == [("clean", 0.0, 0.0), ("never", 0.0, 0.0), ("nor", 0.0, 0.0)]


@pytest.mark.parametrize("answer", [None, np.nan])
def test_an_attack_that_answers_nonsense_is_an_error(answer):
    """None or NaN instead of delta is refused, not counted as robust (ART issue 368; Foolbox issue 175)"""
    with pytest.raises((TypeError, ValueError), match="delta"):
        stands(*network(), Linf(0.1), [lambda model, x, y, threat: None if answer is None else np.full_like(x, answer)])


def test_a_change_outside_the_set_is_no_success():
    """If it takes twice the radius to fool an example, the example stands"""
    model, x, y = LogisticRegression(np.array([1.0])), np.array([[0.2]]), np.array([1])
    assert stands(model, x, y, Linf(0.3), [constant(-0.6)]).tolist() == [True]
    assert stands(model, x, y, Linf(0.6), [constant(-0.6)]).tolist() == [False]
