r"""The largest margin in a norm: how far the examples can be moved before no linear model separates them any more.

.. math:: \rho = \max_{\theta, \theta_0} \min_i \frac{y_i(\theta^T x_i + \theta_0)}{\lVert\theta\rVert_*}

Only few examples matter. The problem is therefore solved on a working set, to which we add the examples that are
closest to the other class under the current solution. The optimum on a part of the data bounds ρ from above; the margin
that its solution achieves on all data bounds ρ from below.
"""

import numpy as np
import scipy

from ...sets import L1, L2, Linf


def largest_margin(x, y, norm, tol=1e-9, batch=40, max_rounds=500):
    """Return ρ as achieved by a separating θ, or 0 if nothing separates the examples.

    The relative error is at most ``tol``, or 1e-6 where rounding prevents that.

    Parameters
    ----------
    x : array, shape (N, P)
        The examples, float64.
    y : array, shape (N,)
        Labels −1/+1.
    norm : type
        ``Linf``, ``L2`` or ``L1``: the norm in which examples move; θ is measured in its dual.

    Returns
    -------
    float
        In the units of x.

    Raises
    ------
    RuntimeError
        If the bounds do not meet.
    """
    solve = {Linf: _linear_program, L1: _linear_program, L2: _nearest_points}[norm]
    sides = [np.flatnonzero(y > 0), np.flatnonzero(y < 0)]
    if not all(map(len, sides)):
        return float("inf")
    # centring reduces rounding errors; the median keeps the many zeros of images, from which the solvers profit
    x = x - np.median(x, axis=0)
    theta = x[sides[0]].mean(axis=0) - x[sides[1]].mean(axis=0)
    chosen = np.zeros(0, dtype=int)
    achieved = 0.0
    for _ in range(max_rounds):
        score = x @ theta
        before = len(chosen)
        chosen = np.unique(np.concatenate([chosen, *_closest(score, sides, batch)]))
        if len(chosen) == before:
            break  # there is nothing left to add: the bounds differ by rounding only
        theta, upper = solve(x[chosen], y[chosen], norm)
        if upper <= tol * abs(x[chosen]).max():
            return 0.0
        score = x @ theta
        gap = score[sides[0]].min() - score[sides[1]].max()
        achieved = max(achieved, gap / 2 / norm(1.0).support(theta[None])[0])
        if upper - achieved <= tol * upper + 1e-15 * abs(x).max():
            return float(achieved)
    if upper - achieved <= 1e-6 * upper:
        return float(achieved)
    raise RuntimeError(f"the radius is between {achieved} and {upper}; a relative error of {tol} was not reached")


def _closest(score, sides, batch):
    """Return the examples of each class that are closest to the other class in the direction θ."""
    plus, minus = sides
    return plus[np.argsort(score[plus])[:batch]], minus[np.argsort(-score[minus])[:batch]]


def _linear_program(x, y, norm):
    r"""Maximise ρ with :math:`y_i(\theta^T x_i + \theta_0) \geq \rho` and :math:`\lVert\theta\rVert_* \leq 1`.

    The variables are p, q ≥ 0 with θ = p − q, then :math:`\theta_0` and ρ. The absolute error of the solver is 1e-10,
    so for a small ρ the problem is solved again in units of this ρ.
    """
    scale = abs(x).max() or 1.0
    theta, upper = _scaled_linear_program(x / scale, y, norm)
    if 1e-9 < upper < 1e-2:
        scale *= upper
        theta, upper = _scaled_linear_program(x / scale, y, norm)
    return theta, upper * scale


def _scaled_linear_program(x, y, norm):
    n, d = x.shape
    yx = y[:, None] * x
    margins = np.hstack([-yx, yx, -y[:, None], np.ones((n, 1))])
    budget = np.concatenate([np.ones(2 * d), [0, 0]])
    largest = 1 if norm is L1 else None
    constraints, limits = margins, np.zeros(n)
    if norm is not L1:
        constraints, limits = np.vstack([margins, budget]), np.eye(n + 1)[n]
    solution = scipy.optimize.linprog(
        -np.eye(2 * d + 2)[-1],
        A_ub=constraints,
        b_ub=limits,
        bounds=[(0, largest)] * (2 * d) + [(None, None), (0, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solution.success:
        raise RuntimeError(f"the linear program of the margin was not solved: {solution.message}")
    return solution.x[:d] - solution.x[d : 2 * d], solution.x[-1]


def _nearest_points(x, y, norm):
    r"""Return θ between the nearest points of the two convex hulls, and half their distance.

    The points are weighted sums with weights :math:`\alpha \geq 0`. The condition that the weights of each class sum to
    one is a least-squares equation with so large a weight that rescaling the classes afterwards has no visible effect.
    """
    scale = abs(x).max() or 1.0
    heavy = 1e6 * np.sqrt(x.shape[1])
    x = x / scale
    plus = y > 0
    design = np.vstack([(y[:, None] * x).T, heavy * plus, heavy * ~plus])
    target = np.concatenate([np.zeros(x.shape[1]), [heavy, heavy]])
    alpha, _ = scipy.optimize.nnls(design, target, maxiter=50 * len(y))
    theta = _exactly_nearest(x, y, alpha / np.where(plus, alpha[plus].sum(), alpha[~plus].sum()))
    return theta, np.linalg.norm(theta) / 2 * scale


def _exactly_nearest(x, y, alpha):
    """Return the same θ from nearly optimal weights, without the digits that the heavy equations cost.

    This is an active-set method. The weights move to the nearest points of the two flats through the examples with
    positive weight, but only until the first weight becomes zero. Then the example that is closest to the other class
    joins. Source: Wolfe (1976), "Finding the nearest point in a polytope".
    """
    plus = y > 0
    used = alpha > 0
    for _ in range(5 * len(x)):
        target, theta = _nearest_on_flats(x, y, alpha, used)
        negative = target < 0
        if negative.any():
            share = np.where(negative, alpha / np.where(negative, alpha - target, 1), 1)
            alpha = np.where(share > share.min(), alpha + share.min() * (target - alpha), 0)
            used &= alpha > 0
            continue
        alpha = target
        score = x @ theta
        closer = y * (np.where(plus, (alpha * plus) @ score, (alpha * ~plus) @ score) - score)
        j = np.where(used, 0, closer).argmax()
        if closer[j] <= 1e-11 * theta @ theta:
            break
        used[j] = True
    return theta


def _nearest_on_flats(x, y, alpha, used):
    """Return the weights, of either sign, on ``used`` that bring the classes' sums closest, and the θ between them."""
    sides = y > 0, y < 0
    base = [np.argmax(alpha * side) for side in sides]
    others = [np.setdiff1d(np.flatnonzero(used & side), b) for side, b in zip(sides, base, strict=True)]
    edges = np.vstack([y[b] * (x[o] - x[b]) for o, b in zip(others, base, strict=True)])
    theta = (alpha * y) @ x
    move = np.zeros(len(x))
    for _ in range(2):  # the second pass makes θ orthogonal to the edges to the precision of its own length
        along = np.linalg.lstsq(edges.T, -theta)[0]
        move[np.concatenate(others)] += along
        theta = theta + along @ edges
    for side, b in zip(sides, base, strict=True):
        move[b] = -move[side].sum()
    return alpha + move, theta
