"""HopSkipJump, which estimates the normal of the decision boundary from labels alone."""

import math
from functools import partial
from itertools import count

from ... import checks
from ...backend import host, like, namespace
from ...checked import checked, one_of
from ...numerics import per_row, rows
from ...seeded import normal
from ...sets import L2, Linf
from .decisions import scaled, smallest

AT_ONCE = 10  # the number of directions of an example that are queried together
HALVINGS = 20  # how often a step that does not fool the model is halved


@checked(model=checks.black_box, norm=one_of(L2, Linf))
def hopskipjump(
    model,
    x,
    y,
    *,
    target=None,
    norm=L2,
    box=(0, 1),
    queries=5000,
    directions=100,
    gamma=1.0,
    overshoot=0.001,
    start=None,
    pool=None,
    rng=None,
    seeds=None,
):
    r"""Estimate the normal of the boundary from labels, step along it, and return to the boundary; repeat.

    .. math::
        g = \frac{1}{B} \sum_{b=1}^{B} (\varphi_b - \bar\varphi)\, u_b, \qquad
        \delta \leftarrow \text{the boundary between } \delta + \xi\, d(g) \text{ and } 0

    where :math:`\varphi_b` is 1 if :math:`x + \delta + r u_b` fools the model and −1 otherwise, :math:`u_b` is drawn
    from the unit sphere, and d(g) is :math:`g / \lVert g \rVert_2` for ℓ2 and sign(g) for ℓ∞. Iteration t uses
    :math:`B = B_0 \sqrt{t}` directions. The step size starts at :math:`\xi = \lVert \delta \rVert / \sqrt{t}` and is
    halved until the step fools the model. On a linear model, the expectation of g is parallel to θ.

    Parameters
    ----------
    model : Model, oracle, or anything with ``predict``
        Only its predicted labels are used.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        The labels to reach. Random noise is hardly ever classified as the target, so pass a start or a pool.
    norm : {L2, Linf}
        The class of the norm that measures δ.
    box : (lower, upper), Set or None
        The range of x + δ, in the units of x, and of all queries; or a Box, a Mask, a Range or an intersection
        of them. None: unbounded.
    queries : int
        The largest number of queries for each example. The first is about x, and the last about the overshoot. More
        queries never give a longer δ, except for the overshoot.
    directions : int
        The number :math:`B_0` of directions in the first iteration.
    gamma : float
        The factor γ > 0 of two lengths, for inputs of P components. The relative precision of the bisection towards the
        boundary is :math:`\gamma P^{-3/2}` for ℓ2 and :math:`\gamma P^{-2}` for ℓ∞, or a thousandth if that is smaller;
        and r is :math:`\gamma \lVert \delta \rVert_2 / P`.
    overshoot : float
        How much longer δ is made at the end, relative to its length, if it still fools the model then. Without it, a
        point on the boundary could be correctly classified in another batch because of rounding.
    start : array, shape (N, *D), optional
        Images that fool the model, tried first.
    pool : array, shape (M, *D), optional
        Images that may fool the model, such as those of other classes. They are tried next, shuffled for each example.
        Then noise is tried; 200 images at most are tried in all.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They are zero where x is already misclassified (or classified as its
        target), and where no image was found that fools the model.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Chen, Jordan and Wainwright (2020), "HopSkipJumpAttack: a query-efficient
    decision-based attack", algorithms 1 and 2. Unlike the paper, r depends on the ℓ2 length in both norms, because
    the paper's r for ℓ∞ is too small for float32, and a step that ends farther from x is not taken.
    """
    follow = partial(_follow, norm, directions, gamma)
    options = {"target": target, "box": box, "queries": queries, "overshoot": overshoot}
    begin = {"start": start, "pool": pool, "rng": rng, "seeds": seeds}
    return smallest("hopskipjump", follow, norm, model, x, y, at_once=AT_ONCE, **options, **begin)


def _follow(norm, directions, gamma, decisions, which, seeds):
    """Run iterations t = 1, 2, … while the queries suffice for a whole iteration."""
    p = rows(decisions.x).shape[1]
    steps = max(10, math.ceil((1.5 if norm is L2 else 2) * math.log2(p) - math.log2(gamma)))
    shrunk = scaled if norm is L2 else _clipped_to_share
    decisions.to_boundary(which, decisions.best[which], steps, shrunk)
    for t in count(1):
        size = int(directions * math.sqrt(t))
        which = which[decisions.left[which] >= size + 1 + steps]
        if not len(which):
            return
        delta = decisions.best[which]
        g = estimate(decisions, which, delta, gamma * L2.norm(delta) / p, seeds, size, t)
        step = norm.norm(delta) / math.sqrt(t)
        moved, fooled = _jump(decisions, which, delta, norm(1).linear_max(g), step)
        decisions.to_boundary(which[fooled], moved[fooled], steps, shrunk)


def estimate(decisions, which, delta, radius, seeds, directions, t):
    """Return the estimated normal g of the boundary at δ, ``(m, *D)``; ± the mean of u where all labels agree.

    Parameters
    ----------
    decisions : Decisions
        Makes the queries.
    which : array of int, shape (m,)
        The rows.
    delta : array, shape (m, *D)
        The perturbations of these rows, on the boundary.
    radius : array, shape (m,)
        The distance r of the queries from x + δ.
    seeds : array of uint64, shape (n,)
        The seeds of the whole chunk.
    directions : int
        The number B of directions.
    t : int
        The iteration; each has its own random directions.
    """
    xp = namespace(delta)
    p = rows(delta).shape[1]
    own = seeds[host(which)]
    radius = per_row(radius, delta[:, None])
    hits = sum_of_hits = sum_of_all = 0
    for piece, first in enumerate(range(0, directions, AT_ONCE)):
        q = min(AT_ONCE, directions - first)
        u = L2(1).linear_max(like(normal(own, (t << 12) + piece, q * p), delta).reshape(-1, p))
        moves = decisions.clipped(which, delta[:, None] + radius * u.reshape(len(delta), q, *delta.shape[1:]))
        fooled = decisions.fools(which, moves)
        u = ((moves - delta[:, None]) / radius).reshape(len(delta), q, p)
        hits = hits + fooled.sum(axis=1, keepdims=True)
        sum_of_hits = sum_of_hits + xp.where(fooled[:, :, None], u, 0).sum(axis=1)
        sum_of_all = sum_of_all + u.sum(axis=1)
    share = (hits / directions).astype(delta.dtype)
    g = sum_of_hits - xp.where(hits == directions, 0, share) * sum_of_all
    return xp.where(hits > 0, g, -sum_of_all).reshape(delta.shape)


def _jump(decisions, which, delta, direction, step):
    """Return δ + step · direction, with the step halved until it fools the model, and whether it finally does."""
    xp = namespace(delta)
    moved = delta.copy()
    trying = xp.arange(len(which))
    for halved in range(HALVINGS):
        if not len(trying):
            break
        tried = delta[trying] + scaled(direction[trying], step[trying] / 2**halved)
        tried = decisions.clipped(which[trying], tried)
        fooled = decisions.fools(which[trying], tried[:, None])[:, 0]
        moved[trying[fooled]] = tried[fooled]
        trying = trying[~fooled]
    fooled = xp.ones(len(which), dtype=bool)
    fooled[trying] = False
    return moved, fooled


def _clipped_to_share(delta, share):
    """Return δ with every component clipped to this share of its largest magnitude."""
    most = per_row(share * Linf.norm(delta), delta)
    return namespace(delta).clip(delta, -most, most)
