"""Laws of the perturbation sets, for every ball, alone and intersected with a box."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import kstest

from scratchadv.numerics import rows
from scratchadv.sets import L0, L1, L2, Intersection, Linf
from scratchadv.testing.strategies import balls, batches, norm_balls, radii

NORMS = {Linf: np.inf, L2: 2, L1: 1}
DUAL = {Linf: 1, L2: 2, L1: np.inf}


@st.composite
def sets(draw, kinds=norm_balls, boxed=None):
    """A set Δ, alone or at some x in [0, 1], and two batches of vectors of its shape and dtype."""
    x = draw(batches(0.0, 1.0))
    ball = draw(kinds)
    cut = draw(st.booleans()) if boxed is None else boxed
    vectors = batches(-2.0, 2.0, x.dtype.type, x.shape)
    return (ball.within(0, 1).at(x) if cut else ball), draw(vectors), draw(vectors)


def all_sets():
    """Every kind of set; ℓ0 only in a box, where it is bounded."""
    return sets() | sets(kinds=balls, boxed=True)


def dot(u, v):
    return rows(u.astype(float) * v.astype(float)).sum(axis=1)


def tolerance(v):
    return 200 * np.finfo(v.dtype).eps * max(1, v[0].size)


# Projections


@given(sets())
def test_projection_satisfies_the_variational_inequality(drawn):
    """<v − P(v), u − P(v)> <= 0 for all u in Δ; the worst u is linear_max(v − P(v))."""
    delta_set, v, _ = drawn
    p = delta_set.project(v)
    assert delta_set.contains(p).all()
    u = delta_set.linear_max(v - p)
    assert (dot(v - p, u - p) <= tolerance(v)).all()


@given(all_sets())
def test_projection_is_idempotent(drawn):
    """P(P(v)) = P(v)."""
    delta_set, v, _ = drawn
    p = delta_set.project(v)
    np.testing.assert_allclose(delta_set.project(p), p, rtol=0, atol=tolerance(v))


@given(sets())
def test_projection_does_not_stretch(drawn):
    """‖P(u) − P(v)‖ <= ‖u − v‖."""
    delta_set, u, v = drawn
    assert (L2.norm(delta_set.project(u) - delta_set.project(v)) <= L2.norm(u - v) + tolerance(v)).all()


@given(all_sets())
def test_projection_leaves_what_is_inside(drawn):
    """P(v) = v for v in Δ, to the last bit where v is well inside (CleverHans issue 381)."""
    delta_set, v, _ = drawn
    inside = delta_set.project(v) * v.dtype.type(0.5)
    np.testing.assert_array_equal(delta_set.project(inside), inside)


@given(sets(kinds=st.integers(0, 4).map(L0)))
def test_l0_projection_beats_every_support(drawn):
    """‖v − P(v)‖ <= ‖v − u‖ for the best u on each set of k components (brute force)."""
    delta_set, v, _ = drawn
    k = delta_set.radius
    low, high = delta_set.bounds() if isinstance(delta_set, Intersection) else (-np.inf, np.inf)
    best = np.clip(v, low, high)
    distance = L2.norm(v - delta_set.project(v))
    p = v[0].size
    for chosen in combinations(range(p), min(k, p)):
        u = np.zeros_like(rows(v))
        u[:, chosen] = rows(best)[:, chosen]
        assert (distance <= L2.norm(v - u.reshape(v.shape)) + tolerance(v)).all()


def dykstra(first, second, v, rounds=20_000):
    """The projection of v on the intersection of two convex sets from the projections on each (Dykstra, 1983)."""
    p, q = np.zeros_like(v), np.zeros_like(v)
    for _ in range(rounds):
        u = first(v + p)
        p = v + p - u
        v, before = second(u + q), v
        q = u + q - v
        if abs(v - before).max() < 1e-15 and abs(u - v).max() < 1e-12:
            break
    return v


@pytest.mark.parametrize("ball", [L2(0.7), L1(1.1), Linf(0.3)])
def test_boxed_projection_is_dykstras(ball):
    """P on ball ∩ box = the limit of alternating corrected projections, an independent algorithm."""
    rng = np.random.default_rng(0)
    x, v = rng.random((30, 6)), rng.standard_normal((30, 6))
    boxed = ball.within(0, 1).at(x)
    expected = dykstra(ball.project, lambda u: np.clip(u, -x, 1 - x), v)
    np.testing.assert_allclose(boxed.project(v), expected, atol=1e-9)


@pytest.mark.parametrize("ball", [L2(1.5), L1(4.0)])
def test_project_then_clip_is_not_the_projection(ball):
    """In most rows clip(P_ball(v)) is further away than P(v): the shortcut of other libraries is wrong."""
    rng = np.random.default_rng(0)
    x, v = rng.random((400, 20)), rng.standard_normal((400, 20))
    boxed = ball.within(0, 1).at(x)
    shortcut = np.clip(ball.project(v), -x, 1 - x)
    assert (L2.norm(v - boxed.project(v)) < L2.norm(v - shortcut) - 1e-9).mean() > 0.9


def test_l1_projection_by_hand():
    """(1, 1/2) on ‖δ‖₁ <= 1: λ = 1/4, so (3/4, 1/4); rescaling would give (2/3, 1/3) (ART pull request 2382)."""
    np.testing.assert_allclose(L1(1).project(np.array([[1.0, 0.5]])), [[0.75, 0.25]])
    np.testing.assert_allclose(L1(1).project(np.array([[3.0, -0.5]])), [[1.0, 0.0]])


def test_boxed_l1_projection_by_hand():
    """(2, 1) with ‖δ‖₁ <= 1 and δ_1 <= 1/4: the cap leaves 1/4, and the rest shrinks to 3/4."""
    boxed = L1(1).within(0, 1).at(np.array([[0.75, 0.0]]))
    np.testing.assert_allclose(boxed.project(np.array([[2.0, 1.0]])), [[0.25, 0.75]])


def test_boxed_l2_projection_by_hand():
    """(10, 1) with ‖δ‖₂ <= 5 and δ_1 <= 3: (3, 1) is inside; (10, 8) gives (3, 4)."""
    boxed = L2(5).within(-10, 10).at(np.array([[7.0, 0.0]]))
    np.testing.assert_allclose(boxed.project(np.array([[10.0, 1.0]])), [[3.0, 1.0]])
    np.testing.assert_allclose(boxed.project(np.array([[10.0, 8.0]])), [[3.0, 4.0]])


# The best point of a linear function


@given(all_sets(), st.integers(0, 2**32 - 1))
def test_no_feasible_point_beats_linear_max(drawn, seed):
    """support(g) = <g, linear_max(g)> >= <g, δ> for every δ in Δ, and linear_max(g) is in Δ."""
    delta_set, g, v = drawn
    best = delta_set.linear_max(g)
    assert delta_set.contains(best).all()
    np.testing.assert_allclose(delta_set.support(g), dot(g, best), rtol=1e-5, atol=tolerance(g))
    x = getattr(delta_set, "x", None)
    rng = np.random.default_rng(seed)
    for delta in (delta_set.sample(rng, g if x is None else x), delta_set.project(v), delta_set.project(100 * g)):
        assert (dot(g, delta) <= dot(g, best) + tolerance(g)).all()


@given(sets(boxed=False))
def test_support_is_eps_times_the_dual_norm(drawn):
    """support(g) = ε ‖g‖_*: ℓ1 for ℓ∞, ℓ2 for ℓ2, ℓ∞ for ℓ1."""
    ball, g, _ = drawn
    expected = [ball.eps * np.linalg.norm(row, DUAL[type(ball)]) for row in rows(g).astype(float)]
    np.testing.assert_allclose(ball.support(g), expected, rtol=1e-5, atol=1e-30)


@given(sets(boxed=False))
def test_norm_is_numpys(drawn):
    """ball.norm(δ) = numpy.linalg.norm of the flattened row."""
    ball, v, _ = drawn
    expected = [np.linalg.norm(row, NORMS[type(ball)]) for row in rows(v).astype(float)]
    np.testing.assert_allclose(ball.norm(v), expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("norm", [Linf, L1])
def test_boxed_support_is_the_linear_programs(norm):
    """support on ball ∩ box = the optimum that linprog finds with δ = p − q."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        n = rng.integers(1, 7)
        x, g, eps = rng.random(n), rng.standard_normal(n), rng.random() * 2
        limits = [(0, 1 - xj) for xj in x] + [(0, xj) for xj in x]
        budget = np.hstack([np.eye(n), np.eye(n)]) if norm is Linf else np.ones((1, 2 * n))
        solution = linprog(np.concatenate([-g, g]), budget, np.full(len(budget), eps), bounds=limits)
        boxed = norm(eps).within(0, 1).at(x[None])
        np.testing.assert_allclose(boxed.support(g[None])[0], -solution.fun, atol=1e-8)


def test_boxed_l2_support_is_the_lagrange_duals():
    """max <g, δ> over ball ∩ box = min over λ >= 0 of λε²/2 + Σ max over the box of g_j δ − λδ²/2 (weak duality)."""
    rng = np.random.default_rng(2)
    x, g, eps = rng.random((50, 5)), rng.standard_normal((50, 5)), 0.6
    found = L2(eps).within(0, 1).at(x).support(g)
    lam = np.geomspace(1e-6, 1e6, 20_001)[:, None, None]
    delta = np.clip(g / lam, -x, 1 - x)
    dual = (lam[:, :, 0] * eps**2 / 2 + (g * delta - lam * delta**2 / 2).sum(axis=2)).min(axis=0)
    assert (found <= dual + 1e-12).all()
    np.testing.assert_allclose(found, dual, rtol=1e-5)


@given(sets(kinds=st.integers(0, 4).map(L0), boxed=True))
def test_boxed_l0_support_beats_every_support(drawn):
    """support = the largest sum of k single gains max(g low, g high)."""
    boxed, g, _ = drawn
    low, high = boxed.bounds()
    gains = np.sort(rows(np.maximum(g * low, g * high)), axis=1)[:, ::-1]
    np.testing.assert_allclose(boxed.support(g), gains[:, : boxed.radius].sum(axis=1), rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [Linf, L2, L1])
def test_tiny_gradients_keep_their_direction(make, dtype):
    """linear_max(s g) = linear_max(g) for s down to the smallest normal numbers (CleverHans pull request 1175)."""
    g = np.array([[3.0, -4.0, 1.0]], dtype)
    x = np.full_like(g, 0.5)
    tiny = g * dtype(np.finfo(dtype).tiny * 4)
    for delta_set in (make(0.6), make(0.6).within(0, 1).at(x)):
        np.testing.assert_allclose(delta_set.linear_max(tiny), delta_set.linear_max(g), rtol=1e-6)
        np.testing.assert_allclose(delta_set.step(tiny, 0.1), delta_set.step(g, 0.1), rtol=1e-6)


def test_linear_max_of_zero_is_feasible():
    """g = 0: every point is best, and the result must not be NaN."""
    for ball in (Linf(1), L2(1), L1(1), L0(1)):
        x = np.full((2, 3), 0.5)
        for delta_set in (ball, ball.within(0, 1).at(x)) if not isinstance(ball, L0) else (ball.within(0, 1).at(x),):
            assert delta_set.contains(delta_set.linear_max(np.zeros((2, 3)))).all()


def test_boxed_linear_max_by_hand():
    """g = (3, 2, 1), room upwards (0.5, 1, 1): ℓ1 with ε = 1 uses 0.5 of the first and 0.5 of the second."""
    boxed = L1(1).within(0, 1).at(np.array([[0.5, 0.0, 0.0]]))
    np.testing.assert_allclose(boxed.linear_max(np.array([[3.0, 2.0, 1.0]])), [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(L0(2).within(0, 1).at(boxed.x).linear_max(np.array([[3.0, 2.0, 1.0]])), [[0.5, 1, 0]])


# Steps


@given(all_sets(), radii)
def test_unhindered_steps_have_size_alpha(drawn, alpha):
    """step(g, α) is linear_max of the set with radius α where the box is far away."""
    _, g, _ = drawn
    x = np.full_like(g, 0.5)
    for ball in (Linf(1), L2(1), L1(1)):
        far = ball.within(-1e3, 1e3).at(x)
        np.testing.assert_allclose(far.step(g, alpha), ball.scaled(alpha).linear_max(g), rtol=1e-5, atol=1e-6)


@given(sets(kinds=radii.map(Linf) | radii.map(L2)) | sets(boxed=False))
def test_repeated_steps_reach_linear_max(drawn):
    """δ ← P(δ + step(g)) with α = ε converges to a best point: PGD is exact on linear functions."""
    delta_set, g, _ = drawn
    assume(delta_set.radius > 0)
    delta = np.zeros_like(g)
    for _ in range(20):
        here = delta_set if not isinstance(delta_set, Intersection) else delta_set.at(delta_set.x + delta)
        delta = delta_set.project(delta + here.step(g, delta_set.radius))
    slack = 1e-5 * np.maximum(1, delta_set.support(g))
    assert (dot(g, delta) >= delta_set.support(g) - slack).all()


# Samples


@pytest.mark.parametrize("ball", [Linf(0.7), L2(0.7), L1(0.7)])
def test_samples_are_uniform_in_the_ball(ball):
    """(‖δ‖ / ε)^P is uniform on [0, 1] for δ uniform in a ball of P dimensions; components have mean 0."""
    x = np.zeros((4000, 3))
    delta = ball.sample(np.random.default_rng(0), x)
    assert kstest((ball.norm(delta) / ball.eps) ** 3, "uniform").pvalue > 1e-3
    assert (abs(delta.mean(axis=0)) < 4 * delta.std(axis=0) / np.sqrt(len(x))).all()


def test_boxed_linf_samples_are_uniform():
    """ℓ∞ ∩ box is a box: every component is uniform on the part of [−ε, ε] inside it."""
    x = np.full((4000, 1), 0.1)
    delta = Linf(0.5).within(0, 1).sample(np.random.default_rng(0), x)[:, 0]
    assert kstest((delta + 0.1) / 0.6, "uniform").pvalue > 1e-3


@given(all_sets(), st.integers(0, 2**32 - 1))
def test_samples_are_inside_and_seeded(drawn, seed):
    """sample(rng) is in Δ(x), has the dtype of x, and the same seed gives the same δ."""
    delta_set, v, _ = drawn
    x = v if getattr(delta_set, "x", None) is None else delta_set.x
    delta = delta_set.sample(np.random.default_rng(seed), x)
    assert delta.dtype == x.dtype
    assert delta.shape == x.shape
    assert delta_set.contains(delta).all()
    np.testing.assert_array_equal(delta, delta_set.sample(np.random.default_rng(seed), x))


# Conventions


@given(all_sets())
def test_dtype_shape_and_input_are_kept(drawn):
    """float32 stays float32, (N, *D) stays (N, *D), and no argument is changed."""
    delta_set, v, _ = drawn
    before = v.copy()
    for result in (delta_set.project(v), delta_set.linear_max(v), delta_set.step(v, 0.1)):
        assert result.dtype == v.dtype
        assert result.shape == v.shape
    assert delta_set.support(v).dtype == v.dtype
    assert delta_set.norm(v).shape == delta_set.support(v).shape == delta_set.contains(v).shape == (len(v),)
    np.testing.assert_array_equal(v, before)


@given(all_sets())
def test_rows_do_not_see_each_other(drawn):
    """Row i of a batch = the batch of row i alone (torchattacks issue 12)."""
    delta_set, v, _ = drawn
    for i in range(len(v)):
        alone = delta_set if not isinstance(delta_set, Intersection) else delta_set.at(delta_set.x[i : i + 1])
        np.testing.assert_array_equal(delta_set.project(v)[i], alone.project(v[i : i + 1])[0])
        np.testing.assert_array_equal(delta_set.linear_max(v)[i], alone.linear_max(v[i : i + 1])[0])


@pytest.mark.parametrize("make", [Linf, L2, L1])
def test_numpy_radius_does_not_turn_float32_into_float64(make):
    """A radius from numpy.linspace is as good as a Python float (ART issue 366)."""
    g = np.ones((2, 3), np.float32)
    ball = make(np.float64(0.5))
    boxed = ball.within(np.float64(0), np.float64(1))
    assert ball.linear_max(g).dtype == ball.project(g).dtype == np.float32
    assert boxed.at(g).project(g).dtype == boxed.sample(np.random.default_rng(0), g).dtype == np.float32


def test_at_moves_the_box_from_its_own_place():
    """Δ(x) does not depend on where the set was before: at(a).at(b) = at(b)."""
    a, b = np.full((1, 2), 0.25), np.full((1, 2), 0.75)
    threat = Linf(0.5).within(0, 1)
    v = np.ones((1, 2))
    np.testing.assert_array_equal(threat.at(a).at(b).project(v), threat.at(b).project(v))
    np.testing.assert_array_equal(threat.at(b).project(v), [[0.25, 0.25]])


def test_without_at_a_box_is_delta_of_zero():
    """Linf(1).within(−1/4, 1/2) alone is Δ(0); if 0 is outside the box, the error says so."""
    np.testing.assert_array_equal(Linf(1).within(-0.25, 0.5).project(np.array([[3.0, -3.0]])), [[0.5, -0.25]])
    with pytest.raises(ValueError, match=r"call \.at\(x\) first"):
        Linf(1).within(0.25, 0.5).project(np.array([[3.0]]))


def test_pixel_ranges_may_differ_by_component():
    """Bounds may be arrays: one range for each component."""
    boxed = Linf(1).within(np.array([0.0, -1.0]), np.array([0.5, 1.0])).at(np.zeros((1, 2)))
    np.testing.assert_array_equal(boxed.linear_max(np.array([[1.0, -1.0]])), [[0.5, -1.0]])


def test_scaled_keeps_shape_and_box():
    """scaled(α) has radius α, the same norm, and the same box."""
    for ball in (Linf(1), L2(1), L1(1)):
        assert ball.scaled(0.3) == type(ball)(0.3)
        assert ball.within(0, 1).scaled(0.3) == type(ball)(0.3).within(0, 1)
    assert [L0(5).scaled(alpha).k for alpha in (0.2, 2.4, 2.6)] == [1, 2, 3]


def test_names_say_the_whole_threat():
    """str(threat) is the text in the head of a table."""
    assert str(Linf(0.2).within(0, 1)) == "‖δ‖∞ ≤ 0.2, 0 ≤ x + δ ≤ 1"
    assert str(L0(3)) == "‖δ‖₀ ≤ 3"


@pytest.mark.parametrize("make", [Linf, L2, L1])
@pytest.mark.parametrize(
    ("eps", "error"),
    [(-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError), (True, TypeError)],
)
def test_bad_radii_are_refused(make, eps, error):
    """ε must be a finite number >= 0; the message names it."""
    with pytest.raises(error, match="eps"):
        make(eps)


def test_bad_sets_are_refused():
    """k a whole number >= 0, lower <= upper, x inside the box."""
    with pytest.raises(TypeError, match=r"k must be a whole number, not 1\.5"):
        L0(1.5)
    with pytest.raises(ValueError, match="k = -1"):
        L0(-1)
    with pytest.raises(ValueError, match=r"\[1, 0\] is empty"):
        Linf(1).within(1, 0)
    with pytest.raises(ValueError, match=r"x holds 1\.5, outside the box \[0, 1\]"):
        Linf(1).within(0, 1).at(np.array([[1.5]]))
    for refused in (lambda: L0(1).linear_max(np.ones((1, 2))), lambda: L0(1).sample(None, np.ones((1, 2)))):
        with pytest.raises(ValueError, match="cut it with a box"):
            refused()
