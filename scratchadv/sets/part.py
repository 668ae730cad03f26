"""What an intersection asks of its parts, with the answers of sets that are given by their bounds alone."""

import numpy as np

from .. import checks
from ..backend import host, like, namespace


class Part:
    """A part of an intersection: how its kind is put together, and, for the first part, how the whole is solved.

    The first part is the ball if there is one. ``cut`` is the intersection, ``a`` are magnitudes, and ``b`` the largest
    ones that are allowed, both of shape ``(N, P)``.
    """

    place = None  # of its kind among the parts: ball, Range, Box, Mask

    # Of the first part

    def _project_capped(self, a, b):
        return namespace(a).minimum(a, b)

    def _max_capped(self, a, b):
        b = namespace(a).where(a > 0, b, 0)
        checks.finite_box("the maximum over the threat", 0, b, self)
        return b

    def _finite(self, b):
        """Bounds on magnitudes without infinite ones, where the set itself is bounded."""
        return b

    def _sample_in(self, rng, x, cut):
        xp = namespace(x)
        low, high = cut.bounds()
        checks.finite_box("a sample of the threat", low, high, self)
        u = like(rng.random(x.shape, dtype=x.dtype), x)
        return xp.asarray(low + u * (high - low), dtype=x.dtype)

    def _ascend_in(self, delta, g, alpha, cut):
        return cut.project(delta + self.step(g, alpha))

    def _step_in(self, g, alpha, cut):
        """The best step of size alpha between the bounds, and a push against them where they leave nothing.

        The bounds cut the push off; without it the projection would take back from the components at the edge what
        others gain, and PGD would stop short of the best point of the intersection.
        """
        xp = namespace(g)
        low, high = cut.bounds()
        blocked = xp.where(g > 0, high, -low) <= 0
        return xp.where(blocked, self._push(g, alpha), cut.scaled(alpha).linear_max(g))

    def _push(self, g, alpha):
        return self.step(g, alpha)

    # Of every part

    def _and(self, other):
        """The intersection with a set of the same kind."""
        raise NotImplementedError

    def _key(self):
        """What makes two sets of a kind equal, as something to compare and to hash."""
        raise NotImplementedError

    def _fit(self, x):
        """Refuse examples at which the set cannot be."""

    def _cut(self, i, x):
        """The set with those of its own rows that belong to ``x[i]``."""
        return self

    def _bounds_at(self, x):
        """The lowest and the highest δ at x; of Δ(0) for None."""
        raise NotImplementedError

    def _bounds_for(self, v):
        """The bounds as they broadcast to v, whose rows belong to the examples of the set."""
        return self._bounds

    def _shifted(self, delta):
        """The further changes that the set allows after delta, but for what a Box says at x + delta."""
        return self


def rows_of_each(radius, i):
    """The radii, on the host, of the examples ``x[i]``."""
    return radius[i if isinstance(i, slice) else host(i)]


def key_of(*values):
    """Numbers and arrays as something to compare and to hash; −0 and 0 are equal."""
    arrays = [np.asarray(host(value), float) + 0.0 for value in values]
    return tuple((a.shape, a.tobytes()) for a in arrays)
