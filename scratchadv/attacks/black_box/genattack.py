"""GenAttack: a small population of perturbations that is bred, with the model's scores as fitness."""

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

PATIENCE = 100  # generations without a better member before an adaptive search takes smaller mutations


class Rule(NamedTuple):
    """How a generation is bred: see the parameters of :func:`genattack`."""

    population: int
    rho: float
    alpha: float
    temperature: float
    adaptive: bool

    def mutation(self, plateaus):
        """Probability and size of a mutation, relative to ε, after so many plateaus, ``(n,)``."""
        xp = namespace(plateaus)
        rho, alpha = (xp.full(plateaus.shape, side) for side in (self.rho, self.alpha))
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
    r"""Keep the fittest perturbation, breed the others from parents drawn by their fitness, mutate, cut to Δ(x).

    .. math::
        F(\delta) = \log p_{target} - \log \sum_{k \neq target} p_k, \qquad
        P(\delta_i \text{ is a parent}) \propto e^{F(\delta_i) / \tau}, \qquad
        \delta' = \mathcal{P}_\Delta\left(\text{crossover} + b\, u\right)

    with p = softmax(z) at x + δ, b one with probability ρ and else zero, u uniform in [−α ε, α ε], each drawn for
    every component. Without a target F is the same for the label, with its sign turned. A component of the crossover
    is that of the first parent with probability :math:`P_1 / (P_1 + P_2)`.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Linf, or Linf in a box
    queries : int
        The most queries of an example; the first is x itself. A generation costs one less than its members, for the
        fittest is known.
    population : int
        Members of a generation, at least 2.
    rho, alpha : float
        Probability of a mutation, and its size relative to ε; both are drawn to 16 bits.
    temperature : float
        τ > 0: the smaller, the more often the fittest are parents.
    adaptive : bool
        Begin with ρ = 0.5 and α = 0.4, times 0.9 after every 100 generations without a fitter member, but not below
        ``rho`` and ``alpha``. The authors' code runs MNIST with 4 members, ρ = 0.3 and α = 0.5, not adaptive, and
        ImageNet with 6 members, ρ = 0.1 and α = 0.15, adaptive. The defaults are neither: they were better on MNIST.
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
        The first generation's fittest that is misclassified (or reaches its target), else the fittest of all, δ = 0
        included. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slides "Blackbox attacks"; Alzantot, Sharma, Chakraborty, Zhang, Hsieh and Srivastava (2019), "GenAttack:
    practical black-box attacks with gradient-free optimization", algorithm 1. The crossover's probability is that of
    its code, since a fitness may be negative.
    """
    seeds = seeds_of(len(x), rng, seeds, "genattack")
    ask, z, y, target = first_scores(model, x, y, target, queries)
    given = Examples(x, y, target, None, z, seeds, namespace(x).arange(len(x)), threat.at(x))
    rule = Rule(population, rho, alpha, temperature, adaptive)
    search = partial(_evolve, ask=ask, rule=rule, queries=queries)
    return search_in_chunks(search, several(ask, x, population), given)


class _State(NamedTuple):
    """The examples that still stand, one row each; what belongs to a component is ``(n, P)``, members ``(n, S, P)``."""

    place: Any  # in the chunk
    owner: Any  # in the batch
    x: Any
    y: Any
    target: Any
    low: Any
    high: Any
    seeds: Any
    members: Any
    fitness: Any
    stale: Any  # generations without a fitter member
    plateaus: Any


def _evolve(given, *, ask, rule, queries):
    """The search for a chunk of examples."""
    x, y, target, _, z, seeds, owner, delta_set = given
    xp, eps = namespace(x), delta_set.radius
    low, high = (xp.clip(rows(side), -eps, eps) for side in delta_set.bounds(x))
    clean, zeros = fitness(tasks.of(ask, z), z, y, target), xp.zeros(len(x), dtype=int)
    best = xp.zeros_like(low)
    state = _State(
        xp.arange(len(x)), owner, x, y, target, low, high, seeds, best[:, None], clean[:, None], zeros, zeros
    )
    state, left, generation = only(clean < math.inf, state), queries - 1, 0
    while left and len(state.place):
        size = min(left, rule.population - (generation > 0))
        children = _offspring(rule, eps, state, generation, size) if generation else _first(state, size)
        state, left, generation = _grown(ask, state, children, first=not generation), left - size, generation + 1
        fallen = state.fitness.max(axis=1) == math.inf
        best[state.place[fallen]] = _fittest(state)[fallen]
        state = only(~fallen, state)
    better = state.fitness.max(axis=1) > clean[state.place]
    best[state.place[better]] = _fittest(state)[better]
    return best.reshape(x.shape)


def fitness(task, z, y, target):
    """The log-odds of the target, or minus those of y; infinite where the example has fallen, ``(n,)``."""
    odds = -task.log_odds(z, y) if target is None else task.log_odds(z, target)
    return ranked(task, odds, z, y, target)


def _first(state, size):
    """The first generation: uniform in Δ."""
    n, p = state.low.shape
    u = like(pieces(state.seeds, 0, size * p).reshape(n, size, p), state.low) * 2.0**-16
    return state.low[:, None] + u * (state.high - state.low)[:, None]


def _grown(ask, state, children, first):
    """The fittest and the children, with what the model says of the children; in the first generation these alone."""
    n, size, _ = children.shape
    tried = (state.x[:, None] + children.reshape(n, size, *state.x.shape[1:])).reshape(-1, *state.x.shape[1:])
    xp = namespace(tried)
    y, target, owner = (a if a is None else xp.repeat(a, size) for a in (state.y, state.target, state.owner))
    z = ask.scores(tried, owner)
    found = fitness(tasks.of(ask, z), z, y, target).reshape(n, size)
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
    return state.members[namespace(state.x).arange(len(state.place)), state.fitness.argmax(axis=1)]


def _offspring(rule, eps, state, generation, size):
    """Children of two parents each, mutated and cut to Δ, ``(n, size, P)``."""
    xp, (n, p) = namespace(state.x), state.low.shape
    crossing, changing, step = (pieces(state.seeds, 4 * generation + i, size * p).reshape(n, size, p) for i in range(3))
    crossing, changing, step = (xp.asarray(a) for a in (crossing, changing, step.view("int16")))
    lowest = -xp.finfo(state.fitness.dtype).max / 4  # in place of −∞, that of a target which is masked out
    fit, row = xp.maximum(state.fitness / rule.temperature, lowest), xp.arange(n)[:, None]
    first, second = _parents(fit, state.seeds, 4 * generation + 3, size)
    from_first = crossing < _threshold(sigmoid(fit[row, first] - fit[row, second]))[..., None]
    children = xp.where(from_first, state.members[row, first], state.members[row, second])
    rho, alpha = rule.mutation(state.plateaus)
    size_of = (alpha * (eps * 2.0**-15)).astype(children.dtype)[:, None, None]
    children += (step * size_of) * (changing < _threshold(rho)[:, None, None])
    xp.maximum(children, state.low[:, None], out=children)
    return xp.minimum(children, state.high[:, None], out=children)


def _parents(fit, seeds, time, size):
    """Two parents for each child, by the softmax of the fitness: two index arrays ``(n, size)``."""
    xp = namespace(fit)
    sums = xp.exp(fit - log_sum_exp(fit)).cumsum(axis=1)[:, None, :-1]
    u = like(uniform(seeds, time, 2 * size), fit)
    chosen = (u[:, :, None] >= sums).sum(axis=2)
    return chosen[:, :size], chosen[:, size:]


def _threshold(probability):
    """The 16-bit number that a random one is below with this probability."""
    xp = namespace(probability)
    return xp.clip(xp.rint(probability * 65536), 0, 65535).astype("uint16")
