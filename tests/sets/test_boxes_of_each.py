"""A box may differ between examples, shape (N, *D): it is cut with its examples everywhere."""

from functools import partial

import numpy as np
import pytest
from every_attack import EVERY, EXACT, ONE_PIXEL
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import pgd
from scratchadv.evaluate import (
    accuracy_over_eps,
    judge,
    over_steps,
    report,
    signs_of_masking,
    stands,
    sweep,
    worst_case,
)
from scratchadv.models.protocol import labels_of
from scratchadv.parallel import limit
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

ATTACKS = EVERY | ONE_PIXEL
NETWORK, LINEAR = SmallNetwork((4,), 3, seed=3), Linear([2.0, -1.0, 0.5, 1.0], -1.0)
X = np.random.default_rng(0).random((7, 4))
Y = labels_of(NETWORK.logits(X))
REACH = np.linspace(0.1, 0.4, 7)[:, None]  # different boxes for different examples
BOX = np.maximum(X - REACH, 0), np.minimum(X + REACH, 1)
ALONE = [name for name, attack in ATTACKS.items() if not attack.universal]


def luck(attack, i=slice(None)):
    """What makes a random attack independent of the batch: seeds, if it takes them."""
    return {"seeds": np.arange(len(X), dtype=np.uint64)[i]} if attack.seeded else {}


def in_chunks(attack, model, y, threat, chunk):
    with limit(chunk=chunk):
        return attack(model, X, y, threat, **luck(attack))


@pytest.mark.parametrize("name", ALONE)
def test_chunks_do_not_matter(name):
    """attack in chunks of 3 = attack on the whole batch, each example in its own box"""
    attack = ATTACKS[name]
    threat = attack.ball.within(*BOX)
    whole = in_chunks(attack, NETWORK, Y, threat, len(X))
    assert ((X + whole >= BOX[0] - 1e-9) & (X + whole <= BOX[1] + 1e-9)).all()
    np.testing.assert_allclose(in_chunks(attack, NETWORK, Y, threat, 3), whole, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in ALONE if ATTACKS[n].seeded or not ATTACKS[n].random])
def test_one_by_one_is_the_same(name):
    """attack on a batch = attack on each example with its own row of the box, given with shape (1, *D) or D"""
    attack = ATTACKS[name]
    whole = in_chunks(attack, NETWORK, Y, attack.ball.within(*BOX), len(X))
    for i in range(len(X)):
        one = slice(i, i + 1)
        for row in (one, i):
            threat = attack.ball.within(BOX[0][row], BOX[1][row])
            alone = attack(NETWORK, X[one], Y[one], threat, **luck(attack, one))
            np.testing.assert_allclose(alone, whole[one], atol=1e-7)


@pytest.mark.parametrize("name", ALONE)
def test_a_box_of_each_that_is_the_same_for_all(name):
    """Bounds of shape (N, *D) with equal rows = bounds that are numbers, to the last bit"""
    attack = ATTACKS[name]
    each = attack.ball.within(np.zeros_like(X), np.ones_like(X))
    found, expected = (attack(NETWORK, X, Y, threat, **luck(attack)) for threat in (each, attack.ball.within(0, 1)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["universal", "universal_gradient"])
def test_one_change_for_all_in_boxes_of_each(name):
    """A universal δ is clipped to each example's own box, in chunks of any size"""
    attack = ATTACKS[name]
    threat = attack.ball.within(*BOX)
    whole, parts = (in_chunks(attack, NETWORK, Y, threat, chunk) for chunk in (len(X), 3))
    np.testing.assert_allclose(parts, whole, atol=1e-9)
    assert attack.ball.contains(whole).all()


@pytest.mark.parametrize("ball", [Linf(0.3), L2(0.5), L1(0.8), L0(2)], ids=str)
def test_the_exact_attack_in_boxes_of_each(ball):
    """exact: one by one and in chunks = on the whole batch"""
    y, threat = labels_of(LINEAR.logits(X)), ball.within(*BOX)
    whole = EXACT(LINEAR, X, y, threat)
    with limit(chunk=2):
        np.testing.assert_array_equal(EXACT(LINEAR, X, y, threat), whole)
    for i in range(len(X)):
        one = slice(i, i + 1)
        np.testing.assert_array_equal(EXACT(LINEAR, X[one], y[one], threat.at(X).rows(one)), whole[one])


# Sets

POINTS = np.random.default_rng(5).normal(size=(7, 4))


@pytest.mark.parametrize("rows", [slice(2, 5), [4, 0, 4], np.arange(7) % 2 == 0, slice(3, 4)], ids=str)
@pytest.mark.parametrize("ball", [Linf(0.3), L2(0.5), L1(0.8), L0(2)], ids=str)
def test_the_rows_of_a_set_are_the_sets_of_the_rows(ball, rows):
    """at(x).rows(i) has the geometry and the bounds of at(x) in the rows i"""
    threat = ball.within(*BOX).at(X)
    some = threat.rows(np.asarray(rows) if isinstance(rows, list) else rows)
    for of in ("project", "linear_max", "support", "contains"):
        np.testing.assert_array_equal(getattr(some, of)(POINTS[rows]), getattr(threat, of)(POINTS)[rows])
    for found, expected in zip(some.bounds(), threat.bounds(), strict=True):
        np.testing.assert_array_equal(found, expected[rows])


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (7, 1), (7, 4)])
def test_bounds_of_any_shape_that_broadcasts(shape):
    """Numbers, one row for all, one number or one row for each example: rows() takes the part of its examples"""
    lower = np.full(shape, -0.5) if shape else -0.5
    upper = 1.5 + 0.01 * np.arange(np.prod(shape, dtype=int)).reshape(shape) if shape else 1.5
    threat, wide = L2(0.5).within(lower, upper).at(X), np.broadcast_to(upper, X.shape)
    some = threat.rows(slice(2, 5))
    np.testing.assert_allclose(some.bounds()[1], np.maximum(wide - X, 0)[2:5])
    np.testing.assert_allclose(L2(0.5).within(lower, upper).at(X[:7]).rows(slice(0, 7)).bounds()[1], wide - X)


def test_a_batch_as_long_as_an_example_is_wide():
    """Bounds of shape D are not taken for one number per example where N equals the width of an example"""
    x = np.full((4, 4), 0.5)
    upper = np.array([0.6, 0.7, 0.8, 0.9])
    np.testing.assert_allclose(
        Linf(1.0).within(0, upper).at(x).rows(slice(1, 3)).bounds()[1], np.tile(upper - 0.5, (2, 1))
    )


def test_rows_before_at_are_refused():
    """rows() of a set that is not at any examples: a ValueError that says what to call"""
    with pytest.raises(ValueError, match=r"\.at\(x\)"):
        Linf(0.1).within(*BOX).rows(slice(2))


def test_a_box_of_other_examples_is_refused():
    """Bounds of 7 examples for 6: a ValueError that names both shapes, from every kind of function"""
    threat = Linf(0.1).within(*BOX)
    for call in (
        lambda: pgd(NETWORK, X[:6], Y[:6], threat),
        lambda: judge(NETWORK, X[:6], Y[:6], np.zeros((6, 4)), threat),
        lambda: worst_case(NETWORK, X[:6], Y[:6], threat, []),
    ):
        with pytest.raises(ValueError, match=r"the box .*has shape \(7, 4\).*\(6, 4\)"):
            call()


# Equality

BOUNDS = {
    "numbers": (0, 1),
    "floats": (0.0, 1.0),
    "rows": (np.zeros(4), np.ones(4)),
    "half": (0, np.ones(4)),
    "each": BOX,
    "infinite": (-np.inf, np.inf),
    "wider": (-0.5, np.ones(4)),
}


def copied(sides):
    return [side.copy() if isinstance(side, np.ndarray) else side for side in sides]


@settings(max_examples=60)
@given(
    first=st.tuples(st.sampled_from([Linf, L2, L1]), st.sampled_from([0.1, 0.2]), st.sampled_from(list(BOUNDS))),
    second=st.tuples(st.sampled_from([Linf, L2, L1]), st.sampled_from([0.1, 0.2]), st.sampled_from(list(BOUNDS))),
)
def test_boxes_are_equal_where_ball_and_bounds_are(first, second):
    """(a == b) says whether ball and bounds are equal; equal sets have equal hashes; != is the opposite"""
    (norm, eps, name), (other_norm, other_eps, other_name) = first, second
    a, b = norm(eps).within(*BOUNDS[name]), other_norm(other_eps).within(*copied(BOUNDS[other_name]))
    same_bounds = name == other_name or {name, other_name} == {"numbers", "floats"}
    expected = (norm, eps) == (other_norm, other_eps) and same_bounds
    assert (a == b) is expected
    assert (a != b) is not expected
    assert not expected or hash(a) == hash(b)
    assert len({a, b}) == 2 - expected


def test_a_box_is_no_ball_and_no_number():
    """Comparing with another type is False, not an error; the examples do not count"""
    a = Linf(0.1).within(np.zeros(4), np.ones(4))
    for other in (Linf(0.1), 0.1, None, "box", np.zeros(4).tolist()):
        assert (a == other) is False
    assert a == a.at(X)
    assert L0(2).within(0, 1) == L0(2).within(0, 1)
    assert L0(2).within(0, 1) != L0(3).within(0, 1)


def test_negative_zero_is_zero():
    """within(−0.0, 1) = within(0, 1)"""
    a, b = Linf(0.1).within(-0.0, 1.0), Linf(0.1).within(0.0, 1.0)
    assert a == b
    assert hash(a) == hash(b)


# Evaluation


def evaluations(x, y, threat, folder):
    """Every function of evaluate that takes a threat; the results as arrays."""
    attacks = [partial(pgd, steps=5), EVERY["square"]]
    worst = worst_case(NETWORK, x, y, threat, attacks)
    yield from (worst.standing[1], worst.delta)
    yield accuracy_over_eps(NETWORK, x, y, [threat.scaled(eps) for eps in (0.0, 0.15, 0.3)], attacks[:1]).stands
    steps = over_steps(NETWORK, x, y, threat, partial(pgd, steps=3))
    yield from (steps.loss, steps.stands)
    yield sweep([NETWORK], x, y, [threat], attacks[:1]).stands
    yield np.array([sign.figure for sign in signs_of_masking(NETWORK, x, y, threat, steps=4, trials=3)])
    found = report(folder / "r.html", NETWORK, x, y, threat, attacks[:1], eps=[0.0, 0.2])
    yield found.worst.standing


def test_evaluation_in_boxes_of_each(tmp_path):
    """worst_case, curves, sweep, masking, report: in chunks = as a whole, with some examples wrong from the start"""
    y = Y.copy()
    y[2] = (y[2] + 1) % 3  # so that the box has more rows than there are examples to attack
    threat = Linf(0.3).within(*BOX)
    whole = list(evaluations(X, y, threat, tmp_path))
    with limit(chunk=3):
        for found, expected in zip(evaluations(X, y, threat, tmp_path), whole, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-9)
    rows = [stands(NETWORK, X[i : i + 1], y[i : i + 1], threat.at(X).rows(slice(i, i + 1)), [pgd]) for i in range(7)]
    np.testing.assert_array_equal(stands(NETWORK, X, y, threat, [pgd]), np.concatenate(rows))


def test_bits_in_boxes_of_each():
    """judge(bits): the levels are those of each example's own box"""
    delta = np.clip(np.full_like(X, 0.07), BOX[0] - X, BOX[1] - X)
    whole = judge(NETWORK, X, Y, delta, Linf(0.3).within(*BOX), bits=3)
    for i in range(len(X)):
        one = slice(i, i + 1)
        alone = judge(NETWORK, X[one], Y[one], delta[one], Linf(0.3).within(BOX[0][i], BOX[1][i]), bits=3)
        np.testing.assert_array_equal(alone.norm, whole.norm[one])
        np.testing.assert_array_equal(alone.prediction, whole.prediction[one])
