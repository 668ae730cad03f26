"""MAP-Elites: evolution that keeps, for each class, the image of which the model is most confident."""

from typing import Any, NamedTuple

import numpy as np

from ... import checks, tasks
from ...backend import host, like
from ...checked import checked, whole
from ...parallel import map_chunks
from ..black_box.queries import ProbabilityOracle, oracle

ROUNDING = 64  # share of a log-probability that may be rounding, in units of its dtype


def _encoding(name, value):
    """Refuse what is no way to write images down."""
    return checks.has(name, value, ("random", "mutate", "images"), "an encoding, such as Direct(shape) or CPPN(shape)")


class Elites(NamedTuple):
    """One image a class.

    Attributes
    ----------
    x : array, shape (K, *D)
        Row k is the image of class k; of a binary model the rows are −1 and +1.
    confidence : array, shape (K,)
        The model's probability of class k at row k.
    history : array, shape (generations + 1, K)
        The logarithm of the confidence after each generation; it never falls.
    queries : int
        How many images the model was asked about.
    genomes : array, shape (K,)
        What the encoding draws the images from.
    """

    x: Any
    confidence: Any
    history: Any
    queries: int
    genomes: Any


@checked(model=checks.black_box, encoding=_encoding, generations=checks.count, children=whole(1))
def map_elites(model, encoding, *, generations=200, children=200, rng):
    r"""Mutate random elites; every child becomes the elite of each class that is surer of it than of the present one.

    .. math:: x_k \leftarrow \arg\max_{x \in \{x_k\} \cup \text{children}} p_k(x), \qquad k = 1, \dots, K

    There is no image to start from and no distance to keep to. A child counts for every class: what was bred for one
    may be the beginning of another. Confidences are compared as :math:`\log p_k`, which does not round to 0 or 1. What
    is the same up to rounding changes nothing, so that the search does not depend on batches.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    encoding : Direct or CPPN
        How images are written down, and what a mutation is.
    generations : int
        After the first, which is random.
    children : int
        Images of a generation, all asked about in one batch.
    rng : numpy.random.Generator

    Returns
    -------
    Elites
        Images in [0, 1], in the dtype of the model's parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the search.

    Source: slide "Adversarial Examples", the 8 images unrecognisable to humans; Nguyen, Yosinski and Clune (2015),
    "Deep neural networks are easily fooled", section 2.2 (without crossover); Mouret and Clune (2015), "Illuminating
    search spaces by mapping elites".
    """
    victim = oracle(model)
    if not isinstance(victim, ProbabilityOracle):
        raise TypeError("model: map_elites needs logits or probabilities, and the model shows its labels only")
    like_model = next(iter(getattr(model, "params", {}).values()), np.float32(0))
    elites, best, history = None, -np.inf, []
    for generation in range(generations + 1):
        genomes = offspring(encoding, elites, children, generation, rng)
        found = log_probabilities(victim, like(encoding.images(genomes), like_model))
        elites, best = select(elites, best, genomes, found)
        history.append(best)
    x = like(encoding.images(elites), like_model)
    return Elites(x, np.exp(best), np.stack(history), victim.asked, elites)


def log_probabilities(victim, x):
    r"""Return :math:`\log p_k` of every class, ``(N, K)``, −∞ for NaN, on the host; a binary model has −1 and +1."""
    (z,) = map_chunks(lambda x: (victim.scores(x),), victim, x)
    found = host(tasks.of(victim, z).log_probabilities(z))
    return np.where(np.isnan(found), -np.inf, found)


def offspring(encoding, elites, children, generation, rng):
    """Return the genomes of a new generation: mutants of elites drawn at random, or random genomes at first.

    Parameters
    ----------
    encoding : Direct or CPPN
        Draws and mutates genomes.
    elites : array, shape (K, ...), or None
        The genome of each class's elite; None before the first generation.
    children : int
        How many genomes to return.
    generation : int
        Its number; the first is 0.
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (children, ...)

    Source: Nguyen, Yosinski and Clune (2015), section 2.2.
    """
    if elites is None:
        return encoding.random(rng, children)
    return encoding.mutate(rng, elites[rng.integers(len(elites), size=children)], generation)


def select(elites, best, genomes, found):
    """Return the elites and their log-probabilities after a child has replaced each elite that it beats.

    Parameters
    ----------
    elites : array, shape (K, ...), or None
        The genome of each class's elite; None before the first generation.
    best : array, shape (K,), or float
        The log-probability that each elite has for its class.
    genomes : array, shape (n, ...)
        The children.
    found : array, shape (n, K)
        The log-probabilities of their images.

    Returns
    -------
    elites : array, shape (K, ...)
    best : array, shape (K,)

    Source: Nguyen, Yosinski and Clune (2015), section 2.2; Mouret and Clune (2015).
    """
    slack = ROUNDING * np.finfo(found.dtype).eps
    first = (found >= found.max(axis=0) * (1 + slack)).argmax(axis=0)  # logarithms are negative
    values = found[first, np.arange(len(first))]
    better = values > best * (1 - slack)
    elites = genomes[first] if elites is None else elites.copy()
    elites[better] = genomes[first[better]]
    return elites, np.where(better, values, best)
