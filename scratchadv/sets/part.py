"""The methods that an intersection calls on its parts, as sets that consist of bounds alone have them."""

import numpy as np

from .. import checks
from ..backend import host, like, namespace


class Part:
    """A part of an intersection.

    The first part, which is the ball if there is one, solves the problems of the whole intersection, ``cut``: given the
    magnitudes ``a`` and the largest magnitudes ``b`` that the bounds allow, both of shape ``(N, P)``.
    """

    place = None  # the position of this kind of part in an intersection: ball, Range, Box, Mask

    # Methods that an intersection calls on its first part

    def project_capped(self, a, b):
        """Return the nearest magnitudes to a in the set, at most b, ``(N, P)``."""
        return namespace(a).minimum(a, b)

    def max_capped(self, a, b):
        """Return magnitudes m of the set, at most b, with the largest <a, m>, ``(N, P)``."""
        b = namespace(a).where(a > 0, b, 0)
        checks.finite_box("the maximum over the threat", 0, b, self)
        return b

    def _finite(self, b):
        """Return bounds on magnitudes without infinite ones, if the set itself is bounded."""
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
        """Return the best step of size alpha inside the bounds, with a push against the bounds where δ is at the edge.

        The bounds clip the push. Without it, the projection would move the components at the edge inwards again, and
        PGD would stop before the best point of the intersection.
        """
        xp = namespace(g)
        low, high = cut.bounds()
        blocked = xp.where(g > 0, high, -low) <= 0
        return xp.where(blocked, self._push(g, alpha), cut.scaled(alpha).linear_max(g))

    def _push(self, g, alpha):
        return self.step(g, alpha)

    # Methods that each kind of set defines

    def _and(self, other):
        """Return the intersection with a set of the same kind."""
        raise NotImplementedError

    def _key(self):
        """Return a hashable value that is equal for equal sets of one kind."""
        raise NotImplementedError

    def _fit(self, x):
        """Refuse examples that do not fit the set."""

    def _cut(self, i, x):
        """Return the set with the rows that belong to ``x[i]``."""
        return self

    def _bounds_at(self, x):
        """Return the lowest and the highest δ at x, or of Δ(0) if x is None."""
        raise NotImplementedError

    def _bounds_for(self, v):
        """Return the bounds, broadcastable to v, whose rows belong to the examples of the set."""
        return self._bounds

    def _shifted(self, delta):
        """Return the further changes that the set allows after delta; a Box needs only the new place x + delta."""
        return self


def rows_of_each(radius, i):
    """Return the radii of the examples ``x[i]``; they are kept on the host."""
    return radius[i if isinstance(i, slice) else host(i)]


def key_of(*values):
    """Return numbers and arrays as a hashable value, in which −0 and 0 are equal."""
    arrays = [np.asarray(host(value), float) + 0.0 for value in values]
    return tuple((a.shape, a.tobytes()) for a in arrays)
