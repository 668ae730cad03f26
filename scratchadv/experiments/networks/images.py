"""Which images are shown, and which classes they are attacked towards."""

import numpy as np

from ...models.protocol import predict


def targets_of(y, seed):
    """Return a random wrong class of the ten for each example, shape ``(N,)``."""
    return (y + np.random.default_rng(seed).integers(1, 10, len(y))) % 10


def one_of_each(model, x, y):
    """Return the first image of each class that the model classifies rightly, and its label, ten in all."""
    right = predict(model, x) == y
    first = [np.flatnonzero(right & (y == k))[0] for k in range(10)]
    return x[first], y[first]
