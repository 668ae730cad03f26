r"""What all perturbation sets share, and ``&``, which makes the intersection of two of them.

An intersection holds at most one part of each kind: the ball of a norm, a :class:`~scratchadv.sets.Range`, a
:class:`~scratchadv.sets.Box` and a :class:`~scratchadv.sets.Mask`. The last three are bounds on δ at x,
:math:`l(x) \leq \delta \leq u(x)`, so all of them together are one box of δ.

The first part of an intersection, its ball if there is one, solves the problems on magnitudes with a cap for each
component (see ``norms.py``); the intersection finds the caps and puts the signs back.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..backend import namespace
from ..numerics import rows
from .part import Part


@dataclass(frozen=True, eq=False)
class Set(Part):
    """A perturbation set Δ(x); what is written here holds for sets that are given by their bounds alone.

    Parameters
    ----------
    x : array, shape (N, *D), optional
        The examples that the set is at; ``at(x)`` says them.
    """

    x: Any = field(default=None, kw_only=True, repr=False)

    # Algebra

    def __and__(self, other):
        """The intersection of two sets."""
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
        """Whether the sets are of the same kind and have the same numbers; the examples do not count."""
        return self._key() == other._key() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    @property
    def parts(self):
        """The ball, the Range, the Box and the Mask of the set, those that there are, as sets at no examples."""
        return (replace(self, x=None),)

    @property
    def ball(self):
        """What measures δ: the ball of a norm, or else a Range; None for sets that have neither."""
        return None

    @property
    def box(self):
        """The set without the ball of its norm, as attacks take it for their argument ``box``; None if that is all."""
        return self

    @property
    def pixels(self):
        """The Box of the set, the range of x + δ; None if it has none."""
        return None

    @property
    def everywhere(self):
        """The set without its Box: the part of it that is the same at every x; None if that is all."""
        return self

    # Places

    def at(self, x):
        """Δ(x), the same set moved to the examples ``x``.

        Raises
        ------
        ValueError
            If x leaves the box, or the numbers of the set do not broadcast to x.
        """
        for part in self.parts:
            part._fit(x)
        return replace(self, x=x)

    def rows(self, i):
        """Δ of the examples ``x[i]``, for a set that ``at`` has moved to x; i is a slice, a mask or an index array."""
        if self.x is None:
            raise ValueError("the set is at no examples: call .at(x) before .rows(i)")
        return replace(self._cut(i, self.x), x=self.x[i])

    def bounds(self, x=None):
        """The lowest and the highest δ that are allowed for each component; they hold 0 between them.

        Parameters
        ----------
        x : array, shape (N, *D), optional
            The examples; default: those that the set is at.

        Returns
        -------
        low, high : array
            Shaped like x, infinite where nothing bounds δ but a norm. For a set at no examples they are those of Δ(0),
            and numbers or arrays that broadcast.
        """
        return self._bounds if x is None or x is self.x else self.at(x)._bounds

    @cached_property
    def _bounds(self):
        low, high = self._bounds_at(self.x)
        if self.x is None:
            return low, high
        xp = namespace(self.x)
        return tuple(xp.broadcast_to(xp.asarray(side, dtype=self.x.dtype), self.x.shape) for side in (low, high))

    # Geometry

    @property
    def radius(self):
        """How large a δ may be, in the norm of the set."""
        raise self._no_norm("radius")

    def norm(self, delta):
        """The size of each row, shape ``(N,)``."""
        raise self._no_norm("size of a change")

    def scaled(self, alpha):
        """The same set with radius ``alpha``."""
        raise self._no_norm("radius to scale")

    def contains(self, delta, atol=1e-6):
        """Whether each row lies in the set, up to ``atol``, shape ``(N,)``."""
        low, high = self._bounds_for(delta)
        return rows((delta >= low - atol) & (delta <= high + atol)).all(axis=1)

    def project(self, delta):
        """The nearest point of the set, row by row."""
        low, high = self._bounds_for(delta)
        return namespace(delta).clip(delta, low, high).astype(delta.dtype, copy=False)

    def linear_max(self, g):
        """A point of the set with the largest <g, δ>, row by row."""
        return self._on_magnitudes(self._max_capped, g)

    def support(self, g):
        """Return the largest <g, δ> for δ in the set.

        Parameters
        ----------
        g : array, shape (N, *D) or (N, S, *D)
            The second form has S linear functions for each example, and needs a set that is at its examples.

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
        """A random point of Δ(x), shape and dtype of x: every component is uniform between its bounds."""
        return self._sample_in(rng, x, self.at(x))

    def step(self, g, alpha):
        """The steepest step of size ``alpha`` along g, the step of normalised PGD."""
        return self.scaled(alpha).linear_max(g)

    def ascend(self, delta, g, alpha):
        """One iteration of normalised PGD: P(δ + the steepest step from there)."""
        return self.project(delta + self.step(g, alpha))

    def _support(self, g):
        return rows(g * self.linear_max(g)).sum(axis=1)

    def _on_magnitudes(self, solve, v):
        """``solve(a, b)`` with the magnitudes of v and the bounds in their directions; the signs are put back."""
        xp = namespace(v, self.x)
        low, high = self._bounds_for(v)
        b = xp.where(v > 0, high, -xp.asarray(low)).astype(v.dtype)
        return xp.sign(v) * solve(rows(abs(v)), rows(b)).reshape(v.shape)

    def _no_norm(self, what):
        return TypeError(f"the threat {self} has no norm and so no {what}: intersect it with a ball, Linf(0.1) & ...")


@dataclass(frozen=True, eq=False)
class Intersection(Set):
    r"""The δ that lie in all of the parts, such as :math:`\lVert\delta\rVert \leq \epsilon,\ l \leq x + \delta \leq u`.

    Made by ``&``, or for a ball and a Box by ``ball.within(lower, upper)``, and moved to the examples by ``at(x)``;
    without ``at`` it is Δ(0). Its projection is the Euclidean one on the intersection, which projecting on the ball and
    then clipping is not (except for ℓ∞), and its ``linear_max`` is the exact attack on a linear model.

    Parameters
    ----------
    sets : tuple of Set
        At most one of each kind: the ball, the Range, the Box, the Mask.
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
        """The ball, the Range, the Box and the Mask, those that there are."""
        return self.sets

    @property
    def ball(self):
        """The ball of the norm, or else the Range; None if there is neither."""
        return self.sets[0].ball

    @property
    def box(self):
        """The parts without the ball of the norm."""
        return self._without(lambda part: part.box is None)

    @property
    def pixels(self):
        """The Box of the set, the range of x + δ; None if it has none."""
        return next((part for part in self.sets if part.pixels is not None), None)

    @property
    def everywhere(self):
        """The parts without the Box."""
        return self._without(lambda part: part.pixels is not None)

    @property
    def radius(self):
        """The radius of the ball, or of the Range."""
        if self.ball is None:
            raise self._no_norm("radius")
        return self.ball.radius

    def norm(self, delta):
        """The norm of the ball, or of the Range, shape ``(N,)``."""
        return super().norm(delta) if self.ball is None else self.ball.norm(delta)

    def scaled(self, alpha):
        """The ball, or else the Range, with radius ``alpha``, cut by the same other parts."""
        if self.ball is None:
            return super().scaled(alpha)
        return replace(self, sets=(self.ball.scaled(alpha), *self.sets[1:]))

    def project(self, delta):
        """The nearest point of the intersection, row by row."""
        return self._on_magnitudes(self.sets[0]._project_capped, delta)

    def linear_max(self, g):
        """A point of the intersection with the largest <g, δ>, row by row."""
        return self._on_magnitudes(self.sets[0]._max_capped, g)

    def contains(self, delta, atol=1e-6):
        """Whether each row lies in all of the parts, up to ``atol``, shape ``(N,)``."""
        inside = super().contains(delta, atol)
        return inside if self.ball is None else self.ball.contains(delta, atol) & inside

    def sample(self, rng, x):
        """A random point of Δ(x), shape and dtype of x.

        Uniform for ℓ∞ and where there is no ball; k random components, each uniform, for ℓ0; a uniform point of the
        ball, projected, for ℓ2 and ℓ1.
        """
        return self.sets[0]._sample_in(rng, x, self.at(x))

    def step(self, g, alpha):
        """The steepest step of size ``alpha`` along g that uses what the bounds leave."""
        return self.sets[0]._step_in(g, alpha, self)

    def ascend(self, delta, g, alpha):
        """One iteration of normalised PGD: P(δ + the steepest step from there)."""
        return self.sets[0]._ascend_in(delta, g, alpha, self)

    def shifted(self, delta):
        """The set of the further changes that the bounds allow at x + delta, for a delta inside it."""
        sets = tuple(part._shifted(delta) for part in self.sets)
        return replace(self, sets=sets, x=None if self.x is None else self.x + delta)

    def _without(self, left_out):
        rest = [part for part in self.sets if not left_out(part)]
        return _joined(rest) if rest else None

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
