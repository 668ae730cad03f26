"""Laws of ``&``: intersections of a ball, a Box, a Range and a Mask are exact and do not depend on the order."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from scratchadv.numerics import rows
from scratchadv.sets import L0, L1, L2, Box, Linf, Mask, Range
from scratchadv.testing import assert_ball_contract

BALLS = [Linf(0.3), L2(0.5), L1(0.8)]
balls = pytest.mark.parametrize("ball", BALLS, ids=str)
X = np.random.default_rng(0).random((6, 4))
MASK = np.array([True, False, True, True])
PARTS = {
    "ball": L2(0.5),
    "range": Range(np.array([-0.1, 0.0, -0.4, -0.2]), np.array([0.2, 0.3, 0.0, 0.4])),
    "box": Box(0, 1),
    "mask": Mask(MASK),
}


def same_meaning(a, b, x=X):
    """Return whether two sets give the same answers at x."""
    a, b = a.at(x), b.at(x)
    v = np.random.default_rng(1).normal(size=x.shape)
    for of in ("project", "linear_max", "support", "contains"):
        np.testing.assert_array_equal(getattr(a, of)(v), getattr(b, of)(v))
    for found, expected in zip(a.bounds(), b.bounds(), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(*(s.sample(np.random.default_rng(2), x) for s in (a, b)))


@st.composite
def drawn_bounds(draw, n=4):
    """Bounds on δ around 0, some of them zero or infinite, for one example."""
    side = st.sampled_from([0.0, 0.1, 0.25, 1.0, np.inf])
    low, high = (np.array(draw(st.lists(side, min_size=n, max_size=n))) for _ in range(2))
    return -low, high


# Algebra


@pytest.mark.parametrize("order", list(permutations(PARTS)), ids=" & ".join)
def test_no_order_matters(order):
    """A & B & C & D in any order and with any brackets are equal and answer alike"""
    a, b, c, d = (PARTS[name] for name in order)
    expected = PARTS["ball"] & PARTS["range"] & PARTS["box"] & PARTS["mask"]
    for made in (((a & b) & c) & d, a & (b & (c & d)), (a & b) & (c & d), a & ((b & c) & d)):
        assert made == expected
        assert hash(made) == hash(expected)
        assert str(made) == str(expected)
        same_meaning(made, expected)


@given(st.lists(st.sampled_from(list(PARTS)), min_size=2, max_size=2, unique=True))
def test_two_sets_commute(names):
    """A & B = B & A"""
    a, b = (PARTS[name] for name in names)
    assert a & b == b & a


@given(first=drawn_bounds(), second=drawn_bounds(), where=st.lists(st.booleans(), min_size=4, max_size=4))
def test_parts_of_a_kind_are_joined(first, second, where):
    """Range & Range, Box & Box, Mask & Mask: the larger lower and smaller upper sides; repeating it changes nothing"""
    both = np.maximum(first[0], second[0]), np.minimum(first[1], second[1])
    assert Range(*first) & Range(*second) == Range(*both)
    assert Box(*first) & Box(*second) == Box(*both)
    assert Mask(MASK) & Mask(np.array(where)) == Mask(MASK & where)
    for part in (Range(*first), Box(*first), Mask(MASK)):
        assert part & part == part


def test_two_balls_are_refused():
    """L2 & Linf has no exact projection here: a ValueError that names both and says what to do"""
    for a, b in ((L2(1), Linf(0.1)), (L2(1), L2(1)), (Linf(0.1) & Box(0, 1), L0(3) & Mask(MASK))):
        with pytest.raises(ValueError, match=r"the balls .* and .*: intersect one ball with a Box, a Range or a Mask"):
            a & b
    with pytest.raises(TypeError):
        Linf(0.1) & 3


def test_disjoint_boxes_are_refused():
    """Box(0, 1) & Box(2, 3) is empty: a ValueError"""
    with pytest.raises(ValueError, match="is empty"):
        Box(0, 1) & Box(2, 3)


def test_sets_at_different_examples_are_refused():
    """A.at(x) & B.at(x') is a ValueError; A.at(x) & B is at x"""
    with pytest.raises(ValueError, match="different examples"):
        Linf(0.1).at(X) & Box(0, 1).at(X.copy())
    same_meaning(Linf(0.1).at(X) & Box(0, 1), (Linf(0.1) & Box(0, 1)).at(X))


@balls
def test_within_is_short_for_a_box(ball):
    """ball.within(l, u) = ball & Box(l, u)"""
    assert ball.within(0, 1) == ball & Box(0, 1)
    same_meaning(ball.within(0, 1), Box(0, 1) & ball)


def test_the_parts_of_a_set():
    """ball, box, pixels and everywhere, for sets of all kinds"""
    ball, budget, box, mask = PARTS.values()
    whole = ball & budget & box & mask
    assert (whole.ball, whole.box, whole.pixels) == (ball, budget & box & mask, box)
    assert whole.everywhere == ball & budget & mask
    assert (ball.ball, ball.box, ball.pixels, ball.everywhere) == (ball, None, None, ball)
    assert ((budget & box).ball, (budget & box).box, (budget & box).everywhere) == (budget, budget & box, budget)
    assert (box.ball, box.box, box.pixels, box.everywhere) == (None, box, box, None)
    assert ((box & mask).ball, (ball & mask).pixels) == (None, None)


def test_names_say_the_whole_threat():
    """str names all parts"""
    threat = Linf(0.1) & Box(0, 1) & Mask(MASK)
    assert str(threat) == "‖δ‖∞ ≤ 0.1, 0 ≤ x + δ ≤ 1, 3 of 4 features may change"
    assert str(Range(-0.1, 0.2) & Box(0, 1)) == "-0.1 ≤ δ ≤ 0.2, 0 ≤ x + δ ≤ 1"
    assert str(Range(np.array([-1.0, 0]), 2.0).scaled(0.5)) == "(-1 to 0) ≤ δ ≤ 2.0, times 0.5"


# Exactness


def test_an_intersection_by_hand():
    """x = (0.5, 0.875, 0.5), ε = 0.25 in [0, 1], the last pixel fixed: the best point along (1, 1, 1)"""
    threat = (Linf(0.25) & Box(0, 1) & Mask(np.array([True, True, False]))).at(np.array([[0.5, 0.875, 0.5]]))
    np.testing.assert_array_equal(threat.linear_max(np.ones((1, 3))), [[0.25, 0.125, 0]])
    np.testing.assert_array_equal(threat.project(np.array([[-0.1, 1, 1]])), [[-0.1, 0.125, 0]])
    np.testing.assert_array_equal(threat.support(np.ones((1, 3))), [0.375])


def test_a_mask_in_the_euclidean_ball_by_hand():
    """‖δ‖₂ <= 5 with the last component fixed: (3, 4, 12) becomes (3, 4, 0), (6, 8, 9) half of (6, 8)"""
    threat = L2(5) & Mask(np.array([True, True, False]))
    np.testing.assert_allclose(threat.project(np.array([[3.0, 4, 12], [6, 8, 9]])), [[3, 4, 0], [3, 4, 0]])
    np.testing.assert_allclose(threat.linear_max(np.array([[6.0, 8, 100]])), [[3, 4, 0]])
    np.testing.assert_allclose(threat.support(np.array([[6.0, 8, 100]])), [50])


@balls
@settings(max_examples=30, deadline=None)
@given(bounds=drawn_bounds(), seed=st.integers(0, 9999))
def test_the_projection_is_that_of_a_general_solver(ball, bounds, seed):
    """project = the nearest point of {‖δ‖ <= ε, l <= δ <= u} by SLSQP, with δ = p − q for ℓ1"""
    v = np.random.default_rng(seed).normal(size=4).round(2)
    found = (ball & Range(*bounds)).project(v[None])[0]
    low, high = (np.clip(side, -ball.eps, ball.eps) for side in bounds)
    sides = [*zip(np.zeros(4), high, strict=True), *zip(np.zeros(4), -low, strict=True)]
    room = {
        L1: lambda d: ball.eps - d.sum(),
        L2: lambda d: ball.eps**2 - ((d[:4] - d[4:]) ** 2).sum(),
        Linf: lambda d: ball.eps - d,
    }[type(ball)]
    solution = minimize(
        lambda d: ((d[:4] - d[4:] - v) ** 2).sum(),
        np.zeros(8),
        bounds=sides,
        constraints={"type": "ineq", "fun": room},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert ((found - v) ** 2).sum() <= solution.fun + 1e-7
    assert (ball & Range(*bounds)).contains(found[None]).all()
    np.testing.assert_allclose(((found - v) ** 2).sum(), solution.fun, atol=1e-5)


@pytest.mark.parametrize("ball", [Linf(0.3), L1(0.8)], ids=str)
@settings(max_examples=40)
@given(bounds=drawn_bounds(), seed=st.integers(0, 9999))
def test_the_maximum_is_the_linear_programs(ball, bounds, seed):
    """support = the optimum of linprog on {‖δ‖ <= ε, l <= δ <= u}, δ = p − q"""
    g = np.random.default_rng(seed).normal(size=4).round(2)
    limits = [*((0, side) for side in bounds[1]), *((0, -side) for side in bounds[0])]
    budget = np.hstack([np.eye(4), np.eye(4)]) if isinstance(ball, Linf) else np.ones((1, 8))
    solution = linprog(np.concatenate([-g, g]), budget, np.full(len(budget), ball.eps), bounds=limits)
    threat = ball & Range(*bounds)
    np.testing.assert_allclose(threat.support(g[None])[0], -solution.fun, atol=1e-8)
    assert threat.contains(threat.linear_max(g[None])).all()


@settings(max_examples=60)
@given(bounds=drawn_bounds(), seed=st.integers(0, 9999))
def test_the_euclidean_maximum_fulfils_kkt(bounds, seed):
    """For one λ >= 0: δ_j = clip(g_j / λ, l_j, u_j), and ‖δ‖ = ε unless δ is the corner along g"""
    g = np.random.default_rng(seed).normal(size=4).round(2)
    delta = (L2(0.5) & Range(*bounds)).linear_max(g[None])[0]
    corner = np.where(g > 0, bounds[1], bounds[0]) * (g != 0) if np.isfinite(bounds).all() else np.full(4, np.inf)
    if np.linalg.norm(corner) <= 0.5:
        np.testing.assert_allclose(delta, corner)
        return
    inside = (delta > bounds[0] + 1e-9) & (delta < bounds[1] - 1e-9) & (g != 0)
    if inside.any():
        scale = (delta / np.where(g == 0, 1, g))[inside][0]  # 1 / λ
        np.testing.assert_allclose(delta, np.clip(scale * g, *bounds), atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(delta), 0.5)
    else:
        np.testing.assert_allclose(delta, np.clip(np.where(g == 0, 0, np.sign(g) * np.inf), *bounds) * (g != 0))


@settings(max_examples=30)
@given(bounds=drawn_bounds(), seed=st.integers(0, 9999), k=st.integers(0, 4))
def test_few_components_between_bounds_by_brute_force(bounds, seed, k):
    """L0 & Range: project and support compared with all choices of k components"""
    bounds = tuple(np.clip(side, -2, 2) for side in bounds)
    v = np.random.default_rng(seed).normal(size=4).round(2)
    threat, best = L0(k) & Range(*bounds), np.clip(v, *bounds)
    chosen = [np.isin(np.arange(4), some) for some in permutations(range(4), k)]
    np.testing.assert_allclose(
        ((threat.project(v[None])[0] - v) ** 2).sum(), min(((some * best - v) ** 2).sum() for some in chosen)
    )
    gain = np.maximum(v * bounds[0], v * bounds[1])
    np.testing.assert_allclose(threat.support(v[None])[0], max((some * gain).sum() for some in chosen), atol=1e-12)


# Contracts

CONTRACTS = [
    *(ball & Box(0, 1) & Mask(MASK) for ball in [*BALLS, L0(2)]),
    *(ball & Mask(MASK) for ball in BALLS),
    *(ball & PARTS["range"] & Box(0, 1) for ball in [*BALLS, L0(2)]),
    PARTS["range"],
    PARTS["range"] & Box(0, 1),
    PARTS["range"] & Box(0, 1) & Mask(MASK),
    Range(-0.25, 0.5),
    Box(0, 1),
    Box(0, 1) & Mask(MASK),
]


@pytest.mark.parametrize("threat", CONTRACTS, ids=str)
def test_every_set_keeps_the_contract(threat):
    """assert_ball_contract holds for every combination"""
    assert_ball_contract(threat, max_examples=20)


@pytest.mark.parametrize("threat", [t for t in CONTRACTS if t.ball is not None], ids=str)
def test_repeated_steps_reach_the_maximum(threat):
    """δ ← ascend(δ, g, radius) converges to a best point: PGD is exact on linear functions (except for ℓ1 and ℓ0)"""
    if isinstance(threat.ball, (L0, L1)):
        return
    threat, g = threat.at(X), np.random.default_rng(3).normal(size=X.shape)
    delta = np.zeros_like(g)
    for _ in range(30):
        delta = threat.ascend(delta, g, threat.radius)
    np.testing.assert_allclose(rows(g * delta).sum(axis=1), threat.support(g), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("threat", CONTRACTS, ids=str)
@pytest.mark.parametrize("i", [slice(1, 4), np.array([3, 0, 3]), np.arange(6) % 2 == 0], ids=str)
def test_rows_are_the_sets_of_the_rows(threat, i):
    """at(x).rows(i) answers for x[i] what at(x) answers there, and is the set at x[i]"""
    v, at = np.random.default_rng(4).normal(size=X.shape), threat.at(X)
    for of in ("project", "linear_max", "support", "contains"):
        np.testing.assert_array_equal(getattr(at.rows(i), of)(v[i]), getattr(at, of)(v)[i])
        np.testing.assert_array_equal(getattr(threat.at(X[i]), of)(v[i]), getattr(at, of)(v)[i])
    for found, expected in zip(at.rows(i).bounds(), threat.bounds(X[i]), strict=True):
        np.testing.assert_array_equal(found, expected)


SUPPORTED = [*CONTRACTS, *BALLS, Linf(np.linspace(0, 1, 6)), L1(np.linspace(0, 1, 6)) & Box(0, 1)]


@pytest.mark.parametrize("threat", SUPPORTED, ids=str)
@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 4)])
def test_support_of_several_functions_for_each_example(threat, shape):
    """support of (N, S, *D) is (N, S): column s is support of the s-th functions"""
    if len(shape) > 1 and threat in CONTRACTS:
        return  # most of them have bounds for another shape of x
    x, g = X.reshape(6, *shape), np.random.default_rng(5).normal(size=(6, 3, *shape))
    found = threat.at(x).support(g)
    assert found.shape == (6, 3)
    for s in range(3):
        np.testing.assert_array_equal(found[:, s], threat.at(x).support(g[:, s]))


@pytest.mark.parametrize("threat", CONTRACTS, ids=str)
def test_float32_stays_float32(threat):
    """project, linear_max, support, sample, bounds, step and ascend keep the dtype"""
    x = X.astype(np.float32)
    threat, v = threat.at(x), np.random.default_rng(6).normal(size=X.shape).astype(np.float32)
    found = [threat.project(v), threat.linear_max(v), threat.support(v), threat.sample(np.random.default_rng(0), x)]
    if threat.ball is not None:
        found += [threat.step(v, 0.1), threat.ascend(threat.project(v), v, 0.1)]
    assert {a.dtype for a in [*found, *threat.bounds()]} == {np.dtype(np.float32)}
