"""Laws of HopSkipJump, and the laws of all attacks that see only labels."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchadv.attacks.black_box.boundary import boundary
from scratchadv.attacks.black_box.decisions import Decisions, scaled
from scratchadv.attacks.black_box.hopskipjump import _clipped_to_share, estimate, hopskipjump
from scratchadv.attacks.black_box.queries import LabelOracle
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of, predict
from scratchadv.numerics import rows
from scratchadv.parallel import limit
from scratchadv.sets import L1, L2, Linf

ATTACKS = {
    "hopskipjump ℓ2": (hopskipjump, L2),
    "hopskipjump ℓ∞": (partial(hopskipjump, norm=Linf), Linf),
    "boundary": (boundary, L2),
}
attacks = pytest.mark.parametrize(("attack", "norm"), ATTACKS.values(), ids=ATTACKS)

NO_BOX = {"target": None, "low": None, "high": None}  # and no target


def rng(seed=0):
    return np.random.default_rng(seed)


class Asked:
    """A model that shows only labels, and records its queries and answers."""

    def __init__(self, model):
        self.model, self.x, self.labels = model, [], []

    def predict(self, x):
        self.x.append(x.copy())
        self.labels.append(labels_of(self.model.logits(x)))
        return self.labels[-1]


@pytest.fixture(scope="module")
def network():
    """A network with 4 classes, 12 examples that it classifies correctly, and other classes as targets."""
    model = MLP((6, 12, 4), "tanh", rng=rng(7), dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    x = rng(8).random((12, 2, 3))
    z = model.logits(x)
    return model, x, labels_of(z), np.argsort(z, axis=1)[:, -2]


def in_one(run):
    with limit(threads=1, chunk=10_000):
        return run()


# Linear models, for which the answer is known


@pytest.mark.parametrize(("norm", "dual"), [(L2, 2), (Linf, 1)])
def test_the_distance_approaches_the_closed_form(norm, dual):
    """|z| / ‖θ‖_* <= ‖δ‖ <= 1.05 |z| / ‖θ‖_* without a box"""
    theta, x = rng(1).standard_normal(10), rng(2).random((20, 10))
    model = LogisticRegression(theta, 0.3)
    z, y = model.logits(x), predict(model, x)
    delta = hopskipjump(model, x, y, norm=norm, box=None, queries=5000, overshoot=0, rng=rng())
    exact = abs(z) / np.linalg.norm(theta, dual)
    ratio = norm.norm(delta) / exact
    assert (ratio >= 1 - 1e-9).all()
    assert (ratio <= 1.05).all()


def test_the_boundary_attack_approaches_it_too():
    """|z| / ‖θ‖₂ <= ‖δ‖₂ <= 1.05 |z| / ‖θ‖₂ without a box"""
    theta, x = rng(1).standard_normal(10), rng(2).random((20, 10))
    model = LogisticRegression(theta, 0.3)
    y = predict(model, x)
    delta = boundary(model, x, y, box=None, queries=3000, overshoot=0, rng=rng())
    ratio = L2.norm(delta) * np.linalg.norm(theta) / abs(model.logits(x))
    assert (ratio >= 1 - 1e-9).all()
    assert (ratio <= 1.05).all()


@pytest.mark.parametrize("norm", [L2, Linf])
def test_in_a_box_the_ball_that_just_reaches_is_hardly_smaller(norm):
    """In a box, no ball of radius ‖δ‖ / 1.15 reaches the boundary of a linear model"""
    theta, x = rng(3).standard_normal(8), rng(4).random((15, 8)).round(1)
    model = LogisticRegression(theta, -theta.sum() / 2)
    y = predict(model, x)
    delta = hopskipjump(model, x, y, norm=norm, queries=5000, rng=rng())
    assert (predict(model, x + delta) != y).all()
    for i in range(15):
        smaller = norm(float(norm.norm(delta)[i]) / 1.15).within(0, 1).at(x[i : i + 1])
        assert smaller.support(-y[i] * theta[None])[0] < abs(model.logits(x)[i])


@pytest.mark.parametrize("p", [2, 5, 20])
def test_the_estimated_gradient_is_along_theta(p):
    """cos(g, −y θ) > 0.97 at the boundary for y = ±1, whatever share of the directions fools the model"""
    theta, n = rng(p).standard_normal(p), 8
    model, x = LogisticRegression(theta), rng(1).standard_normal((n, p))
    y = predict(model, x)
    delta = -(model.logits(x) / (theta @ theta))[:, None] * theta * 1.0001
    decisions = Decisions(LabelOracle(model), L2, x, y, **NO_BOX, owner=np.arange(n), queries=10_000)
    radius = L2.norm(delta) / 100
    g = estimate(decisions, np.arange(n), delta, radius, np.arange(n, dtype=np.uint64), 400 * p, 1)
    cosine = -y * (g @ theta) / np.linalg.norm(g, axis=1) / np.linalg.norm(theta)
    assert (cosine > 0.97).all()


def test_an_estimate_of_labels_that_are_all_alike():
    """If every direction fools, g = Σ u; if none does, g = −Σ u"""
    model = LogisticRegression(np.array([1.0, 0.0]))
    x, y, which = np.full((2, 2), 5.0), np.array([-1, 1]), np.arange(2)
    seeds = np.array([3, 3], np.uint64)
    decisions = Decisions(LabelOracle(model), L2, x, y, **NO_BOX, owner=which, queries=100)
    g = estimate(decisions, which, np.zeros((2, 2)), np.full(2, 0.1), seeds, 25, 1)
    assert abs(g).max() > 0.1
    np.testing.assert_allclose(g[0], -g[1])


# The queries


@attacks
def test_only_labels_are_asked_and_never_more_than_the_budget(attack, norm, network):
    """With predict alone: at most ``queries`` for each example, all in the box; the same δ as with the full model"""
    model, x, y, _ = network
    for queries in (1, 2, 3, 15, 150, 700):
        oracle = LabelOracle(Asked(model), queries=queries)
        delta = attack(oracle, x, y, queries=queries, rng=rng())
        assert len(oracle.counts) == len(x)
        assert oracle.counts.max() <= queries
        assert oracle.asked == oracle.counts.sum()
    asked = Asked(model)
    np.testing.assert_array_equal(attack(asked, x, y, queries=700, rng=rng()), delta)
    seen = np.concatenate(asked.x)
    assert ((seen >= 0) & (seen <= 1)).all()
    np.testing.assert_array_equal(attack(model, x, y, queries=700, rng=rng()), delta)


@attacks
def test_what_comes_back_was_asked_and_fooled(attack, norm, network):
    """x + δ is one of the queries, and its answer was not y (Foolbox issue 674)"""
    model, x, y, _ = network
    for i in range(4):
        asked = Asked(model)
        delta = attack(asked, x[i : i + 1], y[i : i + 1], queries=400, rng=rng(i))
        same = (np.concatenate(asked.x) == (x[i] + delta[0])).all(axis=(1, 2))
        assert same.any()
        assert (np.concatenate(asked.labels)[same] != y[i]).all()


@attacks
def test_more_queries_are_never_longer(attack, norm, network):
    """The queries of a small budget are the first of a large one; the best δ fools, and its size never rises"""
    model, x, y, _ = network
    sizes, before = [], np.zeros((0, 2, 3))
    for queries in (30, 100, 300, 1000):
        asked = Asked(model)
        attack(asked, x[:1], y[:1], queries=queries, overshoot=0, rng=rng(3))
        seen = np.concatenate(asked.x)
        np.testing.assert_array_equal(seen[: len(before)], before)
        before = seen
        delta = attack(model, x, y, queries=queries, overshoot=0, rng=rng(3))
        fooled = predict(model, x + delta) != y
        assert (fooled == rows(delta != 0).any(axis=1)).all()
        sizes.append(np.where(fooled, norm.norm(delta), np.inf))
    assert (np.diff(np.where(np.isinf(sizes), 1e9, sizes), axis=0) <= 0).all()
    assert sizes[-1].max() < np.inf
    assert (sizes[-1] < 0.9 * sizes[0]).any()


@attacks
def test_the_overshoot_is_the_last_question(attack, norm, network):
    """‖δ‖ with an overshoot of 5 % is 1.05 times that without, where the box allows it; the prediction is wrong"""
    model, x, y, _ = network
    options = {"queries": 300, "box": (-5, 5)}
    plain, pushed = (attack(model, x, y, overshoot=o, rng=rng(), **options) for o in (0, 0.05))
    longer = norm.norm(pushed) / norm.norm(plain)
    assert ((abs(longer - 1.05) < 1e-9) | (pushed == plain).all(axis=(1, 2))).all()
    assert (longer > 1.04).any()
    assert (predict(model, x + pushed) != y).all()


# Starts


@attacks
def test_a_start_or_a_pool_reaches_the_target(attack, norm, network):
    """δ reaches the target; a start that is at the target costs one query, and δ is no longer than that start"""
    model, x, y, target = network
    pool = rng(5).random((300, 2, 3))
    labels = predict(model, pool)
    has = np.isin(target, labels)
    start = np.stack([pool[(labels == t).argmax()] for t in target])
    for options in ({"start": start}, {"pool": pool}):
        delta = attack(model, x, y, target=target, queries=600, rng=rng(), **options)
        reached = predict(model, x + delta) == target
        assert reached[has].all()
        assert not delta[~reached].any()
    near = attack(model, x, y, target=target, queries=14, start=start, overshoot=0, rng=rng())
    assert (norm.norm(near) <= norm.norm(start - x) + 1e-12)[has].all()
    assert near[has].any(axis=(1, 2)).all()


@attacks
def test_the_box_and_its_absence(attack, norm):
    """Noise finds a start where only one corner of the box fools, and without a box wherever a start exists"""
    corner = LogisticRegression(np.ones(6), -4.5)
    x, y = np.full((3, 6), 0.2), np.full(3, -1)
    assert (predict(corner, x + attack(corner, x, y, queries=400, rng=rng())) == 1).all()
    far = LogisticRegression(np.ones(6), -900.0)
    assert not attack(far, x, y, queries=400, rng=rng()).any()
    assert (predict(far, x + attack(far, x, y, queries=400, box=None, rng=rng())) == 1).all()


@attacks
def test_nothing_is_done_where_nothing_can_be(attack, norm, network):
    """Misclassified, at the target already, or the same label everywhere: δ = 0

    ART issue 368 (failure in silence), torchattacks issue 51 (an input that is misclassified from the start), Foolbox
    issue 175 (failure comes back as None).
    """
    model, x, y, target = network
    assert not attack(model, x, target, queries=100, rng=rng()).any()
    assert not attack(model, x, y, target=y, queries=100, rng=rng()).any()
    flat = LogisticRegression(np.zeros((2, 3)), 1.0)
    oracle = LabelOracle(flat)
    with np.errstate(all="raise"):
        assert not attack(oracle, x, np.ones(12, int), queries=100, rng=rng()).any()
    assert (oracle.counts <= 100).all()
    mixed = np.where(np.arange(12) % 2, y, target)
    delta, alone = (attack(model, x, labels, queries=100, seeds=np.arange(12)) for labels in (mixed, y))
    assert not delta[::2].any()
    np.testing.assert_array_equal(delta[1::2], alone[1::2])


# Batches, seeds, dtypes


@attacks
@pytest.mark.parametrize("limits", [{"chunk": 1}, {"chunk": 5}, {"threads": 3, "chunk": 4}], ids=str)
def test_order_chunks_and_threads_do_not_matter(attack, norm, limits, network):
    """attack(x[π], seeds[π]) = attack(x, seeds)[π] under any parallel.limit (torchattacks issue 12)"""
    model, x, y, _ = network
    order, seeds = rng(1).permutation(12), rng(2).integers(0, 2**64, 12, dtype=np.uint64)
    whole = in_one(lambda: attack(model, x, y, queries=250, seeds=seeds))
    with limit(**limits):
        shuffled = attack(model, x[order], y[order], queries=250, seeds=seeds[order])
    np.testing.assert_allclose(shuffled, whole[order], atol=1e-9)


@attacks
def test_seeds_are_the_luck_of_each_example(attack, norm, network):
    """rng is the same as the seeds drawn from it; calls repeat; equal examples get different δ (Foolbox issue 243)"""
    model, x, y, _ = network
    x, y = np.repeat(x[:1], 6, axis=0), np.repeat(y[:1], 6)
    found = attack(model, x, y, queries=200, rng=rng(3))
    seeds = rng(3).integers(0, 2**64, 6, dtype=np.uint64)
    np.testing.assert_array_equal(found, attack(model, x, y, queries=200, seeds=seeds))
    assert len(np.unique(rows(found), axis=0)) == 6


@attacks
def test_float32_stays_float32(attack, norm, network):
    """All queries and δ keep the dtype of x (ART issue 366); x is not changed"""
    model, x, y, _ = network
    x = x.astype(np.float32)
    before, asked = x.copy(), Asked(model)
    for box in ((0, 1), None):
        assert attack(asked, x, y, box=box, queries=300, rng=rng()).dtype == np.float32
    assert {each.dtype for each in asked.x} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(x, before)


@attacks
def test_arrays_may_lie_on_a_device(attack, norm, network, device):
    """δ on the device is the same as on the host"""
    from scratchadv.backend import to_device, to_host

    model, x, y, target = network
    here = attack(model, x, y, target=target, pool=x, queries=150, rng=rng())
    there = attack(*map(to_device, (model, x, y)), target=to_device(target), pool=to_device(x), queries=150, rng=rng())
    assert isinstance(there, device.ndarray)
    np.testing.assert_allclose(to_host(there), here, atol=1e-9)


@attacks
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": 0}, ValueError, "queries = 0 must be >= 1"),
        ({"overshoot": -1.0}, ValueError, r"overshoot = -1\.0 must be finite and >= 0"),
        ({"rng": None}, ValueError, "is random: pass either rng or seeds"),
        ({"norm": L1}, ValueError, r"norm = <class .*L1'>; L2 .*was expected"),
        ({"x": np.full((12, 2, 3), np.nan)}, ValueError, "x holds nan"),
        ({"x": np.zeros((12, 2, 3), int)}, TypeError, "x has dtype int64"),
        ({"x": np.full((12, 2, 3), 1.5)}, ValueError, r"x holds 1\.5, outside the box \[0, 1\]"),
        (
            {"y": np.zeros(3, int)},
            ValueError,
            r"y has shape \(3,\); one label for each example of x, \(12,\), was expected",
        ),
        ({"y": np.full(12, 0.5)}, ValueError, r"y holds 0\.5; labels are 0, 1, …, or -1 and \+1"),
        ({"y": np.full(12, "a")}, TypeError, "y must be an array of 12 labels that holds numbers, not <U1"),
        ({"target": np.full(12, -2)}, ValueError, "target holds -2"),
        ({"start": np.zeros((3, 2, 3))}, ValueError, r"start has shape \(3, 2, 3\)"),
        (
            {"pool": np.zeros((3, 6))},
            ValueError,
            r"pool has shape \(3, 6\); images of the shape \(2, 3\) were expected",
        ),
        ({"box": (1, 0)}, ValueError, r"the box \[1, 0\] is empty"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(attack, norm, network, change, error, message):
    """The message names the value and what was expected"""
    model, x, y, _ = network
    asked = Asked(model)
    with pytest.raises(error, match=message):
        attack(asked, **({"x": x, "y": y, "rng": rng()} | change))
    assert asked.x == []


@pytest.mark.parametrize(
    ("attack", "option", "message"),
    [
        (hopskipjump, {"directions": 0}, "directions = 0 must be >= 1"),
        (hopskipjump, {"gamma": 0}, r"gamma = 0\.0 must be > 0"),
        (boundary, {"aside": -1}, "aside = -1 must be finite"),
        (boundary, {"towards": 1}, r"towards = 1\.0 must be < 1"),
        (boundary, {"rate": math.inf}, "rate = inf must be finite"),
    ],
)
def test_bad_options_are_refused(attack, option, message, network):
    """Options of each attack"""
    with pytest.raises(ValueError, match=message):
        attack(*network[:3], rng=rng(), **option)


# Parts


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(0, 1))
def test_ways_to_x_shrink_the_size_by_the_share(delta, share):
    """‖scaled(δ, s)‖₂ = s ‖δ‖₂ and ‖cut(δ, s)‖∞ = s ‖δ‖∞; the latter leaves components alone that are small enough"""
    delta, share = np.array([delta]), np.array([share])
    np.testing.assert_allclose(L2.norm(scaled(delta, share)), share * L2.norm(delta), atol=1e-12)
    cut = _clipped_to_share(delta, share)
    np.testing.assert_allclose(Linf.norm(cut), share * Linf.norm(delta), atol=1e-12)
    small = abs(delta) <= share * abs(delta).max()
    np.testing.assert_array_equal(cut[small], delta[small])
