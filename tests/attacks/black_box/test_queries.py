"""Laws of oracles: what they show, what they count, and their budget; and of the random numbers of an example."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv import seeded
from scratchadv.attacks import genattack, nes, spsa, square
from scratchadv.attacks.black_box.queries import (
    BudgetError,
    LabelOracle,
    LogitOracle,
    ProbabilityOracle,
    first_scores,
    oracle,
)
from scratchadv.losses import cross_entropy, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.sets import Linf

LEVELS = {
    LabelOracle: {"predict"},
    ProbabilityOracle: {"predict", "probabilities", "scores"},
    LogitOracle: {"predict", "probabilities", "scores", "logits"},
}
SECRETS = {"logits", "probabilities", "scores", "predict", "vjp_x", "vjp_theta", "params", "loss", "layers", "shape"}


@pytest.fixture
def net():
    return MLP((6, 5, 4), rng=np.random.default_rng(0), dtype=np.float64)


@pytest.fixture
def x():
    return np.random.default_rng(1).random((7, 6))


class Estimator:
    """What a scikit-learn classifier offers; it takes only flat rows."""

    n_features_in_ = 6

    def predict(self, x):
        return self.predict_proba(x).argmax(axis=1)

    def predict_proba(self, x):
        assert x.shape[1:] == (6,)
        p = x[:, :3] + 0.1
        return p / p.sum(axis=1, keepdims=True)


class Asked:
    """A model that records how many rows it gets."""

    def __init__(self):
        self.sizes = []

    def logits(self, x):
        self.sizes.append(len(x))
        return x[:, :3]


# Knowledge


@pytest.mark.parametrize(("level", "shown"), LEVELS.items())
def test_an_oracle_shows_its_level_and_nothing_else(net, level, shown):
    """Anything above the level, gradients and parameters included, is an AttributeError that says what can be asked"""
    box = level(net)
    assert {name for name in SECRETS if hasattr(box, name)} == shown
    with pytest.raises(AttributeError, match=r"this black box does not show vjp_x: it shows .*predict"):
        box.vjp_x(np.zeros((1, 6)))
    assert box.activations == net.activations


@pytest.mark.parametrize("level", LEVELS)
def test_the_answers_of_all_levels_agree(net, x, level):
    """Labels = argmax z, probabilities = softmax z, scores = z + a constant for each example"""
    box, z = level(net), net.logits(x)
    np.testing.assert_array_equal(box.predict(x), labels_of(z))
    if "probabilities" in LEVELS[level]:
        np.testing.assert_allclose(box.probabilities(x), np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-12)
        shift = box.scores(x) - z
        np.testing.assert_allclose(shift, shift[:, :1] + 0 * z, atol=1e-12)
        for loss in (margin, cross_entropy):
            y = np.arange(7) % 4
            np.testing.assert_allclose(loss.value(box.scores(x), y), loss.value(z, y), atol=1e-12)


def test_a_binary_model_shows_the_probability_of_plus_one(x):
    """τ(z), labels −1/+1, and log p − log(1 − p) = z"""
    model = LogisticRegression(np.random.default_rng(2).standard_normal(6), -0.4)
    z = model.logits(x)
    box = ProbabilityOracle(model)
    np.testing.assert_allclose(box.probabilities(x), 1 / (1 + np.exp(-z)), rtol=1e-12)
    np.testing.assert_allclose(box.scores(x), z, atol=1e-12)
    np.testing.assert_array_equal(box.predict(x), labels_of(z))
    np.testing.assert_array_equal(LabelOracle(box).predict(x), labels_of(z))


def test_a_probability_of_zero_has_a_finite_score():
    """Log odds are finite and keep their order where p = 0 and p = 1 in float32"""

    class Sure:
        def probabilities(self, x):
            return np.array([[1, 0, 0]], np.float32)

    class SureOfOne:
        def probabilities(self, x):
            return np.ones(1, np.float32)

    with np.errstate(all="raise"):
        for model in (Sure(), SureOfOne()):
            scores = oracle(model).scores(np.zeros((1, 2)))
            assert np.isfinite(scores).all()
            assert scores.dtype == np.float32
    assert oracle(SureOfOne()).predict(np.zeros((1, 2))) == [1]


def test_scikit_learn_models_get_flat_rows(x):
    """Images are passed on as rows; predict and predict_proba are the labels and the probabilities"""
    images, model = x.reshape(7, 3, 2, 1), Estimator()
    box = oracle(model)
    assert type(box) is ProbabilityOracle
    np.testing.assert_array_equal(box.predict(images), model.predict(x))
    np.testing.assert_allclose(np.exp(box.scores(images)), model.predict_proba(x), rtol=1e-12)


def test_a_real_scikit_learn_model(x):
    """A decision tree that is asked about images"""
    tree = pytest.importorskip("sklearn.tree").DecisionTreeClassifier(random_state=0).fit(x, np.arange(7) % 3)
    np.testing.assert_array_equal(LabelOracle(tree).predict(x.reshape(7, 3, 2, 1)), np.arange(7) % 3)


def test_oracle_takes_the_most_that_is_shown(net):
    """Logits are preferred to probabilities, and these to labels; a model that shows nothing is a TypeError"""

    class Labels:
        def predict(self, x):
            return np.zeros(len(x), int)

    assert type(oracle(net)) is LogitOracle
    assert type(oracle(ProbabilityOracle(net))) is ProbabilityOracle
    assert type(oracle(LabelOracle(net))) is LabelOracle
    assert type(oracle(Labels())) is LabelOracle
    with pytest.raises(TypeError, match="model must have one of logits, probabilities and predict"):
        oracle(object())


# Counting


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=8))
def test_queries_are_counted_example_by_example(calls):
    """Counts say how often each owner was named; asked is the number of rows; inner oracles count the same"""
    inner = LogitOracle(Asked())
    outer = LabelOracle(inner)
    for owners in calls:
        outer.predict(np.zeros((len(owners), 3)), np.array(owners, int))
    expected = np.bincount([i for owners in calls for i in owners], minlength=6)
    for box in (inner, outer):
        assert box.asked == expected.sum()
        np.testing.assert_array_equal(np.pad(box.counts, (0, 6 - len(box.counts))), expected)


@settings(deadline=None)
@given(st.integers(0, 5), st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=8))
def test_no_example_is_asked_above_its_budget(budget, calls):
    """A query that would exceed the budget is refused as a whole, is not counted, and never reaches the model"""
    model = Asked()
    box, counts, seen = LogitOracle(model, queries=budget), np.zeros(3, int), 0
    for owners in calls:
        more = np.bincount(np.array(owners, int), minlength=3)
        if (counts + more).max() > budget:
            with pytest.raises(BudgetError, match=f"its budget is {budget}"):
                box.logits(np.zeros((len(owners), 3)), np.array(owners, int))
        else:
            box.logits(np.zeros((len(owners), 3)), np.array(owners, int))
            counts, seen = counts + more, seen + len(owners)
    assert box.asked == sum(model.sizes) == seen
    assert (box.counts <= budget).all()


def test_the_total_is_a_budget_too(x):
    """Rows without owners count towards the total"""
    model = Asked()
    box = ProbabilityOracle(model, total=10)
    box.predict(x)
    with pytest.raises(BudgetError, match="7 queries after 7 exceed the total of 10"):
        box.probabilities(x)
    box.scores(x[:3])
    assert (box.asked, model.sizes) == (10, [7, 3])


def test_a_budget_for_each_example_needs_owners(x):
    """Without owners nobody knows whose query it is"""
    with pytest.raises(TypeError, match="queries = 3 are given to each example: pass the owners"):
        LogitOracle(Asked(), queries=3).logits(x)


def test_the_counter_is_safe_in_threads():
    """8 threads with 300 queries each: none is lost, and with a budget of 1,000 exactly 1,000 are answered"""
    free, tight = LogitOracle(Asked()), LogitOracle(Asked(), total=1000)

    def ask(i):
        free.logits(np.zeros((2, 3)), np.array([i % 5, 5]))
        try:
            tight.logits(np.zeros((1, 3)))
        except BudgetError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        answered = sum(pool.map(ask, range(2400)))
    np.testing.assert_array_equal(free.counts, [480] * 5 + [2400])
    assert (free.asked, tight.asked, answered) == (4800, 1000, 1000)


@pytest.mark.parametrize("level", LEVELS)
def test_bad_budgets_are_refused(level):
    """Budgets are whole numbers >= 0"""
    with pytest.raises(ValueError, match="queries = -1 must be >= 0"):
        level(Asked(), queries=-1)
    with pytest.raises(TypeError, match=r"total must be a whole number, not 2\.5"):
        level(Asked(), total=2.5)


def test_first_scores_cost_one_query_each(net, x):
    """The scores of x from whatever the model shows; a model of labels alone is refused, and so are wrong labels"""
    y = labels_of(net.logits(x))
    ask, z, places, target = first_scores(net, x, y, None, 3)
    np.testing.assert_array_equal(places, y)
    assert target is None
    np.testing.assert_array_equal(ask.counts, np.ones(7))
    np.testing.assert_allclose(z, net.logits(x), atol=1e-12)
    with pytest.raises(TypeError, match="this attack needs logits or probabilities"):
        first_scores(LabelOracle(net), x, y, None, 3)
    with pytest.raises(ValueError, match="target holds 4"):
        first_scores(net, x, y, 0 * y + 4, 3)


@pytest.mark.parametrize("attack", [square, nes, spsa, genattack])
def test_bad_input_costs_no_query(attack, x):
    """NaN, no examples, pixels outside the box: refused before the model is asked"""
    asked, y = Asked(), np.zeros(len(x), int)
    for bad in (x * np.nan, x[:0], x + 1):
        with pytest.raises(ValueError):
            attack(asked, bad, y[: len(bad)], Linf(0.1).within(0, 1), rng=0)
    assert asked.sizes == []


# Random numbers


def test_the_words_are_splitmix64():
    """The first outputs for the seed 1234567, as other implementations print them"""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    found = seeded.words(np.array([1234567, 7], np.uint64), 0, 4)
    assert found[0].tolist() == expected
    assert len(np.unique(found)) == 8
    np.testing.assert_array_equal(seeded.uniform(np.array([1234567], np.uint64), 0, 4)[0] * 2**53, found[0] >> 11)


@pytest.mark.parametrize(
    "draw", [seeded.words, seeded.uniform, seeded.spread, seeded.pieces, seeded.normal, seeded.signs]
)
def test_luck_belongs_to_the_example(draw):
    """The numbers depend on seed, time and place, in any batch and for any m; at another time they are others"""
    seeds = np.arange(5, dtype=np.uint64)
    for m in (1, 7, 65, 130):
        whole = draw(seeds, 3, m)
        assert whole.shape == (5, m)
        np.testing.assert_array_equal(draw(seeds[2:4], 3, m), whole[2:4])
    assert (draw(seeds, 4, 130) != whole).any(axis=1).all()
    assert (whole[0] != whole[1]).any()


def test_the_numbers_have_their_distributions():
    """For 400,000 numbers the distribution function is off by less than 5 standard errors"""
    stats = pytest.importorskip("scipy.stats")
    seeds = np.arange(400, dtype=np.uint64)
    for numbers, of in (
        (seeded.uniform(seeds, 9, 1000), stats.uniform.cdf),
        (seeded.spread(np.arange(100_000, dtype=np.uint64), 9, 4), stats.uniform.cdf),
        (seeded.pieces(seeds, 9, 1000) / 65536 + 2**-17, stats.uniform.cdf),
        (seeded.normal(seeds, 9, 1000), stats.norm.cdf),
    ):
        assert stats.kstest(numbers.ravel(), of).statistic < 2.5 / math.sqrt(numbers.size)
    signs = seeded.signs(seeds, 9, 1000)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 5 / math.sqrt(signs.size)
    for numbers in (seeded.normal(seeds, 9, 1000).astype(float), signs.astype(float)):
        products = numbers[:, 1:] * numbers[:, :-1], numbers[:, :500] * numbers[:, 500:], numbers[1:] * numbers[:-1]
        assert max(abs(each.mean()) * math.sqrt(each.size) for each in products) < 5


@pytest.mark.parametrize(("m", "side", "most"), [(1, 676, 0.84), (2, 26, 0.82)])
def test_spread_numbers_fill_the_cube_evenly(m, side, most):
    """676 draws reach more than 82 % of 676 cells for every seed; independent numbers would reach about 1 − 1/e"""
    seeds, times = np.arange(50, dtype=np.uint64), range(2, 678)

    def reached(draw):
        cells = (np.stack([draw(seeds, time, m) for time in times], axis=1) * side).astype(int)
        return np.array([len(np.unique(each, axis=0)) for each in cells]) / 676

    assert reached(seeded.spread).min() > most
    assert abs(reached(seeded.uniform).mean() - (1 - 1 / math.e)) < 0.02


def test_the_steps_of_spread_numbers_are_roots():
    """φ is the golden ratio in one dimension and the plastic ratio in two"""
    np.testing.assert_allclose(seeded._irrational(1), [(math.sqrt(5) - 1) / 2], rtol=1e-15)
    for m in (2, 4, 30):
        phi = 1 / seeded._irrational(m)[0]
        np.testing.assert_allclose(phi ** (m + 1), phi + 1, rtol=1e-13)
        np.testing.assert_allclose(seeded._irrational(m), phi ** -np.arange(1.0, m + 1), rtol=1e-13)


def test_seeds_are_drawn_or_given():
    """Either rng or seeds is given; seeds is an array of whole numbers, one for each example"""
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(
        seeded.seeds_of(4, rng, None, "it"), np.random.default_rng(3).integers(0, 2**64, 4, np.uint64)
    )
    for given_, error, message in (
        ((4, None, None), ValueError, "it is random: pass either rng or seeds"),
        ((4, rng, np.arange(4)), ValueError, "it is random: pass either rng or seeds"),
    ):
        with pytest.raises(error, match=message):
            seeded.seeds_of(*given_, "it")


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        (np.arange(3), ValueError, r"seeds has shape \(3,\); one for each example, \(7,\)"),
        (np.ones(7), TypeError, "seeds must be an array of whole numbers"),
        ("seeds", TypeError, "seeds must be an array of whole numbers"),
    ],
)
def test_seeds_are_whole_numbers_one_each(net, x, seeds, error, message):
    """seeds has shape (N,) and an integer dtype"""
    with pytest.raises(error, match=message):
        square(net, x, labels_of(net.logits(x)), Linf(0.1), seeds=seeds)
