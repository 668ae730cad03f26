"""Laws of the standard attack, the worst case of four."""

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scratchadv.attacks import ensemble as inner
from scratchadv.attacks.constrained.fab import fab
from scratchadv.attacks.ensemble import standard
from scratchadv.attacks.gradient.apgd import apgd
from scratchadv.attacks.linear import exact
from scratchadv.evaluate import judge
from scratchadv.losses import cross_entropy
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.tasks import Classes

THREATS = [ball for bare in (Linf(0.08), L2(0.15)) for ball in (bare, bare.within(0, 1))]
on_all_threats = pytest.mark.parametrize("threat", THREATS, ids=str)
SHORT = {"steps": 8, "queries": 30}


def rng(seed=0):
    return np.random.default_rng(seed)


def network(k=6, n=20):
    """A network with curvature, examples in [0, 1]⁸ and the labels that it gives them."""
    model = MLP((8, 10, k), "tanh", rng=rng(4), dtype=np.float64)
    model.params = {name: 2 * value for name, value in model.params.items()}
    x = rng(5).random((n, 8))
    return model, x, labels_of(model.logits(x))


def fallen(model, x, y, delta):
    return labels_of(model.logits(x + delta)) != y


@on_all_threats
def test_what_apgd_or_fab_fools_falls(threat):
    """The worst case: APGD with the same start, and FAB where its δ is small enough, fool no example that is left"""
    model, x, y = network()
    delta = standard(model, x, y, threat, rng=rng(), **SHORT)
    fell = judge(model, x, y, delta, threat).success
    climbed = apgd(model, x, y, threat, loss=cross_entropy, steps=8, rng=rng(), until_wrong=True)
    assert fell[fallen(model, x, y, climbed)].all()
    box, norm = None if threat.box is None else (0, 1), type(threat.ball)
    for rival in Classes(6).rivals(model.logits(x), y).T:
        shrunk = fab(model, x, y, rival=rival, norm=norm, box=box, steps=8)
        assert fell[judge(model, x, y, shrunk, threat).success].all()
    assert 0 < fell.sum() < len(x)


@on_all_threats
def test_delta_is_inside_and_zero_where_nothing_fell(threat):
    """δ in Δ(x); δ ≠ 0 exactly where the prediction on x + δ is wrong"""
    model, x, y = network()
    delta = standard(model, x, y, threat, rng=rng(), **SHORT)
    assert threat.at(x).contains(delta).all()
    np.testing.assert_array_equal(delta.any(axis=1), fallen(model, x, y, delta))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(THREATS))
def test_on_linear_models_it_fools_where_the_exact_attack_does(seed, threat):
    """On a binary model exactly the examples fall that can fall"""
    random = rng(seed)
    model = LogisticRegression(random.standard_normal(5), 0.1)
    x = random.random((6, 5))
    y = labels_of(model.logits(x))
    best = exact(model, x, y, threat)
    assume((abs(model.logits(x + best)) > 1e-3).all())  # otherwise rounding decides
    delta = standard(model, x, y, threat, rng=random, **SHORT)
    np.testing.assert_array_equal(fallen(model, x, y, delta), fallen(model, x, y, best))


@pytest.mark.parametrize("k", [2, 3, 4, 12])
def test_any_number_of_classes(k):
    """With fewer than 4 classes there is no targeted DLR; with more than 10 not every class is a target"""
    model, x, y = network(k)
    delta = standard(model, x, y, Linf(0.15).within(0, 1), rng=rng(), **SHORT)
    assert fallen(model, x, y, delta).any()


def spy(monkeypatch, **found):
    """Replace the attacks by ones that return constant δ; return the list of calls with their numbers of examples."""
    calls = []

    def attack(name, value, model, x, y, *args, **options):
        calls.append((name, len(x)))
        return np.full_like(x, value)

    for name in ("apgd", "fab", "square"):
        monkeypatch.setattr(inner, name, partial(attack, name, found.get(name, 0.0)))
    return calls


def test_all_attacks_are_tried_in_turn(monkeypatch):
    """APGD-CE, then APGD-DLR and FAB for each of at most 9 targets, then Square"""
    model, x, y = network(12)
    calls = spy(monkeypatch)
    assert not standard(model, x, y, Linf(0.1), rng=rng()).any()
    assert calls == [(name, 20) for name in ["apgd"] * 10 + ["fab"] * 9 + ["square"]]
    calls.clear()
    standard(model, x, y, Linf(0.1), rng=rng(), targets=2)
    assert [name for name, _ in calls] == ["apgd"] * 3 + ["fab"] * 2 + ["square"]


def test_only_survivors_are_handed_on(monkeypatch):
    """Examples that are misclassified already are not attacked; when all have fallen no further attack is called"""
    model, x, y = network()
    y = np.concatenate([(y[:5] + 1) % 6, y[5:]])
    calls = spy(monkeypatch)
    assert not standard(model, x, y, Linf(0.1), rng=rng()).any()
    assert {n for _, n in calls} == {15}
    calls.clear()
    monkeypatch.setattr(Classes, "is_fooled", lambda self, z, y: np.arange(len(z)) < (5 if len(z) == 20 else 20))
    delta = standard(model, x, y, Linf(0.1), rng=rng())
    assert calls == [("apgd", 15)]
    np.testing.assert_array_equal(delta, np.zeros_like(x))


def test_a_delta_outside_does_not_count(monkeypatch):
    """FAB has no ε: a δ that fools but lies beyond ε is dropped (Foolbox issue 674)"""
    model, x, y = network()
    spy(monkeypatch, fab=5.0)
    assert fallen(model, x, y, np.full_like(x, 5.0)).any()
    assert not standard(model, x, y, Linf(0.1), rng=rng()).any()


def test_it_keeps_the_conventions():
    """Seeded, dtype and shape of x, nothing changed in place, a single example works, float32 stays"""
    model, x, y = network()
    threat, before = L2(0.2).within(0, 1), x.copy()
    first, second = (standard(model, x, y, threat, rng=rng(1), **SHORT) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, before)
    delta = standard(model, x[:1].astype(np.float32), y[:1], threat, rng=rng(), **SHORT)
    assert (delta.dtype, delta.shape) == (np.float32, (1, 8))


@pytest.mark.parametrize("threat", [L2(0.5), Linf(0.1).within(0, 1)], ids=str)
def test_a_constant_model_cannot_be_fooled(threat):
    """θ = 0: δ = 0, no NaN (ART issue 368; Foolbox issue 175)"""
    model, x = LogisticRegression(np.zeros(4)), np.full((2, 4), 0.25)
    assert not standard(model, x, np.array([1, 1]), threat, rng=rng(), **SHORT).any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"threat": L1(1.0)}, TypeError, r"threat = L1\(eps=1.0\); Linf or L2 or Range was expected"),
        ({"threat": L0(1).within(0, 1)}, TypeError, "Linf or L2 or Range was expected"),
        ({"steps": 0}, ValueError, "steps = 0 must be >= 1"),
        ({"queries": 0}, ValueError, "queries = 0 must be >= 1"),
        ({"targets": 0}, ValueError, "targets = 0 must be >= 1"),
        ({"y": np.full(20, 6)}, ValueError, r"y holds 6; labels in 0\.\.5 were expected"),
    ],
)
def test_bad_options_are_refused(change, error, message):
    """The message names the value and what was expected"""
    model, x, y = network()
    with pytest.raises(error, match=message):
        standard(model, **({"x": x, "y": y, "threat": Linf(0.1), "rng": rng()} | change))
