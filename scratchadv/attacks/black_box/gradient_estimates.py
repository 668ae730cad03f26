"""PGD with gradients that are estimated from differences of scores along random directions."""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy

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
    r"""Run PGD along a gradient that is estimated from pairs of opposite Gaussian steps.

    .. math::
        g = \frac{1}{2 \sigma n} \sum_{i=1}^{n} \left[L(x + \delta + \sigma u_i) - L(x + \delta - \sigma u_i)\right]
        u_i, \qquad u_i \sim \mathcal{N}(0, 1)

    For a linear function :math:`\langle \theta, x \rangle`, g is :math:`\frac{1}{n} \sum_i u_i u_i^T \theta`, whose
    expectation is θ. No query lies outside the box: both steps are clipped to it. Let a and b be the distances of a
    component from the lower and the upper side of the box. The component of g is divided by the share of its steps that
    remains on average, :math:`\Phi(b / \sigma) - \Phi(-a / \sigma)`, so that the expectation is still θ.

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
        The largest number of queries for each example: one for x, and ``2 * pairs + 1`` for each step.
    pairs : int
        The number n of pairs; the papers count 2 n samples.
    sigma : float
        The length scale σ > 0 of the directions, in the units of x.
    alpha : float, optional
        The size of a normalised step, in the units of x. Default: a tenth of the radius.
    momentum : float
        The weight, in [0, 1), of the previous g: g is an average of all estimates with exponentially decreasing
        weights.
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
        The perturbations, in the dtype of x: the first iterate that is misclassified (or reaches its target); if there
        is none, the one of the highest loss, which may be δ = 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Ilyas, Engstrom, Athalye and Lin (2018), "Black-box adversarial attacks with
    limited queries and information", algorithm 1 and section 2.2, with n = 25, σ = 0.001 and
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
    r"""Run PGD along a gradient that is estimated from pairs of opposite steps to the corners of a cube.

    .. math::
        g = \frac{1}{2 \sigma n} \sum_{i=1}^{n} \left[L(x + \delta + \sigma v_i) - L(x + \delta - \sigma v_i)\right]
        v_i, \qquad v_i \in \{-1, +1\}^P

    Both signs are equally likely, and the paper's :math:`1 / v_i` equals :math:`v_i`. For a linear function, the
    expectation of g is the gradient, also at the edges of the box. Both steps are clipped to the box, and a component
    of g is divided by the share of 2 σ that remains, :math:`(\min(a, \sigma) + \min(b, \sigma)) / 2 \sigma`, where a
    and b are its distances from the lower and the upper side.

    Parameters
    ----------
    model, x, y, threat, queries, pairs, sigma, alpha, momentum, target, loss, rng, seeds
        As for :func:`nes`.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, as for :func:`nes`.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Uesato, O'Donoghue, van den Oord and Kohli (2018), "Adversarial risk and the
    dangers of evaluating against weak attacks", algorithm 1, with Adam's steps, σ = 0.01 and the loss
    ``margin``.
    """
    of_directions = seeded.signs, _kept_signs
    options = {"queries": queries, "pairs": pairs, "sigma": sigma, "alpha": alpha, "momentum": momentum}
    draws = {"rng": rng, "seeds": seeds}
    return _run("spsa", of_directions, model, x, y, threat, target=target, loss=loss, **options, **draws)


class _Rule(NamedTuple):
    """How a step is made: how directions are drawn, what remains of them at the edges of the box, and parameters."""

    draw: Any
    kept: Any
    pairs: int
    sigma: float
    alpha: float | None
    momentum: float


def _run(name, of_directions, model, x, y, threat, *, queries, pairs, sigma, alpha, momentum, target, loss, rng, seeds):
    """Run the attack with directions of one kind: how they are drawn, and the share of them that the box keeps."""
    if queries < 2 * pairs + 2:
        raise ValueError(f"queries = {queries} must be >= 2 * pairs + 2, {2 * pairs + 2}")
    seeds = seeded.seeds_of(len(x), rng, seeds, name)
    victim, z, y, target = first_scores(model, x, y, target, queries, loss)
    loss, labels = objective(loss or (margin if target is None else target_margin), y, target)
    given = Examples(x, y, target, labels, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    rule = _Rule(*of_directions, pairs, sigma, alpha, momentum)
    climb = partial(_climb, victim=victim, loss=loss, queries=queries, rule=rule)
    return search_in_chunks(climb, several(victim, x, 2 * pairs), given)


class _State(NamedTuple):
    """The state of the search, one row for each example that is not fooled yet."""

    place: Any  # the row in the chunk
    owner: Any  # the row in the batch
    x: Any
    y: Any
    target: Any
    labels: Any
    seeds: Any
    delta_set: Any
    delta: Any
    g: Any
    value: Any  # the highest loss so far


def _climb(given, *, victim, loss, queries, rule):
    """Run PGD for a chunk of examples."""
    x, y, target, labels, z, seeds, owner, delta_set = given
    xp = namespace(x)
    task = tasks.of(victim, z)
    best = xp.zeros_like(x)
    standing = ~task.is_fooled(z, y, target)
    value = loss.value(z, labels)
    state = _State(xp.arange(len(x)), owner, x, y, target, labels, seeds, delta_set, best, best, value)
    state = only(standing, state)
    for step in range((queries - 1) // (2 * rule.pairs + 1)):
        if not len(state.place):
            break
        bounds = state.delta_set.bounds(state.x)
        g = estimate(partial(_losses, victim, loss, state), rule, bounds, state.delta, state.seeds, step)
        g = rule.momentum * state.g + (1 - rule.momentum) * g
        alpha = state.delta_set.radius / 10 if rule.alpha is None else rule.alpha
        delta = state.delta_set.ascend(state.delta, g, alpha)
        z = victim.scores(state.x + delta, state.owner)
        value = ranked(task, loss.value(z, state.labels), z, state.y, state.target)
        better = value > state.value
        best[state.place[better]] = delta[better]
        state = state._replace(delta=delta, g=g, value=xp.maximum(value, state.value))
        state = only(value < math.inf, state)
    return best


def estimate(losses, rule, bounds, delta, seeds, step):
    """Return an estimate of the gradient of the loss at δ, shaped like δ.

    Parameters
    ----------
    losses : callable
        Takes Q perturbations of each example, ``(n, Q, P)``, and returns their losses, ``(n, Q)``.
    rule : _Rule
        How the directions are drawn.
    bounds : (low, high)
        The lowest and the highest δ, two arrays of shape (n, *D).
    delta : array, shape (n, *D)
        The perturbations.
    seeds : array of uint64, shape (n,)
        The seed of each example.
    step : int
        The number of the step; each has its own directions.

    Returns
    -------
    array, shape (n, *D)
        The estimated gradients.

    Source: Ilyas et al. (2018), algorithm 1; Uesato et al. (2018), algorithm 1.
    """
    xp = namespace(delta)
    n, p = rows(delta).shape
    low, high = (rows(side - delta)[:, None] for side in bounds)
    u = like(rule.draw(seeds, step, rule.pairs * p), delta).reshape(n, rule.pairs, p)
    moves = xp.concatenate([rule.sigma * u, -rule.sigma * u], axis=1)
    xp.maximum(moves, low, out=moves)
    xp.minimum(moves, high, out=moves)
    moves += rows(delta)[:, None]
    value = losses(moves)
    with np.errstate(invalid="ignore"):  # −∞ − (−∞) where a class is masked out at both points
        rise = finite(value[:, : rule.pairs] - value[:, rule.pairs :]).astype(delta.dtype)
    g = (rise[:, None] @ u)[:, 0] / (2 * rule.sigma * rule.pairs)
    kept = rule.kept(-low[:, 0] / rule.sigma, high[:, 0] / rule.sigma)
    return (g / xp.where(kept > 0, kept, 1)).reshape(delta.shape)


def _losses(victim, loss, state, moves):
    """Return the losses of perturbations, ``(n, Q)``, each from one query."""
    n, q, _ = moves.shape
    tried = (state.x[:, None] + moves.reshape(n, q, *state.x.shape[1:])).reshape(-1, *state.x.shape[1:])
    owner, labels = (namespace(a).repeat(a, q, axis=0) for a in (state.owner, state.labels))
    return loss.value(victim.scores(tried, owner), labels).reshape(n, q)


def _kept_normal(a, b):
    """Return the probability of a normal number between −a and b; by Stein's lemma it is E[u clip(u, −a, b)]."""
    return like(scipy.special.ndtr(host(b)) - scipy.special.ndtr(-host(a)), a)


def _kept_signs(a, b):
    """Return E[v clip(v, −a, b)] for random signs v = ±1."""
    xp = namespace(a)
    return (xp.minimum(a, 1) + xp.minimum(b, 1)) / 2
