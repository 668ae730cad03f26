"""Networks of dense layers."""

import numpy as np

from ..checked import checked, each, one_of, whole
from ..layers import Dense, Flatten, ReLU, Tanh
from .network import Network

ACTIVATIONS = {"relu": ReLU, "tanh": Tanh}


class MLP(Network):
    """A multilayer perceptron: dense layers with an activation between them.

    Parameters
    ----------
    widths : sequence of int
        The number of inputs, the hidden widths and the number of classes: ``(784, 200, 10)`` is the tutorial's 2-layer
        network. Images are flattened.
    activation : {"relu", "tanh"}
    rng : numpy.random.Generator, optional
        Draws the parameters; the default is seeded with 0.
    dtype : dtype
        The dtype of the parameters: float32 or float64.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, for example if there are fewer than two widths.
    """

    @checked(widths=each(whole(1), least=2), activation=one_of(*ACTIVATIONS))
    def __init__(self, widths, activation="relu", *, rng=None, dtype=np.float32):
        layers = [Flatten()]
        for width in widths[1:]:
            layers += [Dense(width), ACTIVATIONS[activation]()]
        super().__init__(layers[:-1], (widths[0],), np.random.default_rng(0) if rng is None else rng, dtype)


class SoftmaxRegression(MLP):
    r"""The linear model for K classes, :math:`z = x W + b`: an MLP without hidden layers.

    Parameters
    ----------
    inputs, classes : int
    rng, dtype
        As for ``MLP``.
    """

    @checked(inputs=whole(1), classes=whole(1))
    def __init__(self, inputs=784, classes=10, *, rng=None, dtype=np.float32):
        super().__init__((inputs, classes), rng=rng, dtype=dtype)
