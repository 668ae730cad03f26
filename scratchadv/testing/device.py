"""A simulated GPU, on which code that would leak from a device to NumPy fails on any machine.

``gpu`` takes the place of the module CuPy: ``monkeypatch.setitem(sys.modules, "cupy", gpu)``. Each of its arrays holds
a NumPy array and does with it what CuPy does, and no more. Names and keywords are those of CuPy 13.6, the oldest
version that this package supports. The arrays can be combined only with arrays of the device and with numbers. They
leave the device only by ``get``, ``item``, ``tolist`` and Python's conversions of a single number, such as ``float``.
The simulation is stricter than CuPy in two ways:

- Arrays and lists of the host are refused as indices, and arrays of the host as values for chosen entries. CuPy accepts
  them, but copies them from the host each time.
- An index out of bounds is an error, and so are two values for one entry. In CuPy the index wraps round, and it is
  undefined which of the two values is kept.

The simulation covers the part of CuPy that this package needs. If something is missing, look it up in CuPy's reference
and add a line below.
"""

import inspect
import operator
from types import ModuleType, SimpleNamespace

import numpy as np

CONSTANTS = "bool_ dtype finfo float32 float64 iinfo inf int32 int64 nan newaxis pi uint8"
UFUNCS = """
    abs absolute add bitwise_and bitwise_or bitwise_xor ceil cos divide equal exp expm1 floor floor_divide greater
    greater_equal invert isfinite isinf isnan less less_equal log log1p logaddexp logical_and logical_not logical_or
    matmul maximum minimum multiply negative not_equal power remainder rint sign sin sqrt square subtract tanh
"""


class _Functions:
    """Functions, with their signatures in CuPy."""

    # fmt: off
    def all(a, axis=None, out=None, keepdims=False): ...
    def any(a, axis=None, out=None, keepdims=False): ...
    def arange(start, stop=None, step=1, dtype=None): ...
    def argmax(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def argmin(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def argsort(a, axis=-1, kind=None): ...
    def ascontiguousarray(a, dtype=None): ...
    def broadcast_to(array, shape): ...
    def clip(a, a_min, a_max, out=None): ...
    def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"): ...
    def count_nonzero(a, axis=None): ...
    def cumsum(a, axis=None, dtype=None, out=None): ...
    def dot(a, b, out=None): ...
    def empty(shape, dtype=float, order="C"): ...
    def empty_like(prototype, dtype=None, order="K", subok=None, shape=None): ...
    def expand_dims(a, axis): ...
    def eye(N, M=None, k=0, dtype=float, order="C"): ...
    def flatnonzero(a): ...
    def full(shape, fill_value, dtype=None, order="C"): ...
    def full_like(a, fill_value, dtype=None, order="K", subok=None, shape=None): ...
    def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0): ...
    def max(a, axis=None, out=None, keepdims=False): ...
    def mean(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def min(a, axis=None, out=None, keepdims=False): ...
    def moveaxis(a, source, destination): ...
    def nonzero(a): ...
    def ones(shape, dtype=float, order="C"): ...
    def ones_like(a, dtype=None, order="K", subok=None, shape=None): ...
    def prod(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def ravel(a, order="C"): ...
    def repeat(a, repeats, axis=None): ...
    def reshape(a, newshape, order="C"): ...
    def roll(a, shift, axis=None): ...
    def shape(a): ...
    def sort(a, axis=-1, kind=None): ...
    def squeeze(a, axis=None): ...
    def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"): ...
    def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False): ...
    def sum(a, axis=None, dtype=None, out=None, keepdims=False): ...
    def swapaxes(a, axis1, axis2): ...
    def take(a, indices, axis=None, out=None): ...
    def take_along_axis(a, indices, axis): ...
    def tile(A, reps): ...
    def transpose(a, axes=None): ...
    def where(condition, x=None, y=None): ...
    def zeros(shape, dtype=float, order="C"): ...
    def zeros_like(a, dtype=None, order="K", subok=None, shape=None): ...
    # fmt: on


class _Methods:
    """Methods whose signatures differ from those of the functions."""

    # fmt: off
    def argsort(a, axis=-1): ...
    def astype(a, dtype, order="K", casting=None, subok=None, copy=True): ...
    def clip(a, min=None, max=None, out=None): ...
    def copy(a, order="C"): ...
    def fill(a, value): ...
    def flatten(a, order="C"): ...
    def reshape(a, *shape, order="C"): ...
    def sort(a, axis=-1): ...
    def transpose(a, *axes): ...
    # fmt: on

    def view(a, dtype=None):
        """Read the bytes as another dtype; one of another size needs contiguous numbers."""


class ndarray:
    """An array of the simulated GPU, made by ``gpu.asarray`` and similar functions."""

    __hash__ = None
    __array_priority__ = 100
    shape, strides, ndim, size, dtype, itemsize, nbytes, flags = (
        property(operator.attrgetter(f"_host.{name}"))
        for name in ("shape", "strides", "ndim", "size", "dtype", "itemsize", "nbytes", "flags")
    )
    T = property(lambda self: ndarray(self._host.T))

    def __init__(self, host):
        if host.dtype.kind not in "biufc":
            raise TypeError(f"Unsupported dtype {host.dtype}")
        self._host = host

    # Conversions to the host.

    def get(self):
        """Return a copy on the host."""
        return self._host.copy()

    def item(self):
        """Return the number in an array of one number."""
        return self._host.item()

    def tolist(self):
        """Return the numbers in nested lists."""
        return self._host.tolist()

    __bool__, __int__, __float__, __repr__, __str__ = (
        lambda self, convert=convert: convert(self._host) for convert in (bool, int, float, repr, str)
    )
    __format__ = lambda self, how: format(self._host, how)  # noqa: E731

    def __array__(self, *args, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    # NumPy's functions call those of the device.

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or ufunc.__name__ not in UFUNCS.split():
            return NotImplemented
        if "out" in options:
            (options["out"],) = options["out"]
        return getattr(gpu, ufunc.__name__)(*inputs, **options)

    def __array_function__(self, function, types, args, options):
        if not hasattr(_Functions, function.__name__):
            return NotImplemented
        return getattr(gpu, function.__name__)(*args, **options)

    # Length, iteration and indexing.

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return _on_device(self._host[_index(index)])

    def __setitem__(self, index, value):
        index = _index(index)
        value = _operand(value)
        if any(isinstance(i, np.ndarray) for i in (index if isinstance(index, tuple) else (index,))):
            times = np.zeros(self.shape, int)
            np.add.at(times, index, 1)
            if times.max(initial=0) > 1:
                raise IndexError("two values for one entry")
        self._host[index] = value

    __copy__ = lambda self: self.copy()  # noqa: E731
    __deepcopy__ = lambda self, memo: self.copy()  # noqa: E731


def _on_device(result):
    """Return a result of NumPy, with its arrays and numbers moved to the device."""
    if isinstance(result, tuple):
        return tuple(map(_on_device, result))
    return ndarray(np.asarray(result)) if isinstance(result, np.ndarray | np.generic) else result


def _on_host(argument):
    """Return the argument with its arrays moved to the host, for NumPy; refuse arrays that are already there."""
    if isinstance(argument, np.ndarray):
        raise TypeError(f"Unsupported type {np.ndarray}")
    if isinstance(argument, tuple | list):
        return type(argument)(map(_on_host, argument))
    return argument._host if isinstance(argument, ndarray) else argument


def _operand(argument):
    """Return an operand, which must be an array of the device or a number, moved to the host."""
    if not isinstance(argument, ndarray | bool | int | float | complex | np.generic):
        raise TypeError(f"Unsupported type {type(argument)}")
    return _on_host(argument)


def _index(index):
    if isinstance(index, list):
        raise TypeError(f"Unsupported type {list} as an index")
    return tuple(map(_index, index)) if isinstance(index, tuple) else _on_host(index)


def _ufunc(name):
    def ufunc(*args, out=None, dtype=None, casting="same_kind"):
        out = None if out is None else (_operand(out),)
        return _on_device(getattr(np, name)(*map(_operand, args), out=out, dtype=dtype, casting=casting))

    return ufunc


def _function(stub, call):
    """Return a function of the device that takes the stub's arguments and calls ``call`` on the host."""
    signature = inspect.signature(stub)
    array = {"a", "array", "condition", "prototype"} & set(signature.parameters)

    def function(*args, **options):
        given = signature.bind(*args, **options).arguments
        for name in array:
            if not isinstance(given[name], ndarray):
                raise TypeError(f"{stub.__name__}: {name} has type {type(given[name])}; a device array was expected")
        if given.get("kind") not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        return _on_device(call(*_on_host(args), **{name: _on_host(value) for name, value in options.items()}))

    function.__name__ = stub.__name__
    function.__doc__ = f"Do what ``{stub.__name__}`` does in CuPy."
    return function


def _operator(ufunc, swapped=False):
    def operate(x, y):
        if not isinstance(y, ndarray) and getattr(y, "__array_ufunc__", ufunc) is None:
            return NotImplemented  # y refuses to be an operand of an array
        return ufunc(y, x) if swapped else ufunc(x, y)

    return operate


def _asarray(a, dtype=None, order=None):
    if isinstance(a, ndarray):
        return a if dtype in (None, a.dtype) else a.astype(dtype)
    return ndarray(np.array(a, dtype=dtype))


def _add_at(a, index, values):
    if a.dtype not in ("float32", "float64", "int32", "uint32", "uint64"):
        raise TypeError(f"add.at does not support {a.dtype}")
    np.add.at(_on_host(a), _index(index), _operand(values))


gpu = ModuleType("gpu", "A simulation of CuPy; see the docstring of this file.")
gpu.ndarray = ndarray
gpu.asarray = _asarray
gpu.is_available = lambda: True
gpu.array = lambda obj, dtype=None, copy=True: _asarray(obj, dtype).copy() if copy else _asarray(obj, dtype)
gpu.asnumpy = lambda a: a.get() if isinstance(a, ndarray) else np.asarray(a)
gpu.lib = SimpleNamespace(stride_tricks=SimpleNamespace())
gpu.lib.stride_tricks.as_strided = lambda x, shape=None, strides=None: ndarray(
    np.lib.stride_tricks.as_strided(x._host, shape, strides)
)
vars(gpu).update({name: getattr(np, name) for name in CONSTANTS.split()})
vars(gpu).update({name: _ufunc(name) for name in UFUNCS.split()})
gpu.add.at = _add_at

for _stubs in (_Functions, _Methods):  # the second comes last, so its methods replace those of the first
    for _name, _stub in inspect.getmembers(_stubs, inspect.isfunction):
        if _stubs is _Functions:
            setattr(gpu, _name, _function(_stub, getattr(np, _name)))
        if callable(getattr(np.ndarray, _name, None)):
            setattr(ndarray, _name, _function(_stub, getattr(np.ndarray, _name)))

for _name, _own in {
    "add": gpu.add,
    "sub": gpu.subtract,
    "mul": gpu.multiply,
    "truediv": gpu.divide,
    "floordiv": gpu.floor_divide,
    "mod": gpu.remainder,
    "pow": gpu.power,
    "and": gpu.bitwise_and,
    "or": gpu.bitwise_or,
    "xor": gpu.bitwise_xor,
    "matmul": gpu.matmul,
}.items():
    setattr(ndarray, f"__{_name}__", _operator(_own))
    setattr(ndarray, f"__r{_name}__", _operator(_own, swapped=True))
    if _own is not gpu.matmul:
        setattr(ndarray, f"__i{_name}__", lambda x, y, ufunc=_own: ufunc(x, y, out=x))
ndarray.__lt__, ndarray.__le__, ndarray.__gt__, ndarray.__ge__, ndarray.__eq__, ndarray.__ne__ = map(
    _operator, (gpu.less, gpu.less_equal, gpu.greater, gpu.greater_equal, gpu.equal, gpu.not_equal)
)
ndarray.__neg__, ndarray.__abs__, ndarray.__invert__ = (
    lambda x, ufunc=ufunc: ufunc(x) for ufunc in (gpu.negative, gpu.absolute, gpu.invert)
)
