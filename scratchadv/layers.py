r"""Layers with gradients derived by hand: the output, the gradient in the input, the gradient in the parameters.

A layer holds its geometry only. Its parameters are passed in, so that nothing is stored between calls:

- ``shapes(shape)`` returns the shapes of the parameters and of the output, for one example of the given shape;
- ``initial(shape, rng, dtype)`` returns random parameters of these shapes, and the shape of the output;
- ``forward(params, x)`` returns the output and what the gradients need of the forward pass, ``saved``;
- ``input_gradient(params, saved, dz)`` and ``parameter_gradient(params, saved, dz)`` pull dz back. The x of the first
  layer belongs to the caller, who may overwrite it before calling ``input_gradient``. A layer that needs it there
  must copy it.

``ReLU`` works in place, in both directions, on arrays that the network has made itself.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks
from .backend import like, namespace
from .checked import check_fields, taking, whole
from .kernels import conv as kernel
from .kernels import pool
from .kernels.windows import output_size


class Layer:
    """The base of all layers; by default a layer has no parameters."""

    def __repr__(self):
        return f"{type(self).__name__}()"

    def shapes(self, shape):
        """Return no parameters and the unchanged shape."""
        return {}, shape

    def initial(self, shape, rng, dtype):
        """Return parameters uniform in ±1/√(inputs of one output), as in PyTorch, and the shape of the output."""
        shapes, out = self.shapes(shape)
        return _uniform(shapes, rng, dtype), out

    def parameter_gradient(self, params, saved, dz):
        """Return no gradients, since there are no parameters."""
        return {}


@dataclass(frozen=True)
class Dense(Layer):
    r"""A fully connected layer: every output depends on every input.

    .. math:: z = x W + b, \qquad dx = dz\, W^T, \quad dW = x^T dz, \quad db = \sum dz

    Parameters
    ----------
    features : int
        The number of outputs.
    """

    features: int

    def __post_init__(self):
        check_fields(self, features=whole(1))

    def shapes(self, shape):
        """Return the shapes of weight, bias and output."""
        (inputs,) = _sides(self, shape, "P")
        return {"weight": (inputs, self.features), "bias": (self.features,)}, (self.features,)

    def forward(self, params, x):
        """Map ``(N, inputs)`` to ``(N, features)``."""
        z = x @ params["weight"]
        z += params["bias"]
        return z, x

    def input_gradient(self, params, x, dz):
        """Return dz Wᵀ."""
        return dz @ params["weight"].T

    def parameter_gradient(self, params, x, dz):
        """Return xᵀ dz and Σ dz."""
        return {"weight": x.T @ dz, "bias": dz.sum(axis=0)}


@dataclass(frozen=True)
class Conv(Layer):
    """The convolution of NHWC images; see :mod:`scratchadv.kernels.conv`.

    Parameters
    ----------
    features : int
        The number of output channels.
    size : int
        Height and width of the kernel, in pixels.
    stride, padding : int
        In pixels.
    """

    features: int
    size: int = 3
    stride: int = 1
    padding: int = 1

    def __post_init__(self):
        check_fields(self, features=whole(1), size=whole(1), stride=whole(1), padding=whole(0))

    def shapes(self, shape):
        """Return the shapes of weight, bias and output."""
        h, w, c = _sides(self, shape, "H", "W", "C")
        ho, wo = (output_size(side, self.size, self.stride, self.padding) for side in (h, w))
        if min(ho, wo) < 1:
            raise ValueError(f"{self} leaves nothing of images of shape {shape}")
        shapes = {"weight": (self.size, self.size, c, self.features), "bias": (self.features,)}
        return shapes, (ho, wo, self.features)

    def forward(self, params, x):
        """Map ``(N, H, W, C)`` to ``(N, Ho, Wo, features)``."""
        z = kernel.conv(x, params["weight"], self.stride, self.padding)
        z += _for_each(params["bias"], z)
        return z, x

    def input_gradient(self, params, x, dz):
        """Apply the adjoint of the convolution in x."""
        return kernel.conv_input_gradient(dz, params["weight"], x.shape[1:3], self.stride, self.padding)

    def parameter_gradient(self, params, x, dz):
        """Apply the adjoint of the convolution in the kernel to dz, and return it with Σ dz."""
        weight = kernel.conv_kernel_gradient(x, dz, (self.size, self.size), self.stride, self.padding)
        pixels = dz.reshape(-1, self.features)
        return {"weight": weight, "bias": namespace(dz).ones(len(pixels), dtype=dz.dtype) @ pixels}  # faster than sum


class ReLU(Layer):
    """The rectifier max(z, 0); its gradient is dy where the output is positive and 0 elsewhere."""

    def forward(self, params, z):
        """Overwrite z by max(z, 0)."""
        y = namespace(z).maximum(z, _for_each(0, z), out=z)
        return y, y

    def input_gradient(self, params, y, dy):
        """Overwrite dy by 0 where y = 0."""
        dy *= y > 0
        return dy


class Tanh(Layer):
    """The hyperbolic tangent tanh z; its gradient is (1 − tanh² z) dy."""

    def forward(self, params, z):
        """Return tanh z."""
        y = namespace(z).tanh(z)
        return y, y

    def input_gradient(self, params, y, dy):
        """Return (1 − y²) dy."""
        return (1 - y * y) * dy


class Flatten(Layer):
    """The examples as vectors: ``(N, *D)`` becomes ``(N, P)``, where P is the product of D."""

    def shapes(self, shape):
        """Return no parameters, and the shape (P,)."""
        return {}, (math.prod(shape),)

    def forward(self, params, x):
        """Return a view of x."""
        return x.reshape(len(x), -1), x.shape

    def input_gradient(self, params, shape, dz):
        """Return a view of dz in the shape of x."""
        return dz.reshape(shape)


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest entry of each window, separately for each channel.

    The gradient goes to that entry; among equal entries, to the first.

    Parameters
    ----------
    size : int
        Height and width of the window, in pixels.
    stride : int, optional
        In pixels; by default ``size``.
    """

    size: int = 2
    stride: Any = None

    def __post_init__(self):
        _check_window(self)

    def shapes(self, shape):
        """Return no parameters and the shape of the output."""
        return {}, _pooled(self, shape)

    def forward(self, params, x):
        """Map ``(N, H, W, C)`` to ``(N, Ho, Wo, C)``."""
        z, winner = pool.max_pool(x, self.size, self.stride or self.size)
        return z, (x.shape, winner)

    def input_gradient(self, params, saved, dz):
        """Return dz at the places of the maxima."""
        shape, winner = saved
        return pool.max_pool_input_gradient(dz, winner, shape, self.size, self.stride or self.size)


@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean of each window, separately for each channel; its entries get equal shares of the gradient.

    Parameters
    ----------
    size : int
        Height and width of the window, in pixels.
    stride : int, optional
        In pixels; by default ``size``.
    """

    size: int = 2
    stride: Any = None

    def __post_init__(self):
        _check_window(self)

    def shapes(self, shape):
        """Return no parameters and the shape of the output."""
        return {}, _pooled(self, shape)

    def forward(self, params, x):
        """Map ``(N, H, W, C)`` to ``(N, Ho, Wo, C)``."""
        return pool.average_pool(x, self.size, self.stride or self.size), x.shape

    def input_gradient(self, params, shape, dz):
        """Return an equal share of dz for each entry of the window."""
        return pool.average_pool_input_gradient(dz, shape, self.size, self.stride or self.size)


@dataclass(frozen=True)
class Dropout(Layer):
    """Sets each entry to zero with probability ``rate``, in training steps only.

    The other entries are divided by 1 − rate, so that the mean stays the same. In predictions and attacks, where there
    are no random numbers, the layer does nothing.

    Parameters
    ----------
    rate : float
        In [0, 1), rounded to a multiple of 1/65536.
    rng : callable, optional
        ``rng(m)`` returns m random integers below 65536 for each example, ``(N, m)``, on the host. The network sets it
        for a training step.
    """

    rate: float
    rng: Any = None

    def __post_init__(self):
        check_fields(self, rate=checks.below_one, rng=taking("m"))

    def forward(self, params, x):
        """Return x with entries dropped, or x itself without random numbers."""
        if self.rng is None:
            return x, None
        drawn = self.rng(math.prod(x.shape[1:]))
        if len(drawn) != len(x):
            raise ValueError(f"x has {len(x)} examples; {len(drawn)}, one for each seed, were expected")
        dropped = min(round(self.rate * 65536), 65535)
        kept = like(drawn.reshape(x.shape) >= dropped, x) / (1 - dropped / 65536)
        return x * kept, kept

    def input_gradient(self, params, kept, dz):
        """Return dz where the entry was kept and 0 elsewhere."""
        return dz if kept is None else dz * kept


def _for_each(value, z):
    """Repeat the value for each entry of an example in NumPy, whose loops then run along whole examples.

    Loops along the channels alone are short, and NumPy's maximum of two arrays is three times as fast as that of an
    array and a number.
    """
    return np.full(z.shape[1:], value, z.dtype) if isinstance(z, np.ndarray) else value


def _uniform(shapes, rng, dtype):
    """Return random arrays of these shapes; the last axis of a weight is that of the outputs, the others the inputs."""
    if not shapes:
        return {}
    bound = 1 / math.sqrt(math.prod(shapes["weight"][:-1]))
    return {name: rng.uniform(-bound, bound, shape).astype(dtype) for name, shape in shapes.items()}


def _check_window(layer):
    check_fields(layer, size=whole(1), stride=whole(1))


def _sides(layer, shape, *names):
    """Return the shape of an example; refuse it if its number of axes is not that of the names."""
    if len(shape) != len(names):
        raise ValueError(f"{layer} takes examples of shape ({', '.join(names)}); they have the shape {shape}")
    return shape


def _pooled(layer, shape):
    h, w, c = _sides(layer, shape, "H", "W", "C")
    ho, wo = (output_size(side, layer.size, layer.stride or layer.size, 0) for side in (h, w))
    if min(ho, wo) < 1:
        raise ValueError(f"{layer} leaves nothing of images of shape {shape}")
    return ho, wo, c
