"""Formulas that overflow, underflow or cancel when they are typed in as they stand on the slide."""

import math

from .backend import host, like, namespace


def softplus(z):
    r"""Elementwise :math:`\log(1 + e^{z})`, without overflow."""
    return namespace(z).logaddexp(0, z)


def sigmoid(z):
    r"""Elementwise :math:`\tau(z) = (1 + e^{-z})^{-1} = e^{-\log(1 + e^{-z})}`, precise in both tails."""
    xp = namespace(z)
    return xp.exp(-softplus(-z))


def log_sum_exp(z):
    r"""Row by row :math:`\log \sum_k e^{z_k}`, ``(N, K)`` to ``(N, 1)``.

    As :math:`z_m + \log(1 + \sum_{k \neq m} e^{z_k - z_m})` with the largest :math:`z_m`, which loses no small term.
    """
    xp = namespace(z)
    best = xp.arange(len(z)), z.argmax(axis=1)
    top = z[best][:, None]
    e = xp.exp(z - xp.where(top == -math.inf, 0, top).astype(z.dtype))
    e[best] = 0
    return top + xp.log1p(e.sum(axis=1, keepdims=True))


def binary_entropy(a):
    r"""Elementwise :math:`H(a) = -a \log a - (1 - a) \log(1 - a)` in nats, with :math:`0 \log 0 = 0`."""
    xp = namespace(a)
    inside = (a > 0) & (a < 1)
    a = xp.where(inside, a, 0.5)
    return xp.where(inside, -a * xp.log(a) - (1 - a) * xp.log1p(-a), 0)


def rows(x):
    """``(N, *D)`` as ``(N, P)``, one flat row an example."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def per_row(values, x):
    """``(N,)`` shaped so that it broadcasts along the examples of ``x``."""
    return values.reshape((-1,) + (1,) * (x.ndim - 1))


def ndim(value):
    """How many axes an array has, on the host or on a device; 0 for a number."""
    return getattr(value, "ndim", 0)


def each(value, x):
    """A number as it is; one number for each example, ``(N,)``, in the dtype of x and shaped to broadcast to x."""
    return per_row(like(host(value), x), x) if ndim(value) else value


def take(i, *things):
    """Return the rows i of each thing: of an array, of a perturbation set that is at its examples, or of None.

    Parameters
    ----------
    i : slice, array of bool or array of int
    *things : array, set or None

    Returns
    -------
    list
    """
    return [a if a is None else a.rows(i) if hasattr(a, "rows") else a[i] for a in things]


def put_in_rows(a, index, values):
    """``a[i, index[i, j]] = values[i, j]`` in place; ``numpy.put_along_axis``, which CuPy 13 has not."""
    a[namespace(a).arange(len(a))[:, None], index] = values


def solve_piecewise_linear(phi, knots, target):
    r"""Row by row the :math:`t` with :math:`\varphi(t) =` ``target``, for a monotone, piecewise linear φ.

    A binary search over the sorted knots finds the two between which φ passes the target; there φ is a
    line, so the answer is exact up to rounding. It takes :math:`\log_2` (number of knots) calls of φ.

    Parameters
    ----------
    phi : callable
        ``(N, 1)`` to ``(N, 1)``, non-decreasing in each row, linear between neighbouring knots.
    knots : array, shape (N, K)
        In any order; in each row ``phi(min) <= target <= phi(max)``.
    target : float or array, shape (N, 1)

    Returns
    -------
    array, shape (N, 1)
    """
    xp = namespace(knots)
    knots = xp.sort(knots, axis=1)

    def at(index):
        return xp.take_along_axis(knots, index, axis=1)

    low = xp.zeros((len(knots), 1), dtype=int)
    high = low + knots.shape[1] - 1
    for _ in range(math.ceil(math.log2(max(knots.shape[1] - 1, 1)))):
        middle = (low + high) // 2
        below = phi(at(middle)) <= target
        low, high = xp.where(below, middle, low), xp.where(below, high, middle)
    t_low, t_high = at(low), at(high)
    phi_low, phi_high = phi(t_low), phi(t_high)
    rise = phi_high - phi_low
    share = xp.clip(target - phi_low, 0, rise) / xp.where(rise > 0, rise, 1)
    return t_low + share * (t_high - t_low)
