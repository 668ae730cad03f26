"""The boundary attack: a random walk along the boundary, towards x, from labels alone."""

from functools import partial
from itertools import count

from ... import checks
from ...backend import host, like, namespace
from ...checked import checked, one_of
from ...numerics import per_row, rows
from ...seeded import normal
from ...sets import L2
from .decisions import scaled, smallest

LEAST = 1e-6  # a walk whose steps towards x are shorter than this, relative to the distance, has arrived
HALVINGS = 10  # of the way from the start to x


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
    r"""From a point of the boundary a random step aside, as far from x as before, and a step towards x.

    .. math::
        \delta' = \lVert \delta \rVert_2\, \frac{\delta + a \lVert \delta \rVert_2 \eta}{\lVert \delta +
        a \lVert \delta \rVert_2 \eta \rVert_2}, \quad \eta \perp \delta, \ \lVert \eta \rVert_2 = 1, \qquad
        \delta \leftarrow (1 - b)\, \delta' \text{ where it fools}

    A step asks about δ', and where that fools about (1 − b) δ'. a and b belong to the example and follow their success:
    they are multiplied by :math:`e^{\rho (s - 1/2)}` and :math:`e^{\rho (s - 1/4)}`, with s one for a success and zero
    for a failure, so that half of the steps aside succeed, and a quarter of those towards x.

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
    norm : {L2}
        The class of the norm that measures δ.
    box : (lower, upper) or None
        The range of x + δ, and of all that the model is asked about: δ' is cut off there.
    queries : int
        The most queries of an example: x is the first, and the overshoot the last. More of them never give a longer δ
        (but for the overshoot).
    aside, towards : float
        a and b at first.
    rate : float
        ρ; 0 leaves a and b as they are.
    overshoot, start, pool, rng, seeds
        As for :func:`hopskipjump`.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x. Zero where x is misclassified already (or at its target), and zero where no image was found that
        fools.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Brendel, Rauber and Bethge (2018), "Decision-based adversarial attacks: reliable
    attacks against black-box machine learning models", algorithm 1 and section 2.4. Other than there the way from the
    start to the boundary is halved first, and a and b are changed at every step.
    """
    follow = partial(_follow, aside, towards, rate)
    options = {"target": target, "box": box, "queries": queries, "overshoot": overshoot}
    begin = {"start": start, "pool": pool, "rng": rng, "seeds": seeds}
    return smallest("boundary", follow, norm, model, x, y, at_once=1, **options, **begin)


def _follow(aside, towards, rate, decisions, which, seeds):
    xp = namespace(decisions.x)
    decisions.to_boundary(which, decisions.best[which], HALVINGS, scaled)
    aside, towards = (xp.full(len(decisions.x), size) for size in (aside, towards))
    for t in count(1):
        which = which[(decisions.left[which] >= 2) & (towards[which] > LEAST)]
        if not len(which):
            return
        delta = decisions.best[which]
        tried = decisions.clipped(which, stepped_aside(delta, aside[which], seeds[host(which)], t))
        on = decisions.fools(which, tried[:, None])[:, 0]
        aside[which] *= xp.exp(rate * (on - 0.5))
        again = which[on]
        nearer = scaled(tried[on], (1 - towards[again]).astype(tried.dtype))
        fooled = decisions.fools(again, nearer[:, None])[:, 0]
        decisions.keep(again[fooled], nearer[fooled])
        towards[again] *= xp.exp(rate * (fooled - 0.25))


def stepped_aside(delta, share, seeds, t):
    """A random point as far from x as δ, share · ‖δ‖ beside it."""
    share = per_row(share, delta).astype(delta.dtype)
    eta = like(normal(seeds, t, rows(delta).shape[1]), delta).reshape(delta.shape)
    along = rows(eta * delta).sum(axis=1) / rows(delta * delta).sum(axis=1)
    aside = eta - scaled(delta, along)
    rounding = L2.norm(aside) < 1e-3 * L2.norm(eta)  # all that is left where there is but one component
    eta = L2(1).linear_max(scaled(aside, ~rounding))
    length = per_row(L2.norm(delta), delta)
    moved = delta + share * length * eta
    return moved / (1 + share**2) ** 0.5
