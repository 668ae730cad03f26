"""A box with an infinite side has no bound there: the results are as without a box, or as in a very wide one."""

from functools import partial

import numpy as np
import pytest
from every_attack import EVERY, EXACT, LABELS, ONE_PIXEL
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from scratchadv.attacks import applied, fooling_rate, one_pixel
from scratchadv.attacks.constrained.hyperplane import nearest_point
from scratchadv.evaluate import accuracy_over_eps, judge, report, robust_accuracy, signs_of_masking, worst_case
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import labels_of
from scratchadv.robust_logistic import objective, worst_margin
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

INF, WIDE = np.inf, 1e3
SIDES = {
    "above": ((0, INF), (0, WIDE)),
    "below": ((-INF, 1), (-WIDE, 1)),
    "neither": ((-INF, INF), (-WIDE, WIDE)),
}
BALLS = [Linf(0.3), L2(0.5), L1(0.8), Linf(0.0), L2(0.0), L1(0.0)]
sides = pytest.mark.parametrize("side", SIDES)
balls = pytest.mark.parametrize("ball", BALLS, ids=str)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def batch(seed, dtype, n=20, p=5):
    """Examples in the unit cube, some at its faces, and vectors of any length, some of them zero."""
    rng = np.random.default_rng(seed)
    x = np.clip(rng.random((n, p)) * 1.4 - 0.2, 0, 1).astype(dtype)
    v = (rng.normal(size=(n, p)) * rng.choice([0.1, 1, 10], (n, 1)) * (rng.random((n, p)) < 0.8)).astype(dtype)
    return x, v


def rounding_of(v):
    """The error allowed in a result for vectors of this size."""
    return {"rtol": 1e-5, "atol": 4 * float(np.finfo(v.dtype).eps) * max(1.0, float(abs(v).max()))}


def half_infinite(x):
    """Bounds for each component, some of them infinite, and the same bounds with 1e3 in place of infinity."""
    p = x.shape[1]
    lower, upper = np.where(np.arange(p) % 2, -INF, 0.0), np.where(np.arange(p) % 3, 1.0, INF)
    return (lower, upper), (np.maximum(lower, -WIDE), np.minimum(upper, WIDE))


# Sets


@dtypes
@sides
@balls
@settings(max_examples=10)
@given(seed=st.integers(0, 9999))
def test_geometry_is_that_of_a_wide_box(ball, side, dtype, seed):
    """project, linear_max, support, step, ascend, contains: finite, and the same as with 1e3 in place of infinity"""
    x, v = batch(seed, dtype)
    rounding = rounding_of(v)
    infinite, wide = (ball.within(*box).at(x) for box in SIDES[side])
    for of in ("project", "linear_max", "support"):
        found = getattr(infinite, of)(v)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, getattr(wide, of)(v), **rounding, err_msg=of)
        assert found.dtype == dtype
    delta = infinite.project(v)
    np.testing.assert_allclose(infinite.ascend(delta, v, 0.2), wide.ascend(delta, v, 0.2), **rounding)
    np.testing.assert_allclose(infinite.step(v, 0.2), wide.step(v, 0.2), **rounding)
    for delta in (v, 0.1 * v, infinite.project(v), infinite.linear_max(v)):
        np.testing.assert_array_equal(infinite.contains(delta), wide.contains(delta))


@dtypes
@balls
@settings(max_examples=10)
@given(seed=st.integers(0, 9999))
def test_no_side_is_no_box(ball, dtype, seed):
    """within(−∞, ∞) is the ball itself"""
    x, v = batch(seed, dtype)
    rounding = rounding_of(v)
    boxed = ball.within(-INF, INF).at(x)
    np.testing.assert_allclose(boxed.project(v), ball.project(v), **rounding)
    np.testing.assert_allclose(boxed.support(v), ball.support(v), **rounding)
    np.testing.assert_array_equal(boxed.contains(v), ball.contains(v))
    np.testing.assert_array_equal(boxed.norm(v), ball.norm(v))


@balls
@settings(max_examples=10)
@given(seed=st.integers(0, 9999))
def test_each_component_may_have_its_own_infinite_sides(ball, seed):
    """Bounds that are arrays with some infinite entries behave like 1e3 in their place"""
    x, v = batch(seed, np.float64)
    infinite, wide = (ball.within(*box).at(x) for box in half_infinite(x))
    for of in ("project", "linear_max", "support"):
        np.testing.assert_allclose(getattr(infinite, of)(v), getattr(wide, of)(v), rtol=1e-6, atol=1e-9, err_msg=of)


@dtypes
@sides
@pytest.mark.parametrize("ball", [Linf(0.3), L2(0.5), L1(0.8)], ids=str)
def test_samples_are_finite_and_inside(ball, side, dtype):
    """sample: finite, in Δ(x), not constant, dtype of x; uniform in ℓ∞ where the box does not cut the ball"""
    x, _ = batch(0, dtype, n=400)
    threat = ball.within(*SIDES[side][0])
    delta = threat.sample(np.random.default_rng(0), x)
    assert np.isfinite(delta).all()
    assert delta.dtype == dtype
    assert threat.at(x).contains(delta).all()
    assert delta.std() > 0.05
    if side == "neither":
        np.testing.assert_allclose(delta, ball.sample(np.random.default_rng(0), x), atol=1e-6)


@sides
def test_counting_components_needs_a_finite_box(side):
    """ℓ0 with an infinite side has no largest <g, δ> and no uniform sample; project and contains still work"""
    x, v = batch(1, np.float64)
    threat, wide = (L0(2).within(*box).at(x) for box in SIDES[side])
    np.testing.assert_allclose(threat.project(v), wide.project(v))
    np.testing.assert_array_equal(threat.contains(v), wide.contains(v))
    for call in (
        lambda: threat.linear_max(v),
        lambda: threat.support(v),
        lambda: threat.sample(np.random.default_rng(0), x),
    ):
        with pytest.raises(ValueError, match="finite box"):
            call()


def test_a_direction_without_an_infinite_side_has_a_largest_value():
    """L0: where the infinite side lies against the gradient, the maximum is that of a wide box"""
    x, g = np.full((1, 2), 0.5), np.array([[-1.0, -2.0]])
    np.testing.assert_array_equal(L0(1).within(0, INF).at(x).linear_max(g), [[0.0, -0.5]])


# The smallest step to a hyperplane


def bruteforce(norm, w, f, low, high):
    """The smallest δ on the hyperplane by a linear program, or by SLSQP for ℓ2; infinite if it cannot be reached."""
    p, bounds = len(w), list(zip(low, high, strict=True))
    if norm is L2:
        reach = linprog(np.zeros(p), A_eq=w[None], b_eq=[-f], bounds=bounds)
        if not reach.success:
            return INF
        found = minimize(
            lambda d: d @ d,
            reach.x,
            jac=lambda d: 2 * d,
            bounds=bounds,
            constraints={"type": "eq", "fun": lambda d: w @ d + f, "jac": lambda d: w},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return float(np.linalg.norm(found.x))
    size = np.r_[np.zeros(p), np.ones(1 if norm is Linf else p)]
    each = np.ones((p, 1)) if norm is Linf else np.eye(p)
    above = np.block([[np.eye(p), -each], [-np.eye(p), -each]])
    found = linprog(
        size,
        A_ub=above,
        b_ub=np.zeros(2 * p),
        A_eq=np.r_[w, np.zeros(len(size) - p)][None],
        b_eq=[-f],
        bounds=bounds + [(0, None)] * (len(size) - p),
    )
    return float(found.fun) if found.success else INF


@pytest.mark.parametrize("norm", [Linf, L2, L1])
@settings(max_examples=25)
@given(seed=st.integers(0, 99999))
def test_the_nearest_point_of_a_hyperplane_by_brute_force(norm, seed):
    """nearest_point in boxes with finite, half-infinite and infinite sides: on the plane, as long as the solver's"""
    rng = np.random.default_rng(seed)
    w = np.round(rng.normal(size=4), 2) * (rng.random(4) < 0.8)
    f = float(np.round(rng.normal(), 2))
    low, high = (np.where(rng.random(4) < 0.4, INF, rng.choice([0.0, 0.2, 1.0], 4)) for _ in range(2))
    low, expected = -low, bruteforce(norm, w, f, -low, high)
    delta = nearest_point(norm, w[None], np.array([f]), low[None], high[None])
    assert np.isfinite(delta).all()
    assert ((delta >= low) & (delta <= high)).all()
    on_plane = abs(f + w @ delta[0]) < 1e-8
    if np.isfinite(expected):
        assert on_plane
        np.testing.assert_allclose(norm.norm(delta)[0], expected, rtol=1e-4, atol=1e-6)
    elif w.any():  # the corner nearest to the hyperplane
        best = np.where(w * -f > 0, high, np.where(w == 0, 0, low))
        np.testing.assert_allclose(w @ delta[0], w @ best, atol=1e-8)


# Attacks

NETWORK = SmallNetwork((4,), 3, seed=3)
X = np.clip(np.random.default_rng(0).random((4, 4)) * 1.2 - 0.1, 0, 1)
Y = labels_of(NETWORK.logits(X))
# Attacks that use the width of the box (for a change of variables or for noise) search differently without one.
OWN_WAY = ["carlini_wagner", "carlini_wagner, max", "carlini_wagner, count", *LABELS]


def fooled(model, x, y, delta):
    return labels_of(model.logits(x + delta)) != y


@sides
@pytest.mark.parametrize("name", [name for name in EVERY if name not in [*OWN_WAY, "lbfgs"]])  # SciPy's first step
def test_attacks_are_those_of_a_wide_box(name, side):
    """attack(within(0, ∞)) = attack(within(0, 1e3)), finite and in the box; FAB, which amplifies rounding, to 1 %"""
    attack = EVERY[name]
    infinite, wide = (attack.ball.within(*box) for box in SIDES[side])
    delta, expected = attack(NETWORK, X, Y, infinite), attack(NETWORK, X, Y, wide)
    assert np.isfinite(delta).all()
    np.testing.assert_allclose(delta, expected, rtol=1e-2 if "fab" in name else 1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in {*OWN_WAY, "pgd, restarts", "apgd, restarts"}])
def test_attacks_in_no_box_and_in_a_box_without_sides(name):
    """attack(within(−∞, ∞)) = attack(ball), up to rounding"""
    attack = EVERY[name]
    found, expected = (attack(NETWORK, X, Y, threat) for threat in (attack.ball.within(-INF, INF), attack.ball))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@sides
@pytest.mark.parametrize("name", OWN_WAY)
def test_smallest_changes_are_found_without_sides(name, side):
    """Where the attack fools in [0, 1] it also fools with an infinite side, in the box and with a δ not much longer"""
    attack, (lower, upper) = EVERY[name], SIDES[side][0]
    threat = attack.ball.within(lower, upper)
    delta = attack(NETWORK, X, Y, threat)
    narrow = attack(NETWORK, X, Y, attack.ball.within(0, 1))
    assert np.isfinite(delta).all()
    assert ((x := X + delta) >= lower).all()
    assert (x <= upper).all()
    assert (fooled(NETWORK, X, Y, delta) >= fooled(NETWORK, X, Y, narrow)).all()
    assert (attack.ball.norm(delta) <= 1.5 * attack.ball.norm(narrow) + 0.1 * (attack.ball.norm(narrow) > 0)).all()


@sides
@pytest.mark.parametrize("ball", [Linf(0.3), L2(0.5), L1(0.8)], ids=str)
def test_the_exact_attack_and_the_robust_objective(ball, side):
    """exact, worst_margin and objective on linear models are those of a wide box"""
    model = LogisticRegression(np.array([2.0, -1.0, 0.0, 1.0]), -0.5)
    y = labels_of(model.logits(X))
    infinite, wide = (ball.within(*box) for box in SIDES[side])
    np.testing.assert_allclose(EXACT(model, X, y, infinite), EXACT(model, X, y, wide), atol=1e-9)
    for f in (worst_margin, objective):
        found, expected = (f(model.params["theta"], -0.5, X, y, threat) for threat in (infinite, wide))
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["deepfool", "deepfool, max", "fab", "fab, max", "fab, sum", "lbfgs"])
def test_the_distance_to_a_linear_boundary(name):
    """On a linear model with a half-infinite box the smallest change is as long as the linear program says"""
    model = Linear([2.0, -1.0, 0.5, 1.0], -1.0)
    attack, y = EVERY[name], labels_of(model.logits(X))
    low, high = -X, np.full_like(X, INF)
    delta = attack(model, X, y, attack.ball.within(0, INF))
    assert fooled(model, X, y, delta).all()
    z, norm = model.logits(X), type(attack.ball)
    shortest = [bruteforce(norm, model.params["theta"], z[i], low[i], high[i]) for i in range(len(X))]
    length = attack.ball.norm(delta)
    assert (length >= np.array(shortest) * (1 - 1e-6)).all()
    if name != "lbfgs":  # so few weights are only tried in this table
        assert (length <= 1.6 * np.array(shortest)).all()


@sides
def test_evaluation_with_infinite_sides(side, tmp_path):
    """worst_case, accuracy over ε, masking, universal attacks and the report are those of a wide box"""
    infinite, wide = (Linf(0.3).within(*box) for box in SIDES[side])
    attacks = [EVERY["pgd"], EVERY["apgd"]]
    for f in (
        lambda threat: robust_accuracy(NETWORK, X, Y, threat, attacks),
        lambda threat: worst_case(NETWORK, X, Y, threat, attacks).standing,
        lambda threat: accuracy_over_eps(NETWORK, X, Y, [threat.scaled(e) for e in (0.1, 0.3)], attacks).stands,
    ):
        np.testing.assert_array_equal(f(infinite), f(wide))
    found = signs_of_masking(NETWORK, X, Y, infinite, steps=10)
    assert all(np.isfinite(sign.figure) for sign in found)
    delta = np.full((1, 4), 0.4)
    np.testing.assert_array_equal(applied(delta, X, SIDES[side][0]), applied(delta, X, SIDES[side][1]))
    assert fooling_rate(NETWORK, X, delta, SIDES[side][0]) == fooling_rate(NETWORK, X, delta, SIDES[side][1])
    image = X.reshape(4, 2, 2, 1)
    report(tmp_path / "r.html", SmallNetwork((2, 2, 1), 3, 3), image, Y, infinite, [EVERY["pgd"]])
    assert "nan" not in (tmp_path / "r.html").read_text(encoding="utf-8").lower()


@sides
def test_what_needs_the_width_of_the_box_refuses_an_infinite_one(side):
    """judge(bits=...) and one_pixel: a ValueError that says that the box must be finite"""
    threat = Linf(0.1).within(*SIDES[side][0])
    with pytest.raises(ValueError, match=r"rounding to bits .*needs a finite box"):
        judge(NETWORK, X, Y, np.zeros_like(X), threat, bits=8)
    with pytest.raises(ValueError, match=r"rounding to bits .*needs a finite box"):
        robust_accuracy(NETWORK, X, Y, threat, [partial(EVERY["pgd"])], bits=8)
    with pytest.raises(ValueError, match=r"one_pixel needs a finite box"):
        one_pixel(NETWORK, X, Y, L0(1).within(*SIDES[side][0]), rng=0)
    assert ONE_PIXEL["one_pixel"](NETWORK, X, Y, L0(1).within(0, 1)).any()
