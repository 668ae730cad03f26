"""Laws of which iterate is returned: one that fools comes before one that does not, and then the higher loss counts."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import apgd, fooling_rate, iterated_fgsm, momentum_fgsm, pgd, universal_gradient
from scratchadv.attacks.gradient.best import Best, nothing_found
from scratchadv.attacks.gradient.pgd import climb
from scratchadv.evaluate import judge
from scratchadv.losses import cross_entropy, margin, objective
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L2, Linf
from scratchadv.tasks import task_of
from scratchadv.testing.models import LinearSoftmax, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

BALLS = st.sampled_from([Linf(0.2), Linf(0.6), L2(0.4), L2(1.0), Linf(0.3).within(0, 1), L2(0.5).within(0, 1)])


@st.composite
def problems(draw):
    """A small model of three to five classes whose probabilities are nearly equal, examples and labels."""
    shape, k, seed = draw(st.sampled_from([(2,), (4,)])), draw(st.integers(3, 5)), draw(st.integers(0, 9999))
    rng = np.random.default_rng(seed)
    if draw(st.booleans()):
        model = LinearSoftmax(rng.normal(size=(k, *shape)), 0.2 * rng.normal(size=k))
    else:
        model = SmallNetwork(shape, k, seed)
    x = rng.random((6, *shape))
    y = labels_of(model.logits(x))
    return model, x, y, draw(BALLS), rng


def targets(model, x, y, targeted):
    return (y + 1) % model.logits(x).shape[1] if targeted else None


ATTACKS = {
    "pgd": partial(pgd, steps=3),
    "pgd, large steps": partial(pgd, steps=3, alpha=0.7),
    "apgd": partial(apgd, steps=6),
    "apgd, margin": partial(apgd, steps=6, loss=margin),
}


@pytest.mark.parametrize("targeted", [False, True], ids=["untargeted", "targeted"])
@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=12)
@given(problem=problems())
def test_more_restarts_never_lose_a_success(name, targeted, problem):
    """An example that falls to the first r starts also falls to the first R > r of them"""
    model, x, y, threat, rng = problem
    target = targets(model, x, y, targeted)
    starts = np.stack([threat.sample(rng, x) for _ in range(4)])
    before = np.zeros(len(x), bool)
    for r in (1, 2, 4):
        delta = ATTACKS[name](model, x, y, threat, start=starts[:r], restarts=r, target=target)
        success = judge(model, x, y, delta, threat, target=target).success
        assert (success >= before).all()
        before = success


@pytest.mark.parametrize("keep", ["success", "loss"])
@pytest.mark.parametrize("targeted", [False, True], ids=["untargeted", "targeted"])
@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=12)
@given(problem=problems())
def test_the_best_of_all_iterates_is_returned(name, targeted, keep, problem):
    """δ is the first maximum by (fools, loss) of δ = 0 and all iterates; with keep="loss" by the loss alone"""
    model, x, y, threat, rng = problem
    target = targets(model, x, y, targeted)
    starts = np.stack([threat.sample(rng, x) for _ in range(2)])
    seen = [np.zeros_like(x)]
    found = ATTACKS[name](
        model,
        x,
        y,
        threat,
        start=starts,
        restarts=2,
        target=target,
        keep=keep,
        callback=lambda iterate: seen.append(iterate.delta.copy()),
    )
    loss, labels = objective(ATTACKS[name].keywords.get("loss", cross_entropy), y, target)
    best, score = np.zeros_like(x), [(-1, -np.inf)] * len(x)
    for delta in seen:
        z = model.logits(x + delta)
        fools = task_of(z).is_fooled(z, y, target) if keep == "success" else np.zeros(len(x), bool)
        for i, new in enumerate(zip(fools, loss.value(z, labels), strict=True)):
            if new > score[i]:
                best[i], score[i] = delta[i], new
    np.testing.assert_array_equal(found, best)


@pytest.mark.parametrize("momentum", [None, 0.0, 1.0])
@settings(max_examples=12)
@given(problem=problems())
def test_fgsm_in_steps_keeps_the_success_of_any_iterate(momentum, problem):
    """iterated_fgsm and momentum_fgsm fool the model wherever one of their iterates does"""
    model, x, y, threat, _ = problem
    seen = []
    options = {"momentum": momentum, "callback": lambda iterate: seen.append(iterate.delta)}
    climb(model, x, y, threat, steps=6, alpha=0.4, loss=cross_entropy, **options)
    attack = iterated_fgsm if momentum is None else partial(momentum_fgsm, mu=momentum)
    delta = attack(model, x, y, threat, steps=6, alpha=0.4)
    ever = np.any([judge(model, x, y, one, threat).success for one in seen], axis=0)
    np.testing.assert_array_equal(judge(model, x, y, delta, threat).success, ever)


STEPS = {attack.__name__: partial(attack, steps=5, alpha=0.3) for attack in (pgd, iterated_fgsm, momentum_fgsm)}


@pytest.mark.parametrize("attack", [*STEPS.values(), partial(apgd, steps=8)], ids=[*STEPS, "apgd"])
@settings(max_examples=12)
@given(problem=problems())
def test_keeping_the_loss_loses_no_loss_and_keeping_successes_no_success(attack, problem):
    """loss(keep="loss") >= loss(keep="success"), and the other way round for the successes"""
    model, x, y, threat, _ = problem
    by_success, by_loss = (attack(model, x, y, threat, keep=keep) for keep in ("success", "loss"))
    success, loss = judge(model, x, y, by_success, threat), judge(model, x, y, by_loss, threat)
    assert (success.success >= loss.success).all()
    assert (loss.loss >= success.loss).all()


@settings(max_examples=12)
@given(problem=problems())
def test_one_change_for_all_keeps_the_most_successes(problem):
    """universal_gradient fools as many as its best δ after any epoch; with keep="loss" its mean loss is the highest"""
    model, x, y, _, _ = problem
    threat, seen = L2(0.8), [(0, np.zeros_like(x[:1]))]
    options = {"epochs": 4, "batch_size": 2, "alpha": 0.6}

    def look(iterate):
        seen.append((iterate.step, iterate.delta))

    delta = universal_gradient(model, x, y, threat, callback=look, **options)
    assert fooling_rate(model, x, delta) == max(fooling_rate(model, x, one) for _, one in seen)
    delta = universal_gradient(model, x, y, threat, keep="loss", **options)
    mean = [float(cross_entropy.value(model.logits(x + one), y).mean()) for one in (delta, *(one for _, one in seen))]
    assert mean[0] == max(mean)


def test_a_success_of_low_loss_is_kept_where_a_higher_loss_does_not_fool():
    """The counterexample by hand: at −1 class 1 wins narrowly, at +1 the label wins but the loss is higher"""
    low, high = np.log([0.41, 0.58, 0.01]), np.log([0.36, 0.32, 0.32])
    model = LinearSoftmax(((high - low) / 2)[:, None], (high + low) / 2)
    x, y, threat = np.zeros((1, 1)), np.array([0]), Linf(1.0)
    starts = np.array([[[1.0]], [[-1.0]]])
    for attack in (partial(pgd, alpha=1e-9), apgd):
        delta = attack(model, x, y, threat, steps=1, start=starts, restarts=2)
        assert judge(model, x, y, delta, threat).success.all()


def test_a_loss_that_is_not_a_number_is_never_better():
    """or_better: NaN replaces neither a value nor −∞"""
    best = nothing_found(np.zeros((2, 1)))
    nan = np.full(2, np.nan)
    kept = best.or_better(np.ones((2, 1)), np.zeros(2, bool), nan)
    np.testing.assert_array_equal(kept.delta, 0)
    kept = Best(np.zeros((2, 1)), np.ones(2, bool), np.zeros(2)).or_better(np.ones((2, 1)), np.ones(2, bool), nan)
    np.testing.assert_array_equal(kept.delta, 0)


@pytest.mark.parametrize("keep", ["worst", None, True, 1])
@pytest.mark.parametrize("attack", [pgd, apgd, iterated_fgsm, momentum_fgsm, universal_gradient])
def test_another_way_to_keep_is_refused(attack, keep):
    """keep is "success" or "loss": anything else is a ValueError that says so"""
    model = SmallNetwork((2,), 3, 0)
    with pytest.raises(ValueError, match=r"keep = .*'success' or 'loss' was expected"):
        attack(model, np.zeros((1, 2)), np.array([0]), Linf(0.1), keep=keep)
