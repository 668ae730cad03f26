"""Gradients with entries that are NaN or infinite: attacks go on with the other entries, and these are counted."""

import ast
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from every_attack import EVERY, EXACT, GRADIENTS, OF_EXAMPLES, ONE_PIXEL
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import scratchadv.attacks
from scratchadv.attacks import pgd
from scratchadv.engine import ops
from scratchadv.evaluate import judge, signs_of_masking
from scratchadv.losses import cross_entropy
from scratchadv.models import Taped, protocol
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L2, Linf
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:overflow"),
]

W = np.array([[4.0, -1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.5, 3.0], [-1.0, 1.0, 2.0]])
X = np.array([[0.5, 0.3, 0.0, 0.2], [0.0, 0.5, 0.25, 0.0], [0.2, 0.0, 0.6, 0.3], [0.0, 0.0, 0.0, 0.5]])

SLOPES = {
    "a square root at 0": lambda p, x: ops.sqrt(x) @ p["w"],
    "a power at 0": lambda p, x: x**0.5 @ p["w"],
    "a power below 1": lambda p, x: 2 * x**0.3 @ p["w"],
    "NaN hidden by where": lambda p, x: ops.where(x > 0, ops.sqrt(x), 0) @ p["w"],
    "a quotient hidden by where": lambda p, x: (x + ops.where(x > 0, 0.01 * ops.sin(x) / x, 0)) @ p["w"],
    "a norm": lambda p, x: (x / (0.1 + ops.sqrt((x[:, 2:] ** 2).sum(axis=1, keepdims=True)))) @ p["w"],
}


class Cleaned:
    """The same model with the gradient that attacks should see: 0 for NaN, ±1 for ±∞."""

    def __init__(self, model):
        self.model, self.params, self.loss = model, model.params, model.loss

    def logits(self, x):
        return self.model.logits(x)

    def vjp_x(self, x):
        z, pull = self.model.vjp_x(x)
        return z, lambda dz: np.nan_to_num(pull(dz), nan=0.0, posinf=1.0, neginf=-1.0)


class Broken:
    """A network whose gradient is NaN, ∞ or −∞ in entries that depend on a seed and x."""

    loss = cross_entropy

    def __init__(self, model, seed, share=0.3):
        self.model, self.params, self.seed, self.share = model, model.params, seed, share

    def logits(self, x):
        return self.model.logits(x)

    def vjp_x(self, x):
        z, pull = self.model.vjp_x(x)
        u = np.modf(abs(np.sin(self.seed + 1e3 * x)) * 1e4)[0]  # drawn for each example alone, so the same in any batch
        kind = np.floor(3 * u / self.share)

        def broken(dz):
            g = pull(dz)
            for i, value in enumerate((np.nan, np.inf, -np.inf)):
                g = np.where(kind == i, value, g)
            return g

        return z, broken


def finite_and_inside(model, x, delta, threat):
    assert np.isfinite(delta).all()
    box = L2(1e6) if threat.box is None else L2(1e6) & threat.box
    changes = np.broadcast_to(delta, x.shape)
    assert box.at(x).contains(np.clip(x + changes, 0, 1) - x if len(delta) < len(x) else delta).all()


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("name", GRADIENTS)
def test_infinite_slopes_do_not_end_a_search(name, slope):
    """On a model with infinite or NaN slopes at 0, δ is finite, in the box, and equal to that with a clean gradient"""
    attack, model = GRADIENTS[name], Taped(SLOPES[slope], {"w": W})
    y, threat = labels_of(model.logits(X)), attack.ball.within(0, 1)
    delta = attack(model, X, y, threat)
    finite_and_inside(model, X, delta, threat)
    np.testing.assert_array_equal(delta, attack(Cleaned(model), X, y, threat))


@pytest.mark.parametrize("name", GRADIENTS)
@settings(max_examples=5)
@given(
    seed=st.integers(0, 999), share=st.sampled_from([0.1, 0.5, 1.0]), dtype=st.sampled_from([np.float32, np.float64])
)
def test_any_entries_may_be_broken(name, seed, share, dtype):
    """With random entries NaN, ∞ and −∞, δ is finite, inside, and that of the model with a clean gradient"""
    attack, model = GRADIENTS[name], Broken(SmallNetwork((4,), 3, seed), seed, share)
    x = np.random.default_rng(seed).random((3, 4)).astype(dtype)
    y, threat = labels_of(model.logits(x)), attack.ball.within(0, 1)
    delta = attack(model, x, y, threat)
    finite_and_inside(model, x, delta, threat)
    np.testing.assert_array_equal(delta, attack(Cleaned(model), x, y, threat))


@pytest.mark.parametrize("slope", ["a square root at 0", "a power at 0", "a power below 1"])
def test_what_random_search_finds_the_gradient_finds(slope):
    """Every image with black pixels that random points of Δ fool is fooled by PGD and APGD too"""
    model, threat = Taped(SLOPES[slope], {"w": W}), L2(0.4).within(0, 1)
    y, rng = labels_of(model.logits(X)), np.random.default_rng(0)
    by_luck = np.any([judge(model, X, y, threat.sample(rng, X), threat).success for _ in range(300)], axis=0)
    assert by_luck.any()
    for name in ("pgd", "pgd, restarts", "apgd", "momentum_fgsm"):
        attack = GRADIENTS[name]
        assert (judge(model, X, y, attack(model, X, y, threat), threat).success >= by_luck).all(), name


@settings(max_examples=60)
@given(
    g=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        (3, 2),
        elements=st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e30, -1e30, np.nan, np.inf, -np.inf]),
    )
)
def test_the_rule_of_an_entry(g):
    """finite(g): 0 for NaN, ±1 for ±∞; finite entries do not change, large ones included; the dtype is kept"""
    found = protocol.finite(g)
    np.testing.assert_array_equal(found, np.nan_to_num(g, nan=0.0, posinf=1.0, neginf=-1.0))
    assert found.dtype == g.dtype


def test_a_finite_gradient_is_not_copied():
    """finite(g) is g where all entries are finite, even if their squares overflow"""
    for value in (0.0, 1.0, 1e30):
        g = np.full((2, 3), value, np.float32)
        assert protocol.finite(g) is g or value == 1e30
        np.testing.assert_array_equal(protocol.finite(g), g)


def test_the_number_of_broken_entries_is_reported():
    """signs_of_masking counts the examples and the entries whose gradient is not finite, and does not fail on them"""
    model = Taped(SLOPES["a square root at 0"], {"w": W})
    y = labels_of(model.logits(X))
    found = {f.sign: f for f in signs_of_masking(model, X, y, Linf(0.1).within(0, 1), steps=5, trials=2)}
    black = X == 0
    assert found["non-finite gradients"].figure == black.any(axis=1).mean()
    assert f"{black.sum()} entries" in found["non-finite gradients"].words


def test_a_finite_gradient_gives_no_sign():
    """Without such entries the sign is not reported"""
    model, x = SmallNetwork((4,), 3, 1), np.random.default_rng(1).random((5, 4))
    found = signs_of_masking(model, x, labels_of(model.logits(x)), Linf(0.1).within(0, 1), steps=3, trials=2)
    assert "non-finite gradients" not in {f.sign for f in found}


def test_large_entries_are_not_taken_for_infinite():
    """A gradient of 1e25 in float32 keeps its direction: PGD takes the step of the same model with a moderate slope"""
    x, y = np.full((1, 4), 0.5, np.float32), np.array([1])
    theta = np.array([1.0, -2.0, 0.5, 0.25])
    steep, gentle = (partial(pgd, Linear(scale * theta), x, y, L2(0.1), steps=1) for scale in (1e25, 1e-3))
    np.testing.assert_allclose(steep(), gentle(), rtol=1e-5)


def test_the_table_of_attacks_is_complete():
    """The table of these tests contains every attack of the catalogue that takes a model, x and y and returns δ"""
    assert {one.row.name for one in [*EVERY.values(), *ONE_PIXEL.values(), EXACT]} == OF_EXAMPLES


def test_attacks_ask_for_finite_gradients_only():
    """No file of scratchadv/attacks calls ``something.vjp_x(...)``: they use ``models.protocol.vjp_x``, which cleans"""
    root = Path(scratchadv.attacks.__file__).parent
    direct = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "vjp_x"
    ]
    assert direct == []


def test_exact_survives_a_broken_slope():
    """exact on a linear model that has NaN for one pixel moves the other pixels"""

    class Dark(Linear):
        def vjp_x(self, x):
            z, pull = super().vjp_x(x)
            return z, lambda dz: np.where(np.arange(x.shape[1]) == 0, np.nan, pull(dz))

    theta, x, y = np.array([1.0, 3.0, 4.0]), np.full((2, 3), 0.5), np.array([1, -1])
    np.testing.assert_allclose(EXACT(Dark(theta), x, y, L2(1.0)), [[0, -0.6, -0.8], [0, 0.6, 0.8]])
