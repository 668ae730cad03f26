r"""The largest margin in a norm: how far all examples can be moved before no linear model separates them.

.. math:: \rho = \max_{\theta, \theta_0} \min_i \frac{y_i(\theta^T x_i + \theta_0)}{\lVert\theta\rVert_*}

Few examples matter, so the problem is solved on a working set of them, which grows by those that the solution
leaves too close. A solution on part of the data bounds ρ from above; what it achieves on all of them bounds it
from below.
"""

import numpy as np
from scipy.optimize import linprog, nnls

from ...sets import L1, L2, Linf


def largest_margin(x, y, norm, tol=1e-9, batch=40, max_rounds=500):
    """ρ as achieved by a separating θ; 0 where nothing separates the examples.

    To a relative ``tol``, or to 1e-6 where rounding is in the way.

    Parameters
    ----------
    x : array, shape (N, P)
        float64.
    y : array, shape (N,)
        Labels −1/+1.
    norm : type
        ``Linf``, ``L2`` or ``L1``: the norm in which examples move; θ is measured in its dual.

    Raises
    ------
    RuntimeError
        If the bounds do not meet.
    """
    solve = {Linf: _linear_program, L1: _linear_program, L2: _nearest_points}[norm]
    sides = [np.flatnonzero(y > 0), np.flatnonzero(y < 0)]
    if not all(map(len, sides)):
        return float("inf")
    # rounding is kinder near 0; the median, not the mean, keeps the many zeros of images, which the solvers use
    x = x - np.median(x, axis=0)
    theta = x[sides[0]].mean(axis=0) - x[sides[1]].mean(axis=0)
    chosen, achieved = np.zeros(0, dtype=int), 0.0
    for _ in range(max_rounds):
        score, before = x @ theta, len(chosen)
        chosen = np.unique(np.concatenate([chosen, *_closest(score, sides, batch)]))
        if len(chosen) == before:
            break  # nothing left to add: what keeps the bounds apart is rounding
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
    raise RuntimeError(f"the radius lies between {achieved} and {upper}, not known to {tol}")


def _closest(score, sides, batch):
    """The examples of each class that stand furthest towards the other."""
    plus, minus = sides
    return plus[np.argsort(score[plus])[:batch]], minus[np.argsort(-score[minus])[:batch]]


def _linear_program(x, y, norm):
    r"""max ρ with :math:`y_i(\theta^T x_i + \theta_0) \geq \rho` and :math:`\lVert\theta\rVert_* \leq 1`, θ = p − q.

    The solver is exact to an absolute 1e-10: a small ρ is solved for again, in units of itself.
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
    constraints, limits = (margins, np.zeros(n)) if norm is L1 else (np.vstack([margins, budget]), np.eye(n + 1)[n])
    solution = linprog(
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
    r"""θ between the nearest points of the two convex hulls, and half their distance.

    The points are weighted sums with weights :math:`\alpha \geq 0`; that they sum to one in each class is asked for in
    least squares, with a weight so large that rescaling the classes afterwards changes nothing that counts.
    """
    scale = abs(x).max() or 1.0
    heavy = 1e6 * np.sqrt(x.shape[1])
    x = x / scale
    plus = y > 0
    design = np.vstack([(y[:, None] * x).T, heavy * plus, heavy * ~plus])
    target = np.concatenate([np.zeros(x.shape[1]), [heavy, heavy]])
    alpha, _ = nnls(design, target, maxiter=50 * len(y))
    theta = _exactly_nearest(x, y, alpha / np.where(plus, alpha[plus].sum(), alpha[~plus].sum()))
    return theta, np.linalg.norm(theta) / 2 * scale


def _exactly_nearest(x, y, alpha):
    """The same θ from weights close to the best ones, without what the heavy equations cost in digits.

    An active set: the nearest points of the two flats through the examples that have weight, where a weight would
    become negative only as far as zero; then the example that stands closest to the other class joins.
    Source: Wolfe (1976), "Finding the nearest point in a polytope".
    """
    plus, used = y > 0, alpha > 0
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
    """The weights, of either sign, on ``used`` examples that bring the sums of the classes closest, and θ there."""
    sides = y > 0, y < 0
    base = [np.argmax(alpha * side) for side in sides]
    others = [np.setdiff1d(np.flatnonzero(used & side), b) for side, b in zip(sides, base, strict=True)]
    edges = np.vstack([y[b] * (x[o] - x[b]) for o, b in zip(others, base, strict=True)])
    theta, move = (alpha * y) @ x, np.zeros(len(x))
    for _ in range(2):  # the second makes θ orthogonal to the edges as exactly as its own length allows
        along = np.linalg.lstsq(edges.T, -theta)[0]
        move[np.concatenate(others)] += along
        theta = theta + along @ edges
    for side, b in zip(sides, base, strict=True):
        move[b] = -move[side].sum()
    return alpha + move, theta
