"""What the balls of all norms share: a radius, which may differ between examples, and intersections with bounds."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import checks
from ..backend import namespace
from ..numerics import each, ndim
from .box import Box
from .intersection import Set
from .part import key_of, rows_of_each


class Ball(Set):
    """The base class of the balls. A ball is the same set for every x, unless each example has its own radius."""

    place = 0

    def __str__(self):
        if ndim(self.radius):
            return f"{self.name} ≤ {min(self.radius, default=0):g} to {max(self.radius, default=0):g}"
        return f"{self.name} ≤ {self.radius:g}"

    @property
    def ball(self):
        """The ball itself."""
        return self

    @property
    def box(self):
        """None: a ball has no other bounds."""
        return None

    def within(self, lower, upper):
        """Return ``ball & Box(lower, upper)``: Δ(x) = {δ in the ball : lower <= x + δ <= upper}."""
        return self & Box(lower, upper)

    def contains(self, delta, atol=1e-6):
        """Return whether each row lies in the set, ``(N,)``, up to ``atol`` (relative for radii above 1)."""
        size = self.norm(delta)
        radius = each(self.radius, size)
        return size <= radius + atol * (namespace(size).maximum(1, radius) if ndim(radius) else max(1.0, radius))

    def rows(self, i):
        """Return Δ of the examples ``x[i]``, with their own radii if there is one for each example."""
        return replace(self._cut(i, self.x), x=None if self.x is None else self.x[i])

    def _and(self, other):
        raise ValueError(
            f"the intersection of the balls {self} and {other} cannot be solved exactly: intersect one ball with a "
            "Box, a Range or a Mask"
        )

    def _key(self):
        return key_of(self.radius)

    def _fit(self, x):
        if ndim(self.radius) and len(self.radius) != len(x):
            raise ValueError(f"the threat has {len(self.radius)} radii for {len(x)} examples, not one for each")

    def _bounds_at(self, x):
        return -np.inf, np.inf

    def _push(self, g, alpha):
        return each(alpha, g) * namespace(g).sign(g)

    def _sample_in(self, rng, x, cut):
        return cut.project(self.sample(rng, x))

    def _ascend_in(self, delta, g, alpha, cut):
        return cut.project(delta + cut.shifted(delta).step(g, alpha))


@dataclass(frozen=True, eq=False)
class NormBall(Ball):
    """A ball of a norm with radius ε >= 0.

    Parameters
    ----------
    eps : float or array, shape (N,)
        The radius ε, in the units of x; an array gives each example its own.
    """

    eps: Any

    def __post_init__(self):
        # a Python float: a NumPy one would turn float32 images into float64
        object.__setattr__(self, "eps", checks.sizes("eps", self.eps))

    @property
    def radius(self):
        """The radius ε, in the units of x."""
        return self.eps

    def scaled(self, alpha):
        """Return the ball of the same norm with radius ``alpha``."""
        return replace(self, eps=alpha)

    def _cut(self, i, x):
        return replace(self, eps=rows_of_each(self.eps, i)) if ndim(self.eps) else self

    def _support(self, g):
        """Return ε times the dual norm of g."""
        dual = self.dual_norm(g)
        return each(self.eps, dual) * dual

    def _finite(self, b):
        """Replace infinite bounds by ε, which no component exceeds."""
        xp = namespace(b)
        return xp.where(xp.isinf(b), xp.asarray(each(self.eps, b), dtype=b.dtype), b)
