"""Formulas that overflow, underflow or cancel when they are computed literally as on the slide."""

import math

import numpy as np

from .backend import host, like, namespace


def softplus(z):
    r"""Return :math:`\log(1 + e^{z})` elementwise, without overflow."""
    return namespace(z).logaddexp(0, z)


def sigmoid(z):
    r"""Return :math:`\tau(z) = (1 + e^{-z})^{-1} = e^{-\log(1 + e^{-z})}` elementwise, precise in both tails."""
    xp = namespace(z)
    return xp.exp(-softplus(-z))


def log_sum_exp(z):
    r"""Return :math:`\log \sum_k e^{z_k}` for each row of z, ``(N, K)`` to ``(N, 1)``.

    It is computed as :math:`z_m + \log(1 + \sum_{k \neq m} e^{z_k - z_m})` with the largest :math:`z_m`, so that no
    small term is lost.
    """
    xp = namespace(z)
    best = xp.arange(len(z)), z.argmax(axis=1)
    top = z[best][:, None]
    e = xp.exp(z - xp.where(top == -math.inf, 0, top).astype(z.dtype))
    e[best] = 0
    return top + xp.log1p(e.sum(axis=1, keepdims=True))


def difference(a, b):
    """Return a − b elementwise, and −∞ where both are the same infinity, so that an attack has nothing to climb."""
    xp = namespace(a)
    equal = xp.isinf(a) & (a == b)
    return xp.where(equal, -math.inf, a - xp.where(equal, 0, b)).astype(a.dtype) if equal.any() else a - b


def binary_entropy(a):
    r"""Return :math:`H(a) = -a \log a - (1 - a) \log(1 - a)` elementwise, in nats, with :math:`0 \log 0 = 0`."""
    xp = namespace(a)
    inside = (a > 0) & (a < 1)
    a = xp.where(inside, a, 0.5)
    return xp.where(inside, -a * xp.log(a) - (1 - a) * xp.log1p(-a), 0)


def rows(x):
    """Return the examples ``(N, *D)`` as rows of a matrix, ``(N, P)``."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def per_row(values, x):
    """Return the values ``(N,)`` in a shape that broadcasts along the examples of x."""
    return values.reshape((-1,) + (1,) * (x.ndim - 1))


def ndim(value):
    """Return the number of axes of an array, on the host or on a device; 0 for a number."""
    return getattr(value, "ndim", 0)


def each(value, x):
    """Return a number unchanged, and one number for each example, ``(N,)``, in the dtype of x, broadcasting to x."""
    return per_row(like(host(value), x), x) if ndim(value) else value


def take(i, *things):
    """Return the rows i of each array and of each perturbation set that is placed at its examples; None stays None.

    A tuple or a dict is cut entry by entry. A number holds for all examples, and is returned unchanged.

    Parameters
    ----------
    i : slice, array of bool or array of int
        Which rows.
    *things : array, set, number, None, or a tuple or dict of them

    Returns
    -------
    list
    """
    return [_rows_of(thing, i) for thing in things]


def only(keep, state):
    """Return the state of the examples that go on, such as those that still stand; all of it where all go on.

    Parameters
    ----------
    keep : array of bool, shape (N,)
    state : array, tuple or dict
        What :func:`take` can cut, with N rows.
    """
    return state if keep.all() else _rows_of(state, keep)


def _rows_of(thing, i):
    if thing is None or isinstance(thing, int | float) or getattr(thing, "ndim", None) == 0:
        return thing
    if isinstance(thing, dict):
        return {name: _rows_of(part, i) for name, part in thing.items()}
    if isinstance(thing, tuple):
        parts = take(i, *thing)
        return thing._make(parts) if hasattr(thing, "_make") else tuple(parts)
    if hasattr(thing, "rows"):
        return thing.rows(i)
    return thing[host(i) if isinstance(thing, np.ndarray) and hasattr(i, "dtype") else i]


def put_in_rows(a, index, values):
    """Set ``a[i, index[i, j]] = values[i, j]``: ``numpy.put_along_axis``, which CuPy 13 does not have."""
    a[namespace(a).arange(len(a))[:, None], index] = values


def solve_piecewise_linear(phi, knots, target):
    r"""Return, for each row, the :math:`t` with :math:`\varphi(t) =` ``target`` for a monotone, piecewise linear φ.

    A binary search over the sorted knots finds the two between which φ passes the target. There φ is a line, so the
    answer is exact up to rounding. The search takes :math:`\log_2` (number of knots) calls of φ.

    Parameters
    ----------
    phi : callable
        A function from ``(N, 1)`` to ``(N, 1)``, non-decreasing in each row and linear between neighbouring knots.
    knots : array, shape (N, K)
        The knots in any order; in each row ``phi(min) <= target <= phi(max)``.
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
        low = xp.where(below, middle, low)
        high = xp.where(below, high, middle)
    t_low, t_high = at(low), at(high)
    phi_low, phi_high = phi(t_low), phi(t_high)
    rise = phi_high - phi_low
    share = xp.clip(target - phi_low, 0, rise) / xp.where(rise > 0, rise, 1)
    return t_low + share * (t_high - t_low)
