r"""The nearest point of a hyperplane, in the norm of an attack and inside the pixel range.

Near x, class k has a larger logit than the label y where :math:`f + \langle w, \delta \rangle \geq 0`, with
:math:`f = z_k - z_y` and its gradient w. The smallest δ that reaches this half-space is the step of DeepFool and of
FAB.
"""

from ...backend import namespace
from ...numerics import per_row, put_in_rows, rows, solve_piecewise_linear
from ...sets import L1, L2, Linf

FLAT = 1e-30  # gradients below this share of |f| count as zero: their hyperplane is too far away
NEGLIGIBLE = 1e-15  # components of a gradient below this share of the largest count as zero: they are rounding errors


def nearest_boundary(norm, w, f, x, low=None, high=None):
    r"""Return the nearest of C hyperplanes, row by row, and the smallest δ in the box that reaches it.

    Where |f| is within the rounding error, δ goes beyond the hyperplane by more than that error.

    Parameters
    ----------
    norm : {Linf, L2, L1}
        The class of the norm that measures δ.
    w : array, shape (N, C, *D)
        The normal vectors, the gradients of f in x.
    f : array, shape (N, C)
        The offsets: hyperplane k is :math:`f_k + \langle w_k, \delta \rangle = 0`.
    x : array, shape (N, *D)
        The points at which the model is linearised.
    low, high : array, shape (N, *D), optional
        The lowest and the highest δ, with low <= 0 <= high.

    Returns
    -------
    w : array, shape (N, *D)
        The normal vector of the nearest hyperplane; the first one if the box reaches none of them.
    f : array, shape (N,)
        Its offset.
    delta : array, shape (N, *D)
        The smallest δ that reaches it.

    Source: Moosavi-Dezfooli, Fawzi and Frossard (2016), "DeepFool", equation 11; the box is added here.
    """
    xp = namespace(w)
    deltas = []
    lengths = []
    for w_k, f_k in zip(w.swapaxes(0, 1), f.T, strict=True):
        least = 2 * rounding(w_k, x)
        f_k = xp.where(abs(f_k) < least, -least, f_k)
        delta = nearest_point(norm, w_k, f_k, low, high)
        length = norm.norm(delta)
        reached = abs(f_k + inner(w_k, delta)) <= 1e-3 * abs(f_k)
        deltas.append(delta)
        lengths.append(xp.where(reached & (length > 0), length, xp.inf))
    pick = xp.arange(len(w)), xp.stack(lengths, axis=1).argmin(axis=1)
    return w[pick], f[pick], xp.stack(deltas, axis=1)[pick]


def rounding(w, x):
    """Return a bound on the rounding error of <w, x>, ``(N,)``; within it, a prediction may change with the batch."""
    return 4 * namespace(x).finfo(x.dtype).eps * rows(abs(w) * (1 + abs(x))).sum(axis=1)


def inner(w, delta):
    """Return <w, δ> of each row, ``(N,)``."""
    return rows(w * delta).sum(axis=1)


def nearest_point(norm, w, f, low=None, high=None):
    r"""Return the smallest δ on the hyperplane, row by row and exactly.

    .. math::
        \min_\delta \lVert \delta \rVert \quad \text{such that} \quad f + \langle w, \delta \rangle = 0, \quad
        l \leq \delta \leq u

    Let :math:`m = |\delta|`, and let b be the bound in the direction of δ. The solution is :math:`m = \min(t, b)` for
    ℓ∞ and :math:`m = \min(t |w|, b)` for ℓ2, each with the t that reaches the hyperplane. For ℓ1, the components with
    the largest :math:`|w_j|` move to their bounds first. If the box does not reach the hyperplane, δ is the corner
    nearest to it.

    Parameters
    ----------
    norm : {Linf, L2, L1}
        The class of the norm that measures δ.
    w : array, shape (N, *D)
        The normal vectors.
    f : array, shape (N,)
        The offsets.
    low, high : array, shape (N, *D), optional
        The lowest and the highest δ, with low <= 0 <= high.

    Returns
    -------
    array, shape (N, *D)
        The smallest δ; zero where w = 0.

    Source: Croce and Hein (2020), "Minimally distorted adversarial examples with a fast adaptive boundary attack",
    section 2.2.
    """
    xp = namespace(w)
    top = abs(rows(w)).max(axis=1)
    flat = top <= FLAT * abs(f)
    scale = xp.where(flat, 0, xp.where(f > 0, -1, 1) / xp.where(flat, 1, top)).astype(w.dtype)
    g = w * per_row(scale, w)
    distance = -f * scale  # the hyperplane is <g, delta> = distance, with distance >= 0
    if low is None:
        dual = norm.dual_norm(g)
        return norm(1).linear_max(g) * per_row(distance / xp.where(dual > 0, dual, 1), w)
    a = rows(abs(g))
    b = rows(xp.where(g > 0, high, -low))
    # an infinite side becomes the change with which one component alone reaches the hyperplane
    b = xp.where(xp.isinf(b), distance[:, None] / xp.where(a > NEGLIGIBLE, a, xp.inf), b).astype(w.dtype)
    return xp.sign(g) * _SMALLEST[norm](a, b, distance[:, None]).reshape(w.shape)


def _smallest_linf(a, b, distance):
    r"""Return min(t, b) with :math:`\sum_j a_j \min(t, b_j)` = distance, linear in t between the :math:`b_j`."""
    xp = namespace(a)
    b = xp.where(a > 0, b, 0)
    return xp.minimum(_solve(lambda t: a * xp.minimum(t, b), b, distance), b)


def _smallest_l2(a, b, distance):
    r"""Return min(t a, b) with :math:`\sum_j a_j \min(t a_j, b_j)` = distance, linear between the :math:`b_j / a_j`."""
    xp = namespace(a)
    a = xp.where(a > NEGLIGIBLE, a, 0)
    knots = xp.where(a > 0, b / xp.where(a > 0, a, 1), 0)
    return xp.minimum(_solve(lambda t: a * xp.minimum(t * a, b), knots, distance) * a, b)


def _smallest_l1(a, b, distance):
    """Move components to their bounds, those with the largest a first, until the hyperplane is reached."""
    xp = namespace(a)
    order = xp.argsort(-a, axis=1, kind="stable")
    a, b = (xp.take_along_axis(v, order, axis=1) for v in (a, b))
    before = xp.cumsum(a * b, axis=1, dtype=float) - a * b
    left = xp.clip(distance - before, 0, None).astype(a.dtype)
    m = xp.empty_like(a)
    put_in_rows(m, order, xp.where(left < a * b, left / xp.where(a > 0, a, 1), xp.where(a > 0, b, 0)))
    return m


def _solve(terms, knots, total):
    """Return the t at which the terms add up to the total; the last knot where they never do."""
    xp = namespace(knots)
    knots = xp.concatenate([xp.zeros_like(knots[:, :1]), knots], axis=1)
    return solve_piecewise_linear(lambda t: terms(t).sum(axis=1, keepdims=True), knots, total)


_SMALLEST = {Linf: _smallest_linf, L2: _smallest_l2, L1: _smallest_l1}
