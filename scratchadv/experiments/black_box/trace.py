"""A record of the queries of an attack."""

import numpy as np

from ... import tasks
from ...models.watched import Watched


class Trace(Watched):
    """A wrapper that records each query that fools the model: its image, its number and the size of the change.

    Parameters
    ----------
    model : Model
    x, y : array
        The images that are attacked, and their labels.
    norm : ball class
        Measures the sizes.
    target : array, optional
        The labels to reach. Default: every other label fools the model.
    """

    def __init__(self, model, x, y, norm, target=None):
        super().__init__(model)
        self.x, self.y, self.norm, self.target = x, y, norm, target
        self.numbers = np.zeros(len(x), int)
        self.found = []

    def logits(self, x, owners=None):
        """Return the logits; each row must have an owner."""
        z = super().logits(x, owners)
        number = self.numbers[owners] + place_among_equals(owners) + 1
        np.add.at(self.numbers, owners, 1)
        target = None if self.target is None else self.target[owners]
        fooled = tasks.of(self, z).is_fooled(z, self.y[owners], target)
        size = self.norm.norm(x[fooled] - self.x[owners[fooled]]) if fooled.any() else np.zeros(0)
        self.found.append(np.stack([owners[fooled], number[fooled], size]))
        return z

    def first(self, radius):
        """Return the number of the first query that fooled within the radius, ∞ where none did, ``(N,)``."""
        owner, number, size = np.concatenate(self.found, axis=1)
        near = size <= radius * (1 + 1e-5)
        first = np.full(len(self.x), np.inf)
        np.minimum.at(first, owner[near].astype(int), number[near])
        return first

    def sizes(self, queries):
        """Return the smallest size that fooled within each number of queries, ∞ where none did, ``(Q, N)``."""
        owner, number, size = np.concatenate(self.found, axis=1)
        best = np.full((len(queries), len(self.x)), np.inf)
        for row, most in zip(best, queries, strict=True):
            np.minimum.at(row, owner[number <= most].astype(int), size[number <= most])
        return best


def place_among_equals(owners):
    """Return for each entry how many of the earlier ones are equal to it, ``(n,)``."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    place = np.empty(len(owners), int)
    place[order] = np.arange(len(owners)) - np.searchsorted(ordered, ordered)
    return place
