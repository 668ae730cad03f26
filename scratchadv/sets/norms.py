r"""Perturbation sets Δ: the ℓ∞, ℓ2, ℓ1 and ℓ0 balls, each alone or cut with the pixel range.

A ball is a set of perturbations δ and answers what an attack asks of it:

==================  =======================================================================================
``norm(delta)``     :math:`\lVert\delta\rVert`
``project(delta)``  :math:`\mathcal{P}(\delta) = \arg\min_{v \in \Delta} \lVert v - \delta \rVert_2`, exactly
``linear_max(g)``   :math:`\arg\max_{v \in \Delta} \langle g, v \rangle`; with :math:`g = -y\theta` this is the
                    slides' :math:`\delta^* = -y \epsilon\, \mathrm{sign}(\theta)`
``support(g)``      :math:`\max_{v \in \Delta} \langle g, v \rangle = \epsilon \lVert g \rVert_*`, with the
                    dual norm (:math:`\epsilon \lVert\theta\rVert_1` for ℓ∞)
==================  =======================================================================================

Everything is batched: row i of ``delta`` or ``g`` belongs to example i, and results keep the dtype.

All four balls treat the signs alike, so cutting one with a box needs only magnitudes: with ``a`` the
magnitudes of δ (or of g) and ``b`` the room that the box leaves in that direction, the sets become
``{m : ball.norm(m) <= eps, 0 <= m <= b}``. Each ball solves its two problems on that set, in ``_project_capped``
and ``_max_capped``; :class:`Boxed` puts the signs back.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import checks
from ..backend import host, like, namespace
from ..numerics import per_row, put_in_rows, rows, solve_piecewise_linear


class Ball:
    """What the balls share. A bare ball is the same set for every x."""

    def __str__(self):
        return f"{self.name} ≤ {self.radius:g}"

    def at(self, x):
        """Δ(x): a bare ball does not depend on x."""
        return self

    def rows(self, i):
        """Δ of the examples ``x[i]``: a bare ball is the same for all."""
        return self

    def within(self, lower, upper):
        """Δ(x) = {δ in the ball : lower <= x + δ <= upper}, for pixels in [lower, upper]."""
        return Boxed(self, lower, upper)

    def contains(self, delta, atol=1e-6):
        """Whether each row lies in the set, up to ``atol`` (relative above 1), shape ``(N,)``."""
        return self.norm(delta) <= self.radius + atol * max(1.0, self.radius)

    def step(self, g, alpha):
        """The steepest step of size ``alpha`` along g, the step of normalised PGD."""
        return self.scaled(alpha).linear_max(g)

    def ascend(self, delta, g, alpha):
        """One iteration of normalised PGD: P(δ + the steepest step from there)."""
        return self.project(delta + self.step(g, alpha))

    def _sample_boxed(self, rng, x, boxed):
        return boxed.project(self.sample(rng, x))

    def _ascend_boxed(self, delta, g, alpha, boxed):
        return boxed.project(delta + boxed.shifted(delta).step(g, alpha))

    def _step_boxed(self, g, alpha, boxed):
        """The best step of size alpha in the box, and a push against the edge where there is no room.

        The box cuts the push off; without it the projection would take back from the components at the
        edge what others gain, and PGD would stop short of the best point of ball ∩ box.
        """
        xp = namespace(g)
        low, high = boxed.bounds()
        blocked = xp.where(g > 0, high, -low) <= 0
        return xp.where(blocked, alpha * xp.sign(g), boxed.scaled(alpha).linear_max(g))


@dataclass(frozen=True)
class NormBall(Ball):
    """A ball of a norm with radius ε >= 0."""

    eps: float

    def __post_init__(self):
        # a Python float: a NumPy one would turn float32 images into float64
        object.__setattr__(self, "eps", checks.size("eps", self.eps))

    @property
    def radius(self):
        """ε."""
        return self.eps

    def scaled(self, alpha):
        """The same shape with radius ``alpha``."""
        return type(self)(alpha)


class Linf(NormBall):
    r"""Every component may move by ε: :math:`\Delta = \{\delta : \max_j |\delta_j| \leq \epsilon\}`.

    Parameters
    ----------
    eps : float
        Radius, in the units of x.

    Source: slide "Creation of Adversarial Examples".

    Examples
    --------
    >>> Linf(0.5).linear_max(np.array([[3.0, -0.1, 0.0]]))
    array([[ 0.5, -0.5,  0. ]])
    """

    name = "‖δ‖∞"

    def norm(self, delta):
        """The largest magnitude, shape ``(N,)``."""
        return abs(rows(delta)).max(axis=1)

    def project(self, delta):
        """clip(δ, [−ε, ε])."""
        return namespace(delta).clip(delta, -self.eps, self.eps)

    def linear_max(self, g):
        """ε sign(g): the fast gradient sign method."""
        return self.eps * namespace(g).sign(g)

    def support(self, g):
        """ε ‖g‖₁, shape ``(N,)``."""
        return self.eps * abs(rows(g)).sum(axis=1)

    def sample(self, rng, x):
        """Uniform in the ball, shape and dtype of x."""
        return like(self.eps * (2 * rng.random(x.shape, dtype=x.dtype) - 1), x)

    def _ascend_boxed(self, delta, g, alpha, boxed):
        # a box inside a box: clipping twice is the projection, and what the step goes too far is cut off
        xp = namespace(delta)
        low, high = boxed.bounds()
        delta = self.ascend(delta, g, alpha)
        return xp.minimum(xp.maximum(delta, low, out=delta), high, out=delta)

    def _project_capped(self, a, b):
        return namespace(a).minimum(a, self._max_capped(a, b))

    def _max_capped(self, a, b):
        xp = namespace(a)
        return xp.where(a > 0, xp.minimum(b, self.eps), 0)

    def _sample_boxed(self, rng, x, boxed):
        xp = namespace(x)
        low, high = (xp.clip(side, -self.eps, self.eps) for side in boxed.bounds())
        u = like(rng.random(x.shape, dtype=x.dtype), x)
        return low + u * (high - low)


class L2(NormBall):
    r"""The Euclidean ball :math:`\Delta = \{\delta : \lVert\delta\rVert_2 \leq \epsilon\}`.

    Parameters
    ----------
    eps : float
        Radius, in the units of x.

    Source: slide "Projected Gradient Descent", left picture.
    """

    name = "‖δ‖₂"

    def norm(self, delta):
        """The Euclidean length, shape ``(N,)``."""
        d = rows(delta)
        largest, d = _unit_max(d)
        return largest[:, 0] * namespace(d).sqrt((d * d).sum(axis=1))

    def project(self, delta):
        """δ min(1, ε / ‖δ‖₂): what lies inside stays where it is."""
        xp = namespace(delta)
        length = self.norm(delta)
        outside = length > self.eps
        return delta * per_row(xp.where(outside, self.eps / xp.where(outside, length, 1), 1), delta)

    def linear_max(self, g):
        """ε g / ‖g‖₂, and 0 for g = 0."""
        xp = namespace(g)
        # by the largest entry first: the squares of a tiny gradient underflow
        d = _unit_max(rows(g))[1]
        length = xp.sqrt((d * d).sum(axis=1, keepdims=True))
        return (d * (self.eps / xp.where(length > 0, length, 1))).reshape(g.shape)

    def support(self, g):
        """ε ‖g‖₂, shape ``(N,)``."""
        return self.eps * self.norm(g)

    def sample(self, rng, x):
        """Uniform in the ball: a Gaussian direction, radius ε U^(1/P) for P components."""
        direction = self.linear_max(rng.standard_normal(x.shape, dtype=x.dtype))
        p = rows(x).shape[1]
        return like(direction * per_row(rng.random(len(x), dtype=x.dtype) ** (1 / p), x), x)

    def _step_boxed(self, g, alpha, boxed):
        # Straight along g, which pushes on at the edge; what the box will cut off does not count as length.
        xp = namespace(g)
        low, high = boxed.bounds()
        g = _unit_max(rows(g))[1].reshape(g.shape)
        free = self.norm(xp.where(xp.where(g > 0, high, -low) > 0, g, 0))
        return g * per_row(alpha / xp.maximum(free, 1e-6), g)

    def _project_capped(self, a, b):
        m = namespace(a).minimum(a, b)
        return self._unless_inside(m, a, b)

    def _max_capped(self, a, b):
        corner = namespace(a).where(a > 0, b, 0)
        return self._unless_inside(corner, a, b)

    def _unless_inside(self, m, a, b):
        inside = self.norm(m)[:, None] <= self.eps
        return namespace(a).where(inside, m, self._scale_to_sphere(a, b))

    def _scale_to_sphere(self, a, b):
        r"""min(s a, b) with :math:`\sum_j \min(s^2 a_j^2, b_j^2) = \epsilon^2`, which is linear in s²."""
        xp = namespace(a)
        a = _unit_max(a)[1]
        a = xp.where(a > 1e-15, a, 0)  # beyond rounding, and 1 / a² would overflow
        a2, b2 = a * a, b * b
        knots = xp.where(a > 0, b2 / xp.where(a > 0, a2, 1), 0)
        knots = xp.concatenate([xp.zeros_like(knots[:, :1]), knots], axis=1)

        def squared_norm(s2):
            return xp.minimum(s2 * a2, b2).sum(axis=1, keepdims=True)

        s2 = solve_piecewise_linear(squared_norm, knots, self.eps**2)
        return xp.minimum(xp.sqrt(s2) * a, b)


class L1(NormBall):
    r"""The cross-polytope :math:`\Delta = \{\delta : \sum_j |\delta_j| \leq \epsilon\}`.

    Parameters
    ----------
    eps : float
        Radius, in the units of x.

    Source of the projection: Duchi et al. (2008), "Efficient projections onto the ℓ1-ball", here with caps.
    """

    name = "‖δ‖₁"

    def norm(self, delta):
        """The sum of magnitudes, shape ``(N,)``."""
        return abs(rows(delta)).sum(axis=1)

    def project(self, delta):
        """sign(δ) max(|δ| − λ, 0) with the λ >= 0 that ends on the ball: shrinking, not rescaling."""
        a = abs(rows(delta))
        return namespace(delta).sign(delta) * self._project_capped(a, a).reshape(delta.shape)

    def linear_max(self, g):
        """The whole budget on the first largest component: ε sign(g_j) at j = argmax |g_j|."""
        xp = namespace(g)
        a = abs(rows(g))
        m = xp.zeros_like(a)
        put_in_rows(m, a.argmax(axis=1)[:, None], self.eps)
        return xp.sign(g) * m.reshape(g.shape)

    def support(self, g):
        """ε ‖g‖∞, shape ``(N,)``."""
        return self.eps * abs(rows(g)).max(axis=1)

    def sample(self, rng, x):
        """Uniform in the ball: shares of P + 1 exponential variables, the last left out, random signs."""
        shape = rows(x).shape
        e = rng.standard_exponential(shape, dtype=x.dtype)
        rest = rng.standard_exponential((len(x), 1), dtype=x.dtype)
        signs = rng.integers(0, 2, shape, dtype="int8") * 2 - 1
        return like((self.eps * e / (e.sum(axis=1, keepdims=True) + rest) * signs).reshape(x.shape), x)

    def _project_capped(self, a, b):
        r"""clip(a − λ, 0, b) with :math:`\sum_j \mathrm{clip}(a_j - \lambda, 0, b_j) = \epsilon`, linear in λ."""
        xp = namespace(a)
        b = xp.minimum(a, b)
        inside = b.sum(axis=1, keepdims=True) <= self.eps

        def minus_norm(shrink):
            return -xp.clip(a - shrink, 0, b).sum(axis=1, keepdims=True)

        shrink = solve_piecewise_linear(minus_norm, xp.concatenate([a, a - b], axis=1), -self.eps)
        return xp.where(inside, b, xp.clip(a - shrink, 0, b))

    def _max_capped(self, a, b):
        """Fill the components to their caps, the steepest first, until the budget ε is spent."""
        xp = namespace(a)
        order = xp.argsort(-a, axis=1, kind="stable")
        b = xp.where(a > 0, b, 0)
        filled = xp.take_along_axis(b, order, axis=1)
        spent = xp.cumsum(filled, axis=1, dtype=float) - filled
        m = xp.empty_like(a)
        put_in_rows(m, order, xp.clip(self.eps - spent, 0, filled).astype(a.dtype))
        return m


@dataclass(frozen=True)
class L0(Ball):
    r"""At most k components move: :math:`\Delta = \{\delta : |\{j : \delta_j \neq 0\}| \leq k\}`.

    Alone it bounds nothing: a linear function has no maximum on it. Cut it with a box.

    Parameters
    ----------
    k : int
        How many components of an example may change.
    """

    k: int

    name = "‖δ‖₀"

    def __post_init__(self):
        object.__setattr__(self, "k", checks.count("k", self.k))

    @property
    def radius(self):
        """K."""
        return self.k

    @property
    def _advice(self):
        return f"cut it with a box, L0({self.k}).within(0, 1)"

    def scaled(self, alpha):
        """The same shape with ``alpha`` components, rounded, at least one."""
        return L0(max(1, round(alpha)))

    def norm(self, delta):
        """How many components are not zero, shape ``(N,)``."""
        return (rows(delta) != 0).sum(axis=1)

    def project(self, delta):
        """Keep the k largest magnitudes."""
        a = abs(rows(delta))
        return delta * self._top(a).reshape(delta.shape)

    def linear_max(self, g):
        """Refused: there is no maximum without a box."""
        raise ValueError(f"the threat {self} alone does not bound <g, delta>: {self._advice}")

    def support(self, g):
        """Infinite unless g = 0, shape ``(N,)``."""
        xp = namespace(g)
        return xp.where((rows(g) != 0).any(axis=1), xp.inf, 0).astype(g.dtype)

    def sample(self, rng, x):
        """Refused: there is no uniform distribution without a box."""
        raise ValueError(f"the threat {self} alone has no uniform distribution: {self._advice}")

    def _project_capped(self, a, b):
        xp = namespace(a)
        m = xp.minimum(a, b)
        # what keeping m_j saves, a² − (a − m)² = m (2a − m), ranked by its root, which does not underflow
        return m * self._top(xp.sqrt(m) * xp.sqrt(2 * a - m))

    def _max_capped(self, a, b):
        xp = namespace(a)
        checks.finite_box(f"the maximum over the threat {self}", 0, b)
        return b * self._top(xp.sqrt(a) * xp.sqrt(b)) * (a > 0)

    def _sample_boxed(self, rng, x, boxed):
        low, high = boxed.bounds()
        checks.finite_box(f"a sample of the threat {self}", low, high)
        u, order = (like(rng.random(x.shape, dtype=x.dtype), x) for _ in range(2))
        return (low + u * (high - low)) * self._top(rows(order)).reshape(x.shape)

    def _top(self, score):
        """A mask of the k highest scores in each row, the first of equals."""
        xp = namespace(score)
        mask = xp.zeros(score.shape, dtype=bool)
        put_in_rows(mask, xp.argsort(-score, axis=1, kind="stable")[:, : self.k], True)
        return mask


@dataclass(frozen=True, eq=False)
class Boxed:
    r"""A ball cut with the pixel range.

    .. math:: \Delta(x) = \{\delta : \lVert\delta\rVert \leq \epsilon,\ l \leq x + \delta \leq u\}

    Made by ``ball.within(lower, upper)`` and moved to the examples by ``at(x)``; without ``at`` it is Δ(0).
    Its projection is the Euclidean one on the intersection, which projecting on the ball and then clipping
    is not (except for ℓ∞), and its ``linear_max`` is the exact attack on a linear model with a pixel range.

    Parameters
    ----------
    ball : Ball
    lower, upper : float or array broadcastable to x
        The range of x + δ, in the units of x. A side that is infinite is no bound. Bounds of shape ``(N, *D)`` belong
        to N examples; ``rows`` takes those of some of them.
    x : array, shape (N, *D), optional
        The examples, each inside the range.

    Examples
    --------
    >>> delta = Linf(0.25).within(0, 1).at(np.array([[0.5, 0.875]]))
    >>> delta.linear_max(np.array([[1.0, 1.0]]))
    array([[0.25 , 0.125]])
    """

    ball: Ball
    lower: Any
    upper: Any
    x: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self):
        checks.box(self.lower, self.upper)
        object.__setattr__(self, "_bounds", None if self.x is None else self._bounds_around(self.x))

    def __str__(self):
        return f"{self.ball}, {self.lower} ≤ x + δ ≤ {self.upper}"

    def __eq__(self, other):
        """Whether ball and range are the same; the examples do not count."""
        if not isinstance(other, Boxed):
            return NotImplemented
        return self.ball == other.ball and self._sides() == other._sides()

    def __hash__(self):
        return hash((self.ball, self._sides()))

    @property
    def radius(self):
        """The radius of the ball."""
        return self.ball.radius

    def at(self, x):
        """Δ(x), the same box moved to the examples ``x``.

        Raises
        ------
        ValueError
            If x leaves the box, or the box does not broadcast to x.
        """
        checks.inside_box(x, self.lower, self.upper)
        return Boxed(self.ball, self.lower, self.upper, x)

    def rows(self, i):
        """Δ of the examples ``x[i]``, for a set that ``at`` has moved to x; i is a slice, a mask or an index array."""
        if self.x is None:
            raise ValueError("the box is not at any examples: call .at(x) before .rows(i)")
        lower, upper = (side[i] if self._of_each(side) else side for side in (self.lower, self.upper))
        return Boxed(self.ball, lower, upper, self.x[i])

    def shifted(self, delta):
        """What the box leaves around x + delta, for a delta inside it."""
        return Boxed(self.ball, self.lower, self.upper, self.x + delta)

    def bounds(self):
        """The lowest and the highest δ that the box allows; they hold 0 between them."""
        if self._bounds is None:
            checks.inside_box(0.0, self.lower, self.upper, hint="; call .at(x) first")
            return self.lower, self.upper
        return self._bounds

    def _bounds_around(self, x):
        xp = namespace(x)
        lower, upper = (xp.asarray(side, dtype=x.dtype) for side in (self.lower, self.upper))
        return xp.minimum(lower - x, 0), xp.maximum(upper - x, 0)

    def _sides(self):
        """Both sides as something to compare and to hash."""
        sides = (np.asarray(host(side), float) + 0.0 for side in (self.lower, self.upper))  # −0 and 0 are one bound
        return tuple((side.shape, side.tobytes()) for side in sides)

    def _of_each(self, side):
        """Whether the side has a row for each of the examples."""
        return getattr(side, "ndim", 0) == self.x.ndim and len(side) == len(self.x) > 1

    def scaled(self, alpha):
        """The ball with radius ``alpha``, in the same box."""
        return Boxed(self.ball.scaled(alpha), self.lower, self.upper, self.x)

    def norm(self, delta):
        """The norm of the ball, shape ``(N,)``."""
        return self.ball.norm(delta)

    def project(self, delta):
        """The nearest point of ball ∩ box, row by row."""
        return self._on_magnitudes(self.ball._project_capped, delta)

    def linear_max(self, g):
        """A point of ball ∩ box with the largest <g, δ>, row by row."""
        return self._on_magnitudes(self.ball._max_capped, g)

    def support(self, g):
        """max <g, δ> over ball ∩ box, shape ``(N,)``."""
        return rows(g * self.linear_max(g)).sum(axis=1)

    def step(self, g, alpha):
        """The steepest step of size ``alpha`` along g that uses the room the box leaves."""
        return self.ball._step_boxed(g, alpha, self)

    def ascend(self, delta, g, alpha):
        """One iteration of normalised PGD: P(δ + the steepest step from there)."""
        return self.ball._ascend_boxed(delta, g, alpha, self)

    def sample(self, rng, x):
        """A random point of Δ(x), shape and dtype of x.

        Uniform for ℓ∞; k random components, each uniform, for ℓ0; a uniform point of the ball, projected, for
        ℓ2 and ℓ1.
        """
        return self.ball._sample_boxed(rng, x, self.at(x))

    def contains(self, delta, atol=1e-6):
        """Whether each row lies in ball and box, up to ``atol``, shape ``(N,)``."""
        low, high = self.bounds()
        in_box = (delta >= low - atol) & (delta <= high + atol)
        return self.ball.contains(delta, atol) & rows(in_box).all(axis=1)

    def _on_magnitudes(self, solve, v):
        xp = namespace(v, self.x)
        low, high = self.bounds()
        room = xp.where(v > 0, high, -xp.asarray(low)).astype(v.dtype)
        if isinstance(self.ball, NormBall):  # no component is larger than ε, so an infinite side is no bound
            room = xp.where(xp.isinf(room), xp.asarray(self.ball.eps, dtype=v.dtype), room)
        return xp.sign(v) * solve(rows(abs(v)), rows(room)).reshape(v.shape)


def _unit_max(a):
    """The largest magnitude of each row, ``(N, 1)``, and the rows divided by it (a zero row stays zero)."""
    xp = namespace(a)
    largest = abs(a).max(axis=1, keepdims=True)
    return largest, a / xp.where(largest > 0, largest, 1)
