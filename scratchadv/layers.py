r"""Layers with their gradients by hand: forward, gradient by the input, gradient by the parameters.

A layer is its geometry; its parameters are passed in, so that nothing is stored between calls:

- ``shapes(shape)`` gives the shapes of the parameters for inputs of that shape (of one example), and the output's;
- ``initial(shape, rng, dtype)`` gives such parameters, drawn at random, and the output's shape;
- ``forward(params, x)`` gives the output and what the gradients need of it;
- ``input_gradient(params, saved, dz)`` and ``parameter_gradient(params, saved, dz)`` pull dz back. The x of the first
  layer belongs to the caller, who may overwrite it before an ``input_gradient``: a layer that needs it there copies it.

``ReLU`` works in place, forward and back, on arrays that the network has made itself.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks
from .backend import like, namespace
from .checked import check_fields, whole
from .kernels import conv as kernel
from .kernels import pool
from .kernels.windows import output_size


class Layer:
    """What the layers share; by itself it has no parameters."""

    def __repr__(self):
        return f"{type(self).__name__}()"

    def shapes(self, shape):
        """No parameters; the shape stays."""
        return {}, shape

    def initial(self, shape, rng, dtype):
        """Return parameters uniform in ±1/√(inputs of one output), as in PyTorch, and the output's shape."""
        shapes, out = self.shapes(shape)
        return _uniform(shapes, rng, dtype), out

    def parameter_gradient(self, params, saved, dz):
        """No parameters, no gradients."""
        return {}


@dataclass(frozen=True)
class Dense(Layer):
    r"""Every output sees every input.

    .. math:: z = x W + b, \qquad dx = dz\, W^T, \quad dW = x^T dz, \quad db = \sum dz

    Parameters
    ----------
    features : int
        How many outputs.
    """

    features: int

    def __post_init__(self):
        check_fields(self, features=whole(1))

    def shapes(self, shape):
        """Weight and bias."""
        (inputs,) = _sides(self, shape, "P")
        return {"weight": (inputs, self.features), "bias": (self.features,)}, (self.features,)

    def forward(self, params, x):
        """``(N, inputs)`` to ``(N, features)``."""
        z = x @ params["weight"]
        z += params["bias"]
        return z, x

    def input_gradient(self, params, x, dz):
        """dz Wᵀ."""
        return dz @ params["weight"].T

    def parameter_gradient(self, params, x, dz):
        """xᵀ dz and Σ dz."""
        return {"weight": x.T @ dz, "bias": dz.sum(axis=0)}


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution of NHWC images, see :mod:`scratchadv.kernels.conv`.

    Parameters
    ----------
    features : int
        How many output channels.
    size : int
        Height and width of the kernel.
    stride, padding : int
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: int = 1

    def __post_init__(self):
        check_fields(self, features=whole(1), size=whole(1), stride=whole(1), padding=whole(0))

    def shapes(self, shape):
        """Weight and bias."""
        h, w, c = _sides(self, shape, "H", "W", "C")
        ho, wo = (output_size(side, self.size, self.stride, self.padding) for side in (h, w))
        if min(ho, wo) < 1:
            raise ValueError(f"{self} leaves nothing of images of shape {shape}")
        shapes = {"weight": (self.size, self.size, c, self.features), "bias": (self.features,)}
        return shapes, (ho, wo, self.features)

    def forward(self, params, x):
        """``(N, H, W, C)`` to ``(N, Ho, Wo, features)``."""
        z = kernel.conv(x, params["weight"], self.stride, self.padding)
        z += _for_each(params["bias"], z)
        return z, x

    def input_gradient(self, params, x, dz):
        """The adjoint of the convolution in x."""
        return kernel.conv_input_gradient(dz, params["weight"], x.shape[1:3], self.stride, self.padding)

    def parameter_gradient(self, params, x, dz):
        """The adjoint of the convolution in the kernel, and Σ dz."""
        weight = kernel.conv_kernel_gradient(x, dz, (self.size, self.size), self.stride, self.padding)
        pixels = dz.reshape(-1, self.features)
        return {"weight": weight, "bias": namespace(dz).ones(len(pixels), dtype=dz.dtype) @ pixels}  # faster than sum


class ReLU(Layer):
    """max(z, 0); the gradient passes where the output is positive."""

    def forward(self, params, z):
        """In place."""
        y = namespace(z).maximum(z, _for_each(0, z), out=z)
        return y, y

    def input_gradient(self, params, y, dy):
        """dy where y > 0, in place."""
        dy *= y > 0
        return dy


class Tanh(Layer):
    """tanh z; the gradient is (1 − tanh²) dy."""

    def forward(self, params, z):
        """Same shape."""
        y = namespace(z).tanh(z)
        return y, y

    def input_gradient(self, params, y, dy):
        """(1 − y²) dy."""
        return (1 - y * y) * dy


class Flatten(Layer):
    """``(N, *D)`` to ``(N, P)``."""

    def shapes(self, shape):
        """No parameters; P is the product of D."""
        return {}, (math.prod(shape),)

    def forward(self, params, x):
        """A view."""
        return x.reshape(len(x), -1), x.shape

    def input_gradient(self, params, shape, dz):
        """The view back."""
        return dz.reshape(shape)


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest of each window, channel by channel; the gradient goes to it (to the first of equals).

    Parameters
    ----------
    size : int
        Height and width of the window.
    stride : int, optional
        Default: ``size``.
    """

    size: int = 2
    stride: Any = None

    def __post_init__(self):
        _check_window(self)

    def shapes(self, shape):
        """No parameters."""
        return {}, _pooled(self, shape)

    def forward(self, params, x):
        """``(N, H, W, C)`` to ``(N, Ho, Wo, C)``."""
        z, winner = pool.max_pool(x, self.size, self.stride or self.size)
        return z, (x.shape, winner)

    def input_gradient(self, params, saved, dz):
        """dz where the maxima were."""
        shape, winner = saved
        return pool.max_pool_input_gradient(dz, winner, shape, self.size, self.stride or self.size)


@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean of each window, channel by channel; the gradient is shared equally. Parameters as ``MaxPool``."""

    size: int = 2
    stride: Any = None

    def __post_init__(self):
        _check_window(self)

    def shapes(self, shape):
        """No parameters."""
        return {}, _pooled(self, shape)

    def forward(self, params, x):
        """``(N, H, W, C)`` to ``(N, Ho, Wo, C)``."""
        return pool.average_pool(x, self.size, self.stride or self.size), x.shape

    def input_gradient(self, params, shape, dz):
        """An equal share of dz for each entry of the window."""
        return pool.average_pool_input_gradient(dz, shape, self.size, self.stride or self.size)


@dataclass(frozen=True)
class Dropout(Layer):
    """Nothing, unless a training run passes random numbers: then each entry is dropped with probability ``rate``.

    What is kept is divided by 1 − rate, so that the mean stays. Predictions and attacks never see it.

    Parameters
    ----------
    rate : float
        In [0, 1), taken to the nearest multiple of 1/65536.
    rng : callable, optional
        ``rng(m)`` gives m random whole numbers below 65536 for each example, ``(N, m)``, on the host. The network sets
        it for a training step.
    """

    rate: float
    rng: Any = None

    def __post_init__(self):
        check_fields(self, rate=checks.below_one)

    def forward(self, params, x):
        """Same shape."""
        if self.rng is None:
            return x, None
        drawn = self.rng(math.prod(x.shape[1:]))
        if len(drawn) != len(x):
            raise ValueError(f"x has {len(x)} examples; {len(drawn)}, one for each seed, were expected")
        dropped = min(round(self.rate * 65536), 65535)
        kept = like(drawn.reshape(x.shape) >= dropped, x) / (1 - dropped / 65536)
        return x * kept, kept

    def input_gradient(self, params, kept, dz):
        """dz where the entry was kept."""
        return dz if kept is None else dz * kept


def _for_each(value, z):
    """The value for each entry of an example: for NumPy an array of that shape, since its loops run along examples.

    Along the channels alone they are short, and NumPy's maximum of two arrays is three times as fast as with a number.
    """
    return np.full(z.shape[1:], value, z.dtype) if isinstance(z, np.ndarray) else value


def _uniform(shapes, rng, dtype):
    """Return random arrays of these shapes; the last axis of a weight counts outputs, the others the inputs of each."""
    if not shapes:
        return {}
    bound = 1 / math.sqrt(math.prod(shapes["weight"][:-1]))
    return {name: rng.uniform(-bound, bound, shape).astype(dtype) for name, shape in shapes.items()}


def _check_window(layer):
    check_fields(layer, size=whole(1), stride=whole(1))


def _sides(layer, shape, *names):
    """The shape of an example that the layer takes; refuse another number of sides."""
    if len(shape) != len(names):
        raise ValueError(f"{layer} takes examples of shape ({', '.join(names)}); they have the shape {shape}")
    return shape


def _pooled(layer, shape):
    h, w, c = _sides(layer, shape, "H", "W", "C")
    ho, wo = (output_size(side, layer.size, layer.stride or layer.size, 0) for side in (h, w))
    if min(ho, wo) < 1:
        raise ValueError(f"{layer} leaves nothing of images of shape {shape}")
    return ho, wo, c
