"""Laws of the saliency map attack."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchadv.attacks.constrained.jsma import best_pair, jsma, saliency_map
from scratchadv.losses import cross_entropy
from scratchadv.models import MLP, LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import predict
from scratchadv.parallel import limit

PIXELS, CLASSES = 12, 3


def linear(weight, bias=0.0):
    """z = x W + b in float64."""
    model = SoftmaxRegression(*weight.shape, dtype=np.float64)
    model.params["1.weight"] = weight.astype(float)
    model.params["1.bias"] = np.broadcast_to(bias, weight.shape[1]).astype(float)
    return model


@pytest.fixture
def problem():
    """A small network, 20 images of 3 × 4 with some pixels at 0 and 1, their correct labels, and other targets."""
    rng = np.random.default_rng(1)
    model = MLP((PIXELS, 16, CLASSES), "tanh", rng=rng, dtype=np.float64)
    for name in ("1.weight", "3.weight"):
        model.params[name] *= 3
    x = np.clip(rng.uniform(-0.5, 1.5, (20, 3, 4, 1)), 0, 1)
    y = predict(model, x)
    return model, x, y, (y + rng.integers(1, CLASSES, len(y))) % CLASSES


def changed(delta):
    return (delta != 0).reshape(len(delta), -1).sum(axis=1)


# One step


def test_the_best_pair_by_hand():
    """α = (3, 1, −1, 2), γ = (−2, 1, 5, −1): both sums are positive at (0, 2), with 2 · 3, and (2, 3), with 1 · 4."""
    # sums of α: 01: 4, 02: 2, 03: 5, 12: 0, 13: 3, 23: 1; of γ: 01: −1, 02: 3, 03: −3, 12: 6, 13: 0, 23: 4
    alpha, gamma = np.array([[3.0, 1, -1, 2]]), np.array([[-2.0, 1, 5, -1]])
    assert [a.tolist() for a in best_pair(alpha, gamma, alpha > -9)] == [[0], [2], [True]]
    # without component 0 only (2, 3), with 1 · 4, has two positive sums
    assert [a.tolist() for a in best_pair(alpha, gamma, np.arange(4)[None] > 0)] == [[2], [3], [True]]
    assert best_pair(alpha, gamma, np.arange(4)[None] > 1)[2].all()
    assert not best_pair(alpha, gamma, np.arange(4)[None] > 2)[2].any()


@st.composite
def candidates(draw):
    """α, γ and which components are free, with many ties, in float32 or float64."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    numbers = st.integers(-3, 3) | st.floats(-1, 1, width=32)
    alpha, gamma = (draw(hnp.arrays(dtype, shape, elements=numbers)) for _ in range(2))
    return alpha, gamma, draw(hnp.arrays(bool, shape, elements=st.booleans() | st.just(True)))


@settings(deadline=None, max_examples=150)
@given(candidates())
def test_the_best_pair_is_that_of_all_pairs(what):
    """(α_p + α_q)(γ_p + γ_q) of the pair is the largest of all P (P − 1) / 2, and a pair is found iff one exists."""
    alpha, gamma, free = (a.astype(float) if a.dtype != bool else a for a in what)
    p, q, found = best_pair(*what)
    for i in range(len(alpha)):
        sums = {
            (a, b): (alpha[i, a] + alpha[i, b], gamma[i, a] + gamma[i, b])
            for a, b in combinations(np.flatnonzero(free[i]), 2)
        }
        products = {pair: a * g for pair, (a, g) in sums.items() if a > 1e-6 and g > 1e-6}
        if products:
            assert found[i]
            assert (p[i], q[i]) in products
            np.testing.assert_allclose(products[p[i], q[i]], max(products.values()), rtol=1e-4)
        elif not any(a > 0 and g > 0 for a, g in sums.values()):
            assert not found[i]


def test_the_best_pair_of_many():
    """The same for 200 random components of which most are left out, and for 200 without any pair."""
    rng = np.random.default_rng(0)
    alpha, gamma = rng.standard_normal((2, 30, 200))
    alpha[15:], gamma[15:] = np.linspace(0, 1, 200), 1 - np.linspace(0, 1, 200) ** rng.uniform(1, 3, (15, 1))
    p, q, found = best_pair(alpha, gamma, np.ones(alpha.shape, dtype=bool))
    a, g = (v[:, :, None] + v[:, None, :] for v in (alpha, gamma))
    products = np.where((a > 0) & (g > 0), a * g, 0)
    products[:, np.arange(200), np.arange(200)] = 0
    assert found.all()
    np.testing.assert_allclose(products[np.arange(30), p, q], products.max(axis=(1, 2)), rtol=1e-12)


def test_tiny_derivatives_are_not_lost():
    """In float32 α and γ of 1e-30, whose product underflows, give the same pair as α and γ of 1."""
    alpha, gamma = np.array([[0.3, 1, -1, 0.5]], np.float32), np.array([[0.2, 0.1, 1, 1]], np.float32)
    free = np.ones(alpha.shape, dtype=bool)
    tiny = np.float32(1e-30)
    for a, b in zip(best_pair(tiny * alpha, tiny * gamma, free), best_pair(alpha, gamma, free), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_step_by_hand():
    """W = [[1, 0], [0, −2], [1, −1], [−1, 1]], t = 0: α = (1, 0, 1, −1), β = (0, −2, −1, 1), largest −αβ at (1, 2)."""
    # −αβ: 01: 1·2, 02: 2·1, 03: no, 12: 1·3, 13: no (α = −1), 23: no; with pixel 1 at the edge 02 is left
    model = linear(np.array([[1, 0], [0, -2], [1, -1], [-1, 1]]), [0.0, 2.5])
    x, y, t = np.full((2, 4), 0.25), np.array([1, 1]), np.array([0, 0])
    x[1, 1] = 1
    # z = (0.25, 2.5 − 0.5 = 2), then (0.5, 1 …): a step of 0.75 at (1, 2) gives z = (1, −0.25)
    found = jsma(model, x[:1], y[:1], target=t[:1], theta=0.75, upsilon=0.5)
    np.testing.assert_array_equal(found, [[0, 0.75, 0.75, 0]])
    # z = (0.25, 0.5), and 0.75 at (0, 2) gives (1.75, −0.25)
    found = jsma(model, x[1:], y[1:], target=t[1:], theta=0.75, upsilon=0.5)
    np.testing.assert_array_equal(found, [[0.75, 0, 0.75, 0]])


def test_decreasing_is_increasing_the_negative(problem):
    """jsma with θ < 0 on f(x) is −jsma with −θ on f(1 − x)."""
    rng = np.random.default_rng(2)
    weight, x = rng.standard_normal((PIXELS, CLASSES)), rng.integers(0, 9, (20, PIXELS)) / 8
    model, mirror = linear(weight), linear(-weight, weight.sum(axis=0))
    y = predict(model, x)
    for target in (None, (y + 1) % CLASSES):
        down = jsma(model, x, y, target=target, theta=-0.5, upsilon=0.7)
        up = jsma(mirror, 1 - x, y, target=target, theta=0.5, upsilon=0.7)
        assert changed(down).any()
        np.testing.assert_array_equal(down, -up)


# The attack


@pytest.mark.parametrize("of", ["logits", "probabilities"])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("theta", [1.0, -1.0, 0.3, -0.3])
@pytest.mark.parametrize("upsilon", [0.2, 0.6, 1.0])
def test_what_comes_back_fools_within_box_and_budget(problem, of, targeted, theta, upsilon):
    """δ ≠ 0 fools; 0 <= x + δ <= 1; δ has the sign of θ; 2⌊PΥ/2⌋ components, Σ|δ| <= |θ| 2⌊PΥ/2⌋.

    ART issue 196 (the budget was ignored), Foolbox issue 674 (a success that predicting again does not confirm).
    """
    model, x, y, t = problem
    target = t if targeted else None
    before = x.copy()
    delta = jsma(model, x, y, target=target, theta=theta, upsilon=upsilon, of=of)
    label, moved = predict(model, x + delta), changed(delta) > 0
    assert (label == t if targeted else label != y)[moved].all()
    assert ((x + delta >= 0) & (x + delta <= 1)).all()
    assert (theta * delta >= 0).all()
    budget = 2 * int(PIXELS * upsilon / 2)
    assert (changed(delta) <= budget).all()
    assert (abs(delta).reshape(len(x), -1).sum(axis=1) <= abs(theta) * budget + 1e-12).all()
    np.testing.assert_array_equal(x, before)


def test_theta_one_moves_to_the_edge(problem):
    """θ = 1 in [0, 1]: each component stays or becomes 1."""
    model, x, y, t = problem
    delta = jsma(model, x, y, target=t, upsilon=1)
    assert changed(delta).any()
    assert ((delta == 0) | (x + delta == 1)).all()


def test_a_component_in_reach_moves_again():
    """θ = 0.25 moves the one useful pair until it fools (twice), and no pair beyond the edge (CleverHans issue 221)."""
    model = linear(np.array([[1, -1], [1, -1], [0, 0], [0, 0]]), [0.0, 2.5])
    x, y, t = np.array([[0.25, 0.25, 0, 0]]), np.array([1]), np.array([0])
    # z₀ − z₁ = 2 (x₀ + x₁) − 2.5 = −1.5 at x, −0.5 after one step, 0.5 after two
    np.testing.assert_array_equal(jsma(model, x, y, target=t, theta=0.25, upsilon=1), np.array([[0.5, 0.5, 0, 0]]))
    assert not jsma(model, x, y, target=t, theta=0.25, upsilon=0.5).any()  # one step is too few
    model.params["1.bias"][1] = 9  # out of reach: pixels 0 and 1 saturate, and then the map is zero
    assert not jsma(model, x, y, target=t, theta=0.25, upsilon=1).any()
    # but not without a box: z₀ − z₁ = 1 − 9 + 4 · 2.5
    np.testing.assert_array_equal(
        jsma(model, x, y, target=t, theta=2.5, upsilon=1, box=None), np.array([[2.5, 2.5, 0, 0]])
    )


def test_a_zero_saliency_map_ends_the_attack():
    """Zero gradients, or no pair with the right signs: δ = 0 after one evaluation (CleverHans issue 221)."""
    for weight in (np.zeros((4, 2)), np.tile([-1.0, 1.0], (4, 1))):
        model = linear(weight, [0.0, 1.0])
        calls = []
        vjp_x = model.vjp_x
        model.vjp_x = lambda x, pull=vjp_x, calls=calls: calls.append(len(x)) or pull(x)
        x = np.full((3, 2, 2), 0.5)
        y, t = np.ones(3, int), np.zeros(3, int)
        with limit(chunk=3):
            assert not jsma(model, x, y, target=t, upsilon=1).any()
        assert calls == [3]


def test_what_is_fooled_already_stays(problem):
    """Misclassified, or at the target already: δ = 0 (torchattacks issue 51)."""
    model, x, y, t = problem
    assert not jsma(model, x, t).any()
    assert not jsma(model, x, t, target=y).any()
    constant = linear(np.zeros((PIXELS, CLASSES)), [1.0, 0, 0])
    for label in (0, 1):
        assert not jsma(constant, x, np.full(len(x), label)).any()


def test_a_binary_model_is_one_of_two_classes():
    """z with labels ±1 = logits (−z/2, z/2) with labels 0, 1."""
    rng = np.random.default_rng(3)
    theta, x = rng.standard_normal(PIXELS), rng.random((20, PIXELS))
    binary, pair = LogisticRegression(theta), linear(np.stack([-theta / 2, theta / 2], axis=1))
    y = predict(binary, x)
    assert (changed(jsma(binary, x, y, upsilon=0.6)) > 0).any()
    for of in ("logits", "probabilities"):
        for sign in (1, -1):
            expected = jsma(pair, x, (y + 1) // 2, theta=sign, of=of, upsilon=0.6)
            np.testing.assert_array_equal(jsma(binary, x, y, theta=sign, of=of, upsilon=0.6), expected)
            np.testing.assert_array_equal(jsma(binary, x, y, target=-y, theta=sign, of=of, upsilon=0.6), expected)
            maps = (
                saliency_map(binary, x, -y, theta=sign, of=of),
                saliency_map(pair, x, (1 - y) // 2, theta=sign, of=of),
            )
            np.testing.assert_allclose(*maps, atol=1e-12)


def test_probabilities_of_sure_examples_do_not_underflow():
    """Logits times 1000 in float32: F_t rounds to 0, and the pairs are the same."""
    rng = np.random.default_rng(4)
    weight, x = rng.standard_normal((PIXELS, CLASSES)), rng.random((20, PIXELS), dtype=np.float32)
    y = predict(linear(weight), x)
    t = (y + 1) % CLASSES
    sure = jsma(linear(1000 * weight), x, y, target=t, upsilon=1, of="probabilities")
    assert changed(sure).any()
    assert sure.dtype == np.float32


def test_batch_order_and_split_do_not_matter(problem):
    """jsma(x[π]) = jsma(x)[π], and a batch = its parts (torchattacks issue 12)."""
    model, x, y, t = problem
    whole = jsma(model, x, y, target=t, upsilon=0.6)
    for part in (np.random.default_rng(1).permutation(len(x)), slice(0, 1), slice(1, 20)):
        np.testing.assert_allclose(jsma(model, x[part], y[part], target=t[part], upsilon=0.6), whole[part], atol=1e-15)
    with limit(chunk=3, threads=2):
        np.testing.assert_allclose(jsma(model, x, y, target=t, upsilon=0.6), whole, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(problem, dtype):
    """float32 stays float32, even with arrays as bounds and θ from NumPy (ART issue 366)."""
    model, x, y, t = problem
    x = x.astype(dtype)
    box = np.zeros(x.shape[1:]), np.ones(x.shape[1:])
    assert jsma(model, x, y, target=t, upsilon=0.6).any()
    assert jsma(model, x, y, target=t, theta=np.float64(0.5), upsilon=0.6, box=box).dtype == dtype
    assert saliency_map(model, x, t).dtype == dtype


# Pictures


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_the_saliency_map_is_the_formula(problem, of):
    """S⁺ = ∂F_t |Σ ∂F_j| where ∂F_t > 0 > Σ ∂F_j, and S⁻ with the opposite signs, by differences of F."""
    model, x, _, t = problem

    def f(x):
        z = model.logits(x)
        return z if of == "logits" else np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    alpha, beta = np.zeros((2, *x.shape))
    rows, h = np.arange(len(x)), 1e-6
    for i in np.ndindex(x.shape[1:]):
        e = np.zeros(x.shape[1:])
        e[i] = h
        d = (f(x + e) - f(x - e)) / (2 * h)
        alpha[:, *i] = d[rows, t]
        beta[:, *i] = d.sum(axis=1) - d[rows, t]
    plus, minus = saliency_map(model, x, t, of=of), saliency_map(model, x, t, theta=-0.1, of=of)
    np.testing.assert_allclose(plus, np.where((alpha > 0) & (beta < 0), -alpha * beta, 0), atol=1e-7)
    np.testing.assert_allclose(minus, np.where((alpha < 0) & (beta > 0), -alpha * beta, 0), atol=1e-7)
    assert plus.shape == x.shape
    assert (plus > 0).any()
    assert (minus > 0).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"theta": 0}, ValueError, r"theta = 0\.0 must not be 0"),
        ({"theta": np.nan}, ValueError, "theta.* = nan must be finite"),
        ({"upsilon": 14.5}, ValueError, r"upsilon = 14\.5 must be <= 1"),
        ({"of": "F"}, ValueError, "of = 'F'; 'logits' or 'probabilities'"),
        ({"box": (0.5, 1)}, ValueError, "outside the box"),
        ({"target": np.full(20, 3)}, ValueError, "target holds 3; labels in"),
        ({"target": np.zeros(20)}, TypeError, "target has dtype float64"),
    ],
)
def test_bad_options_are_refused(problem, change, error, message):
    """The message names the value and what was expected."""
    model, x, y, _ = problem
    with pytest.raises(error, match=message):
        jsma(model, x, y, **change)


def test_the_helper_linear_is_linear():
    """z = x W + b"""
    weight = np.arange(6.0).reshape(3, 2)
    x = np.array([[1.0, 0, 2]])
    np.testing.assert_array_equal(linear(weight, [1, -1]).logits(x), x @ weight + [1, -1])
    assert cross_entropy is SoftmaxRegression.loss
