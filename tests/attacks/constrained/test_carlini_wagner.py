"""Laws of the attacks of Carlini and Wagner."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from scratchadv.attacks import exact
from scratchadv.attacks.constrained.carlini_wagner import carlini_wagner
from scratchadv.losses import logistic, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.parallel import limit
from scratchadv.sets import L0, L1, L2, Linf

NORMS = [L2, Linf, L0]
PIXELS, CLASSES = 12, 3


@pytest.fixture
def problem():
    """A small network, 12 images of 3 × 4 with some pixels at 0 and 1, their correct labels, and other targets."""
    rng = np.random.default_rng(1)
    model = MLP((PIXELS, 16, CLASSES), "tanh", rng=rng, dtype=np.float64)
    for name in ("1.weight", "3.weight"):
        model.params[name] *= 3
    x = np.clip(rng.uniform(-0.5, 1.5, (12, 3, 4, 1)), 0, 1)
    y = predict(model, x)
    return model, x, y, (y + rng.integers(1, CLASSES, len(y))) % CLASSES


def moved(delta):
    return (delta != 0).reshape(len(delta), -1).any(axis=1)


def linear_problem(seed, n=8, dtype=np.float64):
    """Logistic regression on ten pixels, some of them exactly 0 or 1, with the labels that it predicts."""
    rng = np.random.default_rng(seed)
    model = LogisticRegression(3 * rng.standard_normal(10).astype(dtype), 0.3)
    x = np.clip(rng.uniform(-0.4, 1.4, (n, 10)), 0, 1).astype(dtype)
    return model, x, predict(model, x)


def critical_eps(norm, model, x, y):
    """The smallest ε at which the exact attack in ball ∩ box crosses z = 0, by bisection; infinite if there is none."""
    crossing = np.full(len(x), np.inf)
    for i in range(len(x)):

        def crossed(eps, x=x[i : i + 1], y=y[i : i + 1]):
            return (y * model.logits(x + exact(model, x, y, norm(eps).within(0, 1))) < 0).all()

        low, high = 0.0, 10.0
        if crossed(high):
            for _ in range(40):
                middle = (low + high) / 2
                low, high = (low, middle) if crossed(middle) else (middle, high)
            crossing[i] = high
    return crossing


def fewest(model, x, y):
    """The number of components that must move to cross z = 0, best first; infinite if all of them do not suffice."""
    gain = np.maximum(-y[:, None] * model.params["theta"] * (1 - x), y[:, None] * model.params["theta"] * x)
    total = np.cumsum(-np.sort(-gain, axis=1), axis=1)
    need = abs(model.logits(x))
    return np.where(total[:, -1] > need, 1 + (total <= need[:, None]).sum(axis=1), np.inf)


# Answers that are known


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 10_000))
@pytest.mark.parametrize("norm", [L2, Linf])
def test_without_a_box_it_is_the_distance_of_the_hyperplane(norm, seed):
    """‖δ‖ = |z| / ‖θ‖_* to 2 %, and never below."""
    model, x, y = linear_problem(seed)
    x = 2 * x - 1
    y = predict(model, x)
    distance = abs(model.logits(x)) / norm(1).support(model.params["theta"][None])
    delta = carlini_wagner(model, x, y, norm=norm, box=None, steps=150)
    assert moved(delta).all()
    size = norm.norm(delta)
    assert (size >= distance * (1 - 1e-9)).all()
    assert (size <= 1.02 * distance + 1e-6).all()


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 10_000))
@pytest.mark.parametrize("norm", [L2, Linf])
def test_in_the_box_it_is_the_critical_eps(norm, seed):
    """‖δ‖ is within 2 % of the smallest ε at which the exact attack in ball ∩ box fools (pixels at 0 and 1 move)."""
    model, x, y = linear_problem(seed)
    smallest = critical_eps(norm, model, x, y)
    delta = carlini_wagner(model, x, y, norm=norm, steps=150)
    np.testing.assert_array_equal(moved(delta), np.isfinite(smallest))
    size, smallest = norm.norm(delta)[moved(delta)], smallest[moved(delta)]
    assert (size >= smallest * (1 - 1e-6)).all()
    assert (size <= 1.02 * smallest + 1e-6).all()


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 10_000))
def test_l0_is_near_the_fewest_components(seed):
    """‖δ‖₀ is at least the fewest components that cross the boundary, at most two more, and mostly the same."""
    model, x, y = linear_problem(seed)
    least = fewest(model, x, y)
    delta = carlini_wagner(model, x, y, norm=L0, steps=100)
    np.testing.assert_array_equal(moved(delta), np.isfinite(least))
    more = L0.norm(delta)[moved(delta)] - least[moved(delta)]
    assert (more >= 0).all()
    assert (more <= 2).all()


def test_the_helper_critical_eps():
    """z = 2 x₁ − x₂ − 0.5 at (1, 0.5): 1 / ‖θ‖_* while the box leaves room; for ℓ∞ by a linear program."""
    model, x, y = LogisticRegression(np.array([2.0, -1.0]), -0.5), np.array([[1.0, 0.5]]), np.array([1])
    np.testing.assert_allclose(critical_eps(L2, model, x, y), 1 / np.sqrt(5), rtol=1e-6)
    np.testing.assert_allclose(critical_eps(Linf, model, x, y), 1 / 3, rtol=1e-6)
    assert fewest(model, x, y) == [1]
    model, x, y = linear_problem(0)
    for i, eps in enumerate(critical_eps(Linf, model, x, y)):
        # minimise t with −t <= δ_j <= t, the box, and −y θ·δ >= y z
        p, side = x.shape[1], y[i] * np.append(model.params["theta"], 0)[None]
        ends = np.concatenate([np.eye(x.shape[1]), -np.ones((p, 1))], axis=1)
        a = np.concatenate([ends, ends * np.append(-np.ones(p), 1), side])
        b = np.append(np.zeros(2 * p), -y[i] * model.logits(x[i : i + 1]))
        found = linprog(np.append(np.zeros(p), 1), a, b, bounds=[*zip(-x[i], 1 - x[i], strict=True), (0, None)])
        assert found.success == np.isfinite(eps)
        if found.success:
            np.testing.assert_allclose(eps, found.fun, rtol=1e-6)


def test_a_case_by_hand():
    """z = x₁ − 0.5 at x = (1, 1) and (0, 0): the smallest change is (∓0.5, 0), from the edge of the box."""
    model = LogisticRegression(np.array([1.0, 0.0]), -0.5)
    x, y = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([1, -1])
    for norm in (L2, Linf):
        np.testing.assert_allclose(norm.norm(carlini_wagner(model, x, y, norm=norm)), 0.5, rtol=0.02)
    delta = carlini_wagner(model, x, y, norm=L0)
    assert (delta[:, 1] == 0).all()
    assert (abs(delta[:, 0]) >= 0.5).all()


# The conventions


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("box", [(0, 1), None])
def test_what_comes_back_fools_in_the_box(problem, norm, targeted, box):
    """δ ≠ 0 fools (hits its target) when predicted again, 0 <= x + δ <= 1, x is untouched (Foolbox issue 674).

    Pixels that are exactly 0 or 1 move too: atanh(±1) is infinite, which froze them in other implementations.
    """
    model, x, y, t = problem
    before = x.copy()
    delta = carlini_wagner(model, x, y, target=t if targeted else None, norm=norm, box=box, steps=60)
    label = predict(model, x + delta)
    assert moved(delta).all()
    assert (label == t if targeted else label != y).all()
    if box:
        assert ((x + delta >= 0) & (x + delta <= 1)).all()
        at_an_edge = (x == 0) | (x == 1)
        assert norm is L0 or (delta[at_an_edge] != 0).any()
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("norm", NORMS)
def test_each_norm_is_smallest_in_its_own_attack(problem, norm):
    """The mean ‖δ‖ of the attack for a norm is below that of the other two."""
    model, x, y, _ = problem
    size = {other: norm.norm(carlini_wagner(model, x, y, norm=other, steps=100)).mean() for other in NORMS}
    assert min(size, key=size.get) is norm


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targeted", [False, True])
def test_confidence_is_kept(problem, norm, targeted):
    """The wrong logit wins by at least κ, and for ℓ2 and ℓ∞ by little more."""
    model, x, y, t = problem
    delta = carlini_wagner(model, x, y, target=t if targeted else None, norm=norm, confidence=0.5, box=None, steps=100)
    z = model.logits(x + delta)
    wins = -margin.value(z, t) if targeted else margin.value(z, y)
    assert moved(delta).all()
    assert (wins >= 0.5).all()
    assert norm is L0 or (wins <= 0.6).all()


def test_confidence_moves_what_is_misclassified_by_less():
    """z = −0.1 with y = +1 is fooled already; with κ = 0.5 there is 0.4 left to go, and none for z = −0.9."""
    model, x, y = LogisticRegression(np.array([1.0])), np.array([[-0.1], [-0.9]]), np.array([1, 1])
    assert not carlini_wagner(model, x, y, box=None).any()
    np.testing.assert_allclose(carlini_wagner(model, x, y, confidence=0.5, box=None), [[-0.4], [0]], rtol=0.02)


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_fooled_already_stays(problem, norm):
    """Misclassified, or at the target already: δ = 0 (torchattacks issue 51)."""
    model, x, y, t = problem
    assert not carlini_wagner(model, x, t, norm=norm).any()
    assert not carlini_wagner(model, x, t, target=y, norm=norm).any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [(0, 1), None])
def test_what_cannot_be_fooled_stays(norm, box):
    """Constant models, and a class that never wins in the box: δ = 0 and no NaN (ART issue 368; Foolbox issue 175)."""
    x = np.full((2, PIXELS), 0.25)
    constant = LogisticRegression(np.zeros(PIXELS), 1.0)
    for y in ([1, 1], [-1, -1], [1, -1]):
        np.testing.assert_array_equal(carlini_wagner(constant, x, np.array(y), norm=norm, box=box, steps=20), 0 * x)
    if box:
        far = LogisticRegression(np.ones(PIXELS), 5.0)
        assert not carlini_wagner(far, x, np.array([1, 1]), norm=norm, steps=50).any()


class Bumpy:
    """z = Σ sin(ωx), row by row: the rounding of a whole batch's product depends on its size, and Adam amplifies it."""

    loss = logistic

    def __init__(self, omega):
        self.params = {"omega": omega}

    def logits(self, x):
        return np.sin(self._turns(x)).sum(axis=1)

    def vjp_x(self, x):
        omega = self.params["omega"]
        return self.logits(x), lambda dz: dz[:, None] * (np.cos(self._turns(x))[:, None] * omega).sum(axis=2)

    def _turns(self, x):
        return (x[:, :, None] * self.params["omega"]).sum(axis=1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targeted", [False, True])
def test_batch_order_and_split_do_not_matter(norm, targeted):
    """carlini_wagner(x[π]) = carlini_wagner(x)[π], and a batch = its parts (torchattacks issue 12)."""
    rng = np.random.default_rng(3)
    model, x = Bumpy(4 * rng.standard_normal((5, 3))), rng.random((12, 5))
    y = predict(model, x)
    options = {"norm": norm, "steps": 20, "target": -y if targeted else None}
    whole = carlini_wagner(model, x, y, **options)
    assert moved(whole).any()
    for part in (rng.permutation(len(x)), slice(0, 1), slice(1, 12)):
        chosen = options | {"target": -y[part] if targeted else None}
        np.testing.assert_allclose(carlini_wagner(model, x[part], y[part], **chosen), whole[part], atol=1e-12)
    with limit(chunk=5, threads=2):
        np.testing.assert_allclose(carlini_wagner(model, x, y, **options), whole, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(norm, dtype):
    """float32 stays float32, even on a float64 model, and fools the model in it (ART issue 366)."""
    model, x, y = linear_problem(3)
    x = x.astype(dtype)
    delta = carlini_wagner(model, x, y, norm=norm, box=(np.zeros(10), np.ones(10)), steps=40)
    assert delta.dtype == dtype
    assert moved(delta).any()
    assert (predict(model, x + delta) != y)[moved(delta)].all()


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_the_scale_of_the_logits_does_not_matter_much(norm):
    """Logits times 100 or 0.01: c adapts, and the size is the same to 5 % (ℓ0: to one component)."""
    size = []
    for scale in (0.01, 1, 100):
        model, x, y = linear_problem(5)
        model.params = {name: scale * a for name, a in model.params.items()}
        size.append(norm.norm(carlini_wagner(model, x, y, norm=norm)).astype(float))
    for other in (size[0], size[2]):
        np.testing.assert_allclose(other, size[1], **({"atol": 1} if norm is L0 else {"rtol": 0.05}))


@pytest.mark.parametrize("norm", NORMS)
def test_pixels_without_room_stay(norm):
    """A box given by arrays, without width in the first component: δ₁ = 0 and δ₂ <= −0.25 at z = 5 x₁ + x₂ − 1.5."""
    model, x, y = LogisticRegression(np.array([5.0, 1.0]), -1.5), np.array([[0.25, 0.5]]), np.array([1])
    delta = carlini_wagner(model, x, y, norm=norm, box=(np.array([0.25, 0.0]), np.array([0.25, 1.0])))
    assert delta[0, 0] == 0
    assert -0.5 <= delta[0, 1] <= -0.25


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"norm": L1}, ValueError, "norm = .*L1.*; L2 or Linf or L0 was expected"),
        ({"norm": "l2"}, ValueError, "norm = 'l2'"),
        ({"confidence": -1}, ValueError, "confidence = -1 must be finite and >= 0"),
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"searches": 0}, ValueError, "searches = 0 must be >= 1"),
        ({"c": 0}, ValueError, r"c = 0\.0 must be > 0"),
        ({"box": (0.5, 1)}, ValueError, "outside the box"),
        ({"target": np.full(12, 3)}, ValueError, "target holds 3; labels in"),
    ],
)
def test_bad_options_are_refused(problem, change, error, message):
    """The message names the value and what was expected."""
    model, x, y, _ = problem
    with pytest.raises(error, match=message):
        carlini_wagner(model, x, y, **change)


def test_three_classes_of_which_two_are_near(problem):
    """The untargeted δ is no longer than the nearer of the two targeted ones, to 10 % in the mean."""
    model, x, y, _ = problem
    targeted = [L2.norm(carlini_wagner(model, x, y, target=(y + i) % CLASSES)) for i in (1, 2)]
    untargeted = L2.norm(carlini_wagner(model, x, y))
    assert untargeted.mean() <= 1.1 * np.minimum(*targeted).mean()
