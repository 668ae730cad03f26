"""Laws of the curves over the radius and over steps."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import Iterate, exact, fgsm, pgd
from scratchadv.evaluate import accuracy_over_eps, over_steps, stands
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L1, L2, Linf

seeds = st.integers(0, 2**32 - 1)
GRID = [0.0, 0.05, 0.1, 0.2, 0.4]


def problem(seed):
    rng = np.random.default_rng(seed)
    model = LogisticRegression(rng.normal(size=4), rng.normal())
    return model, rng.random((25, 4)), rng.choice([-1, 1], 25)


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([(Linf, 1), (L2, 2), (L1, np.inf)]))
def test_on_a_linear_model_the_curve_is_known(seed, norm):
    """x stands at eps iff y z > eps |theta|_dual"""
    norm, dual = norm
    model, x, y = problem(seed)
    found = accuracy_over_eps(model, x, y, [norm(eps) for eps in GRID], [exact])
    reach = np.array(GRID)[:, None] * np.linalg.norm(model.params["theta"], dual)
    expected = y * model.logits(x) > reach
    np.testing.assert_array_equal(found.stands, expected)
    assert found.eps == GRID
    assert found.accuracy == expected.mean(axis=1).tolist()


def shrinking(model, x, y, threat):
    """An attack that is strong at small radii only."""
    return fgsm(model, x, y, threat) if threat.radius < 0.15 else 0 * x


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from([[shrinking], [], [partial(pgd, steps=2), shrinking]]))
def test_the_curve_never_rises(seed, attacks):
    """eps <= eps': who fell at eps has fallen at eps', whatever the attacks do there; at 0 it is the clean accuracy"""
    model, x, y = problem(seed)
    threats = [Linf(eps).within(0, 1) for eps in GRID]
    found = accuracy_over_eps(model, x, y, threats, attacks)
    assert (found.stands[1:] <= found.stands[:-1]).all()
    np.testing.assert_array_equal(found.stands[0], predict(model, x) == y)
    for threat, standing in zip(threats, found.stands, strict=True):
        assert (standing <= stands(model, x, y, threat, attacks)).all()


def test_the_helper_would_rise():
    """Taken radius by radius, the shrinking attack has a curve that rises"""
    model, x, y = problem(0)
    accuracy = [stands(model, x, y, Linf(eps), [shrinking]).mean() for eps in GRID]
    assert (np.diff(accuracy) > 0).any()


def test_larger_radii_are_tried_on_what_is_left():
    """x = 0.1, 0.2, 0.3 with theta = 1 fall one by one: 3, 2, 1 and no examples are attacked"""
    model, x, y = LogisticRegression(np.array([1.0])), np.array([[0.1], [0.2], [0.3]]), np.ones(3, int)
    seen = []

    def attack(model, x, y, threat):
        seen.append((threat.radius, len(x)))
        return exact(model, x, y, threat)

    grid = [0, 0.15, 0.25, 0.35, 0.5]
    assert accuracy_over_eps(model, x, y, map(Linf, grid), [attack]).accuracy == [1, 2 / 3, 1 / 3, 0, 0]
    assert seen == [(0.15, 3), (0.25, 2), (0.35, 1)]


@pytest.mark.parametrize(
    ("threats", "message"),
    [
        ([], "threats is empty"),
        ([Linf(0.2), Linf(0.1)], r"the radii \[0.2, 0.1\] do not grow"),
        ([Linf(0.1), Linf(0.1)], "do not grow"),
        ([Linf(0.1), L2(0.2)], "differ by more than their radius"),
        ([Linf(0.1), Linf(0.2).within(0, 1)], "differ by more than their radius"),
        ([L0(1).within(0, 1), L0(2).within(-1, 1)], "differ by more than their radius"),
    ],
)
def test_sets_that_do_not_grow_are_refused(threats, message):
    """Each set must contain the one before"""
    with pytest.raises(ValueError, match=message):
        accuracy_over_eps(*problem(0), threats, [exact])


# Over steps


@pytest.fixture
def network():
    """A network, examples in [0, 1]^5 and labels of which it gets most right."""
    rng = np.random.default_rng(2)
    model = MLP((5, 10, 3), "tanh", rng=rng, dtype=np.float64)
    x = rng.random((30, 5))
    y = predict(model, x)
    y[:3] = (y[:3] + 1) % 3
    return model, x, y


@pytest.mark.parametrize("restarts", [1, 3])
def test_every_iterate_is_judged(restarts, network):
    """loss[s] = max over restarts of the model's loss at iterate s; stands[s] = right clean and at all iterates to s"""
    model, x, y = network
    threat, rng = Linf(0.2).within(0, 1), lambda: np.random.default_rng(0)
    iterates = np.empty((restarts, 6, *x.shape))

    def keep(iterate):
        iterates[iterate.restart, iterate.step] = iterate.delta

    attack = partial(pgd, steps=5, restarts=restarts)
    attack(model, x, y, threat, rng=rng(), callback=keep)
    z = model.logits((x + iterates).reshape(-1, 5)).reshape(restarts, 6, 30, 3)
    loss = (np.log(np.exp(z).sum(axis=3)) - z[..., np.arange(30), y]).max(axis=0)
    right = np.logical_and.accumulate((z.argmax(axis=3) == y).all(axis=0), axis=0) & (predict(model, x) == y)
    found = over_steps(model, x, y, threat, partial(attack, rng=rng()))
    np.testing.assert_allclose(found.loss, loss, atol=1e-12)
    np.testing.assert_array_equal(found.stands, right)
    assert found.accuracy == right.mean(axis=1).tolist()
    assert found.accuracy[-1] < found.accuracy[0]


def test_iterates_are_rounded_before_they_are_judged(network):
    """bits: loss[s] is the model's at r(x + delta[s]), and so is the verdict"""
    model, x, y = network
    found = over_steps(model, x, y, Linf(0.2).within(0, 1), partial(pgd, steps=5), bits=1)
    z = model.logits(np.rint(x))
    np.testing.assert_allclose(found.loss[0], model.loss.value(z, y))
    np.testing.assert_array_equal(found.stands[0], z.argmax(axis=1) == y)
    assert (found.stands[0] != (predict(model, x) == y)).any()


def test_what_the_attack_says_of_its_loss_does_not_count(network):
    """The loss is the model's at x + delta, and a step outside the set is no success"""
    model, x, y = network

    def liar(model, x, y, threat, callback):
        callback(Iterate(0, 0, 0 * x, np.full(len(x), 1e9)))
        callback(Iterate(0, 1, fgsm(model, x, y, Linf(10)), np.full(len(x), 1e9)))

    found = over_steps(model, x, y, Linf(0.1), liar)
    np.testing.assert_allclose(found.loss[0], model.loss.value(model.logits(x), y))
    np.testing.assert_array_equal(found.stands[1], predict(model, x) == y)


def test_an_attack_without_steps_is_refused(network):
    """The callback was never called"""
    with pytest.raises(ValueError, match="never called its callback"):
        over_steps(*network, Linf(0.1), lambda model, x, y, threat, callback: 0 * x)
