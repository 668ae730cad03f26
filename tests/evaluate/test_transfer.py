"""Laws of the transfer matrix, of its control, and of the attacks on techniques without a gradient."""

import itertools
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scratchadv.attacks import exact, fgsm, leaves, pgd, tree_attack
from scratchadv.evaluate import judge
from scratchadv.evaluate.transfer import (
    matrix,
    noise_like,
    over_seeds,
    predictions,
    tabulate,
)
from scratchadv.interop.scikit_learn import linear_scores
from scratchadv.models import MLP, LogisticRegression, SoftNeighbours
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)
BALLS = {Linf: 0.3, L2: 0.5, L1: 0.8, L0: 2}
ORDERS = {Linf: np.inf, L2: 2, L1: 1, L0: 0}


def zero(model, x, y, threat):
    """δ = 0."""
    return np.zeros_like(x)


def draw(seed, n=12, p=4, k=3, models=3):
    """Small networks by name, examples in [0, 1], labels."""
    rng = np.random.default_rng(seed)
    networks = {f"net {i}": MLP((p, 6, k), rng=rng, dtype=float) for i in range(models)}
    x = rng.random((n, p))
    return networks, x, rng.integers(0, k, n)


class Labels:
    """A model that shows only its labels, which is all that transfer needs."""

    def __init__(self, model):
        self._model = model

    def predict(self, x):
        return predict(self._model, x)


@few
@given(seeds, st.booleans())
def test_the_diagonal_is_the_judges_word(seed, boxed):
    """M_ss = the judge's success on the source among the examples that it has right; `itself` is the same"""
    models, x, y = draw(seed)
    threat = Linf(0.3).within(0, 1) if boxed else Linf(0.3)
    found = matrix(models, models, x, y, threat, fgsm)
    for i, model in enumerate(models.values()):
        right = predict(model, x) == y
        success = judge(model, x, y, fgsm(model, x, y, threat), threat).success
        expected = success[right].mean() if right.any() else np.nan
        np.testing.assert_equal([found.success[i, i], found.itself[i]], [expected, expected])
        np.testing.assert_array_equal(found.fooled[i, i], success)


@few
@given(seeds)
def test_a_cell_is_its_formula(seed):
    """M_st: add δ of s, ask t again, and count one by one among the examples that both have right"""
    models, x, y = draw(seed)
    threat = Linf(0.3).within(0, 1)
    found = matrix(models, models, x, y, threat, fgsm)
    for (i, source), (j, target) in itertools.product(enumerate(models.values()), repeat=2):
        delta = fgsm(source, x, y, threat)
        both = [n for n in range(len(x)) if predict(source, x)[n] == y[n] == predict(target, x)[n]]
        fallen = [n for n in both if predict(target, x + delta)[n] != y[n]]
        first = [n for n in both if predict(source, x + delta)[n] != y[n]]
        noise = noise_like(delta, x, threat, np.random.default_rng(0))
        turned = [n for n in both if predict(target, x + noise)[n] != y[n]]
        assert found.examples[i, j] == len(both)
        if both:
            assert found.success[i, j] == len(fallen) / len(both)
            assert found.control[i, j] == len(turned) / len(both)
        if first:
            assert found.carried[i, j] == len({*fallen} & {*first}) / len(first)
        assert np.isnan(found.success[i, j]) == (not both)
        assert np.isnan(found.carried[i, j]) == (not first)


@few
@given(seeds)
def test_nothing_transfers_nothing(seed):
    """For δ = 0: success, control and `itself` are 0 wherever an example counts"""
    models, x, y = draw(seed)
    found = matrix(models, models, x, y, L2(0.5), zero)
    for share in (found.success, found.control):
        np.testing.assert_array_equal(share, np.where(found.examples > 0, 0, np.nan))
    assert not found.fell[found.right_source].any()
    assert (found.size == 0).all()


@few
@given(seeds, st.permutations(range(3)))
def test_permuted_models_permute_the_matrix(seed, order):
    """Rows and columns follow the order of the models, in the control too"""
    models, x, y = draw(seed)
    names = list(models)
    permuted = {names[i]: models[names[i]] for i in order}
    one, other = (matrix(group, group, x, y, Linf(0.2).within(0, 1), fgsm) for group in (models, permuted))
    for of in ("success", "control", "carried", "examples"):
        np.testing.assert_array_equal(getattr(one, of)[np.ix_(order, order)], getattr(other, of))
    assert other.sources == other.targets == tuple(names[i] for i in order)


@given(linear_problems(), st.floats(0.1, 10))
def test_equal_directions_carry_everything_over(problem, scale):
    """For θ' = c θ and θ0' = c θ0 with c > 0: a δ that fools one model fools the other"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    theta, theta0 = problem.model.params.values()
    scale = np.float32(2.0 ** np.round(np.log2(scale)))  # a power of two, so that scaling does not round
    assume(theta0 == 0 or abs(theta0) > 1e-30)
    twin = LogisticRegression((theta * scale).astype(theta.dtype), theta0 * scale)
    found = matrix({"it": model}, {"twin": twin}, x, y, threat, exact)
    np.testing.assert_array_equal(found.fooled[0, 0], found.fell[0])
    if (found.counted & found.fell)[0].any():
        assert found.carried[0, 0] == 1


@few
@given(seeds, st.floats(0.01, 0.5))
def test_between_linear_models_the_shift_is_known(seed, eps):
    """<θ', δ*> = −y ε <θ', sign θ>: example n crosses iff y z'(x_n) < ε <θ', sign θ>"""
    rng = np.random.default_rng(seed)
    source, target = (LogisticRegression(rng.normal(size=6), rng.normal()) for _ in range(2))
    x, y = rng.normal(size=(20, 6)), rng.choice([-1, 1], 20)
    delta = exact(source, x, y, Linf(eps))
    theta, other = source.params["theta"], target.params["theta"]
    shift = eps * other @ np.sign(theta)
    np.testing.assert_allclose(target.logits(x + delta) - target.logits(x), -y * shift, atol=1e-12)
    both = (y * source.logits(x) > 0) & (y * target.logits(x) > 0)
    found = matrix({"θ": source}, {"θ'": target}, x, y, Linf(eps), exact)
    expected = (y * target.logits(x) < shift)[both].mean() if both.any() else np.nan
    np.testing.assert_equal(found.success[0, 0], expected)


@given(linear_problems(), seeds)
def test_no_noise_beats_the_exact_attack(problem, seed):
    """On a linear model: if noise changes a prediction, so does the exact attack of the same size"""
    args = problem.x, problem.y, problem.threat, exact
    found = matrix({"it": problem.model}, {"it": problem.model}, *args, rng=np.random.default_rng(seed))
    z = problem.model.logits(problem.x)
    clear = found.noise_fooled[0, 0] & (problem.y * z > 1e-4)  # not by rounding
    worst = exact(problem.model, problem.x, problem.y, problem.threat)
    margin = problem.y * problem.model.logits(problem.x + worst)
    assert (margin[clear] <= 1e-4).all()


@few
@given(seeds, st.sampled_from(list(BALLS)), st.booleans())
def test_noise_is_as_large_as_delta(seed, norm, boxed):
    """‖noise_n‖ = ‖δ_n‖ and x + noise in the box, in every norm, example by example"""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.2, 0.8, (6, 10)) if boxed else rng.normal(size=(6, 10))
    boxed |= norm is L0
    threat = norm(BALLS[norm]).within(-9, 9) if norm is L0 else norm(BALLS[norm])
    threat = threat.within(0, 1) if boxed and norm is not L0 else threat
    delta = threat.at(x).project(rng.normal(0, 0.2, x.shape) * rng.integers(0, 2, (6, 1)))
    noise = noise_like(delta, x, threat, rng)
    np.testing.assert_allclose(
        np.linalg.norm(noise, ORDERS[norm], axis=1), np.linalg.norm(delta, ORDERS[norm], axis=1), atol=1e-9
    )
    assert threat.at(x).contains(noise).all()
    assert norm is not Linf or (abs(noise) == abs(noise).max(axis=1, keepdims=True)).all() or boxed


def test_noise_without_a_box_is_refused_for_l0():
    """ℓ0 alone has no largest change"""
    x = np.zeros((2, 3))
    with pytest.raises(ValueError, match="cut it with a box"):
        noise_like(x, x, L0(1), np.random.default_rng(0))


def test_the_noise_is_the_same_for_every_source():
    """Two equal sources have the same control; another seed gives another control"""
    models, x, y = draw(3, n=200)
    net = models["net 0"]
    threat = Linf(0.5).within(0, 1)
    found = matrix({"a": net, "b": net}, {"t": models["net 1"]}, x, y, threat, fgsm)
    np.testing.assert_array_equal(found.noise_fooled[0], found.noise_fooled[1])
    other = matrix({"a": net}, {"t": models["net 1"]}, x, y, threat, fgsm, rng=np.random.default_rng(1))
    assert (other.noise_fooled[0] != found.noise_fooled[0]).any()


def test_a_case_by_hand():
    """θ = (1, 1) attacked with ε = 1, θ' = (1, −2) tested: <θ', sign θ> = −1, so δ moves z' the other way"""
    source, target = LogisticRegression(np.array([1.0, 1.0])), LogisticRegression(np.array([1.0, -2.0]))
    x, y = np.array([[1.5, 0.25], [3.0, 1.0], [1.0, 2.0], [-0.5, 1.0]]), np.array([1, 1, 1, -1])
    found = matrix({"s": source}, {"s": source, "t": target}, x, y, Linf(1.0), exact)
    np.testing.assert_array_equal(found.right_source, [[True, True, True, False]])
    np.testing.assert_array_equal(found.right_target[1], [True, True, False, True])
    np.testing.assert_array_equal(found.fell[0], [True, False, False, True])  # the last one was wrong already
    np.testing.assert_array_equal(found.examples, [[3, 2]])
    np.testing.assert_array_equal(found.success, [[1 / 3, 0]])
    np.testing.assert_array_equal(found.carried, [[1, 0]])
    np.testing.assert_array_equal(found.itself, [1 / 3])


def test_labels_are_enough():
    """A target that has only predict is judged like the model behind it"""
    models, x, y = draw(0)
    victims = {name: Labels(model) for name, model in models.items()}
    one, other = (matrix(models, group, x, y, Linf(0.3), fgsm) for group in (models, victims))
    np.testing.assert_array_equal(one.fooled, other.fooled)
    np.testing.assert_array_equal(one.noise_fooled, other.noise_fooled)


def test_every_task_has_its_own_labels():
    """y by name: the source is attacked, and each target is judged, with its own labels"""
    models, x, y = draw(5, n=60)
    own = {"net 0": y, "net 1": (y + 1) % 3, "net 2": y}
    found = matrix(models, models, x, own, Linf(0.3), fgsm)
    delta = fgsm(models["net 1"], x, own["net 1"], Linf(0.3))
    both = (predict(models["net 1"], x) == own["net 1"]) & (predict(models["net 0"], x) == y)
    assert found.success[1, 0] == (predict(models["net 0"], x + delta) != y)[both].mean()


def test_sources_may_have_their_own_attacks():
    """attack by name; a δ outside Δ counts as a failure"""
    models, x, y = draw(1, n=60)
    attacks = {"net 0": zero, "net 1": fgsm, "net 2": lambda model, x, *_: np.full_like(x, 5.0)}
    found = matrix(models, models, x, y, Linf(0.3), attacks)
    alone = matrix({"net 1": models["net 1"]}, models, x, y, Linf(0.3), fgsm)
    np.testing.assert_array_equal(found.fooled[1], alone.fooled[0])
    assert (predict(models["net 2"], x + 5.0) != y).any()
    assert not found.fooled[2].any()
    assert not found.fell[2].any()


def test_inputs_stay_as_they_are_and_seeds_reproduce():
    """x and y do not change; the same rng gives the same control; models get float32 for float32"""
    models, x, y = draw(2)
    x = x.astype(np.float32)
    seen = []

    class Watching(Labels):
        def predict(self, x):
            seen.append(x.dtype)
            return super().predict(x)

    x_before, y_before = x.copy(), y.copy()
    run = partial(matrix, models, {"t": Watching(models["net 0"])}, x, y, Linf(0.3).within(0, 1), fgsm)
    one, other = (run(rng=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.noise_fooled, other.noise_fooled)
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(y, y_before)
    assert set(seen) == {np.dtype(np.float32)}


def test_mean_and_deviation_over_seeds():
    """By hand: shares 1/2 and 1 give 0.75 ± 0.354; a single seed has no deviation; different names are refused"""
    models, x, y = draw(4, n=40)
    transfers = [matrix(models, models, x, y, Linf(eps), fgsm) for eps in (0.05, 0.3)]
    a, b = (one.success for one in transfers)
    mean, deviation = over_seeds(transfers)
    np.testing.assert_allclose(mean, (a + b) / 2)
    np.testing.assert_allclose(deviation, abs(a - b) / np.sqrt(2), atol=1e-15)
    assert np.isnan(over_seeds(transfers[:1])[1]).all()
    strange = matrix({"x": models["net 0"]}, models, x, y, Linf(0.1), fgsm)
    with pytest.raises(ValueError, match="the same sources"):
        over_seeds([*transfers, strange])
    with pytest.raises(ValueError, match="transfers"):
        over_seeds([])


def test_the_table_has_the_numbers():
    """Per cent, mean ± deviation (control), "itself" first; without ± for one seed"""
    shares = [
        SimpleNamespace(
            sources=("s",),
            targets=("t", "u"),
            success=np.array([[s, 1.0]]),
            control=np.array([[0.02, 0]]),
            itself=np.array([0.9]),
        )
        for s in (0.2, 0.4)
    ]
    header, lines = tabulate(shares)
    assert header[1:] == ["itself", "t", "u"]
    assert lines == [["s", "90.0 ± 0.0", "30.0 ± 14.1 (2.0)", "100.0 ± 0.0 (0.0)"]]
    assert tabulate(shares[:1])[1] == [["s", "90.0", "20.0 (2.0)", "100.0 (0.0)"]]


BAD = {
    "no sources": ({"sources": {}}, ValueError, "sources is empty"),
    "no targets": ({"targets": {}}, ValueError, "targets is empty"),
    "integer images": ({"x": np.zeros((3, 4), int)}, TypeError, "x has dtype"),
    "labels for some": ({"y": {"net 0": np.zeros(12, int)}}, ValueError, "y has nothing for 'net 1', 'net 2'"),
    "attack for some": ({"attack": {"net 0": fgsm}}, ValueError, "attack has nothing for 'net 1'"),
    "a wrong label": ({"y": np.full(12, 9)}, ValueError, "y of 'net 0' holds 9"),
    "x outside the box": ({"threat": Linf(0.1).within(0, 0.01)}, ValueError, "outside the box"),
    "delta of another shape": ({"attack": lambda *_: np.zeros((1, 4))}, ValueError, "the delta of 'net 0'"),
}


@pytest.mark.parametrize(("change", "error", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(change, error, words):
    """An error that names the wrong argument"""
    models, x, y = draw(0)
    given = {"sources": models, "targets": models, "x": x, "y": y, "threat": Linf(0.1), "attack": fgsm} | change
    with pytest.raises(error, match=words):
        matrix(**given)


def test_what_is_no_model_is_named():
    """Neither logits nor predict: a TypeError with the name"""
    models, x, y = draw(0)
    with pytest.raises(TypeError, match=r"targets\['list'\] must have one of logits, probabilities and predict"):
        matrix(models, {"list": []}, x, y, Linf(0.1), fgsm)
    with pytest.raises(ValueError, match=r"y of 'v' has shape \(3,\); one label for each example of x, \(12,\)"):
        matrix({"v": Labels(models["net 0"])}, models, x, {**dict.fromkeys(models, y), "v": y[:3]}, Linf(0.1), zero)


# Decision trees in the form of scikit-learn, grown here so that the laws do not need scikit-learn.


class Tree:
    """A tree with random cuts on a grid of 32nds; ``tree_`` as in scikit-learn; predict follows it for each example."""

    def __init__(self, rng, p=3, k=3, depth=3):
        self.classes_ = np.arange(k)
        self.nodes = []
        self._grow(rng, p, k, depth)
        left, right, feature, threshold, value = zip(*self.nodes, strict=True)
        self.tree_ = SimpleNamespace(
            children_left=np.array(left),
            children_right=np.array(right),
            feature=np.array(feature),
            threshold=np.array(threshold, float),
            value=np.array(value),
        )

    def _grow(self, rng, p, k, depth):
        here = len(self.nodes)
        self.nodes.append(None)
        value = np.eye(k)[rng.integers(k)][None]
        if depth == 0 or rng.random() < 0.2:
            self.nodes[here] = (-1, -1, -2, -2.0, value)
        else:
            feature, cut = rng.integers(p), rng.integers(1, 32) / 32
            left, right = (self._grow(rng, p, k, depth - 1) for _ in range(2))
            self.nodes[here] = (left, right, feature, cut, value)
        return here

    def predict(self, x):
        return np.array([self._leaf(row) for row in x.astype(np.float32)], dtype=int)

    def _leaf(self, row, node=0):
        left, right, feature, cut, value = self.nodes[node]
        if left < 0:
            return value.argmax()
        return self._leaf(row, left if row[feature] <= cut else right)


@few
@given(seeds, st.sampled_from(list(BALLS)), st.booleans(), st.sampled_from([np.float32, np.float64]))
def test_the_tree_attack_is_exact(seed, norm, boxed, dtype):
    """δ fools inside Δ; where δ = 0, no leaf of another class is within reach; no smaller δ fools"""
    rng = np.random.default_rng(seed)
    tree, x = Tree(rng), (rng.integers(0, 64, (8, 3)) / 64 + 1 / 128).astype(dtype)
    y = predictions(tree, x)
    threat = norm(BALLS[norm]).within(0, 1) if boxed or norm is L0 else norm(BALLS[norm])
    delta = tree_attack(tree, x, y, threat)
    assert delta.dtype == dtype
    size, fooled = threat.norm(delta), predictions(tree, x + delta) != y
    assert threat.at(x).contains(delta).all()
    np.testing.assert_array_equal(fooled, size > 0)
    # one point in each cell of the finest grid that the cuts can make: the tree is constant there
    centres = np.array(list(itertools.product(*(_cells(tree, j) for j in range(3)))))
    labels = predictions(tree, ((centres[:, :, 0] + centres[:, :, 1]) / 2).astype(dtype))
    for n in range(len(x)):
        other = centres[labels != y[n]]
        nearest = np.clip(x[n], other[:, :, 0], other[:, :, 1]) - x[n]
        least = threat.norm(nearest).min() if len(other) else np.inf
        if fooled[n]:
            assert least - 1e-9 <= size[n] <= least + 1e-5
        else:
            assert least > threat.radius - 1e-5


def _cells(tree, j):
    """The intervals of [0, 1] between the cuts on feature j."""
    nodes = tree.tree_
    cuts = sorted({0.0, 1.0, *nodes.threshold[(nodes.feature == j) & (nodes.children_left >= 0)]})
    return list(itertools.pairwise(cuts))


def test_the_leaves_are_boxes():
    """By hand: x0 <= 0.5, then x1 <= 0.25; the paths meet in the cuts, and features that are cut twice count once"""
    nodes = SimpleNamespace(
        children_left=np.array([1, -1, 3, -1, 5, -1, -1]),
        children_right=np.array([2, -1, 4, -1, 6, -1, -1]),
        feature=np.array([0, -2, 1, -2, 0, -2, -2]),
        threshold=np.array([0.5, -2, 0.25, -2, 0.75, -2, -2]),
        value=np.eye(2)[[0, 0, 0, 1, 0, 0, 1]][:, None],
    )
    found = {(*a,): (int(k), f, (*b,)) for k, f, a, b in leaves(SimpleNamespace(tree_=nodes, classes_=np.arange(2)))}
    inf = np.inf
    assert found == {
        (-inf,): (0, [0], (0.5,)),
        (0.5, -inf): (1, [0, 1], (inf, 0.25)),
        (0.5, 0.25): (0, [0, 1], (0.75, inf)),
        (0.75, 0.25): (1, [0, 1], (inf, inf)),
    }


def test_a_tree_that_is_wrong_already_or_constant_is_left_alone():
    """δ = 0 where nothing has to be done, or nothing can be done"""
    rng = np.random.default_rng(0)
    tree, x = Tree(rng, depth=4), rng.random((10, 3))
    assert not tree_attack(tree, x, predictions(tree, x) + 1, Linf(0.5)).any()
    stump = Tree(rng, depth=0)
    assert not tree_attack(stump, x, predictions(stump, x), Linf(0.5)).any()


# Soft neighbours


@pytest.fixture
def neighbours():
    rng = np.random.default_rng(0)
    return SoftNeighbours(rng.random((30, 2, 2)), np.arange(30) % 3, temperature=0.5)


def test_soft_neighbours_are_their_formula(neighbours):
    """z_k = log Σ exp(−‖x − x_i‖² / T), and its gradients by differences"""
    x = np.random.default_rng(1).random((5, 2, 2))
    for k in range(3):
        distances = ((x[:, None] - neighbours.params[f"class {k}"].reshape(-1, 2, 2)) ** 2).sum(axis=(2, 3))
        np.testing.assert_allclose(neighbours.logits(x)[:, k], np.log(np.exp(-distances / 0.5).sum(axis=1)))
    z, pull = neighbours.vjp_x(x)
    dz, step, h = np.random.default_rng(2).normal(size=z.shape), np.random.default_rng(3).normal(size=x.shape), 1e-6
    slope = (dz * (neighbours.logits(x + h * step) - neighbours.logits(x - h * step))).sum() / (2 * h)
    np.testing.assert_allclose((pull(dz) * step).sum(), slope, rtol=1e-6)


@few
@given(seeds)
def test_cold_soft_neighbours_are_the_nearest_one(seed):
    """T → 0: the largest logit is the class of the nearest training example"""
    rng = np.random.default_rng(seed)
    x, y = rng.random((20, 3)), rng.permutation(np.arange(20) % 4)
    queries = rng.random((30, 3))
    nearest = y[((queries[:, None] - x) ** 2).sum(axis=2).argmin(axis=1)]
    np.testing.assert_array_equal(predict(SoftNeighbours(x, y, temperature=1e-7), queries), nearest)


def test_soft_neighbours_keep_float32_and_can_be_attacked(neighbours):
    """PGD raises the loss; the dtype is kept"""
    x = np.random.default_rng(1).random((5, 2, 2)).astype(np.float32)
    y = predict(neighbours, x)
    delta = pgd(neighbours, x, y, Linf(0.2), steps=10)
    assert delta.dtype == neighbours.logits(x).dtype == np.float32
    rise = neighbours.loss.value(neighbours.logits(x + delta), y) - neighbours.loss.value(neighbours.logits(x), y)
    assert (rise > 0).all()


def test_soft_neighbours_refuse_bad_input():
    """The temperature must not be 0, and every class needs an example"""
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="temperature = 0"):
        SoftNeighbours(x, np.arange(3), temperature=0)
    with pytest.raises(ValueError, match="class 1 has no example"):
        SoftNeighbours(x, np.array([0, 2, 2]))


# With scikit-learn


@pytest.fixture(scope="module")
def techniques():
    """Fitted techniques on three blobs of images, and labelled examples."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.linear_model import LogisticRegression as Logistic
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    y = np.arange(150) % 3
    x = np.clip(rng.random((3, 2, 2, 1))[y] + rng.normal(0, 0.1, (150, 2, 2, 1)), 0, 1).astype(np.float32)
    made = {
        "LR": Logistic(),
        "SVM": LinearSVC(),
        "tree": DecisionTreeClassifier(random_state=0),
        "kNN": KNeighborsClassifier(3),
    }
    return {name: one.fit(x.reshape(150, -1), y) for name, one in made.items()}, x, y


def test_linear_scores_are_the_techniques_own(techniques):
    """z = the decision function; its largest entry gives the label of predict"""
    models, x, _ = techniques
    for name in ("LR", "SVM"):
        scores = linear_scores(models[name])
        np.testing.assert_allclose(scores.logits(x), models[name].decision_function(x.reshape(150, -1)), rtol=1e-5)
        np.testing.assert_array_equal(predict(scores, x), predictions(models[name], x))


def test_the_tree_attack_reads_scikit_learns_trees(techniques):
    """Exact on a fitted tree: it fools inside Δ, and smaller random δ never do"""
    models, x, y = techniques
    tree, threat = models["tree"], Linf(0.3).within(0, 1)
    delta = tree_attack(tree, x, y, threat)
    size = threat.norm(delta)
    assert (size > 0).any()
    np.testing.assert_array_equal(predictions(tree, x + delta) != y, size > 0)
    shorter = np.where(size > 0, size, threat.radius)[:, None, None, None] * 0.999
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = np.clip(x + shorter * rng.uniform(-1, 1, x.shape).astype(np.float32), 0, 1)
        np.testing.assert_array_equal(predictions(tree, other), y)


def test_techniques_in_the_matrix(techniques):
    """Models of scikit-learn as sources and targets, each with its own attack, judged by their own predict"""
    models, x, y = techniques
    soft, threat = SoftNeighbours(x, y, 0.1), Linf(0.25).within(0, 1)
    attacks = {
        **{name: lambda model, *given: pgd(linear_scores(model), *given) for name in ("LR", "SVM")},
        "tree": tree_attack,
        "kNN": lambda _, *given: pgd(soft, *given),
    }
    found = matrix(models, models, x, y, threat, attacks)
    assert (found.itself > found.control.max()).all()
    delta = pgd(linear_scores(models["LR"]), x, y, threat)
    changed = models["kNN"].predict((x + delta).reshape(150, -1)) != y
    np.testing.assert_array_equal(found.fooled[0, 3], changed)
