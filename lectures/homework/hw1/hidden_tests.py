"""The hidden tests of homework 1: projections are nearest points and best points are best, also in the pixel range."""

from itertools import combinations

import norms as student
import numpy as np
from checking import answer, close, said
from hypothesis import given, settings
from hypothesis import strategies as st
from public_tests import EPS, call, expect, numbers, vectors

ORDER = {"Linf": np.inf, "L2": 2, "L1": 1}
DUAL = {"Linf": 1, "L2": 2, "L1": np.inf}
TINY = 1e-9


@st.composite
def in_the_range(draw):
    """Draw one example in [0, 1], a vector of its shape, and a radius."""
    size = draw(st.integers(1, 4))
    row = st.lists(numbers(0, 1), min_size=size, max_size=size)
    v = st.lists(numbers(), min_size=size, max_size=size)
    return np.array([draw(row)]), np.array([draw(v)]), draw(st.sampled_from([0.0, 0.25, 0.7, 1.5]))


def inside(delta, name, eps):
    """Return whether one row lies in the ball, by NumPy's norm."""
    return np.linalg.norm(delta[0], ORDER[name]) <= eps + TINY


def nearer(v, p, name, eps, low, high):
    """Return a point of ball ∩ [low, high] that is nearer to v than p is, or None; all arrays are single rows.

    p is the nearest point if no step towards the best point in the direction v − p comes nearer (the variational
    inequality). The best point is clip(g / λ, low, high) with one multiplier λ for ℓ2, and the best corner for ℓ∞; for
    ℓ1 the components are filled in the order of |g|.
    """
    g = v - p
    u = BEST[name](g, eps, low, high)
    gain = (g * (u - p)).sum()
    if gain <= 1e-7 * (1 + abs(g).sum()):
        return None
    step = min(1, gain / ((u - p) ** 2).sum())
    return p + step * (u - p)


def _best_linf(g, eps, low, high):
    return np.where(g > 0, np.minimum(high, eps), np.maximum(low, -eps)) * (g != 0)


def _best_l1(g, eps, low, high):
    room = np.where(g > 0, high, -low) * (g != 0)
    u = np.zeros_like(g)
    for j in np.argsort(-abs(g)):
        u[j] = min(room[j], eps - abs(u).sum())
    return np.sign(g) * np.maximum(u, 0)


def _best_l2(g, eps, low, high):
    corner = np.where(g > 0, high, low) * (g != 0)
    if np.linalg.norm(corner) <= eps:
        return corner
    small, large = 0.0, 1e12
    for _ in range(200):
        scale = (small + large) / 2 if large - small < 1 else np.sqrt(max(small, 1e-3) * large)
        if np.linalg.norm(np.clip(scale * g, low, high)) <= eps:
            small = scale
        else:
            large = scale
    return np.clip(small * g, low, high)


BEST = {"Linf": _best_linf, "L2": _best_l2, "L1": _best_l1}


def hold_in_the_range(name, x, v, eps):
    """Check that project onto ball ∩ box returns a point of it, and that no point of it is nearer."""
    low, high = -x[0], 1 - x[0]
    delta_set = getattr(student, name)(eps).within(0, 1).at(x)
    what = f"{name}({eps:g}).within(0, 1).at({said(x)}).project({said(v)})"
    p = answer(delta_set.project, v, shape=v.shape, what=what)
    assert inside(p, name, eps), f"{what} is {said(p)}, outside the ball"
    assert ((p[0] >= low - TINY) & (p[0] <= high + TINY)).all(), f"{what} is {said(p)}, so x + δ leaves [0, 1]"
    better = nearer(v[0], p[0], name, eps, low, high)
    assert better is None, f"{what} is {said(p)}, but {said(better)} lies in the set too and is nearer"


@given(st.sampled_from(EPS), vectors())
def test_l1_projection_is_nearest(eps, v):
    """No point of the ℓ1 ball is nearer to δ than its projection"""
    p, what = call(student.L1(eps), "project", v)
    assert inside(p, "L1", eps), f"{what} is {said(p)}, outside the ball"
    far = np.full(v.shape[1], 1e3)
    better = nearer(v[0], p[0], "L1", eps, -far, far)
    assert better is None, f"{what} is {said(p)}, but {said(better)} lies in the ball too and is nearer"


@given(st.integers(0, 4), vectors())
def test_l0_projection_is_nearest(k, v):
    """No vector with at most k components that are not zero is nearer to δ than its projection"""
    p, what = call(student.L0(k), "project", v)
    assert (p != 0).sum() <= k, f"{what} is {said(p)}, which has more than {k} components that are not zero"
    size = v.shape[1]
    kept = [np.isin(np.arange(size), chosen) * v for chosen in combinations(range(size), min(k, size))]
    best = min(kept, key=lambda u: ((v - u) ** 2).sum())
    nearest = ((v - p) ** 2).sum() <= ((v - best) ** 2).sum() + TINY
    assert nearest, f"{what} is {said(p)}, but {said(best)} is nearer"


def hold_best(name, eps, g):
    """Check that linear_max lies in the ball and that no point gains more: its gain is ε times the dual norm."""
    u, what = call(getattr(student, name)(eps), "linear_max", g)
    assert inside(u, name, eps), f"{what} is {said(u)}, outside the ball"
    gain, most = (g * u).sum(), eps * np.linalg.norm(g[0], DUAL[name])
    assert close(gain, most), f"{what} is {said(u)}, which gains <g, δ> = {gain:g}; the best point gains {most:g}"


@given(st.sampled_from(EPS), vectors())
def test_linf_best_point(eps, g):
    """Linf.linear_max lies in the ball and gains the most, <g, δ> = ε ‖g‖₁"""
    hold_best("Linf", eps, g)


@given(st.sampled_from(EPS), vectors())
def test_l2_best_point(eps, g):
    """L2.linear_max lies in the ball and gains the most, <g, δ> = ε ‖g‖₂"""
    hold_best("L2", eps, g)


@given(st.sampled_from(EPS), vectors())
def test_l1_best_point(eps, g):
    """L1.linear_max lies in the ball and gains the most, <g, δ> = ε ‖g‖∞"""
    hold_best("L1", eps, g)


@given(st.sampled_from(sorted(DUAL)), st.sampled_from(EPS), vectors(least=2))
def test_support_is_eps_times_the_dual_norm(name, eps, g):
    """support(g) = ε ‖g‖ in the dual norm: ℓ1 for ℓ∞, ℓ2 for ℓ2, ℓ∞ for ℓ1"""
    for each in DUAL if eps == EPS[-1] else [name]:
        expect(getattr(student, each)(eps), "support", g, [eps * np.linalg.norm(g[0], DUAL[each])])


def test_images_of_float32_row_by_row():
    """A batch of images in float32 gives float32 images, each as if it were alone"""
    rng = np.random.default_rng(0)
    v = (rng.integers(-16, 17, (4, 3, 2, 1)) / 8).astype(np.float32)
    v[0] /= 16
    for ball in (student.Linf(0.5), student.L2(0.5), student.L1(0.5)):
        for method in ("project", "linear_max", "support"):
            what = f"{type(ball).__name__}(0.5).{method} of {v.shape} images"
            function = getattr(ball, method)
            dtype = getattr(function(v.copy()), "dtype", None)
            assert dtype == np.float32, f"{what} in float32 should be float32, but is {dtype}"
            shape = v.shape[:1] if method == "support" else v.shape
            together = answer(function, v, shape=shape, what=what)
            alone = [answer(function, v[i : i + 1], shape=(1, *shape[1:]), what=what)[0] for i in range(len(v))]
            assert close(together, np.array(alone), 1e-6), f"{what}: the answer for a row differs when the row is alone"


@given(in_the_range())
def test_linf_projection_in_the_pixel_range(drawn):
    """The nearest point of the ℓ∞ ball with 0 ≤ x + δ ≤ 1"""
    hold_in_the_range("Linf", *drawn)


@settings(max_examples=150)
@given(in_the_range())
def test_l1_projection_in_the_pixel_range(drawn):
    """The nearest point of the ℓ1 ball with 0 ≤ x + δ ≤ 1"""
    hold_in_the_range("L1", *drawn)


@settings(max_examples=150)
@given(in_the_range())
def test_l2_projection_in_the_pixel_range(drawn):
    """The nearest point of the ℓ2 ball with 0 ≤ x + δ ≤ 1"""
    hold_in_the_range("L2", *drawn)
