r"""The table of rules: every operation beside its formula.

An operation computes z from x, y, ... Its rule for x takes :math:`g = \partial L / \partial z` to
:math:`\partial L / \partial x`, and may use z and all arguments. Rules are written in the operations of this table, so
a gradient can be differentiated again. After every rule, ``tape.undo_broadcasting`` undoes the broadcasting.
On plain arrays an operation is the NumPy or CuPy function and returns a plain array.
"""

import itertools
import operator

from .. import numerics
from ..backend import namespace
from ..kernels import conv as conv_kernels
from ..kernels import pool as pool_kernels
from .tape import Tensor, operation, plain


def elementwise(function, formula, slope):
    r"""Return the operation z = h(x), whose rule is the chain rule :math:`\partial L / \partial x = g\, h'(x)`."""
    return operation(function, formula, lambda g, z, x: g * slope(z, x))


# fmt: off
# Elementwise, one argument                    z                    ∂z/∂x

negative = elementwise("negative",             "−x",                lambda z, x: -1)
exp      = elementwise("exp",                  "eˣ",                lambda z, x: z)
log      = elementwise("log",                  "log x",             lambda z, x: 1 / x)
log1p    = elementwise("log1p",                "log(1 + x)",        lambda z, x: 1 / (1 + x))
sqrt     = elementwise("sqrt",                 "√x",                lambda z, x: 0.5 / z)
sin      = elementwise("sin",                  "sin x",             lambda z, x: cos(x))
cos      = elementwise("cos",                  "cos x",             lambda z, x: -sin(x))
tanh     = elementwise("tanh",                 "tanh x",            lambda z, x: 1 - z * z)
sigmoid  = elementwise(numerics.sigmoid,       "τ(x) = 1/(1+e⁻ˣ)",  lambda z, x: z * sigmoid(-x))  # 1 − τ(x) = τ(−x)
softplus = elementwise(numerics.softplus,      "log(1 + eˣ)",       lambda z, x: sigmoid(x))
sign     = elementwise("sign",                 "sign x",            lambda z, x: 0)
absolute = elementwise("absolute",             "|x|",               lambda z, x: sign(x))  # 0 at 0

# Elementwise, two arguments       z           ∂L/∂x                             ∂L/∂y

add      = operation("add",      "x + y",      lambda g, z, x, y: g,             lambda g, z, x, y: g)
subtract = operation("subtract", "x − y",      lambda g, z, x, y: g,             lambda g, z, x, y: -g)
multiply = operation("multiply", "x y",        lambda g, z, x, y: g * y,         lambda g, z, x, y: g * x)
divide   = operation("divide",   "x / y",      lambda g, z, x, y: g / y,         lambda g, z, x, y: -g * z / y)
maximum  = operation("maximum",  "max(x, y)",  lambda g, z, x, y: g * (x >= y),  lambda g, z, x, y: g * (y > x))
minimum  = operation("minimum",  "min(x, y)",  lambda g, z, x, y: g * (x <= y),  lambda g, z, x, y: g * (y < x))
# fmt: on


def relu(x):
    """Return max(0, x), with slope 1 where x > 0 and slope 0 elsewhere."""
    return maximum(0, x)


power = operation(
    operator.pow,
    "xᵖ for a number p: ∂z/∂x = p xᵖ⁻¹",
    lambda g, z, x, p: g * (p * x ** (p - 1 if p else 1)),  # not 0 · x⁻¹, which is NaN at x = 0
)
_where = operation(
    "where",
    "x where the mask is true, else y: ∂z/∂x = 1 there, and ∂z/∂y = 1 elsewhere",
    None,
    lambda g, z, mask, x, y: where(mask, g, 0),
    lambda g, z, mask, x, y: where(mask, 0, g),
)


def where(mask, x, y):
    r"""Return x where the mask is true and y elsewhere.

    The branch that is not taken gets the gradient 0. Its own pullback multiplies this 0 by its slope, and if the slope
    is infinite or NaN the product is NaN, although the value of ``where`` is finite. So ``where`` does not protect
    :math:`\sqrt x` at x = 0. The remedy is a second ``where`` inside, which keeps the dangerous x away from the root:

    >>> import numpy as np
    >>> from scratchadv.engine import grad
    >>> x = np.array([4.0, 0.0])
    >>> with np.errstate(all="ignore"):
    ...     grad(lambda x: where(x > 0, sqrt(x), 0).sum())(x)
    array([0.25,  nan])
    >>> grad(lambda x: where(x > 0, sqrt(where(x > 0, x, 1)), 0).sum())(x)
    array([0.25, 0.  ])

    Source: JAX's documentation, "Gradients contain NaN where using where".
    """
    return _where(mask, x, y)


astype = operation(
    lambda x, dtype: x.astype(dtype),
    "x in another dtype",
    lambda g, z, x, dtype: g,  # undo_broadcasting brings every gradient to the dtype of its x
)

# Sums and copies: what is summed forward is copied backward, and vice versa.


def _sum(x, axis=None, keepdims=False):
    return namespace(x).sum(x, axis=axis, keepdims=keepdims)


sum = operation(
    _sum,
    "Σᵢ xᵢ along axes: ∂z/∂xᵢ = 1",
    lambda g, z, x, axis=None, keepdims=False: broadcast_to(g.reshape(_kept(x.shape, axis)), x.shape),
)
broadcast_to = operation(
    "broadcast_to",
    "Copies of x along new axes and axes of length 1: ∂L/∂x is the sum of g over the copies",
    lambda g, z, x, shape: g,  # summed by undo_broadcasting
)


def _kept(shape, axis):
    """Return the shape of a sum along the axes with ``keepdims=True``."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {a % len(shape) for a in axes}
    return tuple(1 if a in axes else n for a, n in enumerate(shape))


def mean(x, axis=None, keepdims=False):
    """Return the mean along axes: the sum divided by the number of terms."""
    z = sum(x, axis=axis, keepdims=keepdims)
    return z / (x.size // z.size)


# Picking and placing entries: each is the adjoint of the other.


def _scatter_add(v, index, shape):
    xp = namespace(v)
    z = xp.zeros(shape, dtype=v.dtype)
    if any(hasattr(i, "__len__") for i in (index if isinstance(index, tuple) else (index,))):
        xp.add.at(z, index, v)  # an array of indices may name an entry twice
    else:
        z[index] = v
    return z


getitem = operation(
    operator.getitem,
    "x[index]",
    lambda g, z, x, index: scatter_add(g, index, x.shape),
)
scatter_add = operation(
    _scatter_add,
    "Zeros of the given shape, then z[index] += v: an entry that the index names twice gets both terms",
    lambda g, z, v, index, shape: g[index],
)


def take_along_axis(x, index, axis):
    """Return the entries z[i, j] = x[index[i, j], j] for axis 0, and likewise for others; index.ndim is x.ndim."""
    xp = namespace(index)
    axis %= x.ndim
    every = [xp.arange(n).reshape(-1, *[1] * (x.ndim - 1 - a)) for a, n in enumerate(x.shape)]
    return x[(*every[:axis], index, *every[axis + 1 :])]


def max(x, axis=None, keepdims=False):
    """Return the largest entry along one axis, or of all entries; among equal ones the first gets the gradient."""
    if axis is None:
        return max(x.reshape(-1), axis=0).reshape((1,) * x.ndim if keepdims else ())
    first = plain(x).argmax(axis=axis)
    z = take_along_axis(x, namespace(first).expand_dims(first, axis), axis)
    return z if keepdims else sum(z, axis=axis)  # the sum over an axis of length 1 removes it


def concatenate(xs, axis=0):
    """Join the arrays along an existing axis; the gradient of each is its own part of g."""
    ends = itertools.accumulate(x.shape[axis] for x in xs)
    before = (slice(None),) * (axis % xs[0].ndim)
    parts = [(*before, slice(end - x.shape[axis], end)) for x, end in zip(xs, ends, strict=True)]
    rules = [lambda g, z, *xs, part=part: g[part] for part in parts]
    return operation(lambda *xs: namespace(*xs).concatenate(xs, axis), "", *rules)(*xs)


def stack(xs, axis=0):
    """Join the arrays along a new axis."""
    new = (*(slice(None),) * (axis % (xs[0].ndim + 1)), None)
    return concatenate([x[new] for x in xs], axis)


reshape = operation(
    "reshape",
    "The entries of x in another shape",
    lambda g, z, x, shape: g.reshape(x.shape),
)
transpose = operation(
    "transpose",
    "The axes of x in another order: z.shape[i] = x.shape[axes[i]]",
    lambda g, z, x, axes=None: transpose(g, None if axes is None else _inverse(axes)),
)


def _inverse(axes):
    """Return the inverse of the permutation."""
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


# Bilinear maps: the derivative with respect to one factor is a product with the other one.

_matmul = operation(
    "matmul",
    "The matrix product Z = X Y over the last two axes: ∂L/∂X = G Yᵀ, ∂L/∂Y = Xᵀ G",
    lambda g, z, x, y: _matmul(g, _transposed(y)),
    lambda g, z, x, y: _matmul(_transposed(x), g),
)


def _transposed(x):
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def matmul(x, y):
    """Return x @ y; a vector is a row on the left and a column on the right, and further axes broadcast."""
    if x.ndim == 1:
        return matmul(x[None], y)[0 if y.ndim == 1 else (..., 0, slice(None))]
    return _matmul(x, y[:, None])[..., 0] if y.ndim == 1 else _matmul(x, y)


conv = operation(
    conv_kernels.conv,
    "z = x ∗ w, with ⟨g, x ∗ w⟩ = ⟨conv_input_gradient(g, w), x⟩ = ⟨conv_kernel_gradient(x, g), w⟩",
    lambda g, z, x, w, stride=1, padding=0: conv_input_gradient(g, w, x.shape[1:3], stride, padding),
    lambda g, z, x, w, stride=1, padding=0: conv_kernel_gradient(x, g, w.shape[:2], stride, padding),
)
conv_input_gradient = operation(
    conv_kernels.conv_input_gradient,
    "The z with ⟨v, x ∗ w⟩ = ⟨z, x⟩ for all x; so ⟨z, g⟩ = ⟨v, g ∗ w⟩",
    lambda g, z, v, w, size, stride=1, padding=0: conv(g, w, stride, padding),
    lambda g, z, v, w, size, stride=1, padding=0: conv_kernel_gradient(g, v, w.shape[:2], stride, padding),
)
conv_kernel_gradient = operation(
    conv_kernels.conv_kernel_gradient,
    "The z with ⟨v, x ∗ w⟩ = ⟨z, w⟩ for all w; so ⟨z, g⟩ = ⟨v, x ∗ g⟩",
    lambda g, z, x, v, kernel, stride=1, padding=0: conv_input_gradient(v, g, x.shape[1:3], stride, padding),
    lambda g, z, x, v, kernel, stride=1, padding=0: conv(x, g, stride, padding),
)

# Pooling is linear once the winners, the places of the maxima, are known.


def max_pool(x, size, stride):
    """Return the largest entry of each window of the images; among equal ones the first gets the gradient."""
    z, winner = pool_kernels.max_pool(plain(x), size, stride)
    return max_pool_gather(x, winner, size, stride) if isinstance(x, Tensor) else z


max_pool_gather = operation(
    pool_kernels.max_pool_gather,
    "z = x at the winners: ∂L/∂x = g at the winners, 0 elsewhere",
    lambda g, z, x, winner, size, stride: max_pool_input_gradient(g, winner, x.shape, size, stride),
)
max_pool_input_gradient = operation(
    pool_kernels.max_pool_input_gradient,
    "z = v at the winners, 0 elsewhere: ∂L/∂v = g at the winners",
    lambda g, z, v, winner, shape, size, stride: max_pool_gather(g, winner, size, stride),
)
average_pool = operation(
    pool_kernels.average_pool,
    "The mean of each window of the images: each entry of a window gets an equal share of g",
    lambda g, z, x, size, stride: average_pool_input_gradient(g, x.shape, size, stride),
)
average_pool_input_gradient = operation(
    pool_kernels.average_pool_input_gradient,
    "Each v divided equally among its window: ∂L/∂v is the mean of g over the window",
    lambda g, z, v, shape, size, stride: average_pool(g, size, stride),
)

log_sum_exp = operation(
    numerics.log_sum_exp,
    "Row by row log Σₖ exp xₖ, (N, K) to (N, 1): ∂z/∂xₖ = softmax(x)ₖ",
    lambda g, z, x: g * softmax(x),
)


def softmax(x):
    """Return exp xₖ / Σⱼ exp xⱼ for each row of x, ``(N, K)``."""
    e = exp(x - plain(x).max(axis=1, keepdims=True))  # subtracting a constant changes nothing but avoids overflow
    return e / sum(e, axis=1, keepdims=True)


# Python's operators and NumPy's methods for tensors.


def _given(shape):
    """Return the shape as a tuple; as in NumPy it is given as one tuple or as several numbers."""
    return shape[0] if isinstance(shape[0], tuple) else shape


Tensor.__add__ = Tensor.__radd__ = add
Tensor.__mul__ = Tensor.__rmul__ = multiply
Tensor.__sub__ = subtract
Tensor.__rsub__ = lambda x, y: subtract(y, x)
Tensor.__truediv__ = divide
Tensor.__rtruediv__ = lambda x, y: divide(y, x)
Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda x, y: matmul(y, x)
Tensor.__pow__ = power
Tensor.__neg__ = negative
Tensor.__abs__ = absolute
Tensor.__getitem__ = getitem
Tensor.sum = sum
Tensor.mean = mean
Tensor.max = max
Tensor.astype = astype
Tensor.reshape = lambda x, *shape: reshape(x, _given(shape))
Tensor.transpose = lambda x, *axes: transpose(x, _given(axes) if axes else None)
Tensor.T = property(transpose)
