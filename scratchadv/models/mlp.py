"""Networks of dense layers."""

import numpy as np

from ..layers import Dense, Flatten, ReLU, Tanh
from .network import Network

ACTIVATIONS = {"relu": ReLU, "tanh": Tanh}


class MLP(Network):
    """Dense layers with an activation between them.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden widths, classes: ``(784, 200, 10)`` is the tutorial's 2-layer net. Images are flattened.
    activation : {"relu", "tanh"}
    rng : numpy.random.Generator, optional
        Draws the parameters; the default is seeded with 0.
    dtype : dtype
        Of the parameters.

    Raises
    ------
    ValueError
        If there are fewer than two widths, or no such activation.
    """

    def __init__(self, widths, activation="relu", *, rng=None, dtype=np.float32):
        if len(widths) < 2:
            raise ValueError(f"widths = {widths!r}; inputs and classes at least were expected")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation = {activation!r}; one of {', '.join(ACTIVATIONS)} was expected")
        layers = [Flatten()]
        for width in widths[1:]:
            layers += [Dense(width), ACTIVATIONS[activation]()]
        super().__init__(layers[:-1], (widths[0],), rng or np.random.default_rng(0), dtype)


class SoftmaxRegression(MLP):
    r"""The linear model with K classes: :math:`z = x W + b`, an MLP without hidden layers.

    Parameters
    ----------
    inputs, classes : int
    rng, dtype
        As for ``MLP``.
    """

    def __init__(self, inputs=784, classes=10, *, rng=None, dtype=np.float32):
        super().__init__((inputs, classes), rng=rng, dtype=dtype)
