"""Laws of the one-pixel attack."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks.black_box import one_pixel as inner
from scratchadv.attacks.black_box.one_pixel import one_pixel
from scratchadv.attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from scratchadv.losses import cross_entropy, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.parallel import limit
from scratchadv.sets import L0, Linf


@pytest.fixture
def net():
    """A small network, 12 images 4 × 3 × 2, and the labels that it predicts for them."""
    model = MLP((24, 8, 4), rng=np.random.default_rng(0), dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    x = np.random.default_rng(1).random((12, 4, 3, 2))
    return model, x, labels_of(model.logits(x))


def threat(pixels, channels=2):
    return L0(pixels * channels).within(0, 1)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_at_most_k_pixels_change(net, pixels):
    """Whole pixels with all their channels change, inside the box; k + 1/2 pixels are the same as k"""
    model, x, y = net
    delta = one_pixel(model, x, y, threat(pixels), queries=60, population=10, rng=rng())
    assert ((delta != 0).any(axis=3).sum(axis=(1, 2)) <= pixels).all()
    assert threat(pixels).at(x).contains(delta).all()
    more = L0(2 * pixels + 1).within(0, 1)
    np.testing.assert_array_equal(delta, one_pixel(model, x, y, more, queries=60, population=10, rng=rng()))


@pytest.mark.parametrize("pixels", [1, 2])
def test_on_linear_models_it_is_exact(pixels):
    """The best k pixels move to their best ends: the closed form of L0 in a box, to 1 %"""
    theta = rng(1).standard_normal((4, 4, 1))
    model, x, y = LogisticRegression(theta, 50.0), rng(2).random((6, 4, 4, 1)), np.ones(6, int)
    delta = one_pixel(model, x, y, threat(pixels, 1), queries=8000, population=100, rng=rng())
    best = threat(pixels, 1).at(x).support(np.broadcast_to(-theta, x.shape))
    gain = model.logits(x) - model.logits(x + delta)
    assert (gain <= best + 1e-9).all()
    assert (gain >= 0.99 * best).all()


def test_it_does_as_well_as_scipy(net):
    """For one pixel where nothing is fooled, SciPy's differential evolution is no better with as many queries"""
    model, x, y = net
    big = np.array([100.0, 0, 0, 0])
    model.params = {n: p + big if p.shape == (4,) and i > 1 else p for i, (n, p) in enumerate(model.params.items())}
    x, y = x[:3], np.zeros(3, int)
    found, theirs = (
        margin.value(model.logits(x + one_pixel(model, x, y, threat(1), solver=solver, **options)), y)
        for solver, options in (
            (solver, {"queries": 4001, "population": 60, "rng": rng()}) for solver in ("batched", "scipy")
        )
    )
    gained = theirs - margin.value(model.logits(x), y)
    assert (gained > 0).all()
    assert (found >= theirs - 0.01 * gained).all()


def test_scipy_has_the_same_luck_in_any_batch(net):
    """δ and counts of the batch are those of its examples one by one, and of its chunks in threads"""
    model, x, y = net
    seeds, box = np.arange(12), LogitOracle(model)
    options = {"queries": 41, "population": 8, "solver": "scipy"}
    with limit(threads=3, chunk=2):
        whole = one_pixel(box, x, y, threat(3), seeds=seeds, **options)
    for i in range(12):
        alone = LogitOracle(model)
        found = one_pixel(alone, x[i : i + 1], y[i : i + 1], threat(3), seeds=seeds[i : i + 1], **options)
        np.testing.assert_allclose(found, whole[i : i + 1], atol=1e-12)
        assert alone.asked == box.counts[i]


def test_an_unknown_solver_is_refused(net):
    """The message names the strategies that exist; a population that SciPy refuses is refused, too"""
    model, x, y = net
    with pytest.raises(ValueError, match="solver = 'best'; 'batched' or 'scipy' was expected"):
        one_pixel(model, x, y, threat(1), solver="best", rng=rng())
    with pytest.raises(ValueError, match="population"):
        one_pixel(model, x, y, threat(1), solver="scipy", population=4, rng=rng())


@pytest.mark.parametrize("solver", ["batched", "scipy"])
@pytest.mark.parametrize(("queries", "population"), [(1, 5), (5, 8), (6, 5), (50, 8), (49, 8)])
@pytest.mark.parametrize("aimed", [False, True])
def test_no_example_gets_more_than_its_queries(net, queries, population, aimed, solver):
    """Counts <= queries; all of them, or SciPy's whole generations, for examples never fooled; one if fooled already"""
    model, x, y = net
    y = y.copy()
    y[:2] = (y[:2] + 1) % 4
    target = np.where(np.arange(12) < 2, labels_of(model.logits(x)), (y + 1) % 4) if aimed else None
    box = LogitOracle(model, queries=queries)
    options = {"queries": queries, "population": population, "target": target, "rng": rng(), "solver": solver}
    delta = one_pixel(box, x, y, threat(1), **options)
    label = labels_of(model.logits(x + delta))
    standing = label == y if target is None else label != target
    most = queries if solver == "batched" else 1 + (queries - 1) // population * population
    assert (box.counts <= most).all()
    assert (box.counts[standing] == most).all()
    np.testing.assert_array_equal(box.counts[:2], 1)
    assert not delta[:2].any()


def test_an_example_costs_the_same_alone(net):
    """δ and counts of the batch are those of its examples one by one, of its chunks in threads, and in another order"""
    model, x, y = net
    seeds, box = np.arange(12), LogitOracle(model)

    def run(box, rows):
        return one_pixel(box, x[rows], y[rows], threat(3), queries=81, population=8, seeds=seeds[rows])

    with limit(threads=3, chunk=2):
        whole = run(box, slice(None))
    assert len(np.unique(box.counts)) > 1
    for i in range(12):
        alone = LogitOracle(model)
        np.testing.assert_allclose(run(alone, slice(i, i + 1)), whole[i : i + 1], atol=1e-12)
        assert alone.asked == box.counts[i]
    order = rng(1).permutation(12)
    np.testing.assert_allclose(run(LogitOracle(model), order), whole[order], atol=1e-12)


def test_knowledge_is_scores(net):
    """Oracles that show the model, its logits or its probabilities give the same δ; labels alone are refused"""
    model, x, y = net
    found = [
        one_pixel(box, x, y, threat(1), queries=40, population=8, rng=rng())
        for box in (model, LogitOracle(model), ProbabilityOracle(model))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], atol=1e-12)
    with pytest.raises(TypeError, match="this attack needs logits or probabilities"):
        one_pixel(LabelOracle(model), x, y, threat(1), rng=rng())


def test_more_generations_are_not_weaker(net):
    """With the same seed and more pixels the loss never falls, and with many pixels some examples reach their target"""
    model, x, y = net
    before = margin.value(model.logits(x), y)
    for queries in (9, 41, 161):
        delta = one_pixel(model, x, y, threat(1), queries=queries, population=8, seeds=np.arange(12))
        after = margin.value(model.logits(x + delta), y)
        stands = after < 0
        assert stands.any()
        assert (after[stands] >= before[stands]).all()
        before = after
    target = np.argsort(model.logits(x), axis=1)[:, -2]
    delta = one_pixel(model, x, y, threat(6), queries=2001, population=20, target=target, rng=rng())
    assert (labels_of(model.logits(x + delta)) == target).mean() > 0.8


def test_other_losses_are_climbed(net):
    """With loss=cross_entropy the loss is larger than at x"""
    model, x, y = net
    delta = one_pixel(model, x, y, threat(1), queries=81, population=8, loss=cross_entropy, rng=rng())
    assert (cross_entropy.value(model.logits(x + delta), y) > cross_entropy.value(model.logits(x), y)).all()


# Its parts


@settings(max_examples=50, deadline=None)
@given(st.integers(4, 9), st.integers(0, 2**32))
def test_three_are_different(s, seed):
    """r₁, r₂ and r₃ are below S, and no two of them are equal"""
    chosen = inner._three_different(rng(seed).random((50, 3)), s)
    assert chosen.min() >= 0
    assert chosen.max() < s
    assert (np.diff(np.sort(chosen, axis=-1)) > 0).all()


def test_three_are_drawn_alike():
    """Each of the 24 ordered triples of 4 is equally frequent: within 5 standard errors in 48,000 draws"""
    chosen = inner._three_different(rng().random((48_000, 3)), 4) @ [16, 4, 1]
    counts = np.unique(chosen, return_counts=True)[1]
    assert len(counts) == 24
    assert (abs(counts - 2000) < 5 * np.sqrt(2000)).all()


def test_a_member_by_hand():
    """Row 0.5 of 4 is row 2, column 0.99 of 3 is column 2; value 1 is the upper end, 0.5 the middle"""
    x = np.full((1, 4, 3, 2), 0.25)
    member = np.array([[0.5, 0.99, 1.0, 0.5]])
    expected = 0 * x
    expected[0, 2, 2] = [0.75, 0.25]
    np.testing.assert_allclose(inner.drawn(threat(1).at(x), x, member, 1), expected, atol=1e-15)
    corner = inner.drawn(threat(1).at(x), x, np.array([[1.0, 1.0, 0.0, 0.0]]), 1)
    np.testing.assert_allclose(corner[0, 3, 2], [-0.25, -0.25])


def test_vectors_are_images_of_one_row():
    """x of shape (N, P) and (N, 1, P, 1) have the same δ"""
    model, x, y = LogisticRegression(rng(1).standard_normal(12)), rng(2).random((5, 12)), np.array([1, -1, 1, 1, -1])
    shaped = LogisticRegression(model.params["theta"].reshape(1, 12, 1))
    options = {"queries": 41, "population": 8, "rng": rng()}
    flat = one_pixel(model, x, y, threat(2, 1), **options)
    image = one_pixel(shaped, x.reshape(5, 1, 12, 1), y, threat(2, 1), **(options | {"rng": rng()}))
    np.testing.assert_array_equal(flat, image.reshape(5, 12))


def test_float32_stays_float32(net):
    """No hidden float64 (ART issue 366)"""
    model, x, y = net
    model.params = {name: value.astype(np.float32) for name, value in model.params.items()}
    assert one_pixel(model, x.astype(np.float32), y, threat(1), queries=30, rng=rng()).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": 0}, ValueError, "queries = 0 must be >= 1"),
        ({"population": 3}, ValueError, "population = 3 must be >= 4"),
        ({"scale": -1}, ValueError, "scale = -1 must be finite and >= 0"),
        ({"rng": None}, ValueError, "one_pixel is random: pass either rng or seeds"),
        ({"threat": L0(2)}, TypeError, "L0 in a box was expected"),
        ({"threat": Linf(0.1).within(0, 1)}, TypeError, "L0 in a box was expected"),
        ({"threat": L0(1).within(0, 1)}, ValueError, r"L0\(1\) allows no pixel of 2 channels; L0\(2\)"),
        ({"target": np.full(12, 9)}, ValueError, "target holds 9"),
        ({"x": np.full((12, 4, 3, 2), np.nan)}, ValueError, "x holds nan"),
    ],
)
def test_bad_options_are_refused(net, change, error, message):
    """The message names the value and what was expected"""
    model, x, y = net
    with pytest.raises(error, match=message):
        one_pixel(model, **({"x": x, "y": y, "threat": threat(1), "rng": rng()} | change))
