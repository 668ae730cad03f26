r"""The balls of four norms, ℓ∞, ℓ2, ℓ1 and ℓ0: perturbation sets Δ, which contain what an attacker may add.

A set offers everything that an attack needs:

==================  =======================================================================================
``norm(delta)``     :math:`\lVert\delta\rVert`
``project(delta)``  :math:`\mathcal{P}(\delta) = \arg\min_{v \in \Delta} \lVert v - \delta \rVert_2`, exactly
``linear_max(g)``   :math:`\arg\max_{v \in \Delta} \langle g, v \rangle`; with :math:`g = -y\theta` this is the
                    slides' :math:`\delta^* = -y \epsilon\, \mathrm{sign}(\theta)`
``support(g)``      :math:`\max_{v \in \Delta} \langle g, v \rangle = \epsilon \lVert g \rVert_*`, with the
                    dual norm (:math:`\epsilon \lVert\theta\rVert_1` for ℓ∞)
``step(g, alpha)``  the steepest step of size α; ``ascend(delta, g, alpha)`` adds it to δ and projects
``sample(rng, x)``  a random point of Δ(x); ``contains(delta)`` says whether δ lies in Δ
``bounds(x)``       the lowest and the highest δ that are allowed at x, component by component
``ball``            the norm that measures δ; ``radius`` is its size, and ``scaled(alpha)`` changes it
``at(x)``           Δ(x), the set at the examples x; ``rows(i)`` is the set at some of them
``&``               the intersection with another set: ``Linf(0.1) & Box(0, 1) & Mask(glasses)``
==================  =======================================================================================

All methods are batched: row i of ``delta`` or ``g`` belongs to example i, and results keep the dtype. A radius is a
number or an array of shape ``(N,)``, one for each example. Norms need no radius: ``L2.norm(delta)``,
``L2.dual_norm(g)``.

All four balls are symmetric in every sign, so an intersection with bounds on δ needs only magnitudes. Let ``a`` be the
magnitudes of δ (or of g) and ``b`` the bounds in that direction; the set becomes ``{m : ball.norm(m) <= eps,
0 <= m <= b}``. Each ball solves two problems on this set, in ``project_capped`` and ``max_capped``, and the
intersection restores the signs.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import checks
from ..backend import host, like, namespace
from ..numerics import each, ndim, per_row, put_in_rows, rows, solve_piecewise_linear
from .ball import Ball, NormBall
from .part import rows_of_each


class Linf(NormBall):
    r"""Changes of every component by at most ε: :math:`\Delta = \{\delta : \max_j |\delta_j| \leq \epsilon\}`.

    Parameters
    ----------
    eps : float or array, shape (N,)
        The radius ε, in the units of x; an array gives each example its own.

    Source: slide "Creation of Adversarial Examples".

    Examples
    --------
    >>> Linf(0.5).linear_max(np.array([[3.0, -0.1, 0.0]]))
    array([[ 0.5, -0.5,  0. ]])
    """

    name = "‖δ‖∞"

    @staticmethod
    def norm(delta):
        """Return the largest magnitude of each row, ``(N,)``."""
        return abs(rows(delta)).max(axis=1)

    def project(self, delta):
        """Return clip(δ, [−ε, ε])."""
        eps = each(self.eps, delta)
        return namespace(delta).clip(delta, -eps, eps)

    def linear_max(self, g):
        """Return ε sign(g), the step of the fast gradient sign method."""
        return each(self.eps, g) * namespace(g).sign(g)

    @staticmethod
    def dual_norm(g):
        """Return ‖g‖₁, ``(N,)``: support(g) = ε ‖g‖₁."""
        return abs(rows(g)).sum(axis=1)

    def sample(self, rng, x):
        """Return a uniform random point of the ball, in the shape and dtype of x."""
        return each(self.eps, x) * like(2 * rng.random(x.shape, dtype=x.dtype) - 1, x)

    def _ascend_in(self, delta, g, alpha, cut):
        # both sets are boxes, so clipping twice is the projection, and the step needs no other care at the bounds
        xp = namespace(delta)
        low, high = cut.bounds()
        delta = self.ascend(delta, g, alpha)
        return xp.minimum(xp.maximum(delta, low, out=delta), high, out=delta)

    def project_capped(self, a, b):
        """Return min(a, b, ε)."""
        return namespace(a).minimum(a, self.max_capped(a, b))

    def max_capped(self, a, b):
        """Return min(b, ε) where a > 0, and 0 elsewhere."""
        xp = namespace(a)
        return xp.where(a > 0, xp.minimum(b, each(self.eps, a)), 0)

    def _sample_in(self, rng, x, cut):
        xp, eps = namespace(x), each(self.eps, x)
        low, high = (xp.clip(side, -eps, eps) for side in cut.bounds())
        u = like(rng.random(x.shape, dtype=x.dtype), x)
        return low + u * (high - low)


class L2(NormBall):
    r"""The Euclidean ball :math:`\Delta = \{\delta : \lVert\delta\rVert_2 \leq \epsilon\}`.

    Parameters
    ----------
    eps : float or array, shape (N,)
        The radius ε, in the units of x; an array gives each example its own.

    Source: slide "Projected Gradient Descent", left picture.
    """

    name = "‖δ‖₂"

    @staticmethod
    def norm(delta):
        """Return the Euclidean length of each row, ``(N,)``."""
        d = rows(delta)
        largest, d = _unit_max(d)
        return largest[:, 0] * namespace(d).sqrt((d * d).sum(axis=1))

    def project(self, delta):
        """Return δ min(1, ε / ‖δ‖₂); points inside the ball do not change."""
        xp = namespace(delta)
        length = self.norm(delta)
        eps = each(self.eps, length)
        outside = length > eps
        return delta * per_row(xp.where(outside, eps / xp.where(outside, length, 1), 1), delta)

    def linear_max(self, g):
        """Return ε g / ‖g‖₂, and 0 for g = 0."""
        xp = namespace(g)
        # divide by the largest entry first, because the squares of a tiny gradient underflow
        d = _unit_max(rows(g))[1]
        length = xp.sqrt((d * d).sum(axis=1, keepdims=True))
        return (d * (each(self.eps, d) / xp.where(length > 0, length, 1))).reshape(g.shape)

    @staticmethod
    def dual_norm(g):
        """Return ‖g‖₂, ``(N,)``: support(g) = ε ‖g‖₂."""
        return L2.norm(g)

    def sample(self, rng, x):
        """Return a uniform random point: a Gaussian direction, and the length ε U^(1/P) for P components."""
        direction = self.linear_max(rng.standard_normal(x.shape, dtype=x.dtype))
        p = rows(x).shape[1]
        return like(direction * per_row(rng.random(len(x), dtype=x.dtype) ** (1 / p), direction), x)

    def _step_in(self, g, alpha, cut):
        # The step is parallel to g, also at the edge of the box; components that the box clips do not count as length.
        xp = namespace(g)
        low, high = cut.bounds()
        g = _unit_max(rows(g))[1].reshape(g.shape)
        free = self.norm(xp.where(xp.where(g > 0, high, -low) > 0, g, 0))
        return g * per_row(each(alpha, free) / xp.maximum(free, 1e-6), g)

    def project_capped(self, a, b):
        """Return min(a, b) if it lies in the ball, and otherwise the min(s a, b) on its surface."""
        m = namespace(a).minimum(a, b)
        return self._unless_inside(m, a, b)

    def max_capped(self, a, b):
        """Return b where a > 0 if that lies in the ball, and otherwise the min(s a, b) on its surface."""
        corner = namespace(a).where(a > 0, b, 0)
        return self._unless_inside(corner, a, b)

    def _unless_inside(self, m, a, b):
        inside = self.norm(m)[:, None] <= each(self.eps, m)
        return namespace(a).where(inside, m, self._scale_to_sphere(a, b))

    def _scale_to_sphere(self, a, b):
        r"""Return min(s a, b) with :math:`\sum_j \min(s^2 a_j^2, b_j^2) = \epsilon^2`, which is linear in s²."""
        xp = namespace(a)
        a = _unit_max(a)[1]
        a = xp.where(a > 1e-15, a, 0)  # smaller entries are rounding errors, and 1 / a² would overflow
        a2, b2 = a * a, b * b
        knots = xp.where(a > 0, b2 / xp.where(a > 0, a2, 1), 0)
        knots = xp.concatenate([xp.zeros_like(knots[:, :1]), knots], axis=1)

        def squared_norm(s2):
            return xp.minimum(s2 * a2, b2).sum(axis=1, keepdims=True)

        s2 = solve_piecewise_linear(squared_norm, knots, each(self.eps**2, a))
        return xp.minimum(xp.sqrt(s2) * a, b)


class L1(NormBall):
    r"""The cross-polytope :math:`\Delta = \{\delta : \sum_j |\delta_j| \leq \epsilon\}`.

    Parameters
    ----------
    eps : float or array, shape (N,)
        The radius ε, in the units of x; an array gives each example its own.

    Source of the projection: Duchi et al. (2008), "Efficient projections onto the ℓ1-ball", here with caps.
    """

    name = "‖δ‖₁"

    @staticmethod
    def norm(delta):
        """Return the sum of the magnitudes of each row, ``(N,)``."""
        return abs(rows(delta)).sum(axis=1)

    def project(self, delta):
        """Return sign(δ) max(|δ| − λ, 0) with the smallest λ >= 0 for which the result lies in the ball."""
        a = abs(rows(delta))
        return namespace(delta).sign(delta) * self.project_capped(a, a).reshape(delta.shape)

    def linear_max(self, g):
        """Return ε sign(g_j) at j = argmax |g_j|, the first of several, and zero elsewhere."""
        xp = namespace(g)
        a = abs(rows(g))
        m = xp.zeros_like(a)
        put_in_rows(m, a.argmax(axis=1)[:, None], each(self.eps, a))
        return xp.sign(g) * m.reshape(g.shape)

    @staticmethod
    def dual_norm(g):
        """Return ‖g‖∞, ``(N,)``: support(g) = ε ‖g‖∞."""
        return abs(rows(g)).max(axis=1)

    def sample(self, rng, x):
        """Return a uniform random point: the first P shares of P + 1 exponential variables, with random signs."""
        shape = rows(x).shape
        e = rng.standard_exponential(shape, dtype=x.dtype)
        rest = rng.standard_exponential((len(x), 1), dtype=x.dtype)
        signs = rng.integers(0, 2, shape, dtype="int8") * 2 - 1
        return like((each(self.eps, e) * e / (e.sum(axis=1, keepdims=True) + rest) * signs).reshape(x.shape), x)

    def project_capped(self, a, b):
        r"""Return clip(a − λ, 0, b) with :math:`\sum_j \mathrm{clip}(a_j - \lambda, 0, b_j) = \epsilon`."""
        xp = namespace(a)
        b = xp.minimum(a, b)
        eps = each(self.eps, a)
        inside = b.sum(axis=1, keepdims=True) <= eps

        def minus_norm(shrink):
            return -xp.clip(a - shrink, 0, b).sum(axis=1, keepdims=True)

        shrink = solve_piecewise_linear(minus_norm, xp.concatenate([a, a - b], axis=1), -eps)
        return xp.where(inside, b, xp.clip(a - shrink, 0, b))

    def max_capped(self, a, b):
        """Fill the components up to their caps, those of the largest gradient first, until the budget ε is spent."""
        xp = namespace(a)
        order = xp.argsort(-a, axis=1, kind="stable")
        b = xp.where(a > 0, b, 0)
        filled = xp.take_along_axis(b, order, axis=1)
        spent = xp.cumsum(filled, axis=1, dtype=float) - filled
        m = xp.empty_like(a)
        put_in_rows(m, order, xp.clip(each(self.eps, spent) - spent, 0, filled).astype(a.dtype))
        return m


@dataclass(frozen=True, eq=False)
class L0(Ball):
    r"""Changes of at most k components: :math:`\Delta = \{\delta : |\{j : \delta_j \neq 0\}| \leq k\}`.

    By itself the set is unbounded, so a linear function has no maximum on it. Intersect it with a box.

    Parameters
    ----------
    k : int or array of int, shape (N,)
        The number of components that may change; an array gives each example its own.
    """

    k: Any

    name = "‖δ‖₀"

    def __post_init__(self):
        object.__setattr__(self, "k", checks.counts("k", self.k))

    @property
    def radius(self):
        """The number k of components that may change."""
        return self.k

    @property
    def _advice(self):
        return f"cut it with a box, L0({self.k}) & Box(0, 1)"

    def scaled(self, alpha):
        """Return the set with ``alpha`` components, rounded, at least one."""
        return replace(self, k=np.maximum(1, np.rint(host(alpha))).astype(int) if ndim(alpha) else max(1, round(alpha)))

    @staticmethod
    def norm(delta):
        """Return the number of nonzero components of each row, ``(N,)``."""
        return (rows(delta) != 0).sum(axis=1)

    def project(self, delta):
        """Keep the k components of the largest magnitudes, and set the others to zero."""
        a = abs(rows(delta))
        return delta * self._top(a).reshape(delta.shape)

    def linear_max(self, g):
        """Refuse: there is no maximum without a box."""
        raise ValueError(f"the threat {self} alone does not bound <g, delta>: {self._advice}")

    def _cut(self, i, x):
        return replace(self, k=rows_of_each(self.k, i)) if ndim(self.k) else self

    def _support(self, g):
        """Return ∞, or 0 where g = 0."""
        xp = namespace(g)
        return xp.where((rows(g) != 0).any(axis=1), xp.inf, 0).astype(g.dtype)

    def sample(self, rng, x):
        """Refuse: there is no uniform distribution without a box."""
        raise ValueError(f"the threat {self} alone has no uniform distribution: {self._advice}")

    def project_capped(self, a, b):
        """Keep those k components of min(a, b) that bring the result nearest to a."""
        xp = namespace(a)
        m = xp.minimum(a, b)
        # keeping m_j saves a² − (a − m)² = m (2a − m); components are ranked by its root, which does not underflow
        return m * self._top(xp.sqrt(m) * xp.sqrt(2 * a - m))

    def max_capped(self, a, b):
        """Return b at the k components with the largest products a b, and 0 elsewhere."""
        xp = namespace(a)
        checks.finite_box("the maximum over the threat", 0, b, self)
        return b * self._top(xp.sqrt(a) * xp.sqrt(b)) * (a > 0)

    def _sample_in(self, rng, x, cut):
        low, high = cut.bounds()
        checks.finite_box("a sample of the threat", low, high, self)
        u, order = (like(rng.random(x.shape, dtype=x.dtype), x) for _ in range(2))
        return (low + u * (high - low)) * self._top(rows(order)).reshape(x.shape)

    def _top(self, score):
        """Return a mask of the k highest scores in each row; of equal scores, the first are chosen."""
        xp = namespace(score)
        mask = xp.zeros(score.shape, dtype=bool)
        put_in_rows(mask, xp.argsort(-score, axis=1, kind="stable"), xp.arange(score.shape[1]) < each(self.k, score))
        return mask


def _unit_max(a):
    """Return the largest magnitude of each row, ``(N, 1)``, and the rows divided by it (a zero row stays zero)."""
    xp = namespace(a)
    largest = abs(a).max(axis=1, keepdims=True)
    return largest, a / xp.where(largest > 0, largest, 1)
