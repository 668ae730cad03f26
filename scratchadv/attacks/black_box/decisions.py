"""What attacks that see only labels share: the queries, a first δ that fools, and the search for the boundary."""

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

TRIES = 200  # the number of images that are tried to find a first δ that fools the model
START_TIME = 2**31  # random draws of the search for a start have later times than those of all steps
LONGEST = 16  # without a box, the range of the noise is at most 2 to this power


def smallest(attack, follow, norm, model, x, y, *, target, box, queries, overshoot, start, pool, rng, seeds, at_once):
    """Return the smallest change that an attack finds with labels alone.

    Parameters
    ----------
    attack : str
        The name of the attack, for error messages.
    follow : callable
        ``follow(decisions, which, seeds)`` reduces ``decisions.best`` for the rows ``which``, whose δ fools the model;
        ``seeds`` are those of the whole chunk.
    norm, model, x, y, target, box, queries, overshoot, start, pool, rng, seeds
        As for the attacks.
    at_once : int
        The number of queries of an example that are made together.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations; zero where none was found.
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
    """The queries of a chunk of examples: all of them are made here.

    Parameters
    ----------
    oracle : LabelOracle
        Answers the queries.
    norm : type
        The class of the norm that measures δ.
    x, y, target, low, high : array
        The inputs, labels, targets and bounds on δ, n rows each; target, low and high may be None.
    owner : array of int, shape (n,)
        The row of each example in the batch.
    queries : int
        The number of queries for each example.

    Attributes
    ----------
    best : array, shape (n, *D)
        The shortest δ so far that fools the model; zero where there is none yet.
    left : array of int, shape (n,)
        The number of queries that are left for each example.
    standing : array of bool, shape (n,)
        Whether x itself is correctly classified (or not yet its target), known from the first query.
    """

    def __init__(self, oracle, norm, x, y, *, target, low, high, owner, queries):
        xp = namespace(x)
        self.length = norm.norm
        self.oracle = oracle
        self.x, self.y, self.target, self.owner = x, y, target, owner
        self.low, self.high = low, high
        self.best = xp.zeros_like(x)
        self.left = xp.full(len(x), queries)
        self.standing = ~differs(labelled(oracle.predict(x, owner), "examples of x"), y, target)
        self.left -= 2  # one query was about x, and one is kept for the overshoot at the end

    def fools(self, which, delta):
        """Return whether x + δ is misclassified (or classified as its target), ``(m, q)``; each costs one query.

        Parameters
        ----------
        which : array of int, shape (m,)
            The rows, each once. Rows with fewer than q queries left are not queried, and get False.
        delta : array, shape (m, q, *D)
            The perturbations, q for each row.
        """
        xp = namespace(self.x)
        q = delta.shape[1]
        found = xp.zeros(delta.shape[:2], dtype=bool)
        affordable = self.left[which] >= q
        if affordable.any():
            which = which[affordable]
            tried = (self.x[which][:, None] + delta[affordable]).reshape(-1, *self.x.shape[1:])
            labels = self.oracle.predict(tried, xp.repeat(self.owner[which], q)).reshape(-1, q)
            y, target = (a if a is None else a[which][:, None] for a in (self.y, self.target))
            found[affordable] = differs(labels, y, target)
            self.left[which] -= q
        return found

    def size(self, which):
        """Return ‖best‖ of these rows, ``(m,)``; infinite where there is no δ yet."""
        size = self.length(self.best[which])
        return namespace(size).where(size > 0, size, np.inf)

    def keep(self, which, delta):
        """Keep each of these δ, which fool the model, as the best of its row if it is shorter."""
        shorter = self.length(delta) < self.size(which)
        self.best[which[shorter]] = delta[shorter]

    def clipped(self, which, delta):
        """Return δ of these rows, clipped to the box; ``(m, *D)`` or ``(m, q, *D)``."""
        if self.low is None:
            return delta
        low, high = self.low[which], self.high[which]
        return cut(delta, low, high) if delta.ndim == low.ndim else cut(delta, low[:, None], high[:, None])

    def to_boundary(self, which, delta, steps, shrunk):
        """Find the boundary between x and x + δ, which fools the model, by bisection; keep the nearest δ that fools.

        Parameters
        ----------
        which : array of int, shape (m,)
            The rows.
        delta : array, shape (m, *D)
            The perturbations of these rows.
        steps : int
            The number of bisection steps.
        shrunk : callable
            ``shrunk(delta, share)`` returns the point on the path from x to x + δ with this share of the size of δ.
        """
        xp = namespace(delta)
        low, high = (xp.full(len(which), side, dtype=delta.dtype) for side in (0, 1))
        for _ in range(steps):
            middle = (low + high) / 2
            fooled = self.fools(which, shrunk(delta, middle)[:, None])[:, 0]
            low = xp.where(fooled, low, middle)
            high = xp.where(fooled, middle, high)
        self.keep(which, shrunk(delta, high))

    def pushed(self, overshoot):
        """Return the best δ, extended by the overshoot if that δ fools too; this is the last query of each example."""
        if not overshoot:
            return self.best
        self.left += 1
        which = namespace(self.x).flatnonzero(rows(self.best != 0).any(axis=1))
        longer = self.clipped(which, (1 + overshoot) * self.best[which])
        fooled = self.fools(which, longer[:, None])[:, 0]
        self.best[which[fooled]] = longer[fooled]
        return self.best


def scaled(delta, share):
    """Return share · δ, a point on the line from x to x + δ."""
    return per_row(share, delta) * delta


def _started(decisions, start, pool, seeds):
    """Find a first δ that fools the model for each standing example; return the rows for which one was found."""
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
    """Return the image to try next: the given start, then the pool, shuffled for each example, then noise."""
    if start is not None:
        if attempt == 0:
            return start[which]
        attempt -= 1
    own = seeds[host(which)]
    if pool is not None and attempt < len(pool):
        order = uniform(own, START_TIME - 1, len(pool)).argsort(axis=1)[:, attempt]
        return pool[namespace(pool).asarray(order)]
    return _noise(decisions.x[which], *take(which, decisions.low, decisions.high), attempt, own)


def _noise(x, low, high, attempt, seeds):
    """Return noise: in a finite box grey or black-and-white, dark or bright; otherwise with an ever larger range."""
    u = uniform(seeds, START_TIME + attempt, rows(x).shape[1] + 1)
    bright = 2 * u[:, -1:] - 1
    u = u[:, :-1]
    if low is None or not namespace(x).isfinite(high - low).all():
        return x + like((u - 0.5) * 2.0 ** (1 + attempt % LONGEST), x).reshape(x.shape)
    image = u ** (8 ** (bright * (attempt > 0))) if attempt % 2 == 0 else (u < (1 + bright) / 2)
    return x + low + like(image, x).reshape(x.shape) * (high - low)
