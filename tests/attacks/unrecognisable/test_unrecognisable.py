"""Laws of the search for unrecognisable images: encodings, MAP-Elites, gradient ascent."""

import copy
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import log_softmax

from scratchadv.attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from scratchadv.attacks.unrecognisable import encodings
from scratchadv.attacks.unrecognisable.encodings import CPPN, FUNCTIONS, INPUTS, NONE, Direct, polynomial
from scratchadv.attacks.unrecognisable.gradient_ascent import gradient_ascent
from scratchadv.attacks.unrecognisable.map_elites import log_probabilities, map_elites
from scratchadv.losses import margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.parallel import limit
from scratchadv.testing.device import gpu
from scratchadv.testing.models import Constant, Linear, LinearSoftmax, Recorded

SHAPE = (5, 4, 1)
few = settings(max_examples=30, deadline=None)
both = pytest.mark.parametrize("encoding", [Direct(SHAPE), CPPN(SHAPE, nodes=5)], ids=["direct", "CPPN"])


class LogitsOnly:
    """A model that shows only its logits, and records the batches that it gets."""

    def __init__(self, model):
        self.model, self.asked = model, []

    def logits(self, x):
        self.asked.append(x.copy())
        return self.model.logits(x)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def net():
    """A network with weights scaled up, so that it is often confident."""
    model = MLP((20, 8, 4), rng=rng(3), dtype=np.float64)
    model.params = {name: 3 * value for name, value in model.params.items()}
    return model


@pytest.fixture
def images_net(net):
    """The same for images of shape 5 × 4 × 1."""
    return Reshaped(net)


class Reshaped:
    def __init__(self, model):
        self.model, self.params, self.loss = model, model.params, model.loss

    def logits(self, x):
        return self.model.logits(x.reshape(len(x), 20))


# Polynomial mutation and the direct encoding


@few
@given(st.integers(0, 2**16 - 1), st.floats(0.5, 40))
def test_polynomial_mutation_has_the_distribution_of_its_density(u, eta):
    """s in [−1, 1]; P(S <= s) = u for the density (η + 1)/2 (1 − |s|)^η; s(1 − u) = −s(u)"""
    u /= 2**16
    s = polynomial(np.array([u]), eta)[0]
    below = (1 - abs(s)) ** (eta + 1) / 2
    assert -1 <= s <= 1
    assert math.isclose(below if s < 0 else 1 - below, u, abs_tol=1e-9)
    if u > 0:
        np.testing.assert_allclose(polynomial(np.array([1 - u]), eta)[0], -s, atol=1e-9)


def test_polynomial_mutation_by_hand():
    """η = 1: u = 1/8 gives √(1/4) − 1 = −1/2; u = 7/8 gives 1/2; u = 1/2 gives 0; float32 stays float32"""
    u = np.array([0.125, 0.5, 0.875], np.float32)
    np.testing.assert_allclose(polynomial(u, 1), [-0.5, 0, 0.5])
    assert polynomial(u, 1).dtype == np.float32


@pytest.mark.parametrize(("generation", "rate"), [(1, 0.1), (999, 0.1), (1000, 0.05), (1999, 0.05), (3500, 0.0125)])
def test_the_rate_is_halved_every_1000_generations(generation, rate):
    """The rate is 0.1 (1/2)^⌊t / 1000⌋, and that share of the pixels changes; the others stay to the last bit"""
    encoding = Direct((50, 40, 1))
    assert encoding.rate_at(generation) == rate
    parents = np.full((50, 50, 40, 1), 0.5, np.float32)
    children = encoding.mutate(rng(generation), parents, generation)
    n, changed = children.size, (children != parents).sum()
    assert abs(changed - rate * n) < 6 * math.sqrt(n * rate * (1 - rate))
    steps = (children - parents)[children != parents]
    assert abs(abs(steps).mean() - 1 / 17) < 0.01 / math.sqrt(rate)  # E|s| = 1 / (η + 2)


def test_the_first_images_of_the_direct_encoding_are_uniform_noise():
    """Mean 1/2, variance 1/12, in [0, 1)"""
    images = Direct((30, 30, 1)).random(rng(), 50)
    assert images.shape == (50, 30, 30, 1)
    assert abs(images.mean() - 1 / 2) < 6 * math.sqrt(1 / 12 / images.size)
    assert abs(images.var() - 1 / 12) < 0.01
    assert (images >= 0).all()
    assert (images < 1).all()


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from([Direct(SHAPE), Direct((7,)), CPPN(SHAPE), CPPN((3, 6, 3), nodes=2)]))
def test_encodings_keep_the_conventions(seed, encoding):
    """Images in [0, 1] of the right shape; seeded; parents are not changed; each genome draws the same in any batch"""
    first, second = (encoding.random(rng(seed), 6) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for generation in range(12):
        before, random = first.copy(), rng(seed + generation)
        children = encoding.mutate(random, first, generation)
        np.testing.assert_array_equal(first, before)
        np.testing.assert_array_equal(children, encoding.mutate(rng(seed + generation), first, generation))
        first = children
    images = encoding.images(first)
    assert images.shape == (6, *encoding.shape)
    assert images.dtype == np.float32
    assert ((images >= 0) & (images <= 1)).all()
    np.testing.assert_allclose(encoding.images(first[4:])[1], images[5], atol=1e-5)


# CPPN


def genome(encoding, connections, functions):
    """One genome from {(from, to): weight} and {node: function}; nodes after the inputs are 0, 1, …"""
    made = np.zeros(1, encoding._dtype)
    made["functions"] = NONE
    for node, name in functions.items():
        made["functions"][0, node] = list(FUNCTIONS).index(name)
    for (source, target), weight in connections.items():
        row = INPUTS.index(source) if isinstance(source, str) else len(INPUTS) + source
        made["weights"][0, row, target] = weight
    return made


def test_a_cppn_is_its_formula():
    """Gaussian(1.5 sin(3 x − 2) − 2 r) by hand, and the other functions of one input"""
    encoding = CPPN((6, 5, 1), nodes=3)
    network = genome(
        encoding,
        {("x", 1): 3.0, ("bias", 1): -2.0, (1, 3): 1.5, ("radius", 3): -2.0},
        {1: "sine", 3: "Gaussian"},
    )
    y, x = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 5), indexing="ij")
    expected = np.exp(-((1.5 * np.sin(3 * x - 2) - 2 * np.sqrt(x**2 + y**2)) ** 2))
    np.testing.assert_allclose(encoding.images(network)[0, :, :, 0], expected, atol=1e-6)
    for name, value in {
        "sine": np.sin(4 * y),
        "sigmoid": 2 / (1 + np.exp(-4 * y)) - 1,
        "Gaussian": np.exp(-16 * y**2),
        "linear": np.clip(4 * y, -3, 3) / 3,
    }.items():
        image = encoding.images(genome(encoding, {("y", 3): 4.0}, {3: name}))[0, :, :, 0]
        np.testing.assert_allclose(image, abs(value), atol=1e-6)


def test_each_channel_has_its_output():
    """Three outputs on the same inputs give three images"""
    encoding = CPPN((4, 4, 3), nodes=0)
    made = genome(encoding, {("x", 0): 1.0, ("y", 1): 1.0, ("bias", 2): 1.5}, dict.fromkeys(range(3), "linear"))
    y, x = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4), indexing="ij")
    expected = np.stack([abs(x) / 3, abs(y) / 3, np.full_like(x, 0.5)], axis=-1)
    np.testing.assert_allclose(encoding.images(made)[0], expected, atol=1e-6)


def test_networks_begin_without_hidden_nodes():
    """All four inputs are connected to the output, weights lie in [−10, 10], functions are equally frequent"""
    genomes = CPPN(SHAPE).random(rng(), 4000)
    weights, functions = genomes["weights"], genomes["functions"]
    assert (functions[:, :-1] == NONE).all()
    assert (weights[:, :4, -1] != 0).all()
    assert (weights != 0).sum() == 4 * 4000
    assert abs(weights).max() <= 10
    assert (abs(np.bincount(functions[:, -1]) / 4000 - 1 / 4) < 0.05).all()


def after(change, genomes, seed=1):
    """Return a copy of the genomes in which all have one kind of change."""
    found = genomes.copy()
    change(rng(seed), found["weights"], found["functions"], np.ones(len(found), bool))
    return found


def grown(encoding, n=300, generations=15):
    genomes = encoding.random(rng(5), n)
    for generation in range(generations):
        genomes = encoding.mutate(rng(generation), genomes, generation)
    return genomes


def test_mutated_networks_stay_networks():
    """Connections lead forward only, between existing nodes; weights lie in [−10, 10]; the genomes have grown"""
    encoding = CPPN(SHAPE, nodes=8)
    genomes = grown(encoding)
    weights, functions = genomes["weights"], genomes["functions"]
    there = functions != NONE
    i, row, column = np.nonzero(weights)
    assert there[i, column].all()
    assert ((row < 4) | there[i, np.maximum(row - 4, 0)]).all()
    assert (row - 4 < np.minimum(column, 8)).all()
    assert abs(weights).max() <= 10
    assert there[:, -1].all()
    assert functions.max() < len(FUNCTIONS)
    assert there[:, :-1].sum(axis=1).mean() > 1


def test_changes_of_structure_change_what_they_say():
    """A connection is added or removed; a node is added on a connection, with its weight twice; a node is removed"""
    encoding = CPPN(SHAPE, nodes=8)
    genomes = grown(encoding)
    weights, functions = genomes["weights"], genomes["functions"]
    connections, nodes = ((a.reshape(300, -1)).sum(axis=1) for a in (weights != 0, functions != NONE))
    more, less = (after(change, genomes) for change in (encoding._connect, encoding._disconnect))
    for found, step in ((more, 1), (less, -1)):
        changed = found["weights"] != weights
        assert (changed.sum(axis=(1, 2)) <= 1).all()
        assert changed.sum() > 200
        count = (found["weights"] != 0).sum(axis=(1, 2))
        np.testing.assert_array_equal(count - connections, step * changed.any(axis=(1, 2)))
    split = after(encoding._insert, genomes)
    new = (split["functions"] != functions).sum(axis=1)
    assert new.max() == 1
    assert new.sum() > 100
    np.testing.assert_array_equal((split["weights"] != 0).sum(axis=(1, 2)) - connections, new)
    for k in np.flatnonzero(new)[:50]:
        lost = weights[k][(weights[k] != 0) & (split["weights"][k] == 0)]
        gained = split["weights"][k][(weights[k] == 0) & (split["weights"][k] != 0)]
        np.testing.assert_array_equal(gained, np.repeat(lost, 2))
    fewer = after(encoding._remove, genomes)
    np.testing.assert_array_equal((fewer["functions"] != NONE).sum(axis=1), nodes - (nodes > 1))
    assert not fewer["weights"][:, 4:][fewer["functions"][:, :-1] == NONE].any()


def test_mutations_come_at_the_rates_of_the_authors():
    """Weights and functions change with rate 0.1 each; connections are added with 0.5, removed 0.3; nodes added 0.5"""
    encoding, still = (
        CPPN(SHAPE),
        dict.fromkeys(["add_connection", "remove_connection", "add_node", "remove_node"], 0.0),
    )
    genomes = encoding.random(rng(), 4000)
    parents = genomes["weights"] != 0

    def share(**rates):
        found = CPPN(SHAPE, **(still | {"rate": 0.0} | rates)).mutate(rng(1), genomes, 1)
        return found["weights"], found["functions"]

    moved = (share(rate=encoding.rate)[0] != genomes["weights"])[parents].mean()
    other = (share(rate=encoding.rate)[1] != genomes["functions"])[:, -1].mean()
    gone = 4 - (share(remove_connection=encoding.remove_connection)[0] != 0).sum() / 4000
    nodes = (share(add_node=encoding.add_node)[1][:, :-1] != NONE).sum() / 4000
    np.testing.assert_allclose([moved, other, gone, nodes], [0.1, 0.1 * 3 / 4, 0.3, 0.5], atol=0.04)
    grown_genomes = grown(CPPN(SHAPE, add_node=1.0, remove_connection=0.0, add_connection=0.0), 2000, 3)
    sure = CPPN(SHAPE, **(still | {"rate": 0.0, "add_connection": encoding.add_connection, "remove_node": 0.0}))
    added = (sure.mutate(rng(2), grown_genomes, 1)["weights"] != 0).sum() - (grown_genomes["weights"] != 0).sum()
    assert abs(added / 2000 - 0.5) < 0.06


def test_one_of_takes_each_true_place_as_often():
    """Uniform over the true places of each chosen row; rows without any are left out"""
    mask = np.zeros((3000, 2, 3), bool)
    mask[:2000, [0, 1, 1], [1, 0, 2]] = True
    i, row, column = encodings._one_of(rng(), mask, np.arange(3000) % 2 == 0)
    np.testing.assert_array_equal(i, np.arange(0, 2000, 2))
    counts = np.bincount(3 * row + column, minlength=6) / 1000
    np.testing.assert_allclose(counts, [0, 1 / 3, 0, 1 / 3, 0, 1 / 3], atol=0.07)


# MAP-Elites


@both
def test_confidence_never_falls_and_is_what_the_model_says(images_net, encoding):
    """log p_k(t + 1) >= log p_k(t); predicted again, elite k has the confidence that is reported"""
    found = map_elites(images_net, encoding, generations=40, children=30, rng=rng())
    assert (np.diff(found.history, axis=0) >= 0).all()
    again = log_softmax(images_net.logits(found.x), axis=1).diagonal()
    np.testing.assert_allclose(found.history[-1], again, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.confidence, np.exp(again), rtol=1e-9)
    assert found.confidence.min() > np.exp(found.history[0]).min()
    assert found.x.shape == (4, *SHAPE)
    assert ((found.x >= 0) & (found.x <= 1)).all()
    np.testing.assert_array_equal(found.x, encoding.images(found.genomes).astype(float))


@both
def test_the_elite_is_the_best_that_was_ever_asked_about(images_net, encoding):
    """Elite k = the argmax of p_k over all queries; each generation is one batch of ``children``, and all count"""
    asked = LogitsOnly(images_net)
    with limit(threads=1, chunk=10_000):
        found = map_elites(asked, encoding, generations=7, children=25, rng=rng())
    assert [len(batch) for batch in asked.asked] == [25] * 8
    assert found.queries == 25 * 8
    p = np.stack([log_softmax(images_net.logits(batch), axis=1) for batch in asked.asked])
    np.testing.assert_allclose(found.history, np.maximum.accumulate(p.max(axis=1)), rtol=1e-5, atol=1e-6)
    best = np.concatenate(p).argmax(axis=0)
    np.testing.assert_allclose(found.x, np.concatenate(asked.asked)[best], atol=1e-6)


@both
def test_map_elites_is_seeded_and_does_not_depend_on_chunks(images_net, encoding):
    """The same seed gives the same images, in chunks or not; another seed gives others"""

    def run(seed):
        return map_elites(images_net, encoding, generations=10, children=20, rng=rng(seed)).x

    whole = run(0)
    np.testing.assert_array_equal(run(0), whole)
    with limit(threads=3, chunk=3):
        np.testing.assert_allclose(run(0), whole, atol=1e-12)
    assert (run(1) != whole).any()


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_have_the_dtype_of_the_model(encoding, dtype):
    """Queries and results keep dtype, shape and range"""
    model = MLP((20, 3), rng=rng(), dtype=dtype)
    recorded = Recorded(Reshaped(model))
    found = map_elites(recorded, encoding, generations=2, children=5, rng=rng())
    assert {x.dtype for x in [*recorded.inputs, found.x]} == {np.dtype(dtype)}


def test_children_descend_from_elites(images_net):
    """With a rate of zero every child is one of the K elites, and every elite has children"""
    asked = LogitsOnly(images_net)
    encoding = Direct(SHAPE, rate=0.0)
    with limit(threads=1, chunk=10_000):
        found = map_elites(asked, encoding, generations=1, children=60, rng=rng())
    parents = np.unique(found.x.astype(np.float32), axis=0)
    np.testing.assert_array_equal(np.unique(asked.asked[1], axis=0), parents)


def test_on_a_linear_model_the_direct_encoding_finds_the_corners():
    """Two classes, z = ±<w, x>: the best images are the corners of [0, 1]^4 given by the signs of w"""
    w = np.array([3.0, -2.0, 1.5, -4.0])
    model = LinearSoftmax(np.stack([w, -w]), np.zeros(2))
    found = map_elites(model, Direct((4,)), generations=400, children=40, rng=rng())
    np.testing.assert_allclose(found.x, [w > 0, w < 0], atol=1e-6)


def test_a_binary_model_has_two_elites():
    """Rows −1 and +1 have the probabilities 1 − τ(z) and τ(z)"""
    model = LogisticRegression(np.array([2.0, -1.0, 0.5]), 0.2)
    found = map_elites(model, Direct((3,)), generations=300, children=20, rng=rng())
    p = 1 / (1 + np.exp(-model.logits(found.x)))
    np.testing.assert_allclose(found.confidence, [1 - p[0], p[1]], rtol=1e-9)
    np.testing.assert_allclose(found.x, [[0, 1, 0], [1, 0, 1]], atol=1e-6)


def test_a_constant_model_keeps_its_first_image():
    """If no child is better, the elites of all classes stay the first image of the first generation"""
    found = map_elites(Constant([1.0, 2.0, 3.0]), Direct((4,)), generations=5, children=6, rng=rng())
    np.testing.assert_array_equal(found.x, np.repeat(Direct((4,)).random(rng(), 6)[:1], 3, axis=0))
    np.testing.assert_allclose(found.confidence, np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum(), rtol=1e-6)


def test_probabilities_are_enough_and_labels_are_not(net):
    """Probabilities give the same images as logits; a budget ends the search; labels alone are refused"""
    encoding = Direct((20,))
    found = [
        map_elites(level(net), encoding, generations=8, children=10, rng=rng()).x
        for level in (LogitOracle, ProbabilityOracle)
    ]
    np.testing.assert_allclose(*found, atol=1e-6)
    with pytest.raises(TypeError, match="needs logits or probabilities"):
        map_elites(LabelOracle(net), encoding, rng=rng())


def test_log_probabilities_keep_their_digits_near_one():
    """float32 logits (0, −40): log p = −e^{−40}, where p itself rounds to 1"""
    model = Constant([0.0, -40.0])
    found = log_probabilities(LogitOracle(model), np.zeros((2, 3), np.float32))
    np.testing.assert_allclose(found, [[-math.exp(-40), -40]] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"generations": -1}, ValueError, "generations = -1 must be >= 0"),
        ({"children": 0}, ValueError, "children = 0 must be >= 1"),
        ({"children": 2.5}, TypeError, r"children must be a whole number, not 2\.5"),
    ],
)
def test_bad_options_of_map_elites_are_refused(net, change, error, message):
    """The message names the value and what was expected, and the model gets no query"""
    asked = LogitsOnly(net)
    with pytest.raises(error, match=message):
        map_elites(asked, Direct((20,)), **({"rng": rng()} | change))
    assert not asked.asked


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Direct((0, 3)), ValueError, r"shape\[\d\] = 0 must be >= 1"),
        (lambda: Direct((3,), rate=1.5), ValueError, r"rate = 1\.5 must be <= 1"),
        (lambda: Direct((3,), halved_every=0), ValueError, "halved_every = 0 must be >= 1"),
        (lambda: CPPN((5, 5)), ValueError, r"shape = \(5, 5\) must have 3 sides"),
        (lambda: CPPN(SHAPE, nodes=-1), ValueError, "nodes = -1 must be >= 0"),
        (lambda: CPPN(SHAPE, add_node=1.5), ValueError, r"add_node = 1\.5 must be <= 1"),
        (lambda: CPPN(SHAPE, limit=np.inf), ValueError, "limit = inf must be finite"),
    ],
)
def test_bad_encodings_are_refused(make, error, message):
    """Encodings are checked when they are made, not when they are used"""
    with pytest.raises(error, match=message):
        make()


def test_models_on_a_device_are_searched_there(monkeypatch):
    """Images are where the model is, breeding stays on the host, and the result is as on the host"""
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    there = MLP((20, 8, 4), rng=rng(3), dtype=np.float64)
    here = copy.copy(there)
    there.params = {name: gpu.asarray(value) for name, value in there.params.items()}
    found, expected = (
        map_elites(model, Direct((20,)), generations=6, children=12, rng=rng()) for model in (there, here)
    )
    assert isinstance(found.x, gpu.ndarray)
    np.testing.assert_allclose(found.x.get(), expected.x, atol=1e-12)
    np.testing.assert_allclose(found.history, expected.history, atol=1e-9)
    x, y = rng().random((4, 20)), np.arange(4)
    climbed = gradient_ascent(there, gpu.asarray(x), gpu.asarray(y), steps=5, penalty=0.01)
    assert isinstance(climbed, gpu.ndarray)
    np.testing.assert_allclose(climbed.get(), gradient_ascent(here, x, y, steps=5, penalty=0.01), atol=1e-9)


# Gradient ascent


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 1.0, 3.0]))
def test_gradient_ascent_reaches_the_optimum_of_a_linear_model(seed, penalty):
    """max −Ψ(y(<θ, x> + θ0)) − λ/2 ‖x‖² is x = s y θ, where s λ = τ(−y(s y ‖θ‖² + θ0))"""
    random = rng(seed)
    theta, theta0 = random.standard_normal(4), random.standard_normal()
    y = np.array([1, -1, 1])
    x = gradient_ascent(
        Linear(theta, theta0),
        random.standard_normal((3, 4)),
        y,
        penalty=penalty,
        steps=600,
        alpha=1 / (penalty + (theta @ theta) / 4),
        box=None,
    )
    for label, row in zip(y, x, strict=True):
        s = brentq(
            lambda s, b: s * penalty - 1 / (1 + math.exp(s * (theta @ theta) + b)), 0, 1 / penalty, label * theta0
        )
        np.testing.assert_allclose(row, s * label * theta, atol=1e-5)


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from([(0, 1), (-0.5, 0.25), None]))
def test_the_logit_of_a_linear_model_has_a_closed_form(seed, box):
    """max y(<θ, x> + θ0) − λ/2 ‖x‖² over [l, u] is clip(y θ / λ, l, u)"""
    random = rng(seed)
    theta, y = random.standard_normal((2, 3)), np.array([1, -1])
    found = gradient_ascent(
        Linear(theta), random.random((2, 2, 3)), y, penalty=2.0, steps=60, alpha=0.4, box=box, loss=margin
    )
    best = y[:, None, None] * theta / 2
    np.testing.assert_allclose(found, best if box is None else best.clip(*box), atol=1e-7)  # √ε, because values decide


@pytest.mark.parametrize("alpha", [0.3, 1e4])
def test_the_best_iterate_is_returned(net, alpha):
    """No worse than the start for any step size; in the box; nothing changed in place; dtype kept"""
    x, y = rng().random((6, 20)), np.arange(6) % 4
    before = x.copy()
    found = gradient_ascent(net, x, y, steps=30, alpha=alpha, penalty=0.01)

    def objective(x):
        return log_softmax(net.logits(x), axis=1)[np.arange(6), y] - 0.005 * (x**2).sum(axis=1)

    assert (objective(found) >= objective(x)).all()
    assert (objective(found) > objective(x)).any()
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_array_equal(x, before)
    assert gradient_ascent(net, x.astype(np.float32), y, steps=2).dtype == np.float32


def test_examples_of_gradient_ascent_do_not_see_each_other(net):
    """Order, split and chunks of the batch do not matter; a start outside the box is clipped to it"""
    x, y = 3 * rng().random((7, 20)) - 1, np.arange(7) % 4
    whole = gradient_ascent(net, x, y, steps=20)
    order = rng(1).permutation(7)
    np.testing.assert_allclose(gradient_ascent(net, x[order], y[order], steps=20), whole[order], atol=1e-9)
    np.testing.assert_allclose(gradient_ascent(net, x[3:4], y[3:4], steps=20), whole[3:4], atol=1e-9)
    with limit(threads=2, chunk=2):
        np.testing.assert_allclose(gradient_ascent(net, x, y, steps=20), whole, atol=1e-9)
    assert ((whole >= 0) & (whole <= 1)).all()


def test_a_constant_model_shrinks_to_the_smallest_image():
    """Without a gradient only the penalty is left: x → clip(0, [l, u])"""
    found = gradient_ascent(Constant([1.0, 2.0]), np.full((2, 3), 0.8), np.array([0, 1]), penalty=0.5, box=(0.25, 1))
    np.testing.assert_allclose(found, 0.25)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"penalty": -1}, ValueError, "penalty = -1 must be finite and >= 0"),
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"alpha": np.nan}, ValueError, "alpha = nan must be finite"),
        ({"box": (1, 0)}, ValueError, r"the box \[1, 0\] is empty"),
        ({"y": np.array([0, 9])}, ValueError, "y holds 9"),
        ({"x": np.full((2, 20), np.nan)}, ValueError, "x holds nan"),
    ],
)
def test_bad_options_of_gradient_ascent_are_refused(net, change, error, message):
    """The message names the value and what was expected"""
    given_options = {"x": np.zeros((2, 20)), "y": np.array([0, 1])} | change
    with pytest.raises(error, match=message):
        gradient_ascent(net, **given_options)
