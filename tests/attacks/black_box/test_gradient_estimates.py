"""Laws of NES and SPSA."""

import itertools

import numpy as np
import pytest

from scratchadv import seeded
from scratchadv.attacks.black_box import gradient_estimates as inner
from scratchadv.attacks.black_box.gradient_estimates import nes, spsa
from scratchadv.attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from scratchadv.losses import cross_entropy, logit_difference, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.parallel import limit
from scratchadv.sets import L1, L2, Linf

ATTACKS = {"nes": nes, "spsa": spsa}
KINDS = {"nes": (seeded.normal, inner._kept_normal), "spsa": (seeded.signs, inner._kept_signs)}
on_both = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
THREATS = [Linf(0.15), Linf(0.15).within(0, 1), L2(0.4).within(0, 1), L1(1.0)]
on_all_threats = pytest.mark.parametrize("threat", THREATS, ids=str)


@pytest.fixture
def net():
    """A small network, 12 images 3 × 3 × 2, and the labels that it predicts for them."""
    model = MLP((18, 8, 4), rng=np.random.default_rng(0), dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    x = np.random.default_rng(1).random((12, 3, 3, 2))
    return model, x, labels_of(model.logits(x))


def rng(seed=0):
    return np.random.default_rng(seed)


def linear(theta):
    """The losses of perturbations under the gradients θ, shape (n, P)."""
    return lambda moves: (moves * theta[:, None]).sum(axis=2) + 3.0


# The estimate


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_linear_function_it_is_a_projection(kind):
    r"""For L = <θ, δ>: g = (1 / n) Σ uᵢ uᵢᵀ θ exactly, wherever δ is, if the box is far away"""
    draw, kept = KINDS[kind]
    theta, delta, seeds = (
        rng(1).standard_normal((3, 6)),
        rng(2).standard_normal((3, 2, 3)),
        np.arange(3, dtype=np.uint64),
    )
    rule = inner._Rule(draw, kept, 4, 0.1, 1.0, 0.0)
    far = np.full_like(delta, np.inf)
    g = inner.estimate(linear(theta), rule, (-far, far), delta, seeds, 7)
    u = draw(seeds, 7, 24).reshape(3, 4, 6).astype(float)
    np.testing.assert_allclose(g.reshape(3, 6), np.einsum("niq,nip,np->nq", u, u, theta) / 4, rtol=1e-9)


def test_the_expectation_of_spsa_is_the_gradient():
    """The mean over all 16 corners is θ up to rounding, with room on both sides, on one, little on one, and none"""
    theta, sigma = rng(1).standard_normal((1, 4)), 0.1
    corners = np.array(list(itertools.product([-1, 1], repeat=4)))
    low = np.array([[-1.0, 0.0, -0.03, 0.0]])
    high = np.array([[1.0, 1.0, 0.08, 0.0]])
    rule = inner._Rule(lambda seeds, step, m: corners.reshape(1, -1), inner._kept_signs, 16, sigma, 1.0, 0.0)
    g = inner.estimate(linear(theta), rule, (low, high), np.zeros((1, 4)), None, 0)
    np.testing.assert_allclose(g, theta * [[1, 1, 1, 0]], atol=1e-12)


def test_the_expectation_of_nes_is_the_gradient():
    r"""E[u (clip(σ u, −a, b) − clip(−σ u, −a, b))] / 2 σ = Φ(b / σ) − Φ(−a / σ), by quadrature; E[u uᵀ] = 1"""
    u = np.linspace(-9, 9, 2_000_001)
    density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
    for a, b in ((0.0, 1.0), (1.0, 0.0), (0.3, 2.0), (5.0, 0.01), (np.inf, np.inf), (0.0, np.inf), (0.0, 0.0)):
        stretch = (np.clip(u, -a, b) - np.clip(-u, -a, b)) / 2
        expected = (u * stretch * density).sum() * (u[1] - u[0])
        kept = inner._kept_normal(np.array([a]), np.array([b]))
        np.testing.assert_allclose(kept, expected, atol=1e-6)


def test_nes_is_unbiased_at_the_edges():
    """The mean of 20,000 estimates at the edges of the box is θ within 5 standard errors"""
    theta, n = np.tile([1.0, -2.0, 0.5], (20_000, 1)), 20_000
    room = np.tile([-1.0, 0.0, -0.05], (n, 1)), np.tile([1.0, 1.0, 0.15], (n, 1))
    rule = inner._Rule(seeded.normal, inner._kept_normal, 2, 0.1, 1.0, 0.0)
    g = inner.estimate(linear(theta), rule, room, np.zeros((n, 3)), np.arange(n, dtype=np.uint64), 0)
    assert (abs(g.mean(axis=0) - theta[0]) < 5 * g.std(axis=0) / np.sqrt(n)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_many_pairs_find_the_gradient_of_a_network(net, kind):
    """With 2,000 pairs the cosine with the true gradient of the margin is above 0.95"""
    model, x, y = net
    x, y = x[:4], y[:4]
    z, pull = model.vjp_x(x)
    true = pull(margin.grad(z, y)).reshape(4, -1)
    rule = inner._Rule(*KINDS[kind], 2000, 1e-4, 1.0, 0.0)

    def values(moves):
        n, q, p = moves.shape
        tried = (x.reshape(n, 1, p) + moves).reshape(n * q, *x.shape[1:])
        return margin.value(model.logits(tried), y.repeat(q)).reshape(n, q)

    room = Linf(1.0).within(0, 1).bounds(x)
    g = inner.estimate(values, rule, room, 0 * x, np.arange(4, dtype=np.uint64), 0).reshape(4, -1)
    cosine = (g * true).sum(axis=1) / np.linalg.norm(g, axis=1) / np.linalg.norm(true, axis=1)
    assert (cosine > 0.95).all()


# The attacks


@on_both
def test_on_linear_models_they_come_to_the_exact_attack(attack):
    """Where nothing is fooled, the margin reaches 99 % of the closed form"""
    theta = rng(1).standard_normal(12)
    model, x, y = LogisticRegression(theta, 50.0), rng(2).random((5, 12)), np.ones(5, int)
    for threat in (Linf(0.2), Linf(0.2).within(0, 1)):
        delta = attack(model, x, y, threat, queries=2000, rng=rng())
        best = threat.at(x).support(np.broadcast_to(-theta, x.shape))
        gain = model.logits(x) - model.logits(x + delta)
        assert (gain <= best + 1e-9).all()
        assert (gain >= 0.99 * best).all()


@on_both
@pytest.mark.parametrize(("queries", "pairs"), [(4, 1), (60, 3), (63, 10)])
@pytest.mark.parametrize("aimed", [False, True])
def test_no_example_gets_more_than_its_queries(net, attack, queries, pairs, aimed):
    """Counts <= queries; one plus whole steps of 2 pairs + 1, or only one for examples that are fooled already"""
    model, x, y = net
    y = y.copy()
    y[:2] = (y[:2] + 1) % 4
    target = np.where(np.arange(12) < 2, labels_of(model.logits(x)), (y + 1) % 4) if aimed else None
    box = LogitOracle(model, queries=queries)
    threat = Linf(0.1).within(0, 1)
    delta = attack(box, x, y, threat, queries=queries, pairs=pairs, target=target, rng=rng())
    label = labels_of(model.logits(x + delta))
    standing = label == y if target is None else label != target
    assert (box.counts <= queries).all()
    assert ((box.counts - 1) % (2 * pairs + 1) == 0).all()
    assert (box.counts[standing] > queries - 2 * pairs - 1).all()
    np.testing.assert_array_equal(box.counts[:2], 1)
    assert not delta[:2].any()


@on_both
def test_an_example_costs_the_same_alone(net, attack):
    """δ and counts of the batch are those of its examples one by one, of its chunks in threads, and in another order"""
    model, x, y = net
    seeds, box = np.arange(12), LogitOracle(model)

    def run(box, rows):
        return attack(box, x[rows], y[rows], Linf(0.1), queries=100, pairs=5, seeds=seeds[rows])

    with limit(threads=3, chunk=2):
        whole = run(box, slice(None))
    assert len(np.unique(box.counts)) > 2
    for i in range(12):
        alone = LogitOracle(model)
        np.testing.assert_allclose(run(alone, slice(i, i + 1)), whole[i : i + 1], atol=1e-9)
        assert alone.asked == box.counts[i]
    order = rng(1).permutation(12)
    np.testing.assert_allclose(run(LogitOracle(model), order), whole[order], atol=1e-9)


@on_both
def test_knowledge_is_scores(net, attack):
    """Oracles that show the model, its logits or its probabilities give the same δ; labels alone are refused"""
    model, x, y = net
    found = [
        attack(box, x, y, THREATS[1], queries=60, pairs=5, rng=rng())
        for box in (model, LogitOracle(model), ProbabilityOracle(model))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], atol=1e-9)
    with pytest.raises(TypeError, match="this attack needs logits or probabilities"):
        attack(LabelOracle(model), x, y, THREATS[0], rng=rng())


@on_both
@on_all_threats
def test_probes_stay_in_the_box(net, attack, threat):
    """No query lies outside [l, u]; without a box a query is σ u away from an iterate inside the ball"""
    model, x, y = net
    x = x.round()  # at the edges

    seen = []
    attack(
        LogitOracle(model, on_call=lambda x, owners: seen.append(x)),
        x,
        y,
        threat,
        queries=60,
        pairs=5,
        sigma=0.3,
        rng=rng(),
    )
    asked = np.concatenate(seen)
    if threat.pixels is not None:
        assert asked.min() >= -1e-12
        assert asked.max() <= 1 + 1e-12
    else:
        assert asked.min() < 0


@on_both
def test_targets_are_reached_and_other_losses_climbed(net, attack):
    """With a target the search goes on until the prediction is the target; with loss=… no loss is below clean"""
    model, x, y = net
    target = np.argsort(model.logits(x), axis=1)[:, -2]
    delta = attack(model, x, y, Linf(0.5), queries=1000, target=target, rng=rng())
    assert (labels_of(model.logits(x + delta)) == target).mean() > 0.9
    for loss, aim in ((cross_entropy, None), (logit_difference, target)):
        labels = y if aim is None else np.stack([y, aim], axis=1)
        delta = attack(model, x, y, Linf(0.02), queries=200, target=aim, loss=loss, rng=rng())
        gain = loss.value(model.logits(x + delta), labels) - loss.value(model.logits(x), labels)
        stands = labels_of(model.logits(x + delta)) == y
        assert (gain[stands] >= 0).all()
        assert (gain > 0).mean() > 0.9


@on_both
def test_float32_stays_float32(net, attack):
    """No hidden float64 (ART issue 366)"""
    model, x, y = net
    model.params = {name: value.astype(np.float32) for name, value in model.params.items()}
    assert attack(model, x.astype(np.float32), y, THREATS[1], queries=60, rng=rng()).dtype == np.float32


@on_both
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"queries": 51}, ValueError, r"queries = 51 must be >= 2 \* pairs \+ 2, 52"),
        ({"pairs": 0}, ValueError, "pairs = 0 must be >= 1"),
        ({"sigma": 0}, ValueError, r"sigma = 0\.0 must be > 0"),
        ({"momentum": 1}, ValueError, r"momentum = 1\.0 must be < 1"),
        ({"alpha": -1}, ValueError, "alpha = -1 must be finite and >= 0"),
        ({"rng": None}, ValueError, "is random: pass either rng or seeds"),
        ({"target": np.full(12, 9)}, ValueError, "target holds 9"),
        ({"x": np.full((12, 3, 3, 2), np.nan)}, ValueError, "x holds nan"),
    ],
)
def test_bad_options_are_refused(net, attack, change, error, message):
    """The message names the value and what was expected"""
    model, x, y = net
    with pytest.raises(error, match=message):
        attack(model, **({"x": x, "y": y, "threat": Linf(0.1), "rng": rng()} | change))
