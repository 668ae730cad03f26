"""The same maps for the engine, written without those kernels of the library that are being checked."""

import itertools

import numpy as np

from ... import layers, losses
from ...engine import ops
from ...models import LogisticRegression, Network, Taped


def reference_of(subject):
    """Return a function of (params, x) that computes the same as the subject, or None if none is known."""
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
    """Yield, for each place in a window, the entries that all windows have at that place."""
    ho, wo = ((side - size) // stride + 1 for side in x.shape[1:3])
    for i, j in itertools.product(range(size), repeat=2):
        yield x[:, i : i + stride * (ho - 1) + 1 : stride, j : j + stride * (wo - 1) + 1 : stride]


def _conv(layer, params, x):
    n, h, wide, c = x.shape
    q = layer.padding
    inside = slice(None), slice(q, q + h), slice(q, q + wide)
    x = ops.scatter_add(x, inside, (n, h + 2 * q, wide + 2 * q, c))
    kernel = params["weight"].reshape(layer.size**2, c, layer.features)
    return sum(tap @ kernel[k] for k, tap in enumerate(_taps(x, layer.size, layer.stride))) + params["bias"]


def _windows(layer, x):
    """Return the windows of a pooling layer along a new first axis."""
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
"""For each layer, its map of tensors."""


def loss_reference(loss):
    """Return a function of (z, y) that computes the same as the loss, or None if none is known."""
    inner = getattr(loss, "loss", None)
    known = type(loss) in LOSSES and (inner is None or loss_reference(inner))
    return (lambda z, y: LOSSES[type(loss)](loss, z, y)) if known else None


def _margin(loss, z, y):
    if z.ndim == 1:
        return -(y * z)
    return _best_other(z, y) - _at_label(z, y)


def _targeted(loss, z, y):
    inner = loss_reference(loss.loss)
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
"""For each loss, its map of tensors; for ratios, the denominator must not be zero."""
