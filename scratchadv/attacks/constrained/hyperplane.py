r"""The nearest point of a hyperplane, in the norm of an attack and in the pixel range.

Near x a class k wins over the label where :math:`f + \langle w, \delta \rangle \geq 0`, with
:math:`f = z_k - z_y` and its gradient w. The smallest δ that gets there is the step of DeepFool and of FAB.
"""

from ...backend import namespace
from ...numerics import per_row, put_in_rows, rows, solve_piecewise_linear
from ...sets import L1, L2, Linf

FLAT = 1e-30  # gradients below this share of |f| count as zero: no step of a sensible size reaches their hyperplane
NEGLIGIBLE = 1e-15  # beside the largest component of a gradient, which is 1: beyond rounding


def nearest_boundary(norm, w, f, x, low=None, high=None):
    r"""Of C hyperplanes the one that the smallest δ in the box reaches, row by row, and that δ.

    Where |f| is within rounding, δ goes clearly beyond the hyperplane.

    Parameters
    ----------
    norm : {Linf, L2, L1}
        The class of the norm that measures δ.
    w : array, shape (N, C, *D)
    f : array, shape (N, C)
    x : array, shape (N, *D)
        Where the model was made linear.
    low, high : array, shape (N, *D), optional
        The box of δ, with low <= 0 <= high.

    Returns
    -------
    w : array, shape (N, *D)
        The first where the box reaches none.
    f : array, shape (N,)
    delta : array, shape (N, *D)

    Source: Moosavi-Dezfooli, Fawzi and Frossard (2016), "DeepFool", equation 11; the box is added here.
    """
    xp, deltas, lengths = namespace(w), [], []
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
    """How far off <w, x> may be, with a margin, ``(N,)``: another batch, other rounding, and the prediction turns."""
    return 4 * namespace(x).finfo(x.dtype).eps * rows(abs(w) * (1 + abs(x))).sum(axis=1)


def inner(w, delta):
    """<w, δ> of each row, ``(N,)``."""
    return rows(w * delta).sum(axis=1)


def nearest_point(norm, w, f, low=None, high=None):
    r"""The smallest δ on the hyperplane, row by row and exactly.

    .. math::
        \min_\delta \lVert \delta \rVert \quad \text{such that} \quad f + \langle w, \delta \rangle = 0, \quad
        l \leq \delta \leq u

    With :math:`m = |\delta|`, and b the bound in the direction of δ, the solution is :math:`m = \min(t, b)` for ℓ∞,
    :math:`m = \min(t |w|, b)` for ℓ2, each with the one t that reaches the hyperplane, and for ℓ1 the largest
    :math:`|w_j|` are used up first. Where the box does not reach the hyperplane, δ is the corner nearest to it.

    Parameters
    ----------
    norm : {Linf, L2, L1}
        The class of the norm that measures δ.
    w : array, shape (N, *D)
    f : array, shape (N,)
    low, high : array, shape (N, *D), optional
        The box of δ, with low <= 0 <= high.

    Returns
    -------
    array, shape (N, *D)
        Zero for w = 0.

    Source: Croce and Hein (2020), "Minimally distorted adversarial examples with a fast adaptive boundary attack",
    section 2.2.
    """
    xp = namespace(w)
    top = abs(rows(w)).max(axis=1)
    flat = top <= FLAT * abs(f)
    scale = xp.where(flat, 0, xp.where(f > 0, -1, 1) / xp.where(flat, 1, top)).astype(w.dtype)
    g, way = w * per_row(scale, w), -f * scale  # <g, delta> = way, way >= 0
    if low is None:
        dual = norm.dual_norm(g)
        return norm(1).linear_max(g) * per_row(way / xp.where(dual > 0, dual, 1), w)
    a, b = rows(abs(g)), rows(xp.where(g > 0, high, -low))
    # an infinite side is no bound: no component goes farther than the whole way by itself
    b = xp.where(xp.isinf(b), way[:, None] / xp.where(a > NEGLIGIBLE, a, xp.inf), b).astype(w.dtype)
    return xp.sign(g) * _SMALLEST[norm](a, b, way[:, None]).reshape(w.shape)


def _smallest_linf(a, b, way):
    r"""min(t, b) with :math:`\sum_j a_j \min(t, b_j)` = way, linear in t between the :math:`b_j`."""
    xp = namespace(a)
    b = xp.where(a > 0, b, 0)
    return xp.minimum(_reach(lambda t: a * xp.minimum(t, b), b, way), b)


def _smallest_l2(a, b, way):
    r"""min(t a, b) with :math:`\sum_j a_j \min(t a_j, b_j)` = way, linear in t between the :math:`b_j / a_j`."""
    xp = namespace(a)
    a = xp.where(a > NEGLIGIBLE, a, 0)
    knots = xp.where(a > 0, b / xp.where(a > 0, a, 1), 0)
    return xp.minimum(_reach(lambda t: a * xp.minimum(t * a, b), knots, way) * a, b)


def _smallest_l1(a, b, way):
    """Fill the components to their bounds, those with the largest a first, until the hyperplane is reached."""
    xp = namespace(a)
    order = xp.argsort(-a, axis=1, kind="stable")
    a, b = (xp.take_along_axis(v, order, axis=1) for v in (a, b))
    gone = xp.cumsum(a * b, axis=1, dtype=float) - a * b
    left = xp.clip(way - gone, 0, None).astype(a.dtype)
    m = xp.empty_like(a)
    put_in_rows(m, order, xp.where(left < a * b, left / xp.where(a > 0, a, 1), xp.where(a > 0, b, 0)))
    return m


def _reach(terms, knots, way):
    """The t at which the terms sum to the way; the last knot where they never do."""
    xp = namespace(knots)
    knots = xp.concatenate([xp.zeros_like(knots[:, :1]), knots], axis=1)
    return solve_piecewise_linear(lambda t: terms(t).sum(axis=1, keepdims=True), knots, way)


_SMALLEST = {Linf: _smallest_linf, L2: _smallest_l2, L1: _smallest_l1}
