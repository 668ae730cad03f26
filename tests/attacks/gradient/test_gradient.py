"""Laws of FGSM and PGD."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import exact, fgsm, pgd
from scratchadv.layers import Dense, Dropout, Flatten
from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import MLP, LogisticRegression, Network, SoftmaxRegression
from scratchadv.parallel import limit
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems, radii


class Bumpy:
    """The sum of z = sin(ωx): a model with many local maxima, to see what an attack does off the linear case."""

    loss = logistic

    def __init__(self, omega):
        self.params = {"omega": omega}
        self.gradients = 0

    def logits(self, x):
        return np.sin(x @ self.params["omega"].astype(x.dtype)).sum(axis=1)

    def vjp_x(self, x):
        self.gradients += 1
        omega = self.params["omega"].astype(x.dtype)
        return self.logits(x), lambda dz: dz[:, None] * (np.cos(x @ omega) @ omega.T)


@pytest.fixture
def bumpy():
    """A bumpy model, 20 examples in [0, 1]⁵ and labels that it predicts."""
    rng = np.random.default_rng(3)
    model = Bumpy(4 * rng.standard_normal((5, 3)))
    x = rng.random((20, 5))
    return model, x, np.where(model.logits(x) >= 0, 1, -1)


BALLS = [Linf(0.2), L2(0.4), L1(0.6)]
THREATS = [*BALLS, *(ball.within(0, 1) for ball in [*BALLS, L0(2)])]


def loss(model, x, y, delta):
    return model.loss.value(model.logits(x + delta), y)


def iterates_of(model, x, y, threat, **options):
    iterates = []
    pgd(model, x, y, threat, callback=lambda iterate: iterates.append(iterate.delta), **options)
    return iterates


def tolerance(x):
    return 1e-4 if x.dtype == np.float32 else 1e-9


# FGSM


@given(linear_problems())
def test_fgsm_is_exact_on_linear_models(problem):
    """FGSM reaches the same loss as the exact attack (slide "Fast Gradient Sign Method", the note)."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    found, best = (loss(model, x, y, attack(model, x, y, threat)) for attack in (fgsm, exact))
    np.testing.assert_allclose(found, best, atol=tolerance(x))


def test_fgsm_is_eps_times_the_sign_of_the_gradient(bumpy):
    """δ = ε sign(∇_x L), with a single gradient."""
    model, x, y = bumpy
    z, pull = model.vjp_x(x)
    g = pull(logistic.grad(z, y))
    model.gradients = 0
    with limit(threads=1, chunk=len(x)):
        np.testing.assert_array_equal(fgsm(model, x, y, Linf(0.1)), 0.1 * np.sign(g))
    assert model.gradients == 1


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_a_target_maximises_the_difference_of_two_losses(attack, bumpy):
    """target=t means the loss L(y) − L(t) (slide "Targeted Attacks")."""
    model, x, y = bumpy

    class Difference:
        def value(self, z, y):
            return logistic.value(z, y) - logistic.value(z, -y)

        def grad(self, z, y):
            return logistic.grad(z, y) - logistic.grad(z, -y)

    expected = attack(model, x, y, Linf(0.1), loss=Difference())
    np.testing.assert_array_equal(attack(model, x, y, Linf(0.1), target=-y), expected)


# PGD


@settings(deadline=None)
@given(linear_problems())
def test_pgd_is_exact_on_linear_models(problem):
    """PGD from zero reaches the loss of the exact attack, for every norm, with and without the box."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    found, best = (loss(model, x, y, attack(model, x, y, threat)) for attack in (pgd, exact))
    assert (found <= best + tolerance(x)).all()
    clean = loss(model, x, y, 0 * x)
    assert (found >= best - tolerance(x) - 0.02 * (best - clean)).all()


@given(linear_problems(threats=radii.map(Linf) | radii.map(L2) | radii.map(lambda eps: Linf(eps).within(0, 1))))
def test_pgd_is_exact_to_rounding_on_linear_models(problem):
    """For ℓ∞ and ℓ2, and for ℓ∞ with the box, nothing is lost at all."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    found, best = (loss(model, x, y, attack(model, x, y, threat)) for attack in (pgd, exact))
    np.testing.assert_allclose(found, best, atol=tolerance(x))


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("normalized", [True, False])
def test_every_iterate_is_inside_and_the_best_is_returned(threat, normalized, bumpy):
    """δ[t] in Δ(x) for all t; the returned δ has the highest loss seen, and is never worse than δ = 0."""
    model, x, y = bumpy
    seen = []

    def callback(iterate):
        assert (iterate.restart, iterate.step) == divmod(len(seen), 7 + 1)
        assert threat.at(x).contains(iterate.delta).all()
        np.testing.assert_array_equal(iterate.loss, loss(model, x, y, iterate.delta))
        seen.append(iterate.loss)

    options = {"steps": 7, "restarts": 2, "rng": np.random.default_rng(0), "normalized": normalized}
    found = loss(model, x, y, pgd(model, x, y, threat, callback=callback, **options))
    assert len(seen) == 2 * (7 + 1)
    np.testing.assert_array_equal(found, np.maximum(np.max(seen, axis=0), loss(model, x, y, 0 * x)))


def test_plain_steps_are_the_slides_formula(bumpy):
    """δ[t+1] = clip(δ[t] + α ∇L, [−ε, ε])."""
    model, x, y = bumpy
    options = {"steps": 5, "alpha": 0.03, "normalized": False}
    iterates = iterates_of(model, x, y, Linf(0.1), **options)
    delta = np.zeros_like(x)
    for found in iterates:
        np.testing.assert_allclose(found, delta, atol=1e-15)
        z, pull = model.vjp_x(x + delta)
        delta = np.clip(delta + 0.03 * pull(logistic.grad(z, y)), -0.1, 0.1)


def test_normalised_steps_have_size_alpha(bumpy):
    """‖δ[1] − δ[0]‖ = α inside the ball, whatever the gradient's size."""
    model, x, y = bumpy
    for ball in (Linf(1), L2(1), L1(1)):
        iterates = iterates_of(model, x, y, ball, steps=1, alpha=0.25)
        np.testing.assert_allclose(ball.norm(iterates[1] - iterates[0]), 0.25)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_more_restarts_are_not_weaker(threat, bumpy):
    """With the same seed the first of five starts is that of one: the loss can only grow, example by example."""
    model, x, y = bumpy
    one, five = (
        loss(model, x, y, pgd(model, x, y, threat, steps=5, restarts=n, rng=np.random.default_rng(0))) for n in (1, 5)
    )
    assert (five >= one).all()


def test_restarts_are_chosen_example_by_example(bumpy):
    """The loss of two starts together is the larger of the two alone, in each example (ART pull request 765)."""
    model, x, y = bumpy
    starts = Linf(0.2).sample(np.random.default_rng(1), np.zeros((2, *x.shape)))
    alone = [loss(model, x, y, pgd(model, x, y, Linf(0.2), steps=3, start=start)) for start in starts]
    together = loss(model, x, y, pgd(model, x, y, Linf(0.2), steps=3, start=starts, restarts=2))
    np.testing.assert_array_equal(together, np.maximum(*alone))


def test_batch_order_and_split_do_not_matter(bumpy):
    """pgd(x[π]) = pgd(x)[π], and a batch = its parts, given the same starts (torchattacks issue 12)."""
    model, x, y = bumpy
    threat = L2(0.4).within(0, 1)
    start = threat.sample(np.random.default_rng(0), x)
    whole = pgd(model, x, y, threat, steps=5, start=start)
    for part in (np.random.default_rng(1).permutation(len(x)), slice(0, 7), slice(7, 20)):
        alone = pgd(model, x[part], y[part], threat, steps=5, start=start[part])
        np.testing.assert_allclose(alone, whole[part], atol=1e-12)


@given(linear_problems(), st.integers(0, 2**32 - 1))
def test_pgd_keeps_the_conventions(problem, seed):
    """Seeded, inside Δ(x), dtype and shape of x, nothing changed in place."""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    before = x.copy()
    first, second = (pgd(model, x, y, threat, steps=2, restarts=2, rng=np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert threat.at(x).contains(first).all()
    assert (first.dtype, first.shape) == (x.dtype, x.shape)
    np.testing.assert_array_equal(x, before)


def test_a_float64_model_does_not_widen_float32_images():
    """float32 images, float64 weights: δ is float32 (ART issue 366)."""
    model, x, y = LogisticRegression(np.array([1.0, -2.0])), np.full((3, 2), 0.5, np.float32), np.array([1, -1, 1])
    for attack in (exact, fgsm, pgd):
        assert attack(model, x, y, L2(0.3).within(0, 1)).dtype == np.float32


def test_a_start_outside_is_projected(bumpy):
    """The first iterate is P(start): a start never adds to ε (ART issue 73)."""
    model, x, y = bumpy
    first, _ = iterates_of(model, x, y, L2(0.4), steps=1, start=np.ones_like(x))
    np.testing.assert_allclose(first, L2(0.4).project(np.ones_like(x)))


def test_constant_models_and_zero_gradients_leave_a_feasible_delta():
    """θ = 0: nothing can be gained, and nothing may fail or become NaN."""
    model, x, y = LogisticRegression(np.zeros(4)), np.full((2, 4), 0.25), np.array([1, -1])
    for threat in THREATS:
        for attack in (exact, fgsm, pgd):
            assert threat.at(x).contains(attack(model, x, y, threat)).all()


def test_misclassified_inputs_are_attacked_like_all_others(bumpy):
    """Labels that the model already gets wrong: the loss still only grows (torchattacks issue 51)."""
    model, x, y = bumpy
    assert (loss(model, x, -y, pgd(model, x, -y, Linf(0.1), steps=5)) >= loss(model, x, -y, 0 * x)).all()


def test_the_margin_loss_ascends_too(bumpy):
    """loss=margin: the margin loss of what PGD returns is not below that of δ = 0."""
    model, x, y = bumpy
    delta = pgd(model, x, y, Linf(0.2), loss=margin, steps=5)
    assert (margin.value(model.logits(x + delta), y) >= margin.value(model.logits(x), y)).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"steps": 2.5}, TypeError, r"steps must be a whole number, not 2\.5"),
        ({"alpha": -1.0}, ValueError, r"alpha = -1\.0 must be finite and >= 0"),
        ({"restarts": 0}, ValueError, "restarts = 0 must be >= 1"),
        ({"restarts": 3}, ValueError, "restarts = 3 from the same start would all be identical"),
        ({"start": np.zeros((1, 5))}, ValueError, r"start has shape \(1, 1, 5\); \(1, 20, 5\) was expected"),
        ({"target": np.zeros(20)}, ValueError, "target holds 0; the labels of a binary model are -1 and"),
    ],
)
def test_bad_options_are_refused_before_any_step(change, error, message, bumpy):
    """The message names the value and what was expected; no gradient was computed."""
    model, x, y = bumpy
    with pytest.raises(error, match=message):
        pgd(model, x, y, Linf(0.1), **change)
    assert model.gradients == 0


@pytest.mark.parametrize("attack", [exact, fgsm, pgd])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.array([[0.5, np.nan]]), np.array([1]), "x holds nan"),
        (np.array([[1, 0]]), np.array([1]), "x has dtype int64"),
        (np.array([[0.5, 0.5]]), np.array([0]), "y holds 0; the labels of a binary model are -1 and"),
        (np.array([[0.5, 0.5]]), np.array([1, 1]), r"y has shape \(2,\)"),
        (np.zeros((0, 2)), np.zeros(0), r"x has shape \(0, 2\); at least one example"),
        (np.array([[0.5, 1.5]]), np.array([1]), r"x holds 1\.5, outside the box \[0, 1\]"),
        (np.array([[0.5, 0.5, 0.5]]), np.array([1]), r"examples of shape \(2,\) were expected"),
    ],
)
def test_bad_input_is_refused(attack, x, y, message):
    """NaN, integers, labels 0/1, wrong shapes, empty batches, pixels out of range."""
    with pytest.raises((ValueError, TypeError), match=message):
        attack(LogisticRegression(np.ones(2)), x, y, Linf(0.1).within(0, 1))


# Networks for which the exact answer is known


def with_exact_answer(kind, rng):
    """A linear network with two classes, and the logistic regression with θ = w₁ − w₀ that it equals."""
    if kind == "softmax":
        network = SoftmaxRegression(6, 2, rng=rng, dtype=np.float64)
    else:
        layers = [Flatten(), Dense(5), Dense(7), Dropout(0.5), Dense(2)]
        network = Network(layers, (6,), rng, np.float64)
    difference = np.array([-1.0, 1.0])
    z, pull = network.vjp_x(np.zeros((1, 2, 3)))
    return network, LogisticRegression(pull(difference[None])[0], float(z[0] @ difference))


@pytest.mark.parametrize("threat", [threat for threat in THREATS if "L1" not in str(threat)], ids=str)
@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.parametrize("kind", ["softmax", "deep"])
def test_on_linear_networks_gradient_attacks_are_exact(kind, attack, threat):
    """On softmax regression and a deep network of dense layers, the loss is that of the exact attack on θ = w₁ − w₀."""
    rng = np.random.default_rng(4)
    network, binary = with_exact_answer(kind, rng)
    x, y = rng.random((30, 2, 3)), rng.integers(0, 2, 30)
    np.testing.assert_allclose(cross_entropy.value(network.logits(x), y), loss(binary, x, 2 * y - 1, 0), atol=1e-12)
    best = loss(binary, x, 2 * y - 1, exact(binary, x, 2 * y - 1, threat))
    found = cross_entropy.value(network.logits(x + attack(network, x, y, threat)), y)
    np.testing.assert_allclose(found, best, atol=1e-9)


@pytest.mark.parametrize("limits", [{"chunk": 1}, {"chunk": 7}, {"threads": 1}, {"threads": 3, "chunk": 4}], ids=str)
@pytest.mark.parametrize("options", [{}, {"rng": 0, "restarts": 2}, {"target": True}], ids=str)
def test_chunks_and_threads_do_not_change_pgd(limits, options):
    """pgd under parallel.limit = pgd on the whole batch in this thread, up to rounding; starts and targets are cut."""
    rng = np.random.default_rng(5)
    network = MLP((6, 8, 3), "tanh", rng=rng, dtype=np.float64)
    x, y = rng.random((23, 2, 3)), rng.integers(0, 3, 23)
    threat = L2(0.4).within(0, 1)

    def run():
        changed = {"rng": np.random.default_rng(0)} if "rng" in options else {}
        changed |= {"target": (y + 1) % 3} if "target" in options else {}
        return pgd(network, x, y, threat, steps=6, **(options | changed))

    with limit(chunk=len(x)):
        whole = run()
    with limit(**limits):
        np.testing.assert_allclose(run(), whole, atol=1e-10)
