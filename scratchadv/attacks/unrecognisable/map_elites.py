"""MAP-Elites: evolution that keeps, for each class, the image to which the model gives the highest probability."""

from typing import Any, NamedTuple

import numpy as np

from ... import checks, tasks
from ...backend import host, like
from ...checked import checked, whole
from ...parallel import map_chunks
from ..black_box.queries import ProbabilityOracle, oracle

ROUNDING = 64  # the relative rounding error of a log-probability, in units of the machine epsilon of its dtype


def _encoding(name, value):
    """Refuse anything but an encoding of images."""
    return checks.has(name, value, ("random", "mutate", "images"), "an encoding, such as Direct(shape) or CPPN(shape)")


class Elites(NamedTuple):
    """One elite image for each class.

    Attributes
    ----------
    x : array, shape (K, *D)
        Row k is the image of class k; for a binary model the rows are those of −1 and +1.
    confidence : array, shape (K,)
        The probability that the model gives to class k for row k.
    history : array, shape (generations + 1, K)
        The logarithm of the confidence after each generation; it never decreases.
    queries : int
        The number of images that the model has classified.
    genomes : array, shape (K, ...)
        The genomes from which the encoding draws the images.
    """

    x: Any
    confidence: Any
    history: Any
    queries: int
    genomes: Any


@checked(model=checks.black_box, encoding=_encoding, generations=checks.count, children=whole(1))
def map_elites(model, encoding, *, generations=200, children=200, rng):
    r"""Mutate random elites; a child replaces the elite of every class for which the model gives it more confidence.

    .. math:: x_k \leftarrow \arg\max_{x \in \{x_k\} \cup \text{children}} p_k(x), \qquad k = 1, \dots, K

    There is no original image and no limit on a distance. A child is compared with the elites of all classes, so an
    image that was bred for one class may become the elite of another. Confidences are compared as :math:`\log p_k`,
    which does not round to 0 or 1. Differences within the rounding error are ignored, so that the search does not
    depend on batches.

    Parameters
    ----------
    model : Model or oracle
        Only its ``logits`` are called, or its ``probabilities`` if it has no logits.
    encoding : Direct or CPPN
        How images are encoded and mutated.
    generations : int
        The number of generations after the first, which is random.
    children : int
        The number of images in a generation, which are classified in one batch.
    rng : numpy.random.Generator
        Draws the first genomes, the parents and the mutations.

    Returns
    -------
    Elites
        The images, in [0, 1] and in the dtype of the model's parameters, with their confidences.

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
        raise TypeError("model: map_elites needs logits or probabilities, but the model shows only its labels")
    like_model = next(iter(getattr(model, "params", {}).values()), np.float32(0))
    elites = None
    best = -np.inf
    history = []
    for generation in range(generations + 1):
        genomes = offspring(encoding, elites, children, generation, rng)
        found = log_probabilities(victim, like(encoding.images(genomes), like_model))
        elites, best = select(elites, best, genomes, found)
        history.append(best)
    x = like(encoding.images(elites), like_model)
    return Elites(x, np.exp(best), np.stack(history), victim.asked, elites)


def log_probabilities(victim, x):
    r"""Return :math:`\log p_k` of every class, ``(N, K)``, on the host, with −∞ for NaN; K = 2 for a binary model."""
    (z,) = map_chunks(lambda x: (victim.scores(x),), victim, x)
    found = host(tasks.of(victim, z).log_probabilities(z))
    return np.where(np.isnan(found), -np.inf, found)


def offspring(encoding, elites, children, generation, rng):
    """Return the genomes of a new generation: mutants of randomly drawn elites, or random genomes at first.

    Parameters
    ----------
    encoding : Direct or CPPN
        Draws and mutates genomes.
    elites : array, shape (K, ...), or None
        The genome of the elite of each class; None before the first generation.
    children : int
        The number of genomes to return.
    generation : int
        The number of the generation, counted from 0.
    rng : numpy.random.Generator
        Draws the parents and the mutations.

    Returns
    -------
    array, shape (children, ...)
        The genomes.

    Source: Nguyen, Yosinski and Clune (2015), section 2.2.
    """
    if elites is None:
        return encoding.random(rng, children)
    return encoding.mutate(rng, elites[rng.integers(len(elites), size=children)], generation)


def select(elites, best, genomes, found):
    """Replace each elite by the best child if the child is better; return the elites and their log-probabilities.

    Parameters
    ----------
    elites : array, shape (K, ...), or None
        The genome of the elite of each class; None before the first generation.
    best : array, shape (K,), or float
        The log-probability of each elite for its class.
    genomes : array, shape (n, ...)
        The genomes of the children.
    found : array, shape (n, K)
        The log-probabilities of their images.

    Returns
    -------
    elites : array, shape (K, ...)
        The genomes of the new elites.
    best : array, shape (K,)
        Their log-probabilities.

    Source: Nguyen, Yosinski and Clune (2015), section 2.2; Mouret and Clune (2015).
    """
    slack = ROUNDING * np.finfo(found.dtype).eps
    first = (found >= found.max(axis=0) * (1 + slack)).argmax(axis=0)  # logarithms are negative: 1 + slack
    values = found[first, np.arange(len(first))]
    better = values > best * (1 - slack)
    elites = genomes[first] if elites is None else elites.copy()
    elites[better] = genomes[first[better]]
    return elites, np.where(better, values, best)
