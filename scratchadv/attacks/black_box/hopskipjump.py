"""HopSkipJump: the normal of the boundary from labels alone."""

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

AT_ONCE = 10  # directions that an example asks about together
HALVINGS = 20  # of a step that does not fool


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
    r"""From a point of the boundary: the normal from labels around it, a step along it, and back to the boundary.

    .. math::
        g = \frac{1}{B} \sum_{b=1}^{B} (\varphi_b - \bar\varphi)\, u_b, \qquad
        \delta \leftarrow \text{the boundary on the way from } \delta + \xi\, d(g) \text{ to } 0

    with :math:`\varphi_b = \pm 1` as :math:`x + \delta + r u_b` fools or not, :math:`u_b` drawn from the unit sphere,
    and d(g) = :math:`g / \lVert g \rVert_2` for ℓ2 and sign(g) for ℓ∞. In iteration t there are
    :math:`B = B_0 \sqrt{t}` directions, and the step begins with :math:`\xi = \lVert \delta \rVert / \sqrt{t}` and is
    halved until it fools. On a linear model the expectation of g is along θ.

    Parameters
    ----------
    model : Model, oracle, or anything with ``predict``
        Only its predicted labels are used.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        Labels to reach. Noise hardly ever does: give a start or a pool.
    norm : {L2, Linf}
        The class of the norm that measures δ.
    box : (lower, upper) or None
        The range of x + δ, and of all that the model is asked about.
    queries : int
        The most queries of an example: x is the first, and the overshoot the last. More of them never give a longer δ
        (but for the overshoot).
    directions : int
        :math:`B_0`.
    gamma : float
        γ > 0: the way to the boundary is halved down to a share of :math:`\gamma P^{-3/2}` for ℓ2 and
        :math:`\gamma P^{-2}` for ℓ∞, with P components (and at least down to a thousandth); r is
        :math:`\gamma \lVert \delta \rVert_2 / P`.
    overshoot : float
        At the end δ is made so much longer, relative to its length, if that fools too: a point that is on the boundary
        but for rounding may be classified rightly in another batch.
    start : array, shape (N, *D), optional
        Images that fool; each is tried first.
    pool : array, shape (M, *D), optional
        Images, some of which may fool, such as those of other classes: tried next, in an order of each example. Then
        noise is tried; 200 images at most.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x. Zero where x is misclassified already (or at its target), and zero where no image was found that
        fools.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Chen, Jordan and Wainwright (2020), "HopSkipJumpAttack: a query-efficient
    decision-based attack", algorithms 1 and 2. Other than there r is taken from the ℓ2 length in both norms, because
    for ℓ∞ the paper's is lost in float32; and a step that ends farther from x is not taken.
    """
    follow = partial(_follow, norm, directions, gamma)
    options = {"target": target, "box": box, "queries": queries, "overshoot": overshoot}
    begin = {"start": start, "pool": pool, "rng": rng, "seeds": seeds}
    return smallest("hopskipjump", follow, norm, model, x, y, at_once=AT_ONCE, **options, **begin)


def _follow(norm, directions, gamma, decisions, which, seeds):
    """Iterations t = 1, 2, … as long as there are queries for a whole one."""
    p = rows(decisions.x).shape[1]
    steps = max(10, math.ceil((1.5 if norm is L2 else 2) * math.log2(p) - math.log2(gamma)))
    shrunk = scaled if norm is L2 else _cut
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
    """The direction g in which most of what fools lies around δ, ``(m, *D)``; ± the mean of u where all labels agree.

    Parameters
    ----------
    decisions : Decisions
    which : array of int, shape (m,)
    delta : array, shape (m, *D)
    radius : array, shape (m,)
        r, the distance of what is asked about.
    seeds : array of uint64, shape (n,)
    directions : int
        B.
    t : int
        The iteration: other directions in each.
    """
    xp, p, own = namespace(delta), rows(delta).shape[1], seeds[host(which)]
    radius = per_row(radius, delta[:, None])
    hits = with_hits = whole = 0
    for piece, first in enumerate(range(0, directions, AT_ONCE)):
        q = min(AT_ONCE, directions - first)
        u = L2(1).linear_max(like(normal(own, (t << 12) + piece, q * p), delta).reshape(-1, p))
        moves = decisions.clipped(which, delta[:, None] + radius * u.reshape(len(delta), q, *delta.shape[1:]))
        fooled = decisions.fools(which, moves)
        u = ((moves - delta[:, None]) / radius).reshape(len(delta), q, p)
        hits = hits + fooled.sum(axis=1, keepdims=True)
        with_hits = with_hits + xp.where(fooled[:, :, None], u, 0).sum(axis=1)
        whole = whole + u.sum(axis=1)
    share = (hits / directions).astype(delta.dtype)
    g = with_hits - xp.where(hits == directions, 0, share) * whole
    return xp.where(hits > 0, g, -whole).reshape(delta.shape)


def _jump(decisions, which, delta, direction, step):
    """The δ + step · direction, the step halved until it fools; whether it does at last."""
    xp, moved = namespace(delta), delta.copy()
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


def _cut(delta, share):
    """What is left of δ with no component larger than the share of the largest."""
    most = per_row(share * Linf.norm(delta), delta)
    return namespace(delta).clip(delta, -most, most)
