"""Models, layers and losses in the same form: a map at a point, with its pullback."""

import copy
from typing import Any, NamedTuple

import numpy as np

from ...numerics import per_row
from .references import loss_reference, reference_of


class Case(NamedTuple):
    """A map z = f(x, *theta) at a point, its pullback by hand, and the same map of tensors (None if unknown)."""

    name: str
    labels: list  # "x", "params['weight']", ...
    primals: list  # x, *theta
    forward: Any
    pull: Any  # from dz to the gradients in x, *theta
    reference: Any


def case_of(subject, x, y, reference, rng):
    """Return the case of a model, a layer or a loss at x; refuse anything else."""
    if hasattr(subject, "vjp_x"):
        return _model(subject, x, reference or reference_of(subject))
    if hasattr(subject, "input_gradient"):
        return _layer(subject, x, reference or reference_of(subject), rng)
    if hasattr(subject, "value") and hasattr(subject, "grad"):
        if y is None:
            raise TypeError(f"{_name(subject)} is a loss, so labels y were expected")
        return _loss(subject, x, y, reference or loss_reference(subject))
    raise TypeError(f"a model, a layer or a loss was expected, not {subject!r}")


def _model(model, x, reference):
    names = list(model.params)

    def at(*theta):
        twin = copy.copy(model)
        twin.params = dict(zip(names, theta, strict=True))
        return twin

    theta = [np.array(model.params[name], np.float64) for name in names]
    model = at(*theta)

    def asked(method, dz=None):
        own = x.copy()
        found = getattr(model, method)(own)
        z, gradient = (found, None) if dz is None else (found[0], found[1](dz))
        if not np.array_equal(own, x):
            raise AssertionError(f"{_name(model)}: x is changed in place by {method}")
        return z, gradient

    def pull(dz):
        z, _ = asked("logits")
        z_x, in_x = asked("vjp_x", dz)
        z_theta, in_theta = asked("vjp_theta", dz)
        same_values(f"{_name(model)}: z by vjp_x", z_x, "by logits", z)
        same_values(f"{_name(model)}: z by vjp_theta", z_theta, "by logits", z)
        return [in_x, *_in_order(model, names, in_theta)]

    return _assembled(model, names, x, theta, lambda x, *theta: at(*theta).logits(x), pull, reference)


def _layer(layer, x, reference, rng):
    params, _ = layer.initial(x.shape[1:], rng, np.float64)
    names, theta = list(params), list(params.values())

    def forward(x, *theta):
        return layer.forward(dict(zip(names, theta, strict=True)), x.copy())[0]  # a layer may work in place

    def pull(dz):
        saved = layer.forward(params, x.copy())[1]
        in_theta = layer.parameter_gradient(params, saved, dz.copy())
        return [layer.input_gradient(params, saved, dz.copy()), *_in_order(layer, names, in_theta)]

    return _assembled(layer, names, x, theta, forward, pull, reference)


def _loss(loss, z, y, reference):
    def pull(dvalue):
        return [per_row(dvalue, z) * loss.grad(z, y)]

    value = reference and (lambda params, z: reference(z, y))
    return _assembled(loss, [], z, [], lambda z: loss.value(z, y), pull, value)._replace(labels=["z"])


def _assembled(subject, names, x, theta, forward, pull, reference):
    labels = ["x", *(f"params[{name!r}]" for name in names)]
    by_tensors = reference and (lambda x, *theta: reference(dict(zip(names, theta, strict=True)), x))
    return Case(_name(subject), labels, [x, *theta], forward, pull, by_tensors)


def _name(subject):
    return type(subject).__name__


def _in_order(subject, names, gradients):
    if set(gradients) != set(names):
        raise AssertionError(f"{_name(subject)}: gradients in {sorted(gradients)}; in {sorted(names)} were expected")
    return [gradients[name] for name in names]


def same_values(name, z, other_name, other):
    """Refuse two arrays that differ by more than rounding; the message shows the first entry in which they do."""
    if z.shape != other.shape:
        raise AssertionError(f"{name} has shape {z.shape}, {other_name} {other.shape}")
    wrong = ~np.isclose(z, other, rtol=1e-9, atol=1e-9 * abs(other).max(initial=0))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(f"{name} at {list(index)} is {z[index]:.6g}, {other_name} {other[index]:.6g}")
