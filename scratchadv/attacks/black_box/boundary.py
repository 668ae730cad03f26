"""The boundary attack: a random walk along the decision boundary towards x, which uses labels only."""

from functools import partial
from itertools import count

from ... import checks
from ...backend import host, like, namespace
from ...checked import checked, one_of
from ...numerics import per_row, rows
from ...seeded import normal
from ...sets import L2
from .decisions import scaled, smallest

LEAST = 1e-6  # the walk of an example ends when its steps towards x, relative to the distance, are shorter than this
HALVINGS = 10  # the number of bisection steps between the start and x


@checked(model=checks.black_box, norm=one_of(L2), aside=checks.size, towards=checks.below_one)
def boundary(
    model,
    x,
    y,
    *,
    target=None,
    norm=L2,
    box=(0, 1),
    queries=10_000,
    aside=0.1,
    towards=0.01,
    rate=0.4,
    overshoot=0.001,
    start=None,
    pool=None,
    rng=None,
    seeds=None,
):
    r"""Walk along the decision boundary: take a random step at constant distance from x, then a step towards x.

    .. math::
        \delta' = \lVert \delta \rVert_2\, \frac{\delta + a \lVert \delta \rVert_2 \eta}{\lVert \delta +
        a \lVert \delta \rVert_2 \eta \rVert_2}, \quad \eta \perp \delta, \ \lVert \eta \rVert_2 = 1, \qquad
        \delta \leftarrow (1 - b)\, \delta' \text{ where it fools}

    Each iteration queries δ', and then (1 − b) δ' if δ' fools the model. Each example has its own a and b, which adapt
    to the rate of success: they are multiplied by :math:`e^{\rho (s - 1/2)}` and :math:`e^{\rho (s - 1/4)}`, where s is
    one for a success and zero for a failure. Then half of the steps aside succeed, and a quarter of those towards x.

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
    norm : {L2}
        The class of the norm that measures δ.
    box : (lower, upper), Set or None
        The range of x + δ, in the units of x, and of all queries: δ' is clipped to it; or a Box, a Mask, a Range or an
        intersection of them. None: unbounded.
    queries : int
        The largest number of queries for each example. The first is about x, and the last about the overshoot. More
        queries never give a longer δ, except for the overshoot.
    aside, towards : float
        The first values of a and b.
    rate : float
        The rate ρ of adaptation; 0 leaves a and b unchanged.
    overshoot, start, pool, rng, seeds
        As for :func:`hopskipjump`.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They are zero where x is already misclassified (or classified as its
        target), and where no image was found that fools the model.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Brendel, Rauber and Bethge (2018), "Decision-based adversarial attacks: reliable
    attacks against black-box machine learning models", algorithm 1 and section 2.4. Unlike the paper, the attack
    first finds the boundary between the start and x by bisection, and it adapts a and b at every step.
    """
    follow = partial(_follow, aside, towards, rate)
    options = {"target": target, "box": box, "queries": queries, "overshoot": overshoot}
    begin = {"start": start, "pool": pool, "rng": rng, "seeds": seeds}
    return smallest("boundary", follow, norm, model, x, y, at_once=1, **options, **begin)


def _follow(aside, towards, rate, decisions, which, seeds):
    """Walk along the boundary until the queries are spent or the steps towards x are too short."""
    xp = namespace(decisions.x)
    decisions.to_boundary(which, decisions.best[which], HALVINGS, scaled)
    aside, towards = (xp.full(len(decisions.x), size) for size in (aside, towards))
    for t in count(1):
        which = which[(decisions.left[which] >= 2) & (towards[which] > LEAST)]
        if not len(which):
            return
        delta = decisions.best[which]
        tried = decisions.clipped(which, stepped_aside(delta, aside[which], seeds[host(which)], t))
        success = decisions.fools(which, tried[:, None])[:, 0]
        aside[which] *= xp.exp(rate * (success - 0.5))
        advancing = which[success]
        nearer = scaled(tried[success], (1 - towards[advancing]).astype(tried.dtype))
        success = decisions.fools(advancing, nearer[:, None])[:, 0]
        decisions.keep(advancing[success], nearer[success])
        towards[advancing] *= xp.exp(rate * (success - 0.25))


def stepped_aside(delta, share, seeds, t):
    """Return a random δ' of the same length as δ, after a step of length share · ‖δ‖ orthogonal to δ."""
    share = per_row(share, delta).astype(delta.dtype)
    eta = like(normal(seeds, t, rows(delta).shape[1]), delta).reshape(delta.shape)
    along = rows(eta * delta).sum(axis=1) / rows(delta * delta).sum(axis=1)
    aside = eta - scaled(delta, along)
    rounding = L2.norm(aside) < 1e-3 * L2.norm(eta)  # with one component only rounding errors are orthogonal to δ
    eta = L2(1).linear_max(scaled(aside, ~rounding))
    length = per_row(L2.norm(delta), delta)
    moved = delta + share * length * eta
    return moved / (1 + share**2) ** 0.5
