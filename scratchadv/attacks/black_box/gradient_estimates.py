"""PGD without gradients: they are estimated from differences of scores along random directions."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from ... import checks, seeded, tasks
from ...backend import host, like, namespace
from ...checked import checked
from ...losses import margin, objective, target_margin
from ...models.protocol import finite
from ...numerics import only, rows
from .queries import Examples, first_scores, ranked, search_in_chunks, several


@checked(model=checks.black_box, momentum=checks.below_one)
def nes(
    model,
    x,
    y,
    threat,
    *,
    queries=5000,
    pairs=25,
    sigma=0.01,
    alpha=None,
    momentum=0.9,
    target=None,
    loss=None,
    rng=None,
    seeds=None,
):
    r"""PGD along a gradient that is estimated from pairs of opposite Gaussian steps.

    .. math::
        g = \frac{1}{2 \sigma n} \sum_{i=1}^{n} \left[L(x + \delta + \sigma u_i) - L(x + \delta - \sigma u_i)\right]
        u_i, \qquad u_i \sim \mathcal{N}(0, 1)

    On a linear function :math:`\langle \theta, x \rangle` that is :math:`\frac{1}{n} \sum_i u_i u_i^T \theta`, whose
    expectation is θ. The model is asked about nothing outside the box: both steps are cut there, and a component of g
    is divided by the share of the step that is left of it on average,
    :math:`\Phi(b / \sigma) - \Phi(-a / \sigma)` with a left below and b above, so that the expectation stays θ.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ(x).
    queries : int
        The most queries of an example: one for x, and ``2 * pairs + 1`` for each step.
    pairs : int
        n; the papers count 2 n samples.
    sigma : float
        σ > 0, in the units of x.
    alpha : float, optional
        The size of a (normalised) step. Default: a tenth of the radius.
    momentum : float
        In [0, 1): g is the average of the estimates so far, weighed by ``momentum`` to the power of their age.
    target : array, shape (N,), optional
        The labels to reach. Default: any label but y.
    loss : Loss, optional
        The loss to climb. Default: ``margin``, or ``target_margin`` with a target.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        The first iterate that is misclassified (or reaches its target), else that of the highest loss, δ = 0 included.
        dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Ilyas, Engstrom, Athalye and Lin (2018), "Black-box adversarial attacks with
    limited queries and information", algorithm 1 and section 2.2; its n is 25, its σ 0.001, and its loss
    cross-entropy.
    """
    of_directions = seeded.normal, _kept_normal
    options = {"queries": queries, "pairs": pairs, "sigma": sigma, "alpha": alpha, "momentum": momentum}
    draws = {"rng": rng, "seeds": seeds}
    return _run("nes", of_directions, model, x, y, threat, target=target, loss=loss, **options, **draws)


@checked(model=checks.black_box, momentum=checks.below_one)
def spsa(
    model,
    x,
    y,
    threat,
    *,
    queries=5000,
    pairs=25,
    sigma=0.01,
    alpha=None,
    momentum=0.9,
    target=None,
    loss=None,
    rng=None,
    seeds=None,
):
    r"""PGD along a gradient that is estimated from pairs of opposite steps to corners of a cube.

    .. math::
        g = \frac{1}{2 \sigma n} \sum_{i=1}^{n} \left[L(x + \delta + \sigma v_i) - L(x + \delta - \sigma v_i)\right]
        v_i, \qquad v_i \in \{-1, +1\}^P

    A corner is drawn with all signs alike likely; its :math:`1 / v_i` is :math:`v_i`. On a linear function the
    expectation is its gradient, at the edges of the box too: both steps are cut there, and a component is divided by
    the share of 2 σ that is left, :math:`(\min(a, \sigma) + \min(b, \sigma)) / 2 \sigma` with a left below and b above.

    Parameters
    ----------
    model, x, y, threat, queries, pairs, sigma, alpha, momentum, target, loss, rng, seeds
        As for :func:`nes`.

    Returns
    -------
    delta : array, shape (N, *D)
        As of :func:`nes`.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Uesato, O'Donoghue, van den Oord and Kohli (2018), "Adversarial risk and the
    dangers of evaluating against weak attacks", algorithm 1, whose steps are Adam's; its σ is 0.01, its loss
    ``margin``.
    """
    of_directions = seeded.signs, _kept_signs
    options = {"queries": queries, "pairs": pairs, "sigma": sigma, "alpha": alpha, "momentum": momentum}
    draws = {"rng": rng, "seeds": seeds}
    return _run("spsa", of_directions, model, x, y, threat, target=target, loss=loss, **options, **draws)


class _Rule(NamedTuple):
    """How a step is made: how directions are drawn, what is left of them at an edge, and numbers."""

    draw: Any
    kept: Any
    pairs: int
    sigma: float
    alpha: float | None
    momentum: float


def _run(name, of_directions, model, x, y, threat, *, queries, pairs, sigma, alpha, momentum, target, loss, rng, seeds):
    if queries < 2 * pairs + 2:
        raise ValueError(f"queries = {queries} must be >= 2 * pairs + 2, {2 * pairs + 2}")
    seeds = seeded.seeds_of(len(x), rng, seeds, name)
    ask, z, y, target = first_scores(model, x, y, target, queries, loss)
    loss, labels = objective(loss or (margin if target is None else target_margin), y, target)
    given = Examples(x, y, target, labels, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    rule = _Rule(*of_directions, pairs, sigma, alpha, momentum)
    climb = partial(_climb, ask=ask, loss=loss, queries=queries, rule=rule)
    return search_in_chunks(climb, several(ask, x, 2 * pairs), given)


class _State(NamedTuple):
    """The examples that still stand, one row each."""

    place: Any  # in the chunk
    owner: Any  # in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    seeds: Any
    delta_set: Any
    delta: Any
    g: Any
    value: Any  # the highest so far


def _climb(given, *, ask, loss, queries, rule):
    """The ascent of a chunk of examples."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp = namespace(x)
    task = tasks.of(ask, z)
    best, standing = xp.zeros_like(x), ~task.is_fooled(z, y, target)
    value = loss.value(z, labels)
    state = _State(xp.arange(len(x)), owner, x, y, target, labels, seeds, delta_set, best, best, value)
    state = only(standing, state)
    for step in range((queries - 1) // (2 * rule.pairs + 1)):
        if not len(state.place):
            break
        bounds = state.delta_set.bounds(state.x)
        g = estimate(partial(_values, ask, loss, state), rule, bounds, state.delta, state.seeds, step)
        g = rule.momentum * state.g + (1 - rule.momentum) * g
        alpha = state.delta_set.radius / 10 if rule.alpha is None else rule.alpha
        delta = state.delta_set.ascend(state.delta, g, alpha)
        z = ask.scores(state.x + delta, state.owner)
        value = ranked(task, loss.value(z, state.labels), z, state.y, state.target)
        better = value > state.value
        best[state.place[better]] = delta[better]
        state = state._replace(delta=delta, g=g, value=xp.maximum(value, state.value))
        state = only(value < math.inf, state)
    return best


def estimate(values, rule, bounds, delta, seeds, step):
    """The gradient at δ, shaped like it.

    Parameters
    ----------
    values : callable
        From changes ``(n, Q, P)`` to their losses ``(n, Q)``.
    rule : _Rule
    bounds : (low, high)
        The lowest and the highest δ that are allowed.
    delta : array, shape (n, *D)
    seeds : array of uint64, shape (n,)
    step : int
        Other directions for each.
    """
    xp, (n, p) = namespace(delta), rows(delta).shape
    low, high = (rows(side - delta)[:, None] for side in bounds)
    u = like(rule.draw(seeds, step, rule.pairs * p), delta).reshape(n, rule.pairs, p)
    moves = xp.concatenate([rule.sigma * u, -rule.sigma * u], axis=1)
    xp.maximum(moves, low, out=moves)
    xp.minimum(moves, high, out=moves)
    moves += rows(delta)[:, None]
    value = values(moves)
    with np.errstate(invalid="ignore"):  # −∞ − (−∞), where a class is masked out at both points
        rise = finite(value[:, : rule.pairs] - value[:, rule.pairs :]).astype(delta.dtype)
    g = (rise[:, None] @ u)[:, 0] / (2 * rule.sigma * rule.pairs)
    kept = rule.kept(-low[:, 0] / rule.sigma, high[:, 0] / rule.sigma)
    return (g / xp.where(kept > 0, kept, 1)).reshape(delta.shape)


def _values(ask, loss, state, moves):
    """The loss of every change of every example."""
    n, q, _ = moves.shape
    tried = (state.x[:, None] + moves.reshape(n, q, *state.x.shape[1:])).reshape(-1, *state.x.shape[1:])
    owner, labels = (namespace(a).repeat(a, q, axis=0) for a in (state.owner, state.labels))
    return loss.value(ask.scores(tried, owner), labels).reshape(n, q)


def _kept_normal(a, b):
    """The probability of a normal number between −a and b: by Stein's lemma E[u clip(u, −a, b)]."""
    return like(ndtr(host(b)) - ndtr(-host(a)), a)


def _kept_signs(a, b):
    """E[v clip(v, −a, b)] for v = ±1."""
    xp = namespace(a)
    return (xp.minimum(a, 1) + xp.minimum(b, 1)) / 2
