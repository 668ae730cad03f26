r"""The base class of perturbation sets, and their intersection, which ``&`` makes.

An intersection has at most one part of each kind: the ball of a norm, a :class:`~scratchadv.sets.Range`, a
:class:`~scratchadv.sets.Box` and a :class:`~scratchadv.sets.Mask`. The last three are bounds on δ at x,
:math:`l(x) \leq \delta \leq u(x)`, so together they form one box of δ. The first part, which is the ball if
there is one, solves the problems on magnitudes with a cap for each component (see ``norms.py``); the intersection
computes the caps and restores the signs.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..backend import namespace
from ..numerics import rows
from .part import Part


@dataclass(frozen=True, eq=False)
class Set(Part):
    """A perturbation set Δ(x). The methods of this base class serve sets that consist of bounds alone.

    Parameters
    ----------
    x : array, shape (N, *D), optional
        The examples at which the set is taken; ``at(x)`` sets them.
    """

    x: Any = field(default=None, kw_only=True, repr=False)

    # Algebra

    def __and__(self, other):
        """Return the intersection of two sets."""
        if not isinstance(other, Set):
            return NotImplemented
        if self.x is not None and other.x is not None and self.x is not other.x:
            raise ValueError("the two sets are at different examples: intersect them first and call .at(x) then")
        parts = {part.place: part for part in self.parts}
        for part in other.parts:
            parts[part.place] = parts[part.place]._and(part) if part.place in parts else part
        both = _joined([parts[place] for place in sorted(parts)])
        x = other.x if self.x is None else self.x
        return both if x is None else both.at(x)

    def __eq__(self, other):
        """Return whether the sets are of the same kind with the same numbers; the examples do not matter."""
        return self._key() == other._key() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    @property
    def parts(self):
        """The ball, Range, Box and Mask of which the set consists, without the examples."""
        return (replace(self, x=None),)

    @property
    def ball(self):
        """The part that measures δ: the ball of a norm, otherwise a Range; None if the set has neither."""
        return None

    @property
    def box(self):
        """The set without its ball, as attacks take it in their argument ``box``; None if nothing else is left."""
        return self

    @property
    def pixels(self):
        """The Box of the set, the range of x + δ; None if it has none."""
        return None

    @property
    def everywhere(self):
        """The set without its Box, which is the same at every x; None if nothing else is left."""
        return self

    def at(self, x):
        """Return Δ(x), the set at the examples ``x``.

        Raises
        ------
        ValueError
            If x lies outside the box, or if the numbers of the set do not broadcast to x.
        """
        self._fit(x)
        return replace(self, x=x)

    def rows(self, i):
        """Return Δ of the examples ``x[i]``, after ``at(x)``; i is a slice, a mask or an index array."""
        if self.x is None:
            raise ValueError("the set is at no examples: call .at(x) before .rows(i)")
        return replace(self._cut(i, self.x), x=self.x[i])

    def bounds(self, x=None):
        """Return the lowest and the highest δ for each component, with 0 between them.

        Parameters
        ----------
        x : array, shape (N, *D), optional
            The examples. Default: those of ``at``.

        Returns
        -------
        low, high : array
            Shaped like x, infinite where only a norm bounds δ. Without examples they are the bounds of Δ(0), numbers
            or arrays that broadcast.
        """
        return self._bounds if x is None or x is self.x else self.at(x)._bounds

    @cached_property
    def _bounds(self):
        low, high = self._bounds_at(self.x)
        if self.x is None:
            return low, high
        xp = namespace(self.x)
        return tuple(xp.broadcast_to(xp.asarray(side, dtype=self.x.dtype), self.x.shape) for side in (low, high))

    @property
    def radius(self):
        """The largest norm of a δ in the set."""
        raise self._no_norm("radius")

    def norm(self, delta):
        """Return the norm of each row, ``(N,)``."""
        raise self._no_norm("size of a change")

    def scaled(self, alpha):
        """Return the same set with radius ``alpha``."""
        raise self._no_norm("radius to scale")

    def contains(self, delta, atol=1e-6):
        """Return whether each row lies in the set, up to ``atol``, ``(N,)``."""
        low, high = self._bounds_for(delta)
        return rows((delta >= low - atol) & (delta <= high + atol)).all(axis=1)

    def project(self, delta):
        """Return the nearest point of the set, row by row."""
        low, high = self._bounds_for(delta)
        return namespace(delta).clip(delta, low, high).astype(delta.dtype, copy=False)

    def linear_max(self, g):
        """Return a point of the set with the largest <g, δ>, row by row."""
        return self._on_magnitudes(self.max_capped, g)

    def support(self, g):
        """Return the largest <g, δ> over the set.

        Parameters
        ----------
        g : array, shape (N, *D) or (N, S, *D)
            The gradients: one linear function for each example or, after ``at(x)``, S for each.

        Returns
        -------
        array, shape (N,) or (N, S)
        """
        if self.x is None or g.ndim == self.x.ndim:
            return self._support(g)
        n, s = g.shape[:2]
        each = namespace(g).arange(n).repeat(s)
        return self.rows(each)._support(g.reshape(n * s, *g.shape[2:])).reshape(n, s)

    def sample(self, rng, x):
        """Return a random point of Δ(x), shaped like x, in which every component is uniform between its bounds."""
        return self._sample_in(rng, x, self.at(x))

    def step(self, g, alpha):
        """Return the steepest step of size ``alpha`` along g, the step of normalised PGD."""
        return self.scaled(alpha).linear_max(g)

    def ascend(self, delta, g, alpha):
        """Return P(δ + the steepest step of size ``alpha``), one iteration of normalised PGD."""
        return self.project(delta + self.step(g, alpha))

    def _support(self, g):
        return rows(g * self.linear_max(g)).sum(axis=1)

    def _on_magnitudes(self, solve, v):
        """Apply ``solve(a, b)`` to the magnitudes of v and the bounds in their directions, and restore the signs."""
        xp = namespace(v, self.x)
        low, high = self._bounds_for(v)
        b = xp.where(v > 0, high, -xp.asarray(low)).astype(v.dtype)
        return xp.sign(v) * solve(rows(abs(v)), rows(b)).reshape(v.shape)

    def _no_norm(self, what):
        return TypeError(f"the threat {self} has no norm and so no {what}: intersect it with a ball, Linf(0.1) & ...")


@dataclass(frozen=True, eq=False)
class Intersection(Set):
    r"""The δ that lie in all of the parts, such as :math:`\lVert\delta\rVert \leq \epsilon,\ l \leq x + \delta \leq u`.

    ``&`` makes an intersection, and ``ball.within(lower, upper)`` that of a ball and a Box. ``at(x)`` takes it at the
    examples x; without it the set is Δ(0). ``project`` is the exact Euclidean projection, which differs from projecting
    onto the ball and then clipping (except for ℓ∞), and ``linear_max`` is the exact attack on a linear model.

    Parameters
    ----------
    sets : tuple of Set
        The parts, at most one of each kind: a ball, a Range, a Box, a Mask.
    x : array, shape (N, *D), optional
        The examples.

    Examples
    --------
    >>> threat = Linf(0.25) & Box(0, 1) & Mask(np.array([True, True, False]))
    >>> threat.at(np.array([[0.5, 0.875, 0.5]])).linear_max(np.array([[1.0, 1.0, 1.0]]))
    array([[0.25 , 0.125, 0.   ]])
    """

    sets: tuple

    def __str__(self):
        return ", ".join(map(str, self.sets))

    def __repr__(self):
        return " & ".join(map(repr, self.sets))

    def _key(self):
        return self.sets

    @property
    def parts(self):
        """The parts: the ball, Range, Box and Mask that the set has."""
        return self.sets

    @property
    def ball(self):
        """The ball of the norm, otherwise the Range; None if there is neither."""
        return self.sets[0].ball

    @property
    def box(self):
        """The intersection of the parts without the ball."""
        return self._without(lambda part: part.box is None)

    @property
    def pixels(self):
        """The Box of the set, the range of x + δ; None if it has none."""
        return next((part for part in self.sets if part.pixels is not None), None)

    @property
    def everywhere(self):
        """The intersection of the parts without the Box."""
        return self._without(lambda part: part.pixels is not None)

    @property
    def radius(self):
        """The radius of the ball, otherwise of the Range."""
        if self.ball is None:
            raise self._no_norm("radius")
        return self.ball.radius

    def norm(self, delta):
        """Return the norm of the ball, otherwise of the Range, for each row, ``(N,)``."""
        return super().norm(delta) if self.ball is None else self.ball.norm(delta)

    def scaled(self, alpha):
        """Return the intersection in which the ball, otherwise the Range, has radius ``alpha``."""
        if self.ball is None:
            return super().scaled(alpha)
        return replace(self, sets=(self.ball.scaled(alpha), *self.sets[1:]))

    def project(self, delta):
        """Return the nearest point of the intersection, row by row."""
        return self._on_magnitudes(self.sets[0].project_capped, delta)

    def linear_max(self, g):
        """Return a point of the intersection with the largest <g, δ>, row by row."""
        return self._on_magnitudes(self.sets[0].max_capped, g)

    def contains(self, delta, atol=1e-6):
        """Return whether each row lies in all parts, up to ``atol``, ``(N,)``."""
        inside = super().contains(delta, atol)
        return inside if self.ball is None else self.ball.contains(delta, atol) & inside

    def sample(self, rng, x):
        """Return a random point of Δ(x), in the shape and dtype of x.

        For ℓ∞ and without a ball it is uniform; for ℓ0, k random components are uniform; for ℓ2 and ℓ1 it is a uniform
        point of the ball, projected onto the intersection.
        """
        return self.sets[0]._sample_in(rng, x, self.at(x))

    def step(self, g, alpha):
        """Return the steepest step of size ``alpha`` along g inside the bounds."""
        return self.sets[0]._step_in(g, alpha, self)

    def ascend(self, delta, g, alpha):
        """Return P(δ + the steepest step of size ``alpha``), one iteration of normalised PGD."""
        return self.sets[0]._ascend_in(delta, g, alpha, self)

    def shifted(self, delta):
        """Return the set of further changes that the bounds allow at x + delta, for a delta in the set."""
        sets = tuple(part._shifted(delta) for part in self.sets)
        return replace(self, sets=sets, x=None if self.x is None else self.x + delta)

    def _without(self, left_out):
        rest = [part for part in self.sets if not left_out(part)]
        return _joined(rest) if rest else None

    def _fit(self, x):
        for part in self.sets:
            part._fit(x)

    def _cut(self, i, x):
        return replace(self, sets=tuple(part._cut(i, x) for part in self.sets))

    def _bounds_at(self, x):
        (low, high), *others = [part._bounds_at(x) for part in self.sets if part.box is not None]
        xp = namespace(low, high, x)
        for lower, upper in others:
            low, high = xp.maximum(low, lower), xp.minimum(high, upper)
        return low, high

    def _on_magnitudes(self, solve, v):
        return super()._on_magnitudes(lambda a, b: solve(a, self.sets[0]._finite(b)), v)


def _joined(parts):
    return parts[0] if len(parts) == 1 else Intersection(tuple(parts))
