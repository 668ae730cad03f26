r"""Gradients three ways: by hand, by the engine, by central differences, all in float64.

Whatever is checked, a model, a layer or a loss, is a map z = f(x, θ) with pullbacks written by hand. For a random dz
each of them must be the gradient of the number

.. math:: S(x, \theta) = \langle dz, f(x, \theta) \rangle

A random dz sees more than a loss does: the gradient of cross-entropy sums to zero over the classes, so it hides
whatever is wrong for all of them alike.
"""

import copy
import itertools
from typing import Any, NamedTuple

import numpy as np

from .. import layers, losses
from ..engine import ops, vjp
from ..models import LogisticRegression, Network, Taped
from ..numerics import per_row

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # h, tried in this order; times the largest entry of what is moved, if that is over 1


class Checked(NamedTuple):
    """What a check has seen.

    Attributes
    ----------
    compared : int
        How many derivatives were compared.
    skipped : int
        How many were not, because f has a kink there.
    error : float
        The largest relative error.
    """

    compared: int
    skipped: int
    error: float


def check_gradients(subject, x, y=None, *, reference=None, loss=None, tol=1e-6, samples=8, rng=None):
    r"""Compare gradients by hand with the engine's, entry by entry, and with central differences, at a sample.

    The sample of each array has some single entries, some random directions, and all entries at which hand and engine
    differ. With h small, the difference is that of five points,

    .. math:: \frac{4 D(h) - D(2h)}{3}, \qquad D(h) = \frac{S(x + hv) - S(x - hv)}{2h}

    At a kink (ReLU at 0, equal entries in a maximum) there is no derivative to compare with. It is taken for one if
    D(h) and D(2h), or the derivatives from the left and from the right, differ, with every h of ``STEPS``: the entry
    or direction is skipped, and counted.

    Parameters
    ----------
    subject : Model, Layer or Loss
        A model has ``vjp_x`` and ``vjp_theta``, a layer ``initial``, ``forward``, ``input_gradient`` and
        ``parameter_gradient``, a loss ``value`` and ``grad``. It is checked in float64.
    x : array
        A batch of examples, what the layer takes, or the logits for a loss.
    y : array, optional
        Labels. A loss needs them; given with a model, its loss is checked too, at the logits of x.
    reference : callable, optional
        The same map as a function of tensors: ``reference(params, x)``, for a loss ``reference(z, y)``. Default: what
        is known of the library's own layers, losses and models; for others the engine is left out.
    loss : Loss, optional
        Instead of the model's own.
    tol : float
        The largest relative error. Entries below the root mean square of their gradient are held against that.
    samples : int
        How many entries of each array, and a third as many directions, meet central differences.
    rng : numpy.random.Generator, optional
        Draws dz, the sample, and the parameters of a layer; the default is seeded with 0.

    Returns
    -------
    Checked
        How many derivatives were compared and skipped, and the largest relative error.

    Raises
    ------
    AssertionError
        If a gradient is wrong, in a sentence that names the array, the index and the three numbers; if x, dz or
        parameters are changed in place, or a pullback gives something else when it is called again; if nothing could
        be compared.
    TypeError
        If it is neither a model nor a layer nor a loss.

    Examples
    --------
    >>> class Cube(layers.Layer):
    ...     def forward(self, params, x):
    ...         return x**3, x
    ...     def input_gradient(self, params, x, dz):
    ...         return 2 * x**2 * dz
    >>> check_gradients(Cube(), np.array([[1.0]]), rng=np.random.default_rng(1))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: Cube: the gradient by x at [0, 0] is 0.691168 by hand, 1.03675 by central differences: ...
    """
    rng = np.random.default_rng(0) if rng is None else rng
    x = np.array(x, np.float64)
    case = _case(subject, x, y, reference, rng)
    z = case.forward(*case.primals)
    dz = rng.standard_normal(z.shape)
    hand = _by_hand(case, z, dz)
    engine = _by_engine(case, z, dz) if case.reference else [None] * len(hand)
    check = _Check(case, z, dz, tol)
    found = [check.array(i, *both, samples, rng) for i, both in enumerate(zip(hand, engine, strict=True))]
    if y is not None and hasattr(subject, "vjp_x"):
        found.append(check_gradients(loss or subject.loss, z, y, tol=tol, samples=samples, rng=rng))
    return Checked(sum(f.compared for f in found), sum(f.skipped for f in found), max(f.error for f in found))


# What is checked: a model, a layer or a loss, as one and the same thing.


class _Case(NamedTuple):
    """A map z = f(x, *theta) at a point, its pullback by hand, and the same map of tensors (None: unknown)."""

    name: str
    labels: list  # "x", "params['weight']", ...
    primals: list  # x, *theta
    forward: Any
    pull: Any  # dz to the gradients by x, *theta
    reference: Any


def _case(subject, x, y, reference, rng):
    if hasattr(subject, "vjp_x"):
        return _model(subject, x, reference or _reference_of(subject))
    if hasattr(subject, "input_gradient"):
        return _layer(subject, x, reference or _reference_of(subject), rng)
    if hasattr(subject, "value") and hasattr(subject, "grad"):
        if y is None:
            raise TypeError(f"{_name(subject)} is a loss; labels y were expected")
        return _loss(subject, x, y, reference or _loss_reference(subject))
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
        (z, _), (z_x, by_x), (z_theta, by_theta) = asked("logits"), asked("vjp_x", dz), asked("vjp_theta", dz)
        _same_values(f"{_name(model)}: z by vjp_x", z_x, "by logits", z)
        _same_values(f"{_name(model)}: z by vjp_theta", z_theta, "by logits", z)
        return [by_x, *_in_order(model, names, by_theta)]

    return _assembled(model, names, x, theta, lambda x, *theta: at(*theta).logits(x), pull, reference)


def _layer(layer, x, reference, rng):
    params, _ = layer.initial(x.shape[1:], rng, np.float64)
    names, theta = list(params), list(params.values())

    def forward(x, *theta):
        return layer.forward(dict(zip(names, theta, strict=True)), x.copy())[0]  # a layer may work in place

    def pull(dz):
        saved = layer.forward(params, x.copy())[1]
        by_theta = layer.parameter_gradient(params, saved, dz.copy())
        return [layer.input_gradient(params, saved, dz.copy()), *_in_order(layer, names, by_theta)]

    return _assembled(layer, names, x, theta, forward, pull, reference)


def _loss(loss, z, y, reference):
    def pull(dvalue):
        return [per_row(dvalue, z) * loss.grad(z, y)]

    value = reference and (lambda params, z: reference(z, y))
    return _assembled(loss, [], z, [], lambda z: loss.value(z, y), pull, value)._replace(labels=["z"])


def _assembled(subject, names, x, theta, forward, pull, reference):
    labels = ["x", *(f"params[{name!r}]" for name in names)]
    by_tensors = reference and (lambda x, *theta: reference(dict(zip(names, theta, strict=True)), x))
    return _Case(_name(subject), labels, [x, *theta], forward, pull, by_tensors)


def _name(subject):
    return type(subject).__name__


def _in_order(subject, names, gradients):
    if set(gradients) != set(names):
        raise AssertionError(f"{_name(subject)}: gradients by {sorted(gradients)}; by {sorted(names)} were expected")
    return [gradients[name] for name in names]


# Two of the three ways.


def _by_hand(case, z, dz):
    """The gradients by hand, asked for twice; nothing given may change meanwhile."""
    given = [("dz", dz), *zip(case.labels, case.primals, strict=True)]
    before = [value.copy() for _, value in given]
    first = [np.array(g) for g in case.pull(dz)]
    for (label, value), old in zip(given, before, strict=True):
        if not np.array_equal(value, old):
            raise AssertionError(f"{case.name}: {label} is changed in place")
    for label, value, g, again in zip(case.labels, case.primals, first, case.pull(dz), strict=True):
        if g.shape != value.shape:
            raise AssertionError(
                f"{case.name}: the gradient by {label} has shape {g.shape}; {value.shape} was expected"
            )
        if not np.array_equal(g, again, equal_nan=True):
            raise AssertionError(f"{case.name}: the gradient by {label} is another one when it is asked for again")
        if not np.isfinite(g).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(g))[0])
            raise AssertionError(f"{case.name}: the gradient by {label} at {list(index)} is {g[index]} by hand")
    return first


def _by_engine(case, z, dz):
    value, pull = vjp(case.reference, *case.primals)
    _same_values(f"{case.name}: z by the reference", value, "by hand", z)
    return pull(dz)


def _same_values(name, z, other_name, other):
    if z.shape != other.shape:
        raise AssertionError(f"{name} has shape {z.shape}, {other_name} {other.shape}")
    wrong = ~np.isclose(z, other, rtol=1e-9, atol=1e-9 * abs(other).max(initial=0))
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(f"{name} at {list(index)} is {z[index]:.6g}, {other_name} {other[index]:.6g}")


# The third way, and the comparison.


class _Check:
    """One case, with S(x, θ) = <dz, f(x, θ)>."""

    def __init__(self, case, z, dz, tol):
        self.case, self.z, self.dz, self.tol = case, z, dz, tol

    def array(self, i, hand, engine, samples, rng):
        """Compare the gradients by primal i."""
        floor = np.sqrt(np.mean(np.square(hand if engine is None else np.maximum(abs(hand), abs(engine)))))
        entries = list(rng.permutation(hand.size)[:samples])
        if engine is not None:
            apart = abs(hand - engine) - self.tol * np.maximum(floor, np.maximum(abs(hand), abs(engine)))
            entries = [k for k in np.argsort(-apart, axis=None)[:16] if apart.flat[k] > 0] + entries
        directions = [rng.standard_normal(hand.shape) for _ in range(-(-samples // 3))] if hand.size > 1 else []
        directions = [v / np.linalg.norm(v) for v in directions]
        errors = [self._at(i, hand, engine, floor, int(k)) for k in entries]
        errors += [self._along(i, hand, engine, floor, v) for v in directions]
        errors = [error for error in errors if error is not None]
        skipped = len(entries) + len(directions) - len(errors)
        if not errors:
            label = self.case.labels[i]
            raise AssertionError(f"{self.case.name}: f has kinks in all {skipped} directions of {label}; move it away")
        return Checked(len(errors), skipped, max(errors))

    def _at(self, i, hand, engine, floor, k):
        """The relative error at entry k; None at a kink."""
        v = np.zeros(hand.shape)
        v.flat[k] = 1
        error, text = self._compare(i, hand, engine, floor, v)
        if error is not None and error > self.tol:
            index = [int(j) for j in np.unravel_index(k, hand.shape)]
            self._fail(i, f"at {index}" if index else "", error, text)
        return error

    def _along(self, i, hand, engine, floor, v):
        """The same along direction v; where it is wrong, v is halved until one wrong entry is left."""
        error, text = self._compare(i, hand, engine, floor, v)
        if error is None or error <= self.tol:
            return error
        part = v
        while np.count_nonzero(part) > 1:
            entries = np.flatnonzero(part)
            half = part.copy()
            half.flat[entries[: len(entries) // 2]] = 0
            wrong = (self._compare(i, hand, engine, floor, half)[0] or 0) > self.tol
            part = half if wrong else part - half
        self._at(i, hand, engine, floor, int(np.flatnonzero(part)[0]))
        return self._fail(i, "along a random direction", error, text)

    def _compare(self, i, hand, engine, floor, v):
        """The relative error of the derivatives along v, in excess of rounding, and the numbers in words."""
        by_hand, by_engine = (None if g is None else float((g * v).sum()) for g in (hand, engine))
        size = max(abs(by_hand), abs(by_engine or 0), floor)
        slope, rounding = self._difference(i, v, size)
        if slope is None:
            return None, ""
        errors = [max(abs(by_hand - slope) - rounding, 0)]
        if by_engine is not None:
            errors.append(abs(by_hand - by_engine))
        words = [f"{by_hand:.6g} by hand", f"{slope:.6g} by central differences"]
        if by_engine is not None:
            words.insert(1, f"{by_engine:.6g} by the engine")
        size = max(size, abs(slope))
        return max(errors) / size if size else 0.0, ", ".join(words)

    def _difference(self, i, v, size):
        """The derivative of S by primal i along v and its rounding error; None at a kink."""
        before, at, after = self.case.primals[:i], self.case.primals[i], self.case.primals[i + 1 :]
        for h in STEPS:
            h *= max(1.0, abs(at).max())
            with np.errstate(all="ignore"):  # a step too long may leave the domain of f; a shorter one follows
                secant = {
                    k: (self.dz * (self.case.forward(*before, at + k * h * v, *after) - self.z)).sum() / (k * h)
                    for k in (-2, -1, 1, 2)
                }
            near, far = (secant[1] + secant[-1]) / 2, (secant[2] + secant[-2]) / 2
            right, left = 2 * secant[1] - secant[2], 2 * secant[-1] - secant[-2]
            slope = (4 * near - far) / 3
            rounding = 64 * np.finfo(float).eps * (abs(self.dz) * abs(self.z)).sum() / h
            if max(abs(near - far), abs(right - left)) <= self.tol * max(size, abs(slope)) + rounding:
                return slope, rounding
        return None, None

    def _fail(self, i, where, error, text):
        what = " ".join(filter(None, ["the gradient by", self.case.labels[i], where]))
        raise AssertionError(f"{self.case.name}: {what} is {text}: relative error {error:.3g}, over {self.tol:g}")


# The same maps for the engine, without the kernels of the library where they are what is checked.


def _reference_of(subject):
    """A function of (params, x) that gives the same as the subject, if it is known."""
    if type(subject) in LAYERS:
        return None if _drops(subject) else lambda params, x: LAYERS[type(subject)](subject, params, x)
    if isinstance(subject, LogisticRegression):
        return lambda params, x: _flat(x) @ params["theta"].reshape(-1) + params["theta0"]
    if isinstance(subject, Taped):
        return subject.f
    if isinstance(subject, Network) and all(type(p) in LAYERS and not _drops(p) for p in subject.layers):
        return lambda params, x: _chain(subject.layers, params, x)
    return None


def _drops(layer):
    return getattr(layer, "rng", None) is not None


def _chain(chain, params, x):
    for i, layer in enumerate(chain):
        own = {name.split(".", 1)[1]: value for name, value in params.items() if name.startswith(f"{i}.")}
        x = LAYERS[type(layer)](layer, own, x)
    return x


def _flat(x):
    return x.reshape(len(x), x.size // len(x))


def _taps(x, size, stride):
    """For each place in a window, the entries that all windows see there."""
    ho, wo = ((side - size) // stride + 1 for side in x.shape[1:3])
    for i, j in itertools.product(range(size), repeat=2):
        yield x[:, i : i + stride * (ho - 1) + 1 : stride, j : j + stride * (wo - 1) + 1 : stride]


def _conv(layer, params, x):
    (n, h, wide, c), q = x.shape, layer.padding
    inside = slice(None), slice(q, q + h), slice(q, q + wide)
    x = ops.scatter_add(x, inside, (n, h + 2 * q, wide + 2 * q, c))
    kernel = params["weight"].reshape(layer.size**2, c, layer.features)
    return sum(tap @ kernel[k] for k, tap in enumerate(_taps(x, layer.size, layer.stride))) + params["bias"]


def _windows(layer, x):
    """The windows of a pooling layer along a new first axis."""
    return ops.stack(list(_taps(x, layer.size, layer.stride or layer.size)))


LAYERS = {
    layers.Dense: lambda layer, params, x: _flat(x) @ params["weight"] + params["bias"],
    layers.Conv: _conv,
    layers.ReLU: lambda layer, params, x: ops.relu(x),
    layers.Tanh: lambda layer, params, x: ops.tanh(x),
    layers.Flatten: lambda layer, params, x: _flat(x),
    layers.MaxPool: lambda layer, params, x: _windows(layer, x).max(axis=0),
    layers.AveragePool: lambda layer, params, x: _windows(layer, x).mean(axis=0),
    layers.Dropout: lambda layer, params, x: x,
}
"""For each layer its map of tensors."""


def _loss_reference(loss):
    """A function of (z, y) that gives the same as the loss, if it is known."""
    inner = getattr(loss, "loss", None)
    known = type(loss) in LOSSES and (inner is None or _loss_reference(inner))
    return (lambda z, y: LOSSES[type(loss)](loss, z, y)) if known else None


def _margin(loss, z, y):
    if z.ndim == 1:
        return -(y * z)
    return _best_other(z, y) - _at_label(z, y)


def _targeted(loss, z, y):
    inner = _loss_reference(loss.loss)
    return inner(z, y[:, 0]) - inner(z, y[:, 1])


def _logit_difference(loss, z, y):
    return (y[:, 1] - y[:, 0]) / 2 * z if z.ndim == 1 else _at_label(z, y[:, 1]) - _at_label(z, y[:, 0])


def _target_minus_rest(loss, z, y):
    return y[:, 1] * z if z.ndim == 1 else 2 * _at_label(z, y[:, 1]) - z.sum(axis=1)


def _dlr(loss, z, y):
    largest = _largest_first(z)
    return _margin(loss, z, y) / (largest[:, 0] - largest[:, 2])


def _targeted_dlr(loss, z, y):
    largest = _largest_first(z)
    return _logit_difference(loss, z, y) / (largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2)


def _at_label(z, y):
    return z[np.arange(len(y)), y]


def _best_other(z, y):
    others = np.arange(z.shape[1]) != y[:, None]
    return ops.max(ops.where(others, z, -np.inf), axis=1)


def _largest_first(z):
    return z[np.arange(len(z))[:, None], np.argsort(-ops.plain(z), axis=1)]


LOSSES = {
    losses.Logistic: lambda loss, z, y: ops.softplus(-(y * z)),
    losses.CrossEntropy: lambda loss, z, y: ops.log_sum_exp(z)[:, 0] - _at_label(z, y),
    losses.Margin: _margin,
    losses.Targeted: _targeted,
    losses.LogitDifference: _logit_difference,
    losses.TargetMinusRest: _target_minus_rest,
    losses.TargetMargin: lambda loss, z, y: -_margin(loss, z, y[:, 1]),
    losses.DLR: _dlr,
    losses.TargetedDLR: _targeted_dlr,
}
"""For each loss its map of tensors; no denominator of a ratio may be zero."""
