r"""Robust logistic regression for the ℓ2 and the ℓ1 ball by a barrier method.

With a bound t on the dual norm the objective is smooth, and a barrier B enforces the bound:

.. math::
    \min_{\theta, \theta_0, t} \tau \frac1N \sum_i \Psi(y_i (\theta^T x_i + \theta_0) - \epsilon t) + B(\theta, t),

.. math::
    B = -\log(t^2 - \lVert\theta\rVert_2^2) \ \text{(ℓ2)}, \qquad B = -\sum_j \log(t^2 - \theta_j^2) \ \text{(ℓ1)}.

The minimiser for a weight τ is at most :math:`\nu / \tau` above the optimum, where ν = 2 for ℓ2 and twice the number of
components for ℓ1, and its dual weights are strictly feasible. We increase τ until the certificate holds.
Source: Boyd and Vandenberghe, "Convex Optimization" (2004), section 11.3.
"""

import numpy as np

from ...numerics import sigmoid, softplus
from ...sets import L2
from .dual import lower_bound


def solve(yx, y, ball, tol, max_rounds=200):
    """Minimise to a relative gap of ``tol``; arguments and results are those of ``working_set.solve``."""
    n, p = yx.shape
    seen = yx.any(axis=0)  # a component that is zero in all examples has weight zero
    seen[0] |= not seen.any()
    design = np.column_stack([yx[:, seen], y, np.full(n, -ball.eps)])
    barrier, nu = (_euclidean_barrier, 2) if isinstance(ball, L2) else (_box_barrier, 2 * seen.sum())
    u = np.zeros(design.shape[1])
    u[-1] = 1 / ball.eps  # margins of the order of 1
    tau = float(nu)
    for rounds in range(1, max_rounds + 1):  # noqa: B007
        u, m = _center(design, u, tau, barrier)
        a = sigmoid(-m)
        value = softplus(-m).mean()
        if m.min() > 0 or value - lower_bound(a, yx, y, ball) <= tol * value:
            break
        if nu / tau <= 1e-4 * tol * value:
            break  # the remaining gap is no longer due to the barrier
        tau *= 20
    theta = np.zeros(p)
    theta[seen] = u[:-2]
    return theta, float(u[-2]), a, rounds


def _center(design, u, tau, barrier, max_steps=100):
    """Minimise for one τ by Newton's method to a squared decrement of 1e-8, where it converges quadratically."""
    n = len(design)
    m = design @ u

    def slope(u, m):
        return barrier(u[:-2], u[-1])[1] - tau / n * (sigmoid(-m) @ design)

    for _ in range(max_steps):
        a = sigmoid(-m)
        value, _, hessian = barrier(u[:-2], u[-1])
        weighted = np.sqrt(tau / n * a * (1 - a))[:, None] * design
        g = slope(u, m)
        hessian += weighted.T @ weighted
        hessian.flat[:: len(g) + 1] *= 1 + 1e-14  # near the edge of the barrier, rounding can make it singular
        step = -_solve(hessian, g)
        decrement = -(g @ step)
        if decrement <= 1e-8 or m.min() > 0:
            return u, m
        value += tau * softplus(-m).mean()
        direction = design @ step
        for t in 0.5 ** np.arange(40):
            trial = u + t * step
            trial_value = barrier(trial[:-2], trial[-1])[0] + tau * softplus(-(m + t * direction)).mean()
            if trial_value <= value - 1e-4 * t * decrement:
                break
            if trial_value <= value + 1e-12 * tau and abs(slope(trial, m + t * direction) @ step) <= decrement / 2:
                break  # rounding hides the decrease of the value but not that of its slope
        else:
            return u, m  # up to rounding there is nothing left to gain
        u = trial
        m = m + t * direction
    return u, m


def _solve(hessian, g):
    try:
        return np.linalg.solve(hessian, g)
    except np.linalg.LinAlgError:  # singular: the shortest least-squares solution is still a descent direction
        return np.linalg.lstsq(hessian, g)[0]


def _euclidean_barrier(theta, t):
    r"""Return −log(t² − ‖θ‖²) and its gradient and Hessian in (θ, θ0, t)."""
    w = t * t - theta @ theta
    if t <= 0 or w <= 0:
        return np.inf, None, None
    q = np.concatenate([theta, [0, -t]])
    hessian = 4 / w**2 * np.outer(q, q)
    hessian.flat[:: len(q) + 1] += np.concatenate([np.full(len(theta), 2 / w), [0, -2 / w]])
    return -np.log(w), 2 / w * q, hessian


def _box_barrier(theta, t):
    r"""Return −Σ log(t² − θ_j²) and its gradient and Hessian in (θ, θ0, t)."""
    w = (t - theta) * (t + theta)
    if t <= 0 or w.min() <= 0:
        return np.inf, None, None
    gradient = np.concatenate([2 * theta / w, [0, -(2 * t / w).sum()]])
    corner = (4 * t * t / w**2 - 2 / w).sum()
    hessian = np.diag(np.concatenate([2 / w + 4 * theta**2 / w**2, [0, corner]]))
    hessian[:-2, -1] = hessian[-1, :-2] = -4 * theta * t / w**2
    return -np.log(w).sum(), gradient, hessian
