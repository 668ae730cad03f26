"""The choice of the images that are shown, and of the targets."""

import numpy as np

from ...models.protocol import predict


def targets_of(y, seed):
    """Return a random wrong class (of ten classes) for each example, shape ``(N,)``."""
    return (y + np.random.default_rng(seed).integers(1, 10, len(y))) % 10


def one_of_each(model, x, y):
    """Return for each of the ten classes the first image that the model classifies correctly, and the labels."""
    right = predict(model, x) == y
    first = [np.flatnonzero(right & (y == k))[0] for k in range(10)]
    return x[first], y[first]
