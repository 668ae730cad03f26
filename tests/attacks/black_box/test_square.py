"""Laws of the square attack."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv import seeded
from scratchadv.attacks.black_box import square as inner
from scratchadv.attacks.black_box.queries import BudgetError, LogitOracle
from scratchadv.attacks.black_box.square import square
from scratchadv.attacks.linear import exact
from scratchadv.layers import Conv
from scratchadv.losses import cross_entropy, logit_difference, margin, target_margin
from scratchadv.models import CNN, MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.parallel import limit
from scratchadv.sets import L1, L2, Linf
from scratchadv.testing.strategies import linear_problems

THREATS = [ball for bare in (Linf(0.15), L2(0.5)) for ball in (bare, bare.within(0, 1))]
on_all_threats = pytest.mark.parametrize("threat", THREATS, ids=str)
few = settings(max_examples=30, deadline=None)


class Asked:
    """A model that records its queries and shows only logits."""

    def __init__(self, logits):
        self.params, self.logits_of, self.x = {}, logits, []

    def logits(self, x):
        self.x.append(x.copy())
        return self.logits_of(x)


@pytest.fixture
def net():
    """A small convolutional network, 15 images 6 × 6 × 2, and the labels that it predicts for them."""
    rng = np.random.default_rng(5)
    model = CNN((6, 6, 2), (Conv(3),), (8, 4), rng=rng, dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    x = rng.random((15, 6, 6, 2))
    return model, x, labels_of(model.logits(x))


def rng(seed=0):
    return np.random.default_rng(seed)


def is_linf(threat):
    return isinstance(threat.ball, Linf)


def in_one(run):
    with limit(threads=1, chunk=10_000):
        return run()


def wrong(model, x, y, delta):
    return labels_of(model.logits(x + delta)) != y


# The search


@pytest.mark.parametrize("threat", [Linf(0.08), Linf(0.08).within(0, 1), L2(0.4), L2(0.4).within(0, 1)], ids=str)
def test_it_fools_and_keeps_to_its_queries(net, threat):
    """Only logits are used: ``queries`` of them for examples that are never fooled, fewer for the others"""
    model, x, y = net
    asked = Asked(model.logits)
    delta = in_one(lambda: square(asked, x, y, threat, queries=60, rng=rng()))
    standing = (~wrong(model, x, y, delta)).sum()
    sizes = [len(each) for each in asked.x]
    assert sizes[0] == len(x)
    assert len(sizes) == 60
    assert sizes == sorted(sizes, reverse=True)
    assert standing <= sizes[-1] < len(x)
    assert standing > 0


@on_all_threats
def test_an_oracle_knows_whose_query_each_is(net, threat):
    """No example is asked about more than ``queries`` times, nor after it is fooled; chunks do not change the counts"""
    model, x, y = net
    counts = []
    for chunk in (4, 15):
        box = LogitOracle(model, queries=30)
        with limit(threads=2, chunk=chunk):
            delta = square(box, x, y, threat, queries=30, seeds=np.arange(len(x)))
        counts.append(box.counts)
    np.testing.assert_array_equal(counts[0], counts[1])
    standing = ~wrong(model, x, y, delta)
    assert (box.counts[standing] == 30).all()
    assert (box.counts[~standing] < 30).any()
    with pytest.raises(BudgetError, match="its budget is 29"):
        square(LogitOracle(model, queries=29), x, y, threat, queries=30, rng=rng())


@on_all_threats
def test_every_question_is_inside(net, threat):
    """Every query is x + δ with δ in Δ(x): for ℓ∞ at a corner, for ℓ2 without a box on the sphere"""
    model, x, y = net[0], net[1][:1], net[2][:1]
    asked, delta_set = Asked(model.logits), threat.at(x)
    square(asked, x, y, threat, queries=40, rng=rng())
    for each in asked.x[2:]:
        delta = each - x
        assert delta_set.contains(delta, atol=1e-9).all()
        if is_linf(threat):
            low, high = (delta_set.linear_max(0 * x + sign) for sign in (-1, 1))
            assert (np.isclose(delta, low, atol=1e-12) | np.isclose(delta, high, atol=1e-12)).all()
        elif threat.box is None:
            np.testing.assert_allclose(threat.norm(delta), 0.5, rtol=1e-9)


@on_all_threats
def test_a_question_differs_from_the_best_in_windows(net, threat):
    """Where nothing is better than the start, each query differs from it in one window (ℓ∞) or two (ℓ2)"""
    _, x, _ = net
    x = x[:1]
    values = iter(np.linspace(-1, -2, 50))
    asked = Asked(lambda x: np.array([[0.0, next(values) - 3]]))
    square(asked, x, np.array([0]), threat, queries=40, rng=rng())
    start = asked.x[1]
    for i, each in enumerate(asked.x[2:]):
        side = inner._sides(inner._share(0.8, i + 2, 40), 6, 6, least=1 if is_linf(threat) else 3)[0]
        changed = np.argwhere((each != start).any(axis=(0, 3)))
        assert 0 < len(changed) <= (1 if is_linf(threat) else 2) * side**2
        if is_linf(threat):
            assert (np.ptp(changed, axis=0) < side).all()


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(["bare", "box"]))
def test_on_small_linear_models_it_is_exact(seed, box):
    """ℓ∞, 5 components, 300 queries: it fools where the exact attack does, and elsewhere reaches its margin"""
    random = rng(seed)
    model = LogisticRegression(random.standard_normal(5), 0.1)
    x = random.random((4, 5))
    y = labels_of(model.logits(x))
    threat = Linf(0.2).within(0, 1) if box == "box" else Linf(0.2)
    best = margin.value(model.logits(x + exact(model, x, y, threat)), y)
    delta = square(model, x, y, threat, queries=300, rng=random)
    found = margin.value(model.logits(x + delta), y)
    np.testing.assert_array_equal(found > 0, best > 0)
    np.testing.assert_allclose(found[best <= 0], best[best <= 0], atol=1e-12)


@few
@given(linear_problems(threats=st.sampled_from([*THREATS, Linf(0.0), L2(0.0).within(0, 1)])), st.integers(1, 12))
def test_square_keeps_the_conventions(problem, queries):
    """For any shape: seeded, inside Δ(x), not below the clean loss, dtype and shape of x, nothing changed in place"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    before = x.copy()
    first, second = (square(model, x, y, threat, queries=queries, rng=rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert threat.at(x).contains(first).all()
    assert (first.dtype, first.shape) == (x.dtype, x.shape)
    assert (margin.value(model.logits(x + first), y) >= margin.value(model.logits(x), y)).all()
    np.testing.assert_array_equal(x, before)


@on_all_threats
def test_batch_order_split_and_chunks_do_not_matter(net, threat):
    """Given the same seeds, square(x[π]) = square(x)[π], and a batch = its parts = its chunks"""
    model, x, y = net
    seeds = np.arange(100, 100 + len(x))
    target = (y + 1) % 4

    def run(part, **options):
        return square(model, x[part], y[part], threat, queries=40, seeds=seeds[part], **options)

    whole = in_one(lambda: run(slice(None)))
    for part in (rng(1).permutation(len(x)), slice(0, 4), slice(4, 15)):
        np.testing.assert_allclose(run(part), whole[part], atol=1e-12)
    with limit(threads=3, chunk=2):
        np.testing.assert_allclose(run(slice(None)), whole, atol=1e-12)
        targeted = run(slice(None), target=target)
    np.testing.assert_allclose(targeted, in_one(lambda: run(slice(None), target=target)), atol=1e-12)


def test_the_generator_draws_one_seed_for_each_example(net):
    """rng is the same as the seeds drawn from it; two equal examples get different draws"""
    model, x, y = net
    x, y = np.repeat(x[:1], 8, axis=0), np.repeat(y[:1], 8)
    seeds = rng(3).integers(0, 2**64, 8, dtype=np.uint64)
    found = square(model, x, y, L2(0.2), queries=20, rng=rng(3))
    np.testing.assert_array_equal(found, square(model, x, y, L2(0.2), queries=20, seeds=seeds))
    assert len(np.unique(found.reshape(8, -1), axis=0)) > 4


@on_all_threats
def test_more_queries_with_the_same_windows_are_not_weaker(net, threat):
    """Without a schedule (p so small that every window is the smallest) q queries are the first of 3 q"""
    model, x, y = net
    few, many = (square(model, x, y, threat, queries=q, p=1e-9, seeds=np.arange(len(x))) for q in (20, 60))
    value = [margin.value(model.logits(x + delta), y) for delta in (few, many)]
    fell = wrong(model, x, y, few)
    np.testing.assert_array_equal(few[fell], many[fell])
    assert (value[1] >= value[0]).all()
    assert (value[1] > value[0]).any()


def test_a_target_has_to_be_reached(net):
    """With a target the search goes on until the prediction is the target"""
    model, x, y = net
    target = np.argsort(model.logits(x), axis=1)[:, -2]
    delta = square(model, x, y, Linf(0.4), queries=300, target=target, rng=rng())
    hit = labels_of(model.logits(x + delta)) == target
    assert hit.mean() > 0.5
    value, clean = (target_margin.value(model.logits(at), np.stack([y, target], axis=1)) for at in (x + delta, x))
    assert (value >= clean).all()


@pytest.mark.parametrize(("of", "target"), [(cross_entropy, False), (logit_difference, True)])
def test_other_losses_are_climbed(net, of, target):
    """With loss=… the loss of examples that are not fooled is never smaller than at x, and larger for most"""
    model, x, y = net
    target = (y + 1) % 4 if target else None
    labels = y if target is None else np.stack([y, target], axis=1)
    delta = square(model, x, y, L2(0.1), queries=40, target=target, loss=of, rng=rng())
    gain = of.value(model.logits(x + delta), labels) - of.value(model.logits(x), labels)
    stands = labels_of(model.logits(x + delta)) == y
    assert (gain[stands] >= 0).all()
    assert (gain > 0).mean() > 0.9


def test_misclassified_inputs_cost_one_query_and_stay(net):
    """δ = 0 where x is misclassified already (torchattacks issue 51)"""
    model, x, y = net
    asked = Asked(model.logits)
    delta = in_one(lambda: square(asked, x, (y + 1) % 4, Linf(0.1), queries=50, rng=rng()))
    assert not delta.any()
    assert [len(rows) for rows in asked.x] == [len(x)]


@on_all_threats
def test_a_constant_model_leaves_zero(threat):
    """Nothing is better than δ = 0, and nothing fails or becomes NaN; the examples are right (ties go to class 0)"""
    model = MLP((12, 5, 3), rng=rng(), dtype=np.float64)
    model.params = {name: 0 * value for name, value in model.params.items()}
    with np.errstate(all="raise"):
        assert not square(model, np.full((2, 12), 0.25), np.zeros(2, int), threat, queries=30, rng=rng()).any()


def test_vectors_are_images_of_one_row():
    """x of shape (N, P) and (N, 1, P, 1) have the same δ, and so does any shape other than (N, H, W, C)"""
    model, x, y = LogisticRegression(rng(1).standard_normal(12)), rng(2).random((5, 12)), np.array([1, -1, 1, 1, -1])
    for threat in THREATS:
        found = []
        for shape in ((12,), (1, 12, 1), (3, 4)):
            shaped = LogisticRegression(model.params["theta"].reshape(shape))
            found.append(square(shaped, x.reshape(5, *shape), y, threat, queries=30, rng=rng()).reshape(5, 12))
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_float32_stays_float32(net, threat):
    """No hidden float64 (ART issue 366)"""
    model, x, y = net
    asked = Asked(model.logits)
    assert square(asked, x.astype(np.float32), y, threat, queries=10, rng=rng()).dtype == np.float32
    assert {each.dtype for each in asked.x} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": 0}, ValueError, "queries = 0 must be >= 1"),
        ({"p": -0.1}, ValueError, r"p = -0\.1 must be finite and >= 0"),
        ({"rng": None}, ValueError, "square is random: pass either rng or seeds"),
        ({"seeds": np.arange(15)}, ValueError, "square is random: pass either rng or seeds"),
        ({"rng": None, "seeds": np.arange(3)}, ValueError, r"seeds has shape \(3,\); one for each example, \(15,\)"),
        ({"rng": None, "seeds": np.ones(15)}, TypeError, "seeds must be an array of whole numbers"),
        ({"threat": L1(1.0)}, TypeError, r"threat = L1\(eps=1.0\); Linf or L2 or Range was expected"),
        ({"x": np.full((15, 6, 6, 2), np.nan)}, ValueError, "x holds nan"),
        ({"target": np.full(15, 9)}, ValueError, "target holds 9"),
    ],
)
def test_bad_options_are_refused(net, change, error, message):
    """The message names the value and what was expected"""
    model, x, y = net
    with pytest.raises(error, match=message):
        square(model, **({"x": x, "y": y, "threat": Linf(0.1), "rng": rng()} | change))


# Its parts


def test_the_share_is_halved_at_the_papers_queries():
    """p, then p / 2 after 10 of 10,000 windows, p / 4 after 50, …; with 5,000 queries after half as many"""
    shares = [inner._share(0.8, 2 + i, 10_000) for i in (0, 10, 11, 50, 51, 201, 501, 1001, 2001, 4001, 6001, 8001)]
    assert shares == [0.8, 0.8, 0.4, 0.4, *(0.8 / 2**k for k in range(2, 10))]
    assert [inner._share(0.8, 2 + i, 5000) for i in (5, 6, 25, 26)] == [0.8, 0.4, 0.4, 0.2]


@pytest.mark.parametrize(
    ("share", "image", "least", "sides"),
    [
        (0.8, (28, 28), 1, (25, 25)),  # √(0.8 · 784) = 25.04
        (0.05, (28, 28), 1, (6, 6)),
        (1e-6, (28, 28), 1, (1, 1)),
        (0.4, (28, 28), 3, (19, 19)),  # 17.7, so 18, and odd
        (1e-6, (28, 28), 3, (3, 3)),
        (0.5, (1, 100), 1, (1, 50)),
        (0.5, (100, 1), 1, (50, 1)),
        (1e-6, (1, 100), 3, (1, 3)),
        (0.5, (1, 2), 3, (1, 2)),
        (1.0, (2, 3), 3, (2, 3)),
    ],
)
def test_windows_have_the_share_of_the_pixels(share, image, least, sides):
    """A square of area share · H · W where it fits, or else as wide as the image"""
    assert inner._sides(share, *image, least=least) == sides


def test_windows_lie_everywhere_alike():
    """Corners from 0 to H − a are equally frequent"""
    state = inner._initial_state(Linf(1.0), np.zeros((4000, 5, 4, 1)), None, None, None, None, None)
    u = seeded.uniform(np.arange(4000, dtype=np.uint64), 9, 2)
    top, left = inner._top_left(u, state, 3, 2)
    assert (abs(np.bincount(top) / 4000 - 1 / 3) < 0.05).all()
    assert (abs(np.bincount(left) / 4000 - 1 / 3) < 0.05).all()
    assert (len(np.bincount(top)), len(np.bincount(left))) == (3, 3)
    window = inner._window_mask(u, state, 3, 2)
    np.testing.assert_array_equal(window.sum(axis=(1, 2, 3)), 6)
    assert window[0, top[0], left[0], 0]
    assert window[0, top[0] + 2, left[0] + 1, 0]


def test_bumps_by_hand():
    """3 × 3: 1 + 1/4 in the middle, 1/4 around it; η of 2 × 1 is (1, −1) / √2, and every size has norm 1"""
    bump = np.full((3, 3), 0.25)
    bump[1, 1] = 1.25
    np.testing.assert_allclose(inner._bump(3, 3), bump / math.sqrt(8 / 16 + 25 / 16), rtol=1e-15)
    np.testing.assert_allclose(abs(inner._eta(2, 1)), [[math.sqrt(0.5)]] * 2, rtol=1e-15)
    for a, b in ((1, 1), (3, 3), (1, 7), (7, 2), (25, 25)):
        eta = inner._eta(a, b)
        assert eta.shape == (a, b)
        np.testing.assert_allclose(np.linalg.norm(eta), 1)
    eta = inner._eta(5, 5)
    assert (eta[:2] > 0).all()
    assert (eta[2:] < 0).all()


def test_the_first_bumps_stand_on_the_sphere_each_turned_and_signed_at_random():
    """10 × 10 pixels, two channels: 25 cells of 2 × 2, each ±η or ±ηᵀ, the same turn in both channels, other signs"""
    x, seeds = np.zeros((400, 10, 10, 2)), np.arange(400, dtype=np.uint64)
    bumps = inner._bumps(3.0, inner._initial_state(L2(3.0), x, None, None, None, seeds, None))
    np.testing.assert_allclose(L2(3.0).norm(bumps), 3.0, rtol=1e-12)
    cells = bumps.reshape(400, 5, 2, 5, 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 2, 2, 2)  # cell, channel, 2 × 2
    eta = inner._eta(2, 2) * 3.0 / math.sqrt(50)
    turns = np.stack([eta, eta.T, -eta, -eta.T])
    near = np.isclose(cells[:, :, None], turns, atol=1e-12).all(axis=(3, 4))
    assert (near.sum(axis=2) == 1).all()
    which = near.argmax(axis=2)
    assert (which[:, 0] % 2 == which[:, 1] % 2).all()
    shares = np.bincount(4 * which[:, 0] + which[:, 1], minlength=16)[[0, 2, 5, 7, 8, 10, 13, 15]] / len(cells)
    assert (abs(shares - 1 / 8) < 0.02).all()


def test_a_moved_window_spends_what_the_ball_has_left():
    """‖δ'‖₂ = ε for every ‖δ‖₂ <= ε; outside the two windows δ stays the same"""
    delta = rng(1).standard_normal((50, 9, 9, 2))
    for share in (1.0, 0.3):
        state = inner._initial_state(
            L2(2.0), np.zeros_like(delta), None, None, None, np.arange(50, dtype=np.uint64), None
        )
        state = state._replace(delta=share * L2(2.0).linear_max(delta))
        moved = inner._moved_window(2.0, state, 7, 0.1)
        np.testing.assert_allclose(L2(2.0).norm(moved), 2.0, rtol=1e-12)
        same = (moved == state.delta).all(axis=3).sum(axis=(1, 2))
        assert (same >= 81 - 2 * 9).all()
