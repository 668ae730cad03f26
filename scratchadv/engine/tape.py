r"""Reverse-mode differentiation: a graph of tensors, walked backwards.

A function of tensors is run once. Each operation z = op(x, y, ...) makes a ``Tensor`` that holds its value and, for
every x, a *pullback*: the linear map from :math:`g = \partial L / \partial z` to the share of z in
:math:`\partial L / \partial x`. Nothing else is recorded: there is no global tape, and the graph is freed with its
tensors.

Calls nest. Each call of ``vjp`` has a ``level``, which is higher for an inner call than for the outer one, and the
value of an inner tensor may be a tensor of the outer call. Pullbacks compute with values. So everything that an inner
call computes, including its gradients, is recorded for the outer call, which can differentiate it again.

Pullbacks compute with arrays of the forward pass, so an array that was changed in between would give a wrong gradient.
For this reason primals and constants are copied as soon as they are passed in, unless they are read-only or ``shared``.
"""

import itertools
import operator
from functools import partial

import numpy as np

from ..backend import namespace, read_only, snapshot
from .scalar import topological_order

_levels = itertools.count()  # an inner call begins later than the outer one, so its number is higher
_shared = {}  # for the level of each running call of vjp, the ids of the arrays that need no copy


class Tensor:
    """An array inside a function that is being differentiated; ``ops.py`` defines Python's operators for it.

    Parameters
    ----------
    value : array or Tensor of a lower level
    level : int
        The number of the call of ``vjp`` that it belongs to.
    parents : tuple of (Tensor, callable)
        The tensors it was computed from, each with its pullback.
    """

    __slots__ = "level", "parents", "value"
    __array_priority__ = 1000
    __array_ufunc__ = None  # NumPy leaves array + tensor to the tensor
    __hash__ = object.__hash__  # as keys, tensors are compared by identity

    def __init__(self, value, level, parents=()):
        self.value = value
        self.level = level
        self.parents = parents

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)

    def __repr__(self):
        return f"Tensor({self.value!r})"

    def __len__(self):
        return len(self.value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(_array(self))

    def __array__(self, *args, **options):
        raise TypeError("a Tensor is not an array: use the functions of engine.ops, or plain(tensor) for a constant")

    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = (
        lambda x, y, compare=compare: compare(_array(x), _array(y))  # a plain result: it has no derivative
        for compare in (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)
    )


def plain(x):
    """Return the array inside a tensor, read-only, as a constant of the derivative; anything else is returned as is."""
    return read_only(_array(x)) if isinstance(x, Tensor) else x


def _array(x):
    while isinstance(x, Tensor):
        x = x.value
    return x


def operation(function, formula, *rules):
    r"""Extend a function of arrays to arrays and tensors.

    Parameters
    ----------
    function : str or callable
        The name of a function that NumPy and CuPy have, or a function of arrays.
    formula : str
        What it computes. It becomes the docstring.
    *rules : callable or None
        ``rule(g, z, *args, **options)`` for each positional argument x: it takes :math:`g = \partial L / \partial z` to
        :math:`\partial L / \partial x` and is written in the engine's own operations. An argument whose rule is None
        or missing must be a constant.

    Returns
    -------
    callable
    """

    def op(*args, **options):
        return (record if Tensor in map(type, args) else forward)(args, options)

    def forward(args, options):
        f = getattr(namespace(*args), function) if isinstance(function, str) else function
        return f(*args, **options)

    def record(args, options, kept=False):
        tensors = [(i, x) for i, x in enumerate(args) if isinstance(x, Tensor)]
        level = max([x.level for _, x in tensors])
        parents = [(i, x) for i, x in tensors if x.level == level]
        if not kept:
            args = [x if isinstance(x, Tensor) else _kept(x, level) for x in args]
            options = options and {name: _kept(x, level) for name, x in options.items()}
        values = list(args)
        for i, x in parents:
            values[i] = x.value
            if i >= len(rules) or rules[i] is None:
                raise TypeError(f"{op.__name__} has no derivative in argument {i}; a constant was expected there")
        z = record(values, options, True) if Tensor in map(type, values) else forward(values, options)
        return Tensor(z, level, tuple([(x, partial(_pull, rules[i], x.value, z, values, options)) for i, x in parents]))

    op.__name__ = op.__qualname__ = function if isinstance(function, str) else function.__name__.lstrip("_")
    op.__doc__ = formula
    return op


def _kept(x, level):
    """Return the argument with its arrays, also those in an index, copied, so that its owner cannot change it."""
    if isinstance(x, int | float):
        return x
    if isinstance(x, tuple | list):
        return (tuple if isinstance(x, tuple) else list)([_kept(part, level) for part in x])
    return x if id(x) in _shared.get(level, ()) else snapshot(x)


def _pull(rule, x, z, args, options, g):
    return undo_broadcasting(rule(g, z, *args, **options), x)


def undo_broadcasting(g, x):
    """Sum g over the axes along which x was repeated, and return it with the shape and dtype of x.

    What is copied in the forward pass is added up in the backward pass.
    """
    if g.shape != x.shape:
        new = g.ndim - x.ndim
        repeated = tuple(new + i for i, n in enumerate(x.shape) if n == 1)
        g = g.sum(axis=(*range(new), *repeated)).reshape(x.shape)
    return g if g.dtype == x.dtype else g.astype(x.dtype)


def vjp(f, *primals, shared=()):
    r"""Return the value of f and its pullback (vector-Jacobian product).

    .. math:: z = f(x_1, \ldots, x_n), \qquad
              \mathrm{pull}(g) = \left( g^T \frac{\partial z}{\partial x_1}, \ldots,
              g^T \frac{\partial z}{\partial x_n} \right)

    Parameters
    ----------
    f : callable
        A function from tensors to a tensor.
    *primals : float array, float or Tensor
        Where f is evaluated. If one is a tensor of an outer call, the value and the gradients are tensors too.
    shared : iterable of array
        Large arrays, among the primals or used by f, that are not copied. The caller promises not to write to them
        before the last call of ``pull``.

    Returns
    -------
    value : array or Tensor
        A tensor if and only if it depends on a tensor of an outer call.
    pull : callable
        A function from a cotangent, shaped like the value, to a tuple of gradients. Each has the shape and dtype of its
        primal and its own memory, and is zero for a primal that f does not use. It may be called many times. If the
        primals, the value or arrays that f used are overwritten, the gradients are still those of the forward pass.

    Raises
    ------
    TypeError
        If a primal does not hold floats, or f does not return a tensor.
    ValueError
        Raised by ``pull`` if the shape of the cotangent is not that of the value.
    """
    primals = [_floats(f"primal {i}", x) for i, x in enumerate(primals)]
    level = next(_levels)
    shared = {id(x) for x in shared}
    leaves = [Tensor(x if id(x) in shared else snapshot(x), level) for x in primals]
    _shared[level] = shared
    try:
        output = f(*leaves)
    finally:
        del _shared[level]
    while isinstance(output, Tensor) and output.level > level:  # it escaped from an inner call, which has ended
        output = output.value
    if not isinstance(output, Tensor):
        raise TypeError(f"f returned {_name(output)}; a Tensor computed from its arguments was expected")
    if output.level < level:  # it belongs to an outer call and depends on none of the primals
        output = Tensor(output, level)
    order = [z for z in topological_order(output) if z.parents]  # the loop of scalar.py

    def pull(cotangent):
        gradients = {output: _cotangent(cotangent, output)}
        for z in reversed(order):  # everything computed from z has passed on its share
            g = gradients.pop(z)
            for x, pullback in z.parents:
                share = pullback(g)
                gradients[x] = gradients[x] + share if x in gradients else share
        return tuple(_gradient(gradients.get(leaf), leaf.value) for leaf in leaves)

    return snapshot(output.value), pull  # the caller may write to the value


def value_and_grad(f):
    """Return the function ``(x, *rest) -> f(x, *rest), gradient in x`` for a scalar function f; see :func:`grad`."""

    def value_and_gradient(x, *rest, **options):
        value, pull = vjp(lambda x: f(x, *rest, **options), x)
        if value.shape != ():
            raise ValueError(f"f returned shape {value.shape}; a scalar, shape (), was expected: sum it, or use vjp")
        return value, pull(1.0)[0]

    return value_and_gradient


def grad(f):
    r"""Return the function ``(x, *rest) -> gradient`` :math:`\nabla_x f(x, \ldots)` for a scalar function f.

    The gradient is of the same kind as x: an array, a float or a tensor.

    >>> grad(lambda x: x**3)(2.0), grad(grad(lambda x: x**3))(2.0)
    (np.float64(12.0), np.float64(12.0))
    """
    both = value_and_grad(f)
    return lambda x, *rest, **options: both(x, *rest, **options)[1]


def _name(x):
    return f"an array of {x.dtype}" if hasattr(x, "dtype") else f"{x!r} ({type(x).__name__})"


def _floats(name, x):
    """Return the primal, with a Python float as a NumPy scalar; refuse anything that does not hold floats."""
    x = np.float64(x) if isinstance(x, float) else x
    if not hasattr(x, "dtype") or x.dtype.kind != "f":
        raise TypeError(f"{name} is {_name(x)}; an array of floats was expected")
    return x


def _cotangent(g, z):
    """Return the cotangent in the dtype of z; refuse it if its shape is not that of z."""
    shape = getattr(g, "shape", ())
    if shape != z.shape:
        raise ValueError(f"the cotangent has shape {shape}; {z.shape}, the shape of f's value, was expected")
    return g if isinstance(g, Tensor) else namespace(plain(z), g).asarray(g, dtype=z.dtype)


def _gradient(g, x):
    """Return the gradient as the same kind of object as the primal x, in its own memory; None stands for zero."""
    if g is None:
        g = namespace(plain(x)).zeros_like(plain(x))
    if isinstance(g, Tensor):
        return g
    if isinstance(x, Tensor):
        return Tensor(snapshot(g), x.level)  # g may be the caller's cotangent
    return x.dtype.type(float(g)) if isinstance(x, np.generic) else namespace(x).array(g, dtype=x.dtype)
