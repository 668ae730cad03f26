"""The contract of perturbation sets."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...numerics import rows
from ...sets import L0, Box
from ..strategies import picture_shapes, pictures, seeds
from .hold import Broken, hold, law
from .measures import some

BALL_LAWS = {}


def assert_ball_contract(ball, *, max_examples=50, shrink=True):
    """Check a perturbation set against the laws of ``BALL_LAWS``.

    Parameters
    ----------
    ball : Set
    max_examples : int
        The number of cases for each law.
    shrink : bool
        Whether to look for the smallest counterexample; otherwise the first one is reported.

    Raises
    ------
    ContractError
        If a law is broken.
    """
    hold(BALL_LAWS, ball, max_examples, shrink)


@dataclass(frozen=True)
class _Vectors:
    """The set at x, vectors v to be projected, and vectors g to be maximised along."""

    set: Any
    x: Any
    v: Any
    g: Any


@st.composite
def _vectors(draw, ball):
    x = draw(pictures(ball, draw(picture_shapes(ball)), draw(st.integers(1, 3))))
    rng = np.random.default_rng(draw(seeds))
    size = draw(st.sampled_from([1.0, 0.1, 4.0]))
    v, g = ((size * rng.standard_normal(x.shape)).round(2).astype(x.dtype) for _ in range(2))
    return _Vectors(ball.at(x), x, v, g)


def _inner(u, v):
    return rows(u.astype(float) * v.astype(float)).sum(axis=1)


def _tolerance(v):
    return (1e-4 if v.dtype == np.float32 else 1e-9) * (1 + abs(v).max() ** 2)


def _told(case, i, **values):
    shown = {"Δ": case.set} | ({"x": case.x[i]} if case.set.pixels is not None else {})
    return shown | {name: a[i] for name, a in values.items()}


@law(BALL_LAWS, _vectors)
def what_is_projected_lies_inside(_, case):
    """P(v) ∈ Δ and linear_max(g) ∈ Δ, with the shape and the dtype of their arguments."""
    for v, result in ((case.v, case.set.project(case.v)), (case.g, case.set.linear_max(case.g))):
        if (result.shape, result.dtype) != (v.shape, v.dtype):
            raise Broken(f"{v.dtype} of shape {v.shape} became {result.dtype} of shape {result.shape}", Δ=case.set)
        out = some(~case.set.contains(result))
        if out:
            raise Broken("the result lies outside the set", **_told(case, out, v=v, result=result))


@law(BALL_LAWS, _vectors)
def what_lies_inside_stays(_, case):
    """P(v) = v for v ∈ Δ."""
    inside = case.set.linear_max(case.v) / 2
    again = case.set.project(inside)
    moved = some(abs(rows(again - inside)).max(axis=1) > _tolerance(inside))
    if moved:
        raise Broken("the projection moves a point of the set", **_told(case, moved, v=inside, projected=again))


@law(BALL_LAWS, _vectors)
def the_projection_is_the_nearest_point(_, case):
    """<v − P(v), u − P(v)> <= 0 for all u ∈ Δ; the worst u is linear_max(v − P(v)). ℓ0 is not convex and exempt."""
    if isinstance(case.set.ball, L0):
        return
    p = case.set.project(case.v)
    u = case.set.linear_max(case.v - p)
    wrong = some(_inner(case.v - p, u - p) > _tolerance(case.v))
    if wrong:
        raise Broken("a point u of the set is nearer than the projection", **_told(case, wrong, v=case.v, p=p, u=u))


@law(BALL_LAWS, _vectors)
def the_linear_maximum_is_the_largest(_, case):
    """<g, linear_max(g)> = support(g) >= <g, u> for all u ∈ Δ."""
    best = case.set.linear_max(case.g)
    u = case.set.project(case.v)
    found = _inner(case.g, best)
    beaten = some(found < _inner(case.g, u) - _tolerance(case.g))
    if beaten:
        raise Broken("<g, u> is larger for another point u", **_told(case, beaten, g=case.g, linear_max=best, u=u))
    off = some(abs(found - case.set.support(case.g)) > _tolerance(case.g))
    if off:
        raise Broken("the support is not <g, linear_max(g)>", **_told(case, off, g=case.g, linear_max=best))


@law(BALL_LAWS, _vectors)
def a_tiny_gradient_has_a_direction(_, case):
    """linear_max(1e-30 g) = linear_max(g)."""
    for g in (case.g, np.sign(case.g)):
        best = case.set.linear_max(g)
        tiny = case.set.linear_max((1e-30 * g).astype(g.dtype))
        lost = some(abs(_inner(g, best) - _inner(g, tiny)) > _tolerance(g))
        if lost:
            raise Broken("1e-30 g and g have different maxima", **_told(case, lost, g=g, linear_max=best, tiny=tiny))


@law(BALL_LAWS, lambda ball: st.builds(lambda case, seed: (case, seed), _vectors(ball), seeds))
def samples_lie_inside(ball, drawn):
    """sample(rng, x) ∈ Δ(x), and the same seed draws the same sample."""
    case, seed = drawn
    first, again = (ball.sample(np.random.default_rng(seed), case.x) for _ in range(2))
    out = some(~case.set.contains(first))
    if out:
        raise Broken("a sample lies outside the set", **_told(case, out, sample=first))
    if not np.array_equal(first, again):
        raise Broken(f"the seed {seed} draws a different sample the second time", Δ=ball)


@law(BALL_LAWS, _vectors)
def an_infinite_side_is_no_bound(ball, case):
    """On ball ∩ [−∞, ∞], P(v) and max <g, u> are those of the ball; a bare ℓ0 ball has no maximum and is exempt."""
    bare = ball.ball
    if bare is None or isinstance(bare, L0):
        return
    wide = (bare & Box(-math.inf, math.inf)).at(case.x)
    for what, v in (("project", case.v), ("linear_max", case.g)):
        found, expected = getattr(wide, what)(case.v), getattr(bare, what)(case.v)
        if what == "linear_max":
            found, expected = _inner(case.v, found)[:, None], _inner(case.v, expected)[:, None]
        off = some(~(abs(rows(found - expected)).max(axis=1) <= _tolerance(v)))
        if off:
            raise Broken(f"a box with infinite sides changes {what}", **_told(case, off, v=case.v, result=found))
