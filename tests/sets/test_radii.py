"""A radius for each example: a set with ε of shape (N,) equals the sets with single radii, example by example."""

import numpy as np
import pytest

from scratchadv.attacks import (
    apgd,
    exact,
    fgsm,
    fgsm_random_start,
    iterated_fgsm,
    momentum_fgsm,
    nes,
    pgd,
    spsa,
    standard,
)
from scratchadv.models.protocol import labels_of
from scratchadv.parallel import limit
from scratchadv.robust_logistic import worst_margin
from scratchadv.sets import L0, L1, L2, Box, Linf, Mask, Range
from scratchadv.testing.models import Linear, SmallNetwork

X = np.random.default_rng(0).random((6, 4))
V = np.random.default_rng(1).normal(size=(6, 4))
EPS = np.array([0.3, 0.0, 0.1, 0.5, 0.2, 1.0])
K = np.array([1, 0, 2, 4, 3, 1])
CUTS = {
    "alone": None,
    "in a box": Box(0, 1),
    "in a box with a mask": Box(0, 1) & Mask(np.array([True, False, True, True])),
}
MAKE = {"Linf": Linf, "L2": L2, "L1": L1, "L0": L0, "Range": lambda r: Range(-0.3, 0.2).scaled(r)}
cases = pytest.mark.parametrize(
    ("norm", "cut"), [(norm, cut) for norm in MAKE for cut in CUTS if (norm, cut) != ("L0", "alone")]
)


def both(norm, cut, dtype=float):
    """The set with all radii at x, and the sets with a single radius at a single example."""
    radii, x = K if norm == "L0" else EPS, X.astype(dtype)
    sets = [MAKE[norm](radii), *(MAKE[norm](r) for r in radii)]
    whole, *alone = [s if CUTS[cut] is None else s & CUTS[cut] for s in sets]
    return whole.at(x), [one.at(x[i : i + 1]) for i, one in enumerate(alone)]


@cases
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_geometry_is_that_of_single_radii(norm, cut, dtype):
    """project, linear_max, support, norm, contains, step, ascend: row i is the answer of the set with radius ε_i"""
    (whole, alone), v = both(norm, cut, dtype), V.astype(dtype)
    delta = whole.project(v)
    calls = {
        **{
            of: (lambda s, i, of=of: getattr(s, of)(v[i]))
            for of in ("project", "linear_max", "support", "norm", "contains")
        },
        "step": lambda s, i: s.step(v[i], 1 if norm == "L0" else 0.25),
        "ascend": lambda s, i: s.ascend(delta[i], v[i], 1 if norm == "L0" else 0.25),
    }
    for of, call in calls.items():
        found, expected = call(whole, slice(None)), [call(one, slice(i, i + 1)) for i, one in enumerate(alone)]
        np.testing.assert_array_equal(found, np.concatenate(expected), err_msg=of)
        assert found.dtype == expected[0].dtype


@cases
def test_samples_lie_in_the_sets_of_single_radii(norm, cut):
    """Sample i has norm at most ε_i"""
    whole, alone = both(norm, cut)
    delta = whole.sample(np.random.default_rng(0), X)
    assert all(one.contains(delta[i : i + 1]).all() for i, one in enumerate(alone))
    assert whole.contains(delta).all()


@cases
@pytest.mark.parametrize("i", [slice(1, 4), np.array([4, 0, 4]), np.arange(6) % 2 == 0, slice(3, 4)], ids=str)
def test_radii_go_with_their_examples(norm, cut, i):
    """at(x).rows(i) has the radii of x[i]"""
    whole, _ = both(norm, cut)
    np.testing.assert_array_equal(whole.rows(i).project(V[i]), whole.project(V)[i])
    np.testing.assert_array_equal(whole.rows(i).radius, whole.radius[i])
    np.testing.assert_array_equal(whole.rows(i).x, X[i])


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_steps_of_each_example(norm):
    """step(g, α) and scaled(α) with α of shape (N,): row i is a step of size α_i"""
    for cut in CUTS.values():
        threat = MAKE[norm](0.4) if cut is None else MAKE[norm](0.4) & cut
        found = threat.at(X).step(V, EPS)
        for i, alpha in enumerate(EPS):
            one = slice(i, i + 1)
            np.testing.assert_array_equal(found[one], threat.at(X[one]).step(V[one], alpha))


def test_radii_by_hand():
    """ε = (0.5, 2): sign(g) and ‖g‖₁, each times ε"""
    ball = Linf(np.array([0.5, 2.0]))
    g = np.array([[3.0, -4.0], [1.0, 0.0]])
    np.testing.assert_array_equal(ball.linear_max(g), [[0.5, -0.5], [2, 0]])
    np.testing.assert_array_equal(ball.support(g), [3.5, 2])
    np.testing.assert_array_equal(L0(np.array([1, 0])).project(g), [[0, -4], [0, 0]])


def test_the_words_of_a_set_with_radii():
    """str names the smallest and the largest radius; sets with equal radii are equal"""
    assert str(Linf(EPS)) == "‖δ‖∞ ≤ 0 to 1"
    assert str(L2(EPS) & Box(0, 1)) == "‖δ‖₂ ≤ 0 to 1, 0 ≤ x + δ ≤ 1"
    assert Linf(EPS) == Linf(EPS.copy())
    assert hash(Linf(EPS)) == hash(Linf(EPS.copy()))
    assert Linf(EPS) != Linf(EPS + 1)
    assert Linf(EPS) != Linf(0.3)


def test_other_numbers_of_radii_are_refused():
    """Six radii for five examples: a ValueError with both numbers, from at and from an attack"""
    for refused in (lambda: Linf(EPS).at(X[:5]), lambda: (L2(EPS) & Box(0, 1)).at(X[:5])):
        with pytest.raises(ValueError, match="6 radii for 5 examples"):
            refused()
    with pytest.raises(ValueError, match=r"threat: .*6 radii for 5 examples"):
        fgsm(SmallNetwork((4,), 3, seed=3), X[:5], np.zeros(5, int), Linf(EPS))
    for bad in (np.array([0.5, 1]), np.array([-1, 2])):
        with pytest.raises((TypeError, ValueError), match="k"):
            L0(bad)


# Attacks

NETWORK = SmallNetwork((4,), 3, seed=3)
Y = labels_of(NETWORK.logits(X))
ATTACKS = {
    "fgsm": fgsm,
    "fgsm_random_start": lambda *a: fgsm_random_start(*a, rng=0),
    "iterated_fgsm": iterated_fgsm,
    "momentum_fgsm": momentum_fgsm,
    "pgd": pgd,
    "pgd, restarts": lambda *a: pgd(*a, steps=4, restarts=3, rng=0),
    "pgd, plain steps": lambda *a: pgd(*a, normalized=False),
    "apgd": lambda *a: apgd(*a, steps=20),
    "nes": lambda *a: nes(*a, seeds=np.arange(6, dtype=np.uint64), queries=60, pairs=4),
    "spsa": lambda *a: spsa(*a, seeds=np.arange(6, dtype=np.uint64), queries=60, pairs=4),
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("ball", [Linf(EPS), L2(EPS), Linf(EPS) & Box(0, 1)], ids=str)
def test_attacks_with_a_radius_of_each_example(name, ball):
    """δ lies in its own ball, in chunks = on the whole batch; equal radii give the same as a number"""
    delta = ATTACKS[name](NETWORK, X, Y, ball)
    assert ball.at(X).contains(delta).all()
    assert (delta[EPS == 0] == 0).all()
    with limit(chunk=2):
        np.testing.assert_allclose(ATTACKS[name](NETWORK, X, Y, ball), delta, atol=1e-9)
    same, number = (ball.scaled(r) for r in (np.full(6, 0.3), 0.3))
    np.testing.assert_allclose(ATTACKS[name](NETWORK, X, Y, same), ATTACKS[name](NETWORK, X, Y, number), atol=1e-12)


def test_the_closed_forms_with_a_radius_of_each_example():
    """exact and worst_margin on a linear model: m_i = y_i z_i − ε_i ‖θ‖₁"""
    model = Linear([2.0, -1.0, 0.5, 1.0], -1.0)
    theta, z = model.params["theta"], model.logits(X)
    y = labels_of(z)
    expected = y * z - EPS * abs(theta).sum()
    np.testing.assert_allclose(y * model.logits(X + exact(model, X, y, Linf(EPS))), expected)
    np.testing.assert_allclose(worst_margin(theta, -1.0, X, y, Linf(EPS)), expected)


def test_square_wants_one_radius():
    """standard ends with Square, whose message refuses a radius for each example"""
    with pytest.raises(ValueError, match="one radius for all examples"):
        standard(NETWORK, X, Y, Linf(EPS), rng=0, steps=2, queries=5)
