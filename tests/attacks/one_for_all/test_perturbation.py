"""Laws of universal perturbations: one δ for many examples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import deepfool
from scratchadv.attacks.one_for_all.mean_gradient import universal_gradient
from scratchadv.attacks.one_for_all.perturbation import applied, fooling_rate, universal
from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of, predict
from scratchadv.parallel import limit
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems, norm_balls

BALLS = [Linf(0.3), L2(0.6), L1(1.0)]
THREATS = [*BALLS, *(ball.within(0, 1) for ball in BALLS)]


class Sloped:
    """Three classes on one line: z = (2 (0.5 − s), 0, 2 (s − 1)) with s = x₀; the model counts the gradients."""

    loss = cross_entropy

    def __init__(self):
        self.params, self.gradients = {}, 0

    def logits(self, x):
        s = x[:, 0]
        return np.stack([1 - 2 * s, 0 * s, 2 * s - 2], axis=1)

    def vjp_x(self, x):
        self.gradients += 1
        ahead = np.eye(1, x.shape[1], dtype=x.dtype)
        return self.logits(x), lambda dz: (2 * dz[:, 2:] - 2 * dz[:, :1]) * ahead


@pytest.fixture
def problem():
    """A small tanh network, 40 examples in [0, 1], and the labels that it predicts."""
    rng = np.random.default_rng(2)
    network = MLP((6, 8, 3), "tanh", rng=rng, dtype=np.float64)
    for name in network.params:
        network.params[name] = 3 * network.params[name]
    x = rng.random((40, 2, 3))
    return network, x, predict(network, x)


def mean_loss(model, x, y, delta, box=None, loss=None):
    return (loss or model.loss).value(model.logits(x + applied(delta, x, box)), y).mean()


def ball_of(threat):
    return threat.ball


def both(model, x, y, threat, **options):
    """Both forms on the same examples."""
    yield universal(model, x, threat, passes=2, batch_size=10, **options)
    yield universal_gradient(model, x, y, threat, epochs=2, batch_size=10, **options)


# Laws of both forms


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_delta_in_the_ball_and_nothing_changed(problem, threat, dtype):
    """δ has shape (1, *D), the dtype of x and ‖δ‖ <= ε; what is applied to x lies in Δ(x); x is not changed"""
    model, x, y = problem
    x = x.astype(dtype)
    before = x.copy()
    for delta in both(model, x, y, threat, rng=np.random.default_rng(0)):
        assert (delta.shape, delta.dtype) == ((1, 2, 3), dtype)
        assert ball_of(threat).contains(delta).all()
        assert abs(delta).max() > 0
        assert threat.at(x).contains(applied(delta, x, threat.box)).all()
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("threat", [L2(0.6), L2(0.6).within(0, 1)], ids=str)
def test_the_same_seed_gives_the_same_delta(problem, threat):
    """The same seed gives the same δ, and another order of the examples another δ"""
    model, x, y = problem
    one, same, other = (tuple(both(model, x, y, threat, rng=np.random.default_rng(seed))) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert all(abs(a - b).max() > 0 for a, b in zip(one, other, strict=True))


def test_constant_models_leave_delta_zero():
    """θ = 0: no δ fools, no loss rises, nothing is NaN"""
    model, x = LogisticRegression(np.zeros(4)), np.full((3, 4), 0.25)
    for threat in THREATS:
        for delta in both(model, x, np.array([1, -1, 1]), threat):
            np.testing.assert_array_equal(delta, np.zeros((1, 4)))


@pytest.mark.parametrize("threat", THREATS[:2], ids=str)
def test_a_target_is_reached_more_often_than_without(problem, threat):
    """#{k̂(x + δ) = target} > #{k̂(x) = target}"""
    model, x, y = problem
    target = np.full(len(x), 2)
    x, y, target = x[y != 2], y[y != 2], target[y != 2]
    wide = type(threat)(2 * threat.eps)
    for delta in both(model, x, y, wide, target=target, rng=np.random.default_rng(0)):
        assert (predict(model, x + delta) == target).mean() > 0.2


# The gradient form


@settings(deadline=None)
@given(linear_problems(threats=norm_balls | st.floats(0, 2).map(Linf).map(lambda ball: ball.within(0, 1))))
def test_for_one_class_of_a_linear_model_the_optimum_is_reached(problem):
    """δ* = argmax <−yθ, δ> for all x of class y, so no δ has a higher mean loss, and the gradient form reaches it"""
    model, x, threat = problem.model, problem.x, problem.threat
    y = np.full(len(x), problem.y[0])
    best = ball_of(threat).linear_max(-y[0] * model.params["theta"].astype(x.dtype)[None])
    found = universal_gradient(model, x, y, threat, epochs=3, batch_size=2)
    losses = [mean_loss(model, x, y, delta, threat.box) for delta in (found, best)]
    np.testing.assert_allclose(*losses, atol=1e-4 if x.dtype == np.float32 else 1e-9)


def test_two_classes_of_a_linear_model_pull_apart():
    """With equal margins on both sides the gradients cancel, and δ = 0 is a saddle that only unequal batches leave"""
    model = LogisticRegression(np.array([1.0, -1.0]))
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, -1])
    np.testing.assert_array_equal(universal_gradient(model, x, y, Linf(0.5), batch_size=2), np.zeros((1, 2)))
    x, y = np.concatenate([x, x[:1]]), np.append(y, 1)
    np.testing.assert_array_equal(universal_gradient(model, x, y, Linf(0.5), batch_size=3), [[-0.5, 0.5]])


@settings(deadline=None)
@given(linear_problems(threats=norm_balls))
def test_for_all_classes_no_more_than_for_each(problem):
    """max_δ of the mean over classes <= the mean of the max_δ of each class: the more universal, the weaker"""
    model, x, y, ball = problem.model, problem.x, problem.y, problem.threat
    theta = model.params["theta"].astype(x.dtype)[None]
    each = np.concatenate([ball.linear_max(-label * theta) for label in y])
    for_all = mean_loss(model, x, y, universal_gradient(model, x, y, ball, batch_size=2))
    assert for_all <= mean_loss(model, x, y, each) + (1e-4 if x.dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"alpha": 50.0}, {"normalized": False, "alpha": 5.0}, {"loss": margin}], ids=str
)
def test_the_best_epoch_is_kept(problem, threat, options):
    """keep="loss": mean L(δ) = max over the epochs and δ = 0, whatever the step size"""
    model, x, y = problem
    seen = [mean_loss(model, x, y, 0 * x[:1], threat.box, options.get("loss"))]

    def callback(iterate):
        assert (iterate.restart, iterate.step) == (0, len(seen))
        assert ball_of(threat).contains(iterate.delta).all()
        mean = mean_loss(model, x, y, iterate.delta, threat.box, options.get("loss"))
        np.testing.assert_allclose(iterate.loss, mean)
        seen.append(iterate.loss)

    given_ = {"epochs": 4, "batch_size": 7, "callback": callback, **options}
    delta = universal_gradient(model, x, y, threat, keep="loss", **given_)
    assert len(seen) == 5
    found = mean_loss(model, x, y, delta, threat.box, options.get("loss"))
    np.testing.assert_allclose(found, max(seen), rtol=1e-12)


def test_a_plain_step_is_the_formula(problem):
    """δ = P(α (1/m) Σ ∇L) after one epoch of one batch"""
    model, x, y = problem
    z, pull = model.vjp_x(x)
    g = pull(cross_entropy.grad(z, y)).mean(axis=0, keepdims=True)
    delta = universal_gradient(model, x, y, L2(10), epochs=1, batch_size=40, alpha=0.01, normalized=False)
    np.testing.assert_allclose(delta, 0.01 * g, atol=1e-12)


def test_what_the_box_takes_away_does_not_count():
    """x₀ = 0 cannot be fooled: only the example that can counts, and δ₀ rises until both could be fooled"""
    model = LogisticRegression(np.array([1.0, -1.0]))
    x, y = np.array([[0.0, 0.5], [0.0, 0.5]]), np.array([1, 1])
    delta = universal_gradient(model, x, y, L2(0.3).within(0, 1))
    np.testing.assert_allclose(delta, [[0, 0.3]], atol=1e-12)  # all of the length, where there is room


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_and_threads_do_not_matter(problem, threads):
    """δ is the same up to rounding for every chunk size and number of threads"""
    model, x, y = problem
    threat = L2(0.6).within(0, 1)
    with limit(chunk=len(x)):
        whole = universal_gradient(model, x, y, threat, batch_size=20)
    with limit(threads=threads, chunk=3):
        np.testing.assert_allclose(universal_gradient(model, x, y, threat, batch_size=20), whole, atol=1e-10)


def test_examples_of_one_batch_may_come_in_any_order(problem):
    """With one batch of all examples δ(x[π]) = δ(x)"""
    model, x, y = problem
    order = np.random.default_rng(0).permutation(len(x))
    first, second = (
        universal_gradient(model, a, b, L2(0.6), batch_size=len(x)) for a, b in ((x, y), (x[order], y[order]))
    )
    np.testing.assert_allclose(first, second, atol=1e-9)


def test_misclassified_examples_are_ascended_like_all(problem):
    """Wrong labels: the mean loss alone is higher than at δ = 0; otherwise no success is given up for it"""
    model, x, y = problem
    wrong = (y + 1) % 3
    delta = universal_gradient(model, x, wrong, Linf(0.3))
    assert (labels_of(model.logits(x + delta)) != wrong).all()
    delta = universal_gradient(model, x, wrong, Linf(0.3), keep="loss")
    assert mean_loss(model, x, wrong, delta) > mean_loss(model, x, wrong, 0 * x[:1])


# Moosavi-Dezfooli's algorithm


def test_one_pass_by_hand():
    """x₀ = 0 and 0.25, boundaries at 0.5 and 1: the first adds 0.5, which fools the second, so that is skipped"""
    model, x = Sloped(), np.array([[0.0, 0.0], [0.25, 0.0]])
    assert predict(model, x).tolist() == [0, 0]
    delta = universal(model, x, L2(1.0), rate=1, passes=1)
    np.testing.assert_allclose(delta, [[0.5 * 1.02, 0]])
    first_step = universal(model, x[::-1], L2(1.0), rate=1, passes=1)
    np.testing.assert_allclose(first_step, [[1.02 * 0.25 + 1.02 * (0.5 - 1.02 * 0.25), 0]])


def test_it_is_the_paper_example_by_example(problem):
    """batch_size = 1: δ ← P(δ + DeepFool(x_i + δ)) for each i that is not fooled, in the order of the examples"""
    model, x, y = problem
    ball, v = L2(0.3), np.zeros((1, 2, 3))
    for i in range(len(x)):
        one = x[i : i + 1]
        if predict(model, one + v) == y[i]:
            v = ball.project(v + deepfool(model, one + v, y[i : i + 1], box=None, steps=10))
    last = []
    universal(model, x, ball, rate=1, passes=1, callback=lambda iterate: last.append(iterate.delta))
    np.testing.assert_allclose(last[0], v, atol=1e-12)


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("batch_size", [1, 8, 100])
def test_the_pass_of_the_highest_fooling_rate_is_kept(problem, threat, batch_size):
    """rate(δ) = max over the passes; the passes end when the requested rate is reached"""
    model, x, _ = problem
    seen = []

    def callback(iterate):
        assert (iterate.restart, iterate.step) == (0, len(seen) + 1)
        assert ball_of(threat).contains(iterate.delta).all()
        assert iterate.fooling_rate == fooling_rate(model, x, iterate.delta, threat.box)
        seen.append(iterate.fooling_rate)

    options = {"passes": 3, "batch_size": batch_size, "callback": callback}
    delta = universal(model, x, threat, rate=1, rng=np.random.default_rng(0), **options)
    assert len(seen) == 3 or seen[-1] == 1
    assert fooling_rate(model, x, delta, threat.box) == max(seen) > 0
    asked, seen = max(seen), []
    universal(model, x, threat, rate=asked, rng=np.random.default_rng(0), **options)
    assert all(rate < asked for rate in seen[:-1])
    assert seen[-1] == asked


def test_in_a_wide_ball_the_fooling_rate_is_reached(problem):
    """1 − δ = 0.8 of the examples are fooled within the passes where ε leaves room"""
    model, x, _ = problem
    assert fooling_rate(model, x, universal(model, x, L2(20.0))) >= 0.8


def test_one_example_is_deepfool(problem):
    """N = 1: δ is DeepFool's own"""
    model, x, y = problem
    delta = universal(model, x[:1], L2(20.0), rate=1)
    np.testing.assert_array_equal(delta, deepfool(model, x[:1], y[:1], box=None, steps=10))
    assert fooling_rate(model, x[:1], delta) == 1


# The change that is applied, and the rate


@given(linear_problems(threats=norm_balls.map(lambda ball: ball.within(0, 1))), st.integers(0, 99))
def test_what_is_applied_lies_in_the_box_and_the_ball(problem, seed):
    """clip(x + δ, [0, 1]) − x lies in Δ(x) for every δ of the ball, and is the nearest change that the box allows"""
    x, threat = problem.x, problem.threat
    delta = threat.ball.sample(np.random.default_rng(seed), x[:1])
    change = applied(delta, x, (0, 1))
    assert threat.at(x).contains(change).all()
    np.testing.assert_allclose(x + change, np.clip(x + delta, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(applied(delta, x), np.repeat(delta, len(x), axis=0))


def test_the_fooling_rate_counts_changed_predictions():
    """By hand: two of four predictions change, whether they were right or wrong"""
    x = np.array([[0.0], [0.4], [0.6], [2.0]])
    assert fooling_rate(Sloped(), x, np.array([[0.45]])) == 0.5  # 0.4 → 0.85 and 0.6 → 1.05
    assert fooling_rate(Sloped(), x, np.array([[0.45], [0.0], [0.0], [0.0]])) == 0
    assert fooling_rate(Sloped(), x[:3], np.array([[0.45]]), (0, 1)) == 1 / 3  # 0.6 → 1 is a tie: class 0 wins


# Invalid arguments


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size = 0 must be >= 1"),
        ({"target": np.array([0, 7])}, ValueError, r"target holds 7; labels in 0\.\.2 were expected"),
        ({"threat": L0(2)}, TypeError, r"Linf or L2 or L1 or Range was expected"),
        ({"threat": L0(2).within(0, 1)}, TypeError, r"Linf or L2 or L1 or Range was expected"),
        ({"x": np.array([[0, 1], [1, 0]])}, TypeError, "x has dtype int64"),
        ({"x": np.array([[0.5, np.nan], [0, 0]])}, ValueError, "x holds nan"),
        ({"threat": L2(1).within(0, 0.25)}, ValueError, r"x holds 0\.5, outside the box \[0, 0\.25\]"),
    ],
)
def test_bad_input_is_refused_before_any_gradient(change, error, message):
    """The message names the value and what was expected"""
    model = Sloped()
    given = {"x": np.array([[0.0, 0.5], [0.5, 0.0]]), "threat": L2(1.0)} | change
    with pytest.raises(error, match=message):
        universal(model, **given)
    with pytest.raises(error, match=message):
        universal_gradient(model, y=np.array([0, 1]), **given)
    assert model.gradients == 0


@pytest.mark.parametrize(
    ("attack", "change", "message"),
    [
        (universal, {"passes": 0}, "passes = 0 must be >= 1"),
        (universal, {"rate": -0.5}, r"rate = -0\.5 must be finite and >= 0"),
        (universal_gradient, {"y": np.array([0, 1]), "epochs": 0}, "epochs = 0 must be >= 1"),
        (universal_gradient, {"y": np.array([0, 1]), "alpha": -1.0}, r"alpha = -1\.0 must be finite"),
        (universal_gradient, {"y": np.array([0, 3])}, "y holds 3"),
    ],
)
def test_bad_options_are_refused(attack, change, message):
    """Each form has its own options"""
    model = Sloped()
    with pytest.raises(ValueError, match=message):
        attack(model, np.array([[0.0, 0.5], [0.5, 0.0]]), threat=L2(1.0), **change)
    assert model.gradients == 0


def test_a_delta_of_another_shape_is_refused():
    """δ is (1, *D) or (N, *D), and x lies inside its box"""
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"delta has shape \(2, 2\); \(1, 2\) or the shape of x was expected"):
        applied(np.zeros((2, 2)), x)
    with pytest.raises(ValueError, match="outside the box"):
        applied(np.zeros((1, 2)), x - 1, (0, 1))


def test_a_binary_model_will_do():
    """One logit and labels −1/+1: both forms reverse the predictions of one class"""
    model, x = LogisticRegression(np.array([1.0, 2.0]), -1.0), np.array([[1.0, 1.0], [2.0, 0.5], [1.5, 0.25]])
    y = np.array([1, 1, 1])
    for delta in (universal(model, x, L2(3.0), rate=1), universal_gradient(model, x, y, L2(3.0))):
        assert (predict(model, x + delta) == -1).all()
    assert logistic.value(model.logits(x), y).max() < 1
