"""What attacks that only see labels share: the questions of an example, a first change that fools, the boundary."""

import numpy as np

from ... import checks
from ...backend import host, like, namespace
from ...numerics import per_row, rows, take
from ...parallel import map_chunks
from ...seeded import seeds_of, uniform
from ...sets import bounds_of
from ...tasks import differs
from ..constrained.targets import cut
from .queries import LabelOracle, labelled, several

TRIES = 200  # images that a search looks at for a first change that fools
NO_STEPS = 2**31  # the times of the search for a start lie beyond those of all steps
LONGEST = 16  # without a box noise has at most 2 to this power as deviation


def smallest(attack, follow, norm, model, x, y, *, target, box, queries, overshoot, start, pool, rng, seeds, at_once):
    """The smallest change that an attack finds with labels alone.

    Parameters
    ----------
    attack : str
        Its name, for the errors.
    follow : callable
        ``follow(decisions, which, seeds)`` makes ``decisions.best`` smaller for the examples ``which``, whose changes
        fool; ``seeds`` are those of the whole chunk.
    norm, model, x, y, target, box, queries, overshoot, start, pool, rng, seeds
        As for the attacks.
    at_once : int
        How many questions of an example are asked together.

    Returns
    -------
    delta : array, shape (N, *D)
    """
    seeds = seeds_of(len(x), rng, seeds, attack)
    oracle = LabelOracle(model, queries)
    oracle.places(y)
    if target is not None:
        oracle.places(target, "target")
    if start is not None:
        checks.same_shape(start, x, "start")
    if pool is not None and pool.shape[1:] != x.shape[1:]:
        raise ValueError(f"pool has shape {pool.shape}; images of the shape {x.shape[1:]} were expected")

    def search(x, y, target, low, high, start, seeds, owner):
        decisions = Decisions(oracle, norm, x, y, target=target, low=low, high=high, owner=owner, queries=queries)
        which = _started(decisions, start, pool, seeds)
        follow(decisions, which, seeds)
        return (decisions.pushed(overshoot),)

    owner = namespace(x).arange(len(x))
    return map_chunks(search, several(oracle, x, at_once), x, y, target, *bounds_of(box, x), start, seeds, owner)[0]


class Decisions:
    """The questions of a chunk of examples: they are asked here and nowhere else.

    Parameters
    ----------
    oracle : LabelOracle
    norm : ball class
    x, y, target, low, high : array
        n rows each; target, low and high may be None.
    owner : array of int, shape (n,)
        The place of each in the batch.
    queries : int
        Of each example.

    Attributes
    ----------
    best : array, shape (n, *D)
        The shortest change that was kept; zero where there is none. It fools, and its size never rises.
    left : array of int, shape (n,)
        Queries that an example still has.
    standing : array of bool, shape (n,)
        Whether x itself does not fool, known after the first query.
    """

    def __init__(self, oracle, norm, x, y, *, target, low, high, owner, queries):
        xp, self.length = namespace(x), norm.norm
        self.oracle, self.x, self.y, self.target, self.owner = oracle, x, y, target, owner
        self.low, self.high = low, high
        self.best, self.left = xp.zeros_like(x), xp.full(len(x), queries)
        self.standing = ~differs(labelled(oracle.predict(x, owner), "examples of x"), y, target)
        self.left -= 2  # x was asked about, and the last is for the end

    def fools(self, which, delta):
        """Whether x + δ is misclassified, or at its target, ``(m, q)``; no example is asked more than it has left.

        Parameters
        ----------
        which : array of int, shape (m,)
            Rows, each once. Those that have fewer than q queries left are not asked, and get False.
        delta : array, shape (m, q, *D)
        """
        xp, q = namespace(self.x), delta.shape[1]
        found = xp.zeros(delta.shape[:2], dtype=bool)
        held = self.left[which] >= q
        if held.any():
            which = which[held]
            tried = (self.x[which][:, None] + delta[held]).reshape(-1, *self.x.shape[1:])
            seen = self.oracle.predict(tried, xp.repeat(self.owner[which], q)).reshape(-1, q)
            y, target = (a if a is None else a[which][:, None] for a in (self.y, self.target))
            found[held] = differs(seen, y, target)
            self.left[which] -= q
        return found

    def size(self, which):
        """‖best‖ of these rows, infinite where there is none, ``(m,)``."""
        size = self.length(self.best[which])
        return namespace(size).where(size > 0, size, np.inf)

    def keep(self, which, delta):
        """Take each δ, which fools, for the best where it is shorter."""
        shorter = self.length(delta) < self.size(which)
        self.best[which[shorter]] = delta[shorter]

    def clipped(self, which, delta):
        """δ of these rows cut off at the box; ``(m, *D)`` or ``(m, q, *D)``."""
        if self.low is None:
            return delta
        low, high = self.low[which], self.high[which]
        return cut(delta, low, high) if delta.ndim == low.ndim else cut(delta, low[:, None], high[:, None])

    def to_boundary(self, which, delta, steps, shrunk):
        """Halve the way from δ, which fools, to x, and keep what fools on it and is nearest.

        Parameters
        ----------
        which : array of int, shape (m,)
        delta : array, shape (m, *D)
        steps : int
            The way is known to 2 to the power of minus this.
        shrunk : callable
            ``shrunk(delta, share)`` is the point of the way with so large a share of the size.
        """
        xp = namespace(delta)
        low, high = (xp.full(len(which), side, dtype=delta.dtype) for side in (0, 1))
        for _ in range(steps):
            middle = (low + high) / 2
            fooled = self.fools(which, shrunk(delta, middle)[:, None])[:, 0]
            low, high = xp.where(fooled, low, middle), xp.where(fooled, middle, high)
        self.keep(which, shrunk(delta, high))

    def pushed(self, overshoot):
        """The best δ, made longer by the overshoot where that fools too: the last query of each example."""
        if not overshoot:
            return self.best
        self.left += 1
        which = namespace(self.x).flatnonzero(rows(self.best != 0).any(axis=1))
        longer = self.clipped(which, (1 + overshoot) * self.best[which])
        fooled = self.fools(which, longer[:, None])[:, 0]
        self.best[which[fooled]] = longer[fooled]
        return self.best


def scaled(delta, share):
    """The point of the straight way to x: share · δ."""
    return per_row(share, delta) * delta


def _started(decisions, start, pool, seeds):
    """Give each standing example a first change that fools; the rows that got one."""
    xp = namespace(decisions.x)
    missing = xp.flatnonzero(decisions.standing)
    for attempt in range(TRIES):
        if not len(missing):
            break
        image = _candidate(decisions, missing, attempt, start, pool, seeds)
        delta = decisions.clipped(missing, image - decisions.x[missing])
        fooled = decisions.fools(missing, delta[:, None])[:, 0]
        decisions.keep(missing[fooled], delta[fooled])
        missing = missing[~fooled]
    found = decisions.standing.copy()
    found[missing] = False
    return xp.flatnonzero(found)


def _candidate(decisions, which, attempt, start, pool, seeds):
    """The image to try: the given start, then those of the pool in an order of each example, then noise."""
    if start is not None:
        if attempt == 0:
            return start[which]
        attempt -= 1
    own = seeds[host(which)]
    if pool is not None and attempt < len(pool):
        order = uniform(own, NO_STEPS - 1, len(pool)).argsort(axis=1)[:, attempt]
        return pool[namespace(pool).asarray(order)]
    return _noise(decisions.x[which], *take(which, decisions.low, decisions.high), attempt, own)


def _noise(x, low, high, attempt, seeds):
    """Noise of many kinds: in a finite box grey or black and white, dark or bright; else of ever larger deviation."""
    u = uniform(seeds, NO_STEPS + attempt, rows(x).shape[1] + 1)
    u, bright = u[:, :-1], 2 * u[:, -1:] - 1
    if low is None or not namespace(x).isfinite(high - low).all():
        return x + like((u - 0.5) * 2.0 ** (1 + attempt % LONGEST), x).reshape(x.shape)
    image = u ** (8 ** (bright * (attempt > 0))) if attempt % 2 == 0 else (u < (1 + bright) / 2)
    return x + low + like(image, x).reshape(x.shape) * (high - low)
