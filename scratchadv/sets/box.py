r"""Bounds on δ: a range of pixels, a budget for each feature, and a mask of the features that may change.

=======================  ==============================================================================
``Box(lower, upper)``    :math:`\{\delta : l \leq x + \delta \leq u\}`, such as pixels in [0, 1]
``Range(lower, upper)``  :math:`\{\delta : l \leq \delta \leq u\}` with :math:`l \leq 0 \leq u`: a weighted ℓ∞ ball
``Mask(where)``          :math:`\{\delta : \delta_j = 0 \text{ where the mask is false}\}`
=======================  ==============================================================================

Each of them is a set, and ``&`` intersects a ball with any of them. A Range has a norm, its gauge, so it can be a
threat by itself. A Box or a Mask has no norm: it can project, and a linear function has its maximum in a corner of a
finite Box, but operations that need the size of δ (a radius, a normalised step) are refused.

Numbers and arrays of shape D hold for all examples; arrays of shape ``(N, *D)`` belong to N given examples.
"""

from dataclasses import dataclass, replace
from typing import Any

from .. import checks
from ..backend import like, namespace
from ..numerics import ndim, per_row, rows
from .intersection import Set
from .part import key_of, rows_of_each


@dataclass(frozen=True, eq=False)
class Box(Set):
    r"""The perturbations that keep x + δ in a range: :math:`\Delta(x) = \{\delta : l \leq x + \delta \leq u\}`.

    Parameters
    ----------
    lower, upper : float or array broadcastable to x
        The range of x + δ, in the units of x. An infinite side is no bound. Bounds of shape ``(N, *D)`` belong to N
        examples, and ``rows`` selects those of some of them.

    Examples
    --------
    >>> Box(0, 1).at(np.array([[0.25, 1.0]])).project(np.array([[0.5, 0.5]]))
    array([[0.5, 0. ]])
    """

    lower: Any
    upper: Any

    place = 2

    def __post_init__(self):
        checks.box(self.lower, self.upper)

    def __str__(self):
        return f"{_shown(self.lower)} ≤ x + δ ≤ {_shown(self.upper)}"

    @property
    def pixels(self):
        """The Box itself."""
        return self

    @property
    def everywhere(self):
        """None: the δ that a Box allows depend on x."""
        return None

    def _and(self, other):
        return Box(_larger(self.lower, other.lower), _smaller(self.upper, other.upper))

    def _key(self):
        return key_of(self.lower, self.upper)

    def _fit(self, x):
        checks.inside_box(x, self.lower, self.upper)

    def _cut(self, i, x):
        return replace(self, lower=_rows_of(self.lower, i, x), upper=_rows_of(self.upper, i, x))

    def _bounds_at(self, x):
        if x is None:
            checks.inside_box(0.0, self.lower, self.upper, hint="; call .at(x) first")
            return self.lower, self.upper
        xp = namespace(x)
        lower, upper = (xp.asarray(side, dtype=x.dtype) for side in (self.lower, self.upper))
        return xp.minimum(lower - x, 0), xp.maximum(upper - x, 0)


@dataclass(frozen=True, eq=False)
class Range(Set):
    r"""A budget for each feature: :math:`\Delta = \{\delta : r\, l \leq \delta \leq r\, u\}`, with r = 1 at first.

    The norm of a Range is its gauge, the smallest t >= 0 with :math:`t\, l \leq \delta \leq t\, u`, which also measures
    the size of steps. ``Range(-eps, eps)`` is the ℓ∞ ball of radius ε, measured in units of ε. In an intersection with
    a ball, a Range is only a bound: the norm and the radius are then those of the ball.

    Parameters
    ----------
    lower, upper : float or array broadcastable to x
        The lowest and the highest δ, in the units of x, with lower <= 0 <= upper. An infinite side is no bound. Bounds
        of shape ``(N, *D)`` belong to N examples, and ``rows`` selects those of some of them.
    radius : float or array, shape (N,)
        The factor r, without a unit; ``scaled(r)`` sets it.

    Examples
    --------
    >>> budget = Range(np.array([-1.0, 0.0]), np.array([0.5, 0.25]))
    >>> budget.linear_max(np.array([[-2.0, 3.0]])), budget.norm(np.array([[0.25, 0.125]]))
    (array([[-1.  ,  0.25]]), array([0.5]))
    """

    lower: Any
    upper: Any
    radius: Any = 1.0

    place = 1

    def __post_init__(self):
        lower, upper = checks.box(self.lower, self.upper)
        object.__setattr__(self, "radius", checks.sizes("radius", self.radius))
        if not (namespace(lower).all(lower <= 0) and namespace(upper).all(upper >= 0)):
            raise ValueError(f"the range [{_shown(lower)}, {_shown(upper)}] of δ must hold 0: lower <= 0 <= upper")

    def __str__(self):
        scale = "" if ndim(self.radius) == 0 and self.radius == 1 else f", times {_shown(self.radius)}"
        return f"{_shown(self.lower)} ≤ δ ≤ {_shown(self.upper)}{scale}"

    @property
    def ball(self):
        """The Range itself, because it has a norm."""
        return self

    def norm(self, delta):
        """Return the gauge of each row, ``(N,)``; infinite where a component changes that must not."""
        xp = namespace(delta)
        size = abs(delta)
        most = xp.where(delta > 0, self.upper, -xp.asarray(self.lower)).astype(delta.dtype)
        share = size / xp.where(most > 0, most, 1)
        return rows(xp.where(most > 0, share, xp.where(size > 0, xp.inf, 0)).astype(delta.dtype)).max(axis=1)

    def scaled(self, alpha):
        """Return the Range with the same sides and radius ``alpha``."""
        return replace(self, radius=alpha)

    def sample(self, rng, x):
        """Return a uniform random point of the range, in the shape and dtype of x."""
        low, high = self.at(x).bounds()
        checks.finite_box("a sample of the threat", low, high, self)
        return (low + high) / 2 + (high - low) / 2 * like(2 * rng.random(x.shape, dtype=x.dtype) - 1, x)

    def _and(self, other):
        (low, high), (lower, upper) = self._bounds_at(None), other._bounds_at(None)
        return Range(_larger(low, lower), _smaller(high, upper))

    def _key(self):
        return key_of(self.lower, self.upper, self.radius)

    def _fit(self, x):
        for side in self._bounds_at(x):
            checks.broadcasts("the range of δ", side, x)

    def _cut(self, i, x):
        low, high = (_rows_of(side, i, x) for side in (self.lower, self.upper))
        radius = rows_of_each(self.radius, i) if ndim(self.radius) else self.radius
        return replace(self, lower=low, upper=high, radius=radius)

    def _bounds_at(self, x):
        if ndim(self.radius) == 0 and self.radius == 1:
            return self.lower, self.upper
        return tuple(_times(self.radius, side, x) for side in (self.lower, self.upper))

    def _bounds_for(self, v):
        if self.x is not None:
            return self._bounds
        return tuple(namespace(v).asarray(side, dtype=v.dtype) for side in self._bounds_at(v))

    def _shifted(self, delta):
        xp, (low, high) = namespace(delta), self._bounds_at(delta)
        return Range(xp.minimum(low - delta, 0), xp.maximum(high - delta, 0))

    def _ascend_in(self, delta, g, alpha, cut):
        return Set.project(cut, delta + self.step(g, alpha))


@dataclass(frozen=True, eq=False)
class Mask(Set):
    r"""Changes of some features only: :math:`\delta_j = 0` for every feature j where the mask is false.

    Parameters
    ----------
    where : array of bool, broadcastable to x
        True where a feature may change, such as the pixels of a pair of glasses. A mask of shape ``(N, *D)`` belongs to
        N examples, and ``rows`` selects those of some of them.

    Source: slide "Adversarial Examples", the glasses.

    Examples
    --------
    >>> Mask(np.array([True, False])).project(np.array([[3.0, 4.0]]))
    array([[3., 0.]])
    """

    where: Any

    place = 3

    def __post_init__(self):
        object.__setattr__(self, "where", checks.mask("where", self.where))

    def __str__(self):
        return f"{int(self.where.sum()):,} of {self.where.size:,} features may change"

    def _and(self, other):
        return Mask(self.where & other.where)

    def _key(self):
        return key_of(self.where)

    def _fit(self, x):
        checks.broadcasts("the mask", self.where, x)

    def _cut(self, i, x):
        return replace(self, where=_rows_of(self.where, i, x))

    def _bounds_at(self, x):
        xp = namespace(self.where)
        return xp.where(self.where, -xp.inf, 0), xp.where(self.where, xp.inf, 0)


def set_of(box):
    """Return the argument ``box`` of an attack as a set.

    Parameters
    ----------
    box : (lower, upper), Set or None
        The range of x + δ, or any set of bounds; None: unbounded.

    Returns
    -------
    Set or None
        The set; None if δ is unbounded.
    """
    return Box(*box) if isinstance(box, tuple | list) else box


def bounds_of(box, x):
    """Return the lowest and the highest δ that the argument ``box`` of an attack allows at x.

    Parameters
    ----------
    box : (lower, upper), Set or None
        The range of x + δ, or any set of bounds; None: unbounded.
    x : array, shape (N, *D)
        The examples.

    Returns
    -------
    low, high : array, shape (N, *D), or None
        The bounds on δ; None if δ is unbounded.
    """
    return (None, None) if box is None else set_of(box).bounds(x)


def _shown(side):
    """Return a number, or the lowest and the highest entry of an array, as text."""
    if ndim(side) == 0:
        return f"{side}"
    return f"({float(side.min()):g} to {float(side.max()):g})"


def _larger(a, b):
    return max(a, b) if ndim(a) == ndim(b) == 0 else namespace(a, b).maximum(a, b)


def _smaller(a, b):
    return min(a, b) if ndim(a) == ndim(b) == 0 else namespace(a, b).minimum(a, b)


def _rows_of(side, i, x):
    """Return the side of the examples ``x[i]``: its rows i if it has one row for each of the examples x."""
    return side[i] if ndim(side) == x.ndim and len(side) == len(x) > 1 else side


def _times(radius, side, x):
    """Return the side times the radius, in float64; infinite sides do not change."""
    xp = namespace(side, x)
    side = xp.asarray(side, dtype=float)
    if ndim(radius):
        if x is None:
            raise ValueError("a range with one radius for each example needs the examples: call .at(x) first")
        radius = per_row(xp.asarray(radius), x)
    return xp.where(xp.isfinite(side), xp.where(xp.isfinite(side), side, 0) * radius, side)
