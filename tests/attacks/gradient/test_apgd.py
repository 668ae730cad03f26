"""Laws of Auto-PGD."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks.gradient.apgd import _checkpoints, _halve_where_stuck, _initial_state, apgd
from scratchadv.attacks.gradient.best import nothing_found
from scratchadv.attacks.linear import exact
from scratchadv.losses import cross_entropy, dlr, logistic, margin, targeted_dlr
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.models.watched import Watched
from scratchadv.parallel import limit
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems, radii

BALLS = [Linf(0.2), L2(0.4), L1(0.6)]
THREATS = [*BALLS, *(ball.within(0, 1) for ball in [*BALLS, L0(2)])]


class Bumpy:
    """The sum of z = sin(ωx): a model with many local maxima."""

    loss = logistic

    def __init__(self, omega):
        self.params = {"omega": omega}

    def logits(self, x):
        return np.sin(x @ self.params["omega"].astype(x.dtype)).sum(axis=1)

    def vjp_x(self, x):
        omega = self.params["omega"].astype(x.dtype)
        return self.logits(x), lambda dz: dz[:, None] * (np.cos(x @ omega) @ omega.T)


class Peaks:
    """z = −|x − a| for the first component of each row and one number a; the loss is L = z."""

    def __init__(self, a):
        self.a, self.params, self.loss = a, {}, self

    value = staticmethod(lambda z, y: z)
    grad = staticmethod(lambda z, y: np.ones_like(z))

    def logits(self, x):
        return -abs(x[:, 0] - self.a)

    def vjp_x(self, x):
        return self.logits(x), lambda dz: np.sign(self.a - x) * dz[:, None]


@pytest.fixture
def bumpy():
    """A bumpy model, 20 examples in [0, 1]⁵ and labels that it predicts."""
    rng = np.random.default_rng(3)
    model = Bumpy(4 * rng.standard_normal((5, 3)))
    x = rng.random((20, 5))
    return model, x, np.where(model.logits(x) >= 0, 1, -1)


@pytest.fixture
def net():
    """A network with curvature and four classes, 23 examples in [0, 1]⁶ and labels."""
    rng = np.random.default_rng(5)
    return MLP((6, 8, 4), "tanh", rng=rng, dtype=np.float64), rng.random((23, 6)), rng.integers(0, 4, 23)


def rng(seed=0):
    return np.random.default_rng(seed)


def loss(model, x, y, delta, of=None):
    return (of or model.loss).value(model.logits(x + delta), y)


def tolerance(x):
    return 1e-4 if x.dtype == np.float32 else 1e-9


def history(model, x, y, threat, **options):
    """The iterates, their losses and their step sizes, each of shape (steps + 1, N, ...)."""
    seen = []
    delta = apgd(model, x, y, threat, callback=seen.append, **options)
    return delta, *(np.array([getattr(one, name) for one in seen]) for name in ("delta", "loss", "step_size"))


@settings(deadline=None, max_examples=50)
@given(linear_problems())
def test_apgd_is_exact_on_linear_models(problem):
    """From zero it reaches the loss of the exact attack, for every norm, with and without the box"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    found, best = (loss(model, x, y, attack(model, x, y, threat)) for attack in (apgd, exact))
    assert (found <= best + tolerance(x)).all()
    clean = loss(model, x, y, 0 * x)
    assert (found >= best - tolerance(x) - 0.02 * (best - clean)).all()


@settings(deadline=None)
@given(linear_problems(threats=radii.map(Linf) | radii.map(L2) | radii.map(lambda eps: Linf(eps).within(0, 1))))
def test_one_step_is_exact_to_rounding_on_linear_models(problem):
    """A first step of 2 ε, projected, is the best point for ℓ∞ and ℓ2, and for ℓ∞ with the box"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    found = loss(model, x, y, apgd(model, x, y, threat, steps=1))
    np.testing.assert_allclose(found, loss(model, x, y, exact(model, x, y, threat)), atol=tolerance(x))


def test_the_checkpoints_are_those_of_the_paper():
    """p = 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99; w_j = ceil(p_j N)"""
    assert sorted(_checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(_checkpoints(10)) == [3, 5, 6, 7, 8, 9, 10]
    assert sorted(_checkpoints(1)) == [1]


def reference(model, x, y, eps, steps):
    """Algorithm 1 for one example in ℓ∞ without a box, step by step; returns the iterates and the step sizes."""

    def f(delta):
        return loss(model, x, y, delta)[0]

    def g(delta):
        z, pull = model.vjp_x(x + delta)
        return pull(model.loss.grad(z, y))

    p, w = [0, 22], [0]
    while p[-1] < 100:
        p.append(p[-1] + max(p[-1] - p[-2] - 3, 6))
    w = [int(np.ceil(pj * steps / 100 - 1e-9)) for pj in p if pj < 100]
    eta, etas, deltas, values = 2 * eps, [], [np.zeros_like(x)], [f(0 * x)]
    top, top_delta, tops, eta_at = values[0], deltas[0], {0: values[0]}, {0: 2 * eps}
    j, delta, before = 1, deltas[0], deltas[0]
    for k in range(steps):
        if j < len(w) and k == w[j]:
            rises = sum(values[i + 1] > values[i] for i in range(w[j - 1], w[j]))
            first = rises < 0.75 * (w[j] - w[j - 1])
            second = eta_at[j - 1] == eta and tops[j - 1] == top
            tops[j], eta_at[j] = top, eta
            if first or second:
                eta, delta = eta / 2, top_delta
            j += 1
        z = np.clip(delta + eta * np.sign(g(delta)), -eps, eps)
        new = z if k == 0 else np.clip(delta + 0.75 * (z - delta) + 0.25 * (delta - before), -eps, eps)
        before, delta = delta, new
        deltas.append(delta)
        values.append(f(delta))
        etas.append(eta)
        if values[-1] > top:
            top, top_delta = values[-1], delta
    return np.array(deltas)[:, 0], np.array(etas)


def test_it_is_algorithm_1(bumpy):
    """δ[k] and η[k] of every example are those of the algorithm run on it alone (torchattacks issue 12)"""
    model, x, y = bumpy
    _, deltas, _, etas = history(model, x, y, Linf(0.2), steps=40)
    sizes = set()
    for i in range(len(x)):
        expected, eta = reference(model, x[i : i + 1], y[i : i + 1], 0.2, 40)
        np.testing.assert_allclose(deltas[:, i], expected, atol=1e-12)
        np.testing.assert_allclose(etas[1:, i], eta, rtol=1e-15)
        sizes.add(tuple(eta))
    assert len(sizes) > 3


def test_the_two_conditions():
    """Halved after 20 steps: with fewer than 15 rises, or with the best loss of a checkpoint that did not halve"""
    rises = np.array([14, 15, 15, 15, 15])
    halved = np.array([False, False, False, True, True])
    record = np.array([1.0, 1.0, 2.0, 2.0, 1.0])
    x = np.zeros((5, 1))
    state = _initial_state(x, None, None, None, Linf(0.2), x + 1, nothing_found(x))
    state = state._replace(rises=rises, halved=halved, record=record, top_value=np.full(5, 2.0), top=x + 2)
    found = _halve_where_stuck(state, 20)
    stuck = [True, False, True, False, False]
    np.testing.assert_array_equal(found.halved, stuck)
    np.testing.assert_array_equal(found.eta, np.where(stuck, 0.2, 0.4))
    np.testing.assert_array_equal(found.delta[:, 0], np.where(stuck, 2, 1))
    assert not found.rises.any()
    np.testing.assert_array_equal(found.record, 2)


def test_a_peak_within_reach_is_found_to_the_last_step_size():
    """L = −|x − a|: the best iterate is as near to a as the smallest step"""
    model, x, y = Peaks(0.3137), np.zeros((1, 1)), np.array([1])
    delta, _, values, etas = history(model, x, y, Linf(1.0), steps=100)
    assert abs(delta[0, 0] - 0.3137) <= etas[-1, 0]
    assert etas[-1, 0] <= 2.0**-6
    np.testing.assert_array_equal(model.logits(x + delta), values.max(axis=0))


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_every_iterate_is_inside_and_the_best_is_returned(threat, bumpy):
    """δ[k] in Δ(x) for all k; the returned δ has the highest loss seen, δ = 0 included"""
    model, x, y = bumpy
    delta, deltas, values, _ = history(model, x, y, threat, steps=9, restarts=2, rng=rng())
    assert deltas.shape == (2 * 10, *x.shape)
    for iterate, value in zip(deltas, values, strict=True):
        assert threat.at(x).contains(iterate).all()
        np.testing.assert_array_equal(value, loss(model, x, y, iterate))
    clean = loss(model, x, y, 0 * x)
    np.testing.assert_array_equal(loss(model, x, y, delta), np.maximum(values.max(axis=0), clean))


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_more_restarts_are_not_weaker(threat, bumpy):
    """With the same seed the first of four starts is that of one: the loss can only grow, example by example"""
    model, x, y = bumpy
    one, four = (loss(model, x, y, apgd(model, x, y, threat, steps=6, restarts=n, rng=rng())) for n in (1, 4))
    assert (four >= one).all()


def test_restarts_are_chosen_example_by_example(bumpy):
    """The loss of two starts together is the larger of the two alone, in each example (ART pull request 765)"""
    model, x, y = bumpy
    starts = Linf(0.2).sample(rng(1), np.zeros((2, *x.shape)))
    alone = [loss(model, x, y, apgd(model, x, y, Linf(0.2), steps=5, start=start)) for start in starts]
    together = loss(model, x, y, apgd(model, x, y, Linf(0.2), steps=5, start=starts, restarts=2))
    np.testing.assert_array_equal(together, np.maximum(*alone))


@pytest.mark.parametrize("options", [{}, {"until_wrong": True}, {"target": True}], ids=str)
@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.4).within(0, 1), L1(0.6).within(0, 1)], ids=str)
def test_batch_order_split_and_chunks_do_not_matter(threat, options, net):
    """apgd(x[π]) = apgd(x)[π], a batch = its parts = its chunks, given the same starts and targets"""
    model, x, y = net
    start = threat.sample(rng(), x)

    def run(part):
        changed = {"target": ((y + 1) % 4)[part]} if "target" in options else {}
        return apgd(model, x[part], y[part], threat, steps=8, start=start[part], **(options | changed))

    with limit(chunk=len(x)):
        whole = run(slice(None))
        for part in (rng(1).permutation(len(x)), slice(0, 7), slice(7, 23)):
            np.testing.assert_allclose(run(part), whole[part], atol=1e-10)
    with limit(threads=3, chunk=4):
        np.testing.assert_allclose(run(slice(None)), whole, atol=1e-10)


@settings(deadline=None)
@given(linear_problems(), st.integers(0, 2**32 - 1), st.booleans())
def test_apgd_keeps_the_conventions(problem, seed, until_wrong):
    """Seeded, inside Δ(x), not below the clean loss, dtype and shape of x, nothing changed in place"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    before = x.copy()
    options = {"steps": 3, "restarts": 2, "until_wrong": until_wrong}
    first, second = (apgd(model, x, y, threat, rng=rng(seed), **options) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert threat.at(x).contains(first).all()
    assert (first.dtype, first.shape) == (x.dtype, x.shape)
    assert until_wrong or (loss(model, x, y, first) >= loss(model, x, y, 0 * x)).all()
    np.testing.assert_array_equal(x, before)


def test_until_wrong_falls_where_any_iterate_is_wrong(net):
    """An example falls iff one of its iterates is misclassified, which the best loss alone may miss"""
    model, x, y = net
    y = labels_of(model.logits(x))
    threat = Linf(0.15)
    start = threat.sample(rng(2), x)
    _, deltas, _, _ = history(model, x, y, threat, steps=12, start=start)
    wrong = np.array([labels_of(model.logits(x + delta)) != y for delta in deltas])
    delta = apgd(model, x, y, threat, steps=12, start=start, until_wrong=True)
    fallen = labels_of(model.logits(x + delta)) != y
    np.testing.assert_array_equal(fallen, wrong.any(axis=0))
    np.testing.assert_allclose(delta[fallen], deltas[wrong.argmax(axis=0), range(len(x))][fallen], atol=1e-12)
    assert 0 < fallen.sum() < len(x)


def test_until_wrong_asks_no_more_of_what_has_fallen(net):
    """Examples that are misclassified already cost one evaluation and keep δ = 0 (torchattacks issue 51)"""
    model, x, _ = net
    watched, y = Watched(model), (labels_of(model.logits(x)) + 1) % 4
    with limit(threads=1, chunk=len(x)):
        delta = apgd(watched, x, y, Linf(0.1), steps=50, rng=rng(), until_wrong=True)
    assert not delta.any()
    assert watched.asked == 1 + len(x)  # the one evaluation checks the labels


def test_until_wrong_with_a_target_rests_at_any_wrong_label(net):
    """An example that is fooled on the way to its target stays there, whichever label it has"""
    model, x, _ = net
    y = labels_of(model.logits(x))
    target = model.logits(x).argmin(axis=1)
    wrong = [
        labels_of(model.logits(x + apgd(model, x, y, Linf(0.4), steps=20, target=target, until_wrong=until))) != y
        for until in (True, False)
    ]
    assert wrong[0][wrong[1]].all()
    assert wrong[0].any()


@pytest.mark.parametrize("of", [dlr, margin, cross_entropy])
def test_other_losses_are_climbed(of, net):
    """loss=…: higher than the clean loss, where the model is right"""
    model, x, _ = net
    y = labels_of(model.logits(x))
    delta = apgd(model, x, y, Linf(0.1), loss=of, steps=10)
    assert (loss(model, x, y, delta, of) > loss(model, x, y, 0 * x, of)).all()


def test_a_target_makes_dlr_the_targeted_one(net):
    """loss=dlr with a target maximises (z_t − z_y) / (…), not a difference of two ratios"""
    model, x, y = net
    target = (y + 1) % 4
    found, expected = (apgd(model, x, y, L2(0.3), loss=of, target=target, steps=5) for of in (dlr, targeted_dlr))
    np.testing.assert_array_equal(found, expected)
    pairs = np.stack([y, target], axis=1)
    assert (loss(model, x, pairs, found, targeted_dlr) > loss(model, x, pairs, 0 * x, targeted_dlr)).all()


def test_apgd_is_not_weaker_than_its_first_step_and_one_example_is_enough(net):
    """More steps pass through the iterates of fewer steps, up to the first checkpoint: N = 1 is the first of N = 50"""
    model, x, y = net
    one, many = (loss(model, x[:1], y[:1], apgd(model, x[:1], y[:1], L2(0.3), steps=n)) for n in (1, 50))
    assert many >= one > loss(model, x[:1], y[:1], 0)


def test_zero_gradients_leave_zero():
    """θ = 0: δ = 0, no NaN and no warning; from random starts a feasible δ"""
    model, x, y = LogisticRegression(np.zeros(4)), np.full((2, 4), 0.25), np.array([1, -1])
    for threat in THREATS:
        with np.errstate(all="raise"):
            assert not apgd(model, x, y, threat).any()
        assert threat.at(x).contains(apgd(model, x, y, threat, rng=rng())).all()


def test_a_float64_model_does_not_widen_float32_images():
    """float32 images, float64 weights: δ is float32 (ART issue 366)"""
    model, x, y = LogisticRegression(np.array([1.0, -2.0])), np.full((3, 2), 0.5, np.float32), np.array([1, -1, 1])
    for threat in (L2(0.3).within(0, 1), Linf(0.1), L1(0.3)):
        assert apgd(model, x, y, threat, rng=rng(), restarts=2).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"restarts": 0}, ValueError, "restarts = 0 must be >= 1"),
        ({"restarts": 3}, ValueError, "restarts = 3 from the same start would all be identical"),
        ({"start": np.zeros((1, 5))}, ValueError, r"start has shape \(1, 1, 5\); \(1, 20, 5\) was expected"),
        ({"target": np.zeros(20)}, ValueError, "target holds 0; the labels of a binary model are -1 and"),
        ({"loss": targeted_dlr}, ValueError, "TargetedDLR needs the labels to reach: pass target"),
        ({"loss": dlr}, ValueError, "needs 3 classes, not one logit"),
        ({"callback": print, "until_wrong": True}, ValueError, "callback sees whole batches"),
        ({"x": np.full((20, 5), np.nan)}, ValueError, "x holds nan"),
    ],
)
def test_bad_options_are_refused(change, error, message, bumpy):
    """The message names the value and what was expected"""
    model, x, y = bumpy
    with pytest.raises(error, match=message):
        apgd(model, **({"x": x, "y": y, "threat": Linf(0.1)} | change))
