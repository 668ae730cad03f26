"""GenAttack: a genetic algorithm on a small population of perturbations, with a fitness from the model's scores."""

import math
from functools import partial
from typing import Any, NamedTuple

from ... import checks, tasks
from ...backend import like, namespace
from ...checked import checked, in_norm, whole
from ...numerics import log_sum_exp, only, rows, sigmoid
from ...seeded import pieces, seeds_of, uniform
from ...sets import Linf
from .queries import Examples, first_scores, ranked, search_in_chunks, several

PATIENCE = 100  # generations without a fitter member after which an adaptive search uses smaller mutations


class Rule(NamedTuple):
    """The parameters of :func:`genattack` that control how a generation is bred."""

    population: int
    rho: float
    alpha: float
    temperature: float
    adaptive: bool

    def mutation(self, plateaus):
        """Return the probability of a mutation and its size relative to ε, ``(n,)``, after so many plateaus."""
        xp = namespace(plateaus)
        rho = xp.full(plateaus.shape, self.rho)
        alpha = xp.full(plateaus.shape, self.alpha)
        if not self.adaptive:
            return rho, alpha
        return xp.maximum(rho, 0.5 * 0.9**plateaus), xp.maximum(alpha, 0.4 * 0.9**plateaus)


@checked(model=checks.black_box, threat=in_norm(Linf), population=whole(2), rho=checks.share)
def genattack(
    model,
    x,
    y,
    threat,
    *,
    queries=5000,
    population=6,
    rho=0.05,
    alpha=1.0,
    temperature=0.1,
    adaptive=False,
    target=None,
    rng=None,
    seeds=None,
):
    r"""Keep the fittest perturbation and breed the others: draw parents by fitness, cross, mutate, clip to Δ(x).

    .. math::
        F(\delta) = \log p_{target} - \log \sum_{k \neq target} p_k, \qquad
        P(\delta_i \text{ is a parent}) \propto e^{F(\delta_i) / \tau}, \qquad
        \delta' = \mathcal{P}_\Delta\left(\text{crossover} + b\, u\right)

    with p = softmax(z) at x + δ. For every component, b is one with probability ρ and zero otherwise, and u is uniform
    in [−α ε, α ε]. Without a target, the label y takes the place of the target and the sign of F is reversed. Each
    component of the crossover is that of the first parent with probability :math:`P_1 / (P_1 + P_2)`.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Linf, or Linf in a box
        The perturbation set Δ(x).
    queries : int
        The largest number of queries for each example; the first is about x itself. A generation costs one query less
        than it has members, because the fitness of the fittest is known.
    population : int
        The number of members of a generation, at least 2.
    rho, alpha : float
        The probability of a mutation, and its size relative to ε; both have a resolution of 16 bits.
    temperature : float
        The temperature τ > 0; the smaller it is, the more often the fittest members become parents.
    adaptive : bool
        Whether to begin with ρ = 0.5 and α = 0.4 and to multiply both by 0.9 after every 100 generations without a
        fitter member, but not below ``rho`` and ``alpha``. The authors' code uses 4 members, ρ = 0.3 and α = 0.5, not
        adaptive, on MNIST, and 6 members, ρ = 0.1 and α = 0.15, adaptive, on ImageNet. The defaults here differ
        because they were better on MNIST.
    target : array, shape (N,), optional
        The labels to reach. Default: any label but y.
    rng : numpy.random.Generator, optional
        Draws one seed for each example.
    seeds : array of int, shape (N,), optional
        One seed for each example, as a NumPy array, instead of ``rng``: the draws of an example then do not depend
        on its batch.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x: the fittest member of the first generation that has a misclassified one
        (or one that reaches its target); if there is none, the fittest of all, which may be δ = 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Alzantot, Sharma, Chakraborty, Zhang, Hsieh and Srivastava (2019), "GenAttack:
    practical black-box attacks with gradient-free optimization", algorithm 1. The probability of the crossover is that
    of the authors' code, because a fitness may be negative.
    """
    seeds = seeds_of(len(x), rng, seeds, "genattack")
    victim, z, y, target = first_scores(model, x, y, target, queries)
    given = Examples(x, y, target, None, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    rule = Rule(population, rho, alpha, temperature, adaptive)
    search = partial(_evolve, victim=victim, rule=rule, queries=queries)
    return search_in_chunks(search, several(victim, x, population), given)


class _State(NamedTuple):
    """The state of the search, one row for each example that is not fooled yet.

    The bounds ``low`` and ``high`` have shape ``(n, P)``, and the S members of each population ``(n, S, P)``.
    """

    place: Any  # the row in the chunk
    owner: Any  # the row in the batch
    x: Any
    y: Any
    target: Any
    low: Any
    high: Any
    seeds: Any
    members: Any
    fitness: Any
    stale: Any  # the number of generations since a fitter member was found
    plateaus: Any  # how often ``stale`` has reached PATIENCE


def _evolve(given, *, victim, rule, queries):
    """Run the search for a chunk of examples."""
    x, y, target, _, z, seeds, owner, delta_set = given
    xp = namespace(x)
    eps = delta_set.radius
    low, high = (xp.clip(rows(side), -eps, eps) for side in delta_set.bounds(x))
    clean = fitness(tasks.of(victim, z), z, y, target)
    zeros = xp.zeros(len(x), dtype=int)
    best = xp.zeros_like(low)
    state = _State(
        xp.arange(len(x)), owner, x, y, target, low, high, seeds, best[:, None], clean[:, None], zeros, zeros
    )
    state = only(clean < math.inf, state)
    left = queries - 1
    generation = 0
    while left and len(state.place):
        size = min(left, rule.population - (generation > 0))
        children = _offspring(rule, eps, state, generation, size) if generation else _first_generation(state, size)
        state = _next_generation(victim, state, children, first=not generation)
        left -= size
        generation += 1
        fallen = state.fitness.max(axis=1) == math.inf
        best[state.place[fallen]] = _fittest(state)[fallen]
        state = only(~fallen, state)
    better = state.fitness.max(axis=1) > clean[state.place]
    best[state.place[better]] = _fittest(state)[better]
    return best.reshape(x.shape)


def fitness(task, z, y, target):
    """Return the log-odds of the target, or minus those of y, ``(n,)``; infinite where the model is fooled."""
    odds = -task.log_odds(z, y) if target is None else task.log_odds(z, target)
    return ranked(task, odds, z, y, target)


def _first_generation(state, size):
    """Draw the first generation uniformly in Δ(x), ``(n, size, P)``."""
    n, p = state.low.shape
    u = like(pieces(state.seeds, 0, size * p).reshape(n, size, p), state.low) * 2.0**-16
    return state.low[:, None] + u * (state.high - state.low)[:, None]


def _next_generation(victim, state, children, first):
    """Query the fitness of the children; return the state with them and the fittest member (at first, them only)."""
    n, size, _ = children.shape
    tried = (state.x[:, None] + children.reshape(n, size, *state.x.shape[1:])).reshape(-1, *state.x.shape[1:])
    xp = namespace(tried)
    y, target, owner = (a if a is None else xp.repeat(a, size) for a in (state.y, state.target, state.owner))
    z = victim.scores(tried, owner)
    found = fitness(tasks.of(victim, z), z, y, target).reshape(n, size)
    if first:
        return state._replace(members=children, fitness=found)
    elite = state.fitness.max(axis=1)
    stale = xp.where(found.max(axis=1) > elite, 0, state.stale + 1)
    return state._replace(
        members=xp.concatenate([_fittest(state)[:, None], children], axis=1),
        fitness=xp.concatenate([elite[:, None], found], axis=1),
        stale=stale % PATIENCE,
        plateaus=state.plateaus + stale // PATIENCE,
    )


def _fittest(state):
    """Return the fittest member of each example, ``(n, P)``."""
    return state.members[namespace(state.x).arange(len(state.place)), state.fitness.argmax(axis=1)]


def _offspring(rule, eps, state, generation, size):
    """Return children of two parents each, mutated and clipped to Δ(x), ``(n, size, P)``."""
    xp = namespace(state.x)
    n, p = state.low.shape
    crossing, changing, step = (pieces(state.seeds, 4 * generation + i, size * p).reshape(n, size, p) for i in range(3))
    crossing, changing, step = (xp.asarray(a) for a in (crossing, changing, step.view("int16")))
    lowest = -xp.finfo(state.fitness.dtype).max / 4  # instead of −∞, the fitness for a target that is masked out
    fit = xp.maximum(state.fitness / rule.temperature, lowest)
    row = xp.arange(n)[:, None]
    first, second = _parents(fit, state.seeds, 4 * generation + 3, size)
    from_first = crossing < _threshold(sigmoid(fit[row, first] - fit[row, second]))[..., None]
    children = xp.where(from_first, state.members[row, first], state.members[row, second])
    rho, alpha = rule.mutation(state.plateaus)
    size_of = (alpha * (eps * 2.0**-15)).astype(children.dtype)[:, None, None]
    children += (step * size_of) * (changing < _threshold(rho)[:, None, None])
    xp.maximum(children, state.low[:, None], out=children)
    return xp.minimum(children, state.high[:, None], out=children)


def _parents(fit, seeds, time, size):
    """Draw two parents for each child by the softmax of the fitness: return two index arrays ``(n, size)``."""
    xp = namespace(fit)
    sums = xp.exp(fit - log_sum_exp(fit)).cumsum(axis=1)[:, None, :-1]
    u = like(uniform(seeds, time, 2 * size), fit)
    chosen = (u[:, :, None] >= sums).sum(axis=2)
    return chosen[:, :size], chosen[:, size:]


def _threshold(probability):
    """Return the 16-bit number that a uniform random 16-bit number stays below with this probability."""
    xp = namespace(probability)
    return xp.clip(xp.rint(probability * 65536), 0, 65535).astype("uint16")
