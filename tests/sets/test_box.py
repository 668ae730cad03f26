"""Box and Mask: bounds on x + δ, features that must not change, and both as the argument ``box`` of attacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchadv.attacks import boundary, carlini_wagner, deepfool, fab, hopskipjump, jsma, lbfgs, pgd
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L0, L1, L2, Box, Linf, Mask, Range, bounds_of
from scratchadv.testing.models import SmallNetwork

NETWORK = SmallNetwork((4,), 3, seed=3)
X = np.random.default_rng(0).random((12, 4))
Y = labels_of(NETWORK.logits(X))
WHERE = np.array([True, True, False, True])


def test_a_box_by_hand():
    """x = (0.25, 1) in [0, 1]: δ_1 in [−0.25, 0.75], δ_2 in [−1, 0]"""
    box = Box(0, 1).at(np.array([[0.25, 1.0]]))
    low, high = box.bounds()
    np.testing.assert_array_equal(low, [[-0.25, -1]])
    np.testing.assert_array_equal(high, [[0.75, 0]])
    np.testing.assert_array_equal(box.project(np.array([[2.0, 0.5]])), [[0.75, 0]])
    np.testing.assert_array_equal(box.linear_max(np.array([[-1.0, 0]])), [[-0.25, 0]])
    np.testing.assert_array_equal(box.support(np.array([[2.0, -3]])), [4.5])
    np.testing.assert_array_equal(box.contains(np.array([[0.75, -1]])), [True])
    np.testing.assert_array_equal(box.contains(np.array([[0.75, 0.1]])), [False])


@given(st.lists(st.booleans(), min_size=4, max_size=4).map(np.array), st.integers(0, 999))
def test_a_mask_is_a_range_of_zeros(where, seed):
    """Mask(w) and Range(−∞, ∞) with zeros where w is false are the same in an intersection with a ball"""
    v = np.random.default_rng(seed).normal(size=X.shape)
    zeros = Range(np.where(where, -np.inf, 0), np.where(where, np.inf, 0))
    for ball in (Linf(0.3), L2(0.5), L1(0.8)):
        a, b = (ball & cut for cut in (Mask(where), zeros))
        for of in ("project", "linear_max", "support", "contains"):
            np.testing.assert_array_equal(getattr(a, of)(v), getattr(b, of)(v))
        assert (a.linear_max(v)[:, ~where] == 0).all()
        assert (a.sample(np.random.default_rng(seed), X)[:, ~where] == 0).all()


def test_a_mask_of_true_is_no_mask():
    """ball & Mask(all true) answers as the ball"""
    v = np.random.default_rng(0).normal(size=X.shape)
    for ball in (Linf(0.3), L2(0.5), L1(0.8)):
        np.testing.assert_allclose((ball & Mask(np.ones(4, bool))).project(v), ball.project(v), atol=1e-12)
        np.testing.assert_allclose((ball & Mask(np.ones(4, bool))).support(v), ball.support(v))


def test_masks_of_each_example_go_with_them():
    """A mask of shape (N, *D) is cut with the batch"""
    where = np.random.default_rng(1).random(X.shape) < 0.5
    threat, g = (L2(0.5) & Mask(where)).at(X), np.random.default_rng(2).normal(size=X.shape)
    np.testing.assert_array_equal(threat.rows(slice(3, 8)).linear_max(g[3:8]), threat.linear_max(g)[3:8])
    assert (threat.linear_max(g)[~where] == 0).all()
    with pytest.raises(ValueError, match=r"the mask has shape \(12, 4\).*\(5, 4\)"):
        (L2(0.5) & Mask(where)).at(X[:5])


@pytest.mark.parametrize("threat", [Box(0, 1), Mask(WHERE), Box(0, 1) & Mask(WHERE)], ids=str)
def test_what_has_no_norm_says_so(threat):
    """norm, radius, scaled, step and an attack that needs a radius: a TypeError that says what to do"""
    v = np.ones((12, 4))
    for refused in (
        lambda: threat.norm(v),
        lambda: threat.radius,
        lambda: threat.scaled(0.5),
        lambda: threat.step(v, 0.1),
        lambda: pgd(NETWORK, X, Y, threat),
    ):
        with pytest.raises(TypeError, match=r"has no norm and so no .*: intersect it with a ball, Linf"):
            refused()


def test_a_box_alone_is_a_threat_for_plain_steps():
    """pgd with plain steps needs no norm: it reaches any image in the box, and changes only the unmasked features"""
    threat = Box(0, 1) & Mask(WHERE)
    delta = pgd(NETWORK, X, Y, threat, normalized=False, alpha=1.0, steps=30)
    assert threat.at(X).contains(delta).all()
    assert (delta[:, ~WHERE] == 0).all()
    assert (labels_of(NETWORK.logits(X + delta)) != Y).mean() > 0.5


def test_nothing_bounds_a_linear_function_on_a_mask_alone():
    """linear_max and sample of a Mask, or of a half-infinite Box: a ValueError about the infinite side"""
    for threat in (Mask(WHERE), Box(0, np.inf)):
        for refused in (lambda t=threat: t.at(X).linear_max(X), lambda t=threat: t.sample(np.random.default_rng(0), X)):
            with pytest.raises(ValueError, match="finite box"):
                refused()


def test_bad_boxes_and_masks_are_refused():
    """Empty boxes, masks that are not of bool, x outside, shapes that do not broadcast: errors that say so"""
    with pytest.raises(ValueError, match="is empty"):
        Box(1, 0)
    for bad in (np.ones(4), [1, 0], True, None, "all"):
        with pytest.raises(TypeError, match="where must be an array of bool"):
            Mask(bad)
    assert Mask([True, False]) == Mask(np.array([True, False]))
    with pytest.raises(ValueError, match=r"outside the box \[0, 1\]"):
        Box(0, 1).at(X + 1)
    with pytest.raises(ValueError, match=r"the mask has shape \(3,\)"):
        Mask(np.ones(3, bool)).at(X)


# The argument ``box`` of attacks


def test_bounds_of_what_attacks_take():
    """bounds_of: a pair is the same as its Box; None has no bounds; a Mask, a Range and their intersections bound δ"""
    for found, expected in zip(bounds_of((0, 1), X), bounds_of(Box(0, 1), X), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert bounds_of(None, X) == (None, None)
    low, high = bounds_of(Box(0, 1) & Mask(WHERE) & Range(-0.1, 0.2), X)
    np.testing.assert_allclose(low, np.maximum(-X, -0.1) * WHERE, atol=1e-15)
    np.testing.assert_allclose(high, np.minimum(1 - X, 0.2) * WHERE, atol=1e-15)


SMALLEST = {
    "deepfool": deepfool,
    "fab": lambda *a, **o: fab(*a, steps=20, **o),
    "fab, sum": lambda *a, **o: fab(*a, steps=20, norm=L1, **o),
    "carlini_wagner": lambda *a, **o: carlini_wagner(*a, steps=60, searches=3, lr=0.1, **o),
    "carlini_wagner, count": lambda *a, **o: carlini_wagner(*a, steps=20, c=100.0, norm=L0, **o),
    "jsma": lambda *a, **o: jsma(*a, upsilon=1.0, theta=0.5, **o),
    "lbfgs": lambda m, x, y, **o: lbfgs(m, x, y, target=(y + 1) % 3, searches=4, steps=20, **o),
    "boundary": lambda *a, **o: boundary(*a, queries=300, rng=0, **o),
    "hopskipjump": lambda *a, **o: hopskipjump(*a, queries=400, directions=8, rng=0, **o),
}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_changes_keep_to_a_mask(name):
    """box = Box & Mask: masked features never move, x + δ stays in the box, and some examples are still fooled"""
    for box in (Box(0, 1) & Mask(WHERE), Mask(WHERE)):
        delta = SMALLEST[name](NETWORK, X, Y, box=box)
        assert (delta[:, ~WHERE] == 0).all()
        assert box.at(X).contains(delta).all()
        assert (labels_of(NETWORK.logits(X + delta)) != Y).any()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", SMALLEST)
def test_a_pair_is_a_box(name):
    """box = (0, 1), [0, 1] and Box(0, 1) give the same δ to the last bit"""
    expected = SMALLEST[name](NETWORK, X, Y, box=(0, 1))
    for box in ([0, 1], Box(0, 1)):
        np.testing.assert_array_equal(SMALLEST[name](NETWORK, X, Y, box=box), expected)


@pytest.mark.parametrize(
    ("box", "error", "words"),
    [
        (Linf(0.1), TypeError, "box must be a pair"),
        (Linf(0.1) & Box(0, 1), TypeError, "contains a norm ball"),
        (3, TypeError, "box must be a pair"),
        ((0, 1, 2), TypeError, "box must be a pair"),
        ((1, 0), ValueError, "is empty"),
        (Box(0.5, 1), ValueError, "outside the box"),
        (Mask(np.ones(3, bool)), ValueError, "the mask has shape"),
    ],
    ids=str,
)
def test_what_is_no_box_is_refused(box, error, words):
    """deepfool refuses balls, numbers, empty ranges and those that do not fit x, before any step"""
    with pytest.raises(error, match=words):
        deepfool(NETWORK, X, Y, box=box)
