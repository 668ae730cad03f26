"""The description of a run in words and numbers, which tells two runs apart in a message and in a key."""

import dataclasses
import hashlib
import json
from functools import partial
from types import BuiltinFunctionType, FunctionType

import numpy as np

from ..backend import host

_HOUSE = __name__.split(".")[0] + "."


def describe(value):
    """Return a description of the value in JSON types, the same in every process.

    Numbers, text and containers stand for themselves. Arrays and the parameters of a model are described by a digest, a
    dataclass by its fields, a ``partial`` by its arguments, a function of this package by its name, and a generator by
    its seed.

    Raises
    ------
    TypeError
        If the value cannot be described, such as a function from elsewhere, whose name does not say what it does.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(name): describe(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, partial):
        return describe({"is": value.func, "arguments": value.args, **value.keywords})
    if isinstance(value, np.random.Generator):
        return {"is": type(value.bit_generator).__name__, "seed": seed_of(value)}
    if hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": str(value.dtype), "sha256": digest(value)}
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return _name(value)
    if hasattr(value, "params"):
        return {"is": _name(type(value)), "params": digest(*value.params.values())}
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        return {"is": f"{type(value).__module__}.{type(value).__qualname__}", **describe(fields)}
    return {"is": _name(type(value)), **describe(vars(value))}


def seed_of(rng):
    """Return what the generator was seeded with; it does not change when numbers are drawn."""
    seed = rng.bit_generator.seed_seq
    return describe([getattr(seed, "entropy", None), getattr(seed, "spawn_key", None)])


def state_of(rng):
    """Return the state of the generator as JSON text; ``rng.bit_generator.state = json.loads(text)`` restores it."""
    return json.dumps(rng.bit_generator.state, default=lambda array: array.tolist())


def generators_of(value):
    """Return the generators that a function draws from, if they are arguments of a ``partial``."""
    if isinstance(value, np.random.Generator):
        return [value]
    if isinstance(value, partial):
        inside = (value.func, *value.args, *value.keywords.values())
        return [rng for item in inside for rng in generators_of(item)]
    return []


def digest(*arrays):
    """Return the sha256 of the dtypes, shapes and bytes, as text."""
    sha = hashlib.sha256()
    for array in map(host, arrays):
        sha.update(f"{array.dtype.str} {array.shape} ".encode())
        sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()


def differences(there, here, place=""):
    """Return one line for each difference, such as ``model.shape: [28, 28, 1] there, [32, 32, 3] here``."""
    if isinstance(there, dict) and isinstance(here, dict):
        pairs = [(str(k), there.get(k), here.get(k)) for k in {**there, **here}]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(there, here, strict=True))]
    else:
        return [] if there == here else [f"{place}: {there} there, {here} here"]
    return [line for name, a, b in pairs for line in differences(a, b, f"{place}.{name}".lstrip("."))]


def _name(thing):
    name = f"{thing.__module__}.{thing.__qualname__}"
    if not name.startswith(_HOUSE):
        raise TypeError(f"{name} cannot be described: it is not in this package, and a name does not say what it does")
    return name
