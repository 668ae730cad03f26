"""Random numbers that are a function of an example's seed and a place: they are the same in any batch.

A generator with a state would have to be asked example by example. Everything is drawn on the host.
"""

import math
from functools import cache

import numpy as np


def seeds_of(n, rng, seeds, attack):
    """One seed for each of n examples, uint64: those that are given, else drawn from ``rng``."""
    if (rng is None) == (seeds is None):
        raise ValueError(f"{attack} is random: pass either rng or seeds")
    return rng.integers(0, 2**64, n, dtype=np.uint64) if seeds is None else seeds


def words(seeds, time, m):
    """M random words of 64 bits for each seed, other ones for each time, ``(n, m)``: SplitMix64 at those places.

    Parameters
    ----------
    seeds : array of uint64, shape (n,)
    time : int
        Of the question, at most 2³² − 1. The words of two times are different ones as long as m < 2³².
    m : int
    """
    z = np.arange(1, m + 1, dtype=np.uint64) + (np.uint64(time) << np.uint64(32))
    z = seeds[:, None] + z * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return z


def uniform(seeds, time, m):
    """M numbers in [0, 1) for each seed, ``(n, m)``, float64."""
    return (words(seeds, time, m) >> np.uint64(11)) * 2.0**-53


def spread(seeds, time, m):
    r"""Like ``uniform``, but the m numbers of a seed do not come near those of its earlier times.

    .. math:: u_t = (u_0 + t\, \alpha) \bmod 1, \qquad \alpha_i = \varphi^{-i}, \quad \varphi^{m + 1} = \varphi + 1

    With :math:`u_0` uniform each :math:`u_t` is; over the times the cube is filled evenly, where independent points
    would leave a share 1/e of n cells empty after n times. For m = 1, φ is the golden ratio.

    Source: the additive recurrences of Kronecker and Weyl, moved at random (Cranley and Patterson 1976); the α of
    Roberts (2018), "The Unreasonable Effectiveness of Quasirandom Sequences".
    """
    return (uniform(seeds, 0, m) + time * _irrational(m)) % 1


@cache
def _irrational(m):
    phi = 1.5
    for _ in range(60):  # a contraction, by a half or more
        phi = (1 + phi) ** (1 / (m + 1))
    return phi ** -np.arange(1.0, m + 1)


def pieces(seeds, time, m):
    """M random numbers of 16 bits for each seed, ``(n, m)``, uint16: a quarter of the work where few bits will do."""
    return words(seeds, time, -(-m // 4)).view(np.uint16)[:, :m]


def normal(seeds, time, m):
    """M standard normal numbers for each seed, ``(n, m)``, float32: the method of Box and Muller."""
    halves = words(seeds, time, (m + 1) // 2).view(np.uint32)  # two of 32 bits from each word
    radius, angle = (halves[:, i::2].astype(np.float32) * np.float32(2.0**-32) for i in range(2))
    radius = np.sqrt(-2 * np.log(radius + np.float32(2.0**-33)))
    angle *= np.float32(2 * math.pi)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :m]


def signs(seeds, time, m):
    """M numbers −1 or +1, each as likely, for each seed, ``(n, m)``, int8: one bit each."""
    bits = np.unpackbits(words(seeds, time, -(-m // 64)).view(np.uint8), axis=1, count=m)
    return 2 * bits.view(np.int8) - np.int8(1)
