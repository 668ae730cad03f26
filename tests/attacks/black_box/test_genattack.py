"""Laws of GenAttack."""

import math

import numpy as np
import pytest

from scratchadv.attacks.black_box import genattack as inner
from scratchadv.attacks.black_box.genattack import genattack
from scratchadv.attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from scratchadv.losses import cross_entropy
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.parallel import limit
from scratchadv.sets import L2, Linf
from scratchadv.tasks import Binary, Classes

THREATS = [Linf(0.3), Linf(0.3).within(0, 1)]
on_both_threats = pytest.mark.parametrize("threat", THREATS, ids=str)


@pytest.fixture
def net():
    """A small network, 12 images 3 × 3 × 2, and the labels that it predicts for them."""
    model = MLP((18, 8, 4), rng=np.random.default_rng(0), dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    model.shape = (3, 3, 2)
    x = np.random.default_rng(1).random((12, 3, 3, 2))
    return model, x, labels_of(model.logits(x))


def rng(seed=0):
    return np.random.default_rng(seed)


def log_odds_of_y(model, x, y):
    """The fitness computed from the probabilities, as in the paper."""
    z = model.logits(x)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    own = p[np.arange(len(y)), y]
    return np.log(own) - np.log(1 - own)


@on_both_threats
@pytest.mark.parametrize(("queries", "population"), [(1, 2), (3, 6), (6, 5), (60, 5), (61, 2)])
@pytest.mark.parametrize("aimed", [False, True])
def test_no_example_gets_more_than_its_queries(net, threat, queries, population, aimed):
    """Counts <= queries; equal for examples that are never fooled, and one for those that are fooled from the start"""
    model, x, y = net
    y = y.copy()
    y[:2] = (y[:2] + 1) % 4
    target = np.where(np.arange(12) < 2, labels_of(model.logits(x)), (y + 1) % 4) if aimed else None
    box = LogitOracle(model, queries=queries)
    delta = genattack(box, x, y, threat, queries=queries, population=population, target=target, rng=rng())
    label = labels_of(model.logits(x + delta))
    standing = label == y if target is None else label != target
    assert (box.counts <= queries).all()
    assert (box.counts[standing] == queries).all()
    np.testing.assert_array_equal(box.counts[:2], 1)
    assert not delta[:2].any()


def test_an_example_costs_the_same_alone(net):
    """Counts of the batch are the counts of its examples one by one, and of its chunks in threads"""
    model, x, y = net
    seeds, box = np.arange(12), LogitOracle(model)

    def run(box, rows):
        return genattack(box, x[rows], y[rows], Linf(0.15), queries=80, seeds=seeds[rows])

    with limit(threads=3, chunk=2):
        whole = run(box, slice(None))
    assert len(np.unique(box.counts)) > 3
    for i in range(12):
        alone = LogitOracle(model)
        np.testing.assert_allclose(run(alone, slice(i, i + 1)), whole[i : i + 1], atol=1e-12)
        assert alone.asked == box.counts[i]
    order = rng(1).permutation(12)
    np.testing.assert_allclose(run(LogitOracle(model), order), whole[order], atol=1e-12)


@on_both_threats
def test_knowledge_is_scores(net, threat):
    """Oracles that show the model, its logits or its probabilities give the same δ; labels alone are refused"""
    model, x, y = net
    found = [
        genattack(box, x, y, threat, queries=40, rng=rng())
        for box in (model, LogitOracle(model), ProbabilityOracle(model))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], atol=1e-12)
    with pytest.raises(TypeError, match="this attack needs logits or probabilities"):
        genattack(LabelOracle(model), x, y, threat, rng=rng())


def test_the_fittest_is_kept(net):
    """Where nothing is fooled, more queries with the same seed never do worse, and δ is the fittest that was tried"""
    model, x, y = net

    before = -log_odds_of_y(model, x, y)
    for queries in (10, 40, 160):
        seen = []
        asked = LogitOracle(model, on_call=lambda *call, seen=seen: seen.append(call))
        delta = genattack(asked, x, y, Linf(0.02), queries=queries, seeds=np.arange(12))
        stands = labels_of(model.logits(x + delta)) == y
        assert stands.mean() > 0.7
        fit = -log_odds_of_y(model, x + delta, y)
        tried, owners = (np.concatenate(a) for a in zip(*seen, strict=True))
        best = np.full(12, -np.inf)
        np.maximum.at(best, owners, -log_odds_of_y(model, tried, y[owners]))
        np.testing.assert_allclose(fit[stands], best[stands], atol=1e-9)
        assert (fit >= before - 1e-9)[stands].all()
        before = fit


def test_targets_are_reached(net):
    """With a target the search goes on until the prediction is the target"""
    model, x, y = net
    target = np.argsort(model.logits(x), axis=1)[:, -2]
    delta = genattack(model, x, y, Linf(0.6), queries=1000, target=target, rng=rng())
    assert (labels_of(model.logits(x + delta)) == target).mean() > 0.9


def test_it_evolves(net):
    """On a linear model where nothing is fooled, the margin comes close to the closed form ε ‖θ‖₁"""
    theta = rng(1).standard_normal(12)
    model, x = LogisticRegression(theta, 50.0), rng(2).random((5, 12))
    y = np.ones(5, int)
    delta = genattack(model, x, y, Linf(0.3), queries=2000, rng=rng())
    gain = model.logits(x) - model.logits(x + delta)
    best = 0.3 * abs(theta).sum()
    assert (gain <= best + 1e-9).all()
    assert (gain > 0.95 * best).all()


# Its parts


def test_log_odds_by_hand():
    """p = (1/2, 1/4, 1/4): 0 for the first, log 1/3 for the others; one logit: y z; no overflow"""
    z = np.log([[2.0, 1.0, 1.0]])
    for y, expected in ((0, 0.0), (1, -math.log(3))):
        np.testing.assert_allclose(Classes(3).log_odds(z, np.array([y])), expected, atol=1e-12)
    np.testing.assert_array_equal(Binary().log_odds(np.array([2.0, 3.0]), np.array([1, -1])), [2, -3])
    np.testing.assert_allclose(Classes(3).log_odds(np.array([[1000.0, 0.0, 0.0]]), np.array([0])), 1000 - math.log(2))


def test_fitness_is_infinite_where_the_example_has_fallen():
    """Untargeted: another label; targeted: that label"""
    z, y = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0]]), np.array([0, 0])
    assert np.isinf(inner.fitness(Classes(3), z, y, None)).tolist() == [False, True]
    assert np.isinf(inner.fitness(Classes(3), z, y, np.array([1, 1]))).tolist() == [False, True]
    own = np.exp(z[0, 0]) / np.exp(z[0]).sum()
    np.testing.assert_allclose(inner.fitness(Classes(3), z, y, None)[0], -np.log(own / (1 - own)))


def test_parents_are_drawn_by_the_softmax_of_their_fitness():
    """Shares of 4,000 draws are within 5 standard errors, and both parents are drawn alike and independently"""
    fit = np.log([[1.0, 2.0, 5.0]]).repeat(400, axis=0)
    first, second = inner._parents(fit, np.arange(400, dtype=np.uint64), 3, 10)
    p = np.array([1, 2, 5]) / 8
    for chosen in (first, second):
        error = np.bincount(chosen.ravel(), minlength=3) / 4000 - p
        assert (abs(error) < 5 * np.sqrt(p * (1 - p) / 4000)).all()
    both = ((first == 2) & (second == 2)).mean()
    assert abs(both - p[2] ** 2) < 5 * math.sqrt(0.25 / 4000)


def state_of(members, fitness, **options):
    n, _, p = members.shape
    low = np.full((n, p), -1.0)
    return inner._State(
        np.arange(n), None, np.zeros((n, p)), None, None, low, -low, np.arange(n, dtype=np.uint64), members, fitness,
        np.zeros(n, int), options.get("plateaus", np.zeros(n, int)),
    )  # fmt: skip


def test_a_child_has_each_component_from_a_parent():
    """Without mutation, each component comes from the fitter parent with probability P₁ / (P₁ + P₂)"""
    members = np.stack([np.full((200, 50), 0.25), np.full((200, 50), 0.75)], axis=1)
    fitness = np.tile([0.0, math.log(3)], (200, 1))
    rule = inner.Rule(2, 0.0, 1.0, 1.0, False)
    children = inner._offspring(rule, 1.0, state_of(members, fitness), 5, 4)
    assert set(np.unique(children)) == {0.25, 0.75}
    share = (children == 0.75).mean(axis=2)
    mixed = (share > 0) & (share < 1)  # of two parents
    assert abs(mixed.mean() - 2 * 3 / 16) < 5 * math.sqrt(0.25 / 800)
    assert abs(share[mixed].mean() - 0.75) < 5 * math.sqrt(0.25 / (50 * mixed.sum()))


def test_mutations_have_their_probability_and_size():
    """Each component changes with probability ρ, uniformly by at most α ε, and is clipped to the set"""
    members, fitness = np.zeros((300, 2, 40)), np.zeros((300, 2))
    moves = inner._offspring(inner.Rule(2, 0.2, 0.5, 1.0, False), 0.4, state_of(members, fitness), 1, 3)
    moved = moves[moves != 0]
    assert abs(moved.size / moves.size - 0.2) < 5 * math.sqrt(0.16 / moves.size)
    assert abs(moved).max() <= 0.2
    assert abs(moved.mean()) < 5 * 0.2 / math.sqrt(3 * moved.size)
    assert abs(abs(moved).mean() - 0.1) < 5 * 0.2 / math.sqrt(12 * moved.size)
    wild = inner._offspring(inner.Rule(2, 1.0, 9.0, 1.0, False), 1.0, state_of(members, fitness), 1, 3)
    assert abs(wild).max() == 1


def test_an_adaptive_search_calms_down():
    """ρ = max(ρ₀, 0.5 · 0.9^plateaus), α = max(α₀, 0.4 · 0.9^plateaus); constant if not adaptive"""
    plateaus = np.array([0, 1, 100])
    rho, alpha = inner.Rule(6, 0.1, 0.15, 0.1, True).mutation(plateaus)
    np.testing.assert_allclose(rho, [0.5, 0.45, 0.1])
    np.testing.assert_allclose(alpha, [0.4, 0.36, 0.15])
    rho, alpha = inner.Rule(6, 0.1, 0.15, 0.1, False).mutation(plateaus)
    np.testing.assert_array_equal((rho, alpha), [[0.1] * 3, [0.15] * 3])


def test_a_plateau_is_a_hundred_generations_without_a_fitter_member():
    """A constant model has a plateau after every 100 generations; then the count starts again"""

    class Same:
        activations = 0

        def scores(self, x, owner):
            return np.tile([1.0, 0.0], (len(x), 1))

    y = np.zeros(3, int)
    state = state_of(np.zeros((3, 2, 4)), np.full((3, 2), -1.0))._replace(y=y, owner=y)
    for generation in range(1, 251):
        state = inner._next_generation(Same(), state, np.zeros((3, 1, 4)), first=False)
        assert (state.plateaus == generation // 100).all()


def test_float32_stays_float32(net):
    """No hidden float64 (ART issue 366)"""
    model, x, y = net
    model.params = {name: value.astype(np.float32) for name, value in model.params.items()}
    assert genattack(model, x.astype(np.float32), y, THREATS[1], queries=30, rng=rng()).dtype == np.float32


def test_confident_probabilities_still_lead(net):
    """With logits times 30 the probabilities round to 0 and 1, and the search does as well as on the logits"""
    model, x, y = net
    model.params = {**model.params, **{n: 30 * p for n, p in list(model.params.items())[-2:]}}
    fooled = [
        labels_of(model.logits(x + genattack(box, x, y, Linf(0.3), queries=300, rng=rng()))) != y
        for box in (LogitOracle(model), ProbabilityOracle(model))
    ]
    np.testing.assert_array_equal(*fooled)
    assert fooled[0].mean() > 0.5
    assert np.median(cross_entropy.value(model.logits(x), y)) < 1e-6


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": 0}, ValueError, "queries = 0 must be >= 1"),
        ({"population": 1}, ValueError, "population = 1 must be >= 2"),
        ({"rho": 1.5}, ValueError, r"rho = 1\.5 must be <= 1"),
        ({"alpha": -1}, ValueError, "alpha = -1 must be finite and >= 0"),
        ({"temperature": 0}, ValueError, r"temperature = 0\.0 must be > 0"),
        ({"rng": None}, ValueError, "genattack is random: pass either rng or seeds"),
        ({"threat": L2(1.0)}, TypeError, r"threat = L2\(eps=1.0\); Linf was expected"),
        ({"target": np.full(12, 9)}, ValueError, "target holds 9"),
        ({"x": np.full((12, 3, 3, 2), np.nan)}, ValueError, "x holds nan"),
        ({"y": np.zeros(12)}, TypeError, "y has dtype float64"),
    ],
)
def test_bad_options_are_refused(net, change, error, message):
    """The message names the value and what was expected"""
    model, x, y = net
    with pytest.raises(error, match=message):
        genattack(model, **({"x": x, "y": y, "threat": Linf(0.1), "rng": rng()} | change))
