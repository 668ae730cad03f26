"""Convolutional networks."""

import numpy as np

from .. import checks
from ..checked import checked, each, whole
from ..layers import Conv, Dense, Flatten, ReLU
from .network import Network

TUTORIAL = (Conv(32), Conv(32, stride=2), Conv(64), Conv(64, stride=2))


class CNN(Network):
    """Convolutions with ReLU, followed by dense layers; by default the tutorial's network for MNIST.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of an image.
    convs : sequence of Conv
        The convolutions, each followed by ReLU.
    widths : sequence of int
        The widths of the hidden dense layers, and last the number of classes.
    rng : numpy.random.Generator, optional
        Draws the parameters; the default is seeded with 0.
    dtype : dtype
        The dtype of the parameters: float32 or float64.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Source: the tutorial of Kolter and Madry, chapter 4 (3 × 3 kernels: 32, 32 with stride 2, 64, 64 with stride 2,
    dense 100, 10).
    """

    @checked(convs=each(checks.layer), widths=each(whole(1), least=1))
    def __init__(self, shape=(28, 28, 1), convs=TUTORIAL, widths=(100, 10), *, rng=None, dtype=np.float32):
        layers = []
        for conv in convs:
            layers += [conv, ReLU()]
        layers.append(Flatten())
        for width in widths:
            layers += [Dense(width), ReLU()]
        super().__init__(layers[:-1], shape, np.random.default_rng(0) if rng is None else rng, dtype)
