"""What became of each question that an attack asked."""

import numpy as np

from ... import tasks
from ...models.watched import Watched


class Trace(Watched):
    """A model that records for every query that fools the model: whose it was, its number, and the size of the change.

    Parameters
    ----------
    model : Model
    x, y : array
        The images that are attacked, and their labels.
    ball : Ball
        Measures the sizes.
    target : array, optional
    """

    def __init__(self, model, x, y, ball, target=None):
        super().__init__(model)
        self.x, self.y, self.ball, self.target = x, y, ball, target
        self.numbers, self.found = np.zeros(len(x), int), []

    def logits(self, x, owners=None):
        """Return the logits; each row must have its owner."""
        z = super().logits(x, owners)
        number = self.numbers[owners] + place_among_equals(owners) + 1
        np.add.at(self.numbers, owners, 1)
        target = None if self.target is None else self.target[owners]
        fooled = tasks.of(self, z).is_fooled(z, self.y[owners], target)
        size = self.ball.norm(x[fooled] - self.x[owners[fooled]]) if fooled.any() else np.zeros(0)
        self.found.append(np.stack([owners[fooled], number[fooled], size]))
        return z

    def first(self, radius):
        """The query of each image that first fooled with no larger a size, infinite where none did, ``(N,)``."""
        owner, number, size = np.concatenate(self.found, axis=1)
        near, first = size <= radius * (1 + 1e-5), np.full(len(self.x), np.inf)
        np.minimum.at(first, owner[near].astype(int), number[near])
        return first

    def sizes(self, queries):
        """The smallest size that fooled within so many queries, infinite where none did, ``(Q, N)``."""
        owner, number, size = np.concatenate(self.found, axis=1)
        best = np.full((len(queries), len(self.x)), np.inf)
        for row, most in zip(best, queries, strict=True):
            np.minimum.at(row, owner[number <= most].astype(int), size[number <= most])
        return best


def place_among_equals(owners):
    """How many earlier entries are the same, ``(n,)``."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    place = np.empty(len(owners), int)
    place[order] = np.arange(len(owners)) - np.searchsorted(ordered, ordered)
    return place
