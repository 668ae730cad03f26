"""Random numbers that are a function of an example's seed and of a time, so that they are the same in any batch.

A generator with a state would have to be called example by example. All numbers are drawn on the host.
"""

import math
from functools import cache

import numpy as np


def seeds_of(n, rng, seeds, attack):
    """Return one seed for each of n examples, uint64: the given seeds, or else seeds drawn from ``rng``."""
    if (rng is None) == (seeds is None):
        raise ValueError(f"{attack} is random: pass either rng or seeds")
    return rng.integers(0, 2**64, n, dtype=np.uint64) if seeds is None else seeds


def words(seeds, time, m):
    """Draw m random words of 64 bits for each seed, ``(n, m)``, uint64, with SplitMix64.

    Parameters
    ----------
    seeds : array of uint64, shape (n,)
    time : int
        The number of the draw, at most 2³² − 1. Different times give different words as long as m < 2³².
    m : int
        The number of words for each seed.

    Returns
    -------
    array of uint64, shape (n, m)
    """
    z = np.arange(1, m + 1, dtype=np.uint64) + (np.uint64(time) << np.uint64(32))
    z = seeds[:, None] + z * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return z


def uniform(seeds, time, m):
    """Draw m uniform numbers in [0, 1) for each seed, ``(n, m)``, float64."""
    return (words(seeds, time, m) >> np.uint64(11)) * 2.0**-53


def spread(seeds, time, m):
    r"""Draw m uniform numbers in [0, 1) for each seed, ``(n, m)``, away from those of the seed's earlier times.

    .. math:: u_t = (u_0 + t\, \alpha) \bmod 1, \qquad \alpha_i = \varphi^{-i}, \quad \varphi^{m + 1} = \varphi + 1

    Since :math:`u_0` is uniform, each :math:`u_t` is. Over time the points fill the cube evenly, whereas n independent
    points leave a share of about 1/e of n cells empty. For m = 1, φ is the golden ratio.

    Source: the additive recurrences of Kronecker and Weyl, shifted at random (Cranley and Patterson 1976), with the α
    of Roberts (2018), "The Unreasonable Effectiveness of Quasirandom Sequences".
    """
    return (uniform(seeds, 0, m) + time * _irrational(m)) % 1


@cache
def _irrational(m):
    phi = 1.5
    for _ in range(60):  # each step at least halves the error
        phi = (1 + phi) ** (1 / (m + 1))
    return phi ** -np.arange(1.0, m + 1)


def pieces(seeds, time, m):
    """Draw m random numbers of 16 bits for each seed, ``(n, m)``, uint16: a quarter of the work if few bits suffice."""
    return words(seeds, time, -(-m // 4)).view(np.uint16)[:, :m]


def normal(seeds, time, m):
    """Draw m standard normal numbers for each seed, ``(n, m)``, float32, by the method of Box and Muller."""
    halves = words(seeds, time, (m + 1) // 2).view(np.uint32)  # two numbers of 32 bits from each word
    radius, angle = (halves[:, i::2].astype(np.float32) * np.float32(2.0**-32) for i in range(2))
    radius = np.sqrt(-2 * np.log(radius + np.float32(2.0**-33)))
    angle *= np.float32(2 * math.pi)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :m]


def signs(seeds, time, m):
    """Draw m numbers that are −1 or +1 with equal probability for each seed, ``(n, m)``, int8, from one bit each."""
    bits = np.unpackbits(words(seeds, time, -(-m // 64)).view(np.uint8), axis=1, count=m)
    return 2 * bits.view(np.int8) - np.int8(1)
