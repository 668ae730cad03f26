r"""Optimisers, which make one step on a dict of parameters, and schedules for the step size.

An optimiser stores nothing itself. What it remembers is ``state``, a dict of arrays that is passed in and returned.

- ``start(params)`` returns the state before the first step;
- ``step(params, grads, state, scale)`` returns new parameters and a new state; ``scale`` multiplies the step size.

A schedule is a function from the epoch, counted from 0, to this scale.
"""

import math
from dataclasses import dataclass

import numpy as np

from .. import checks
from ..backend import namespace
from ..checked import check_fields, checked, whole


@dataclass(frozen=True)
class SGD:
    r"""Gradient descent on a minibatch, optionally with momentum and weight decay.

    .. math::
        v^{[t+1]} = \mu v^{[t]} + \nabla_\theta + \lambda \theta^{[t]}, \qquad
        \theta^{[t+1]} = \theta^{[t]} - \alpha v^{[t+1]}, \qquad v^{[0]} = 0

    Parameters
    ----------
    lr : float
        The step size α.
    momentum : float
        The factor μ in [0, 1). As in PyTorch, α is not part of v.
    weight_decay : float
        The factor λ, for every parameter.

    Source: slide "Adversarial Training"; Polyak (1964) for the momentum.
    """

    lr: float
    momentum: float = 0
    weight_decay: float = 0

    def __post_init__(self):
        check_fields(self, lr=checks.size, momentum=checks.below_one, weight_decay=checks.size)

    def start(self, params):
        """Return the velocity v = 0, or an empty state without momentum."""
        return _zeros("velocity", params) if self.momentum else {}

    def step(self, params, grads, state, scale=1.0):
        """Return new parameters and a new state; the old ones do not change."""
        new, moved = {}, {}
        for name, p in params.items():
            v = _decayed(p, grads[name], self.weight_decay)
            if self.momentum:
                v = moved[f"velocity/{name}"] = self.momentum * state[f"velocity/{name}"] + v
            new[name] = p - self.lr * scale * v
        return new, moved


@dataclass(frozen=True)
class Adam:
    r"""Gradient descent with steps scaled by running means of the gradient and of its square.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        \theta \leftarrow \theta - \alpha \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    with :math:`g = \nabla_\theta + \lambda \theta` and the number t = 1, 2, … of the step.

    Parameters
    ----------
    lr : float
        The step size α.
    beta1, beta2 : float
        The decay rates of the two means, in [0, 1).
    epsilon : float
        The constant that keeps the quotient finite; it is not the radius of a ball.
    weight_decay : float
        The factor λ, for every parameter, as part of the gradient.

    Source: Kingma and Ba (2015), algorithm 1.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0

    def __post_init__(self):
        check_fields(self, beta1=checks.below_one, beta2=checks.below_one)
        check_fields(self, lr=checks.size, epsilon=checks.size, weight_decay=checks.size)

    def start(self, params):
        """Return the moments m = v = 0 and t = 0."""
        return {**_zeros("m", params), **_zeros("v", params), "t": np.array(0)}

    def step(self, params, grads, state, scale=1.0):
        """Return new parameters and a new state; the old ones do not change."""
        t = int(state["t"]) + 1
        new = {}
        moved = {"t": np.array(t)}
        for name, p in params.items():
            g = _decayed(p, grads[name], self.weight_decay)
            m = moved[f"m/{name}"] = self.beta1 * state[f"m/{name}"] + (1 - self.beta1) * g
            v = moved[f"v/{name}"] = self.beta2 * state[f"v/{name}"] + (1 - self.beta2) * g * g
            root = namespace(v).sqrt(v / (1 - self.beta2**t))
            new[name] = p - self.lr * scale / (1 - self.beta1**t) * m / (root + self.epsilon)
        return new, moved


def constant(epoch):
    """Return 1 in every epoch: the schedule that does not change the step size."""
    return 1.0


def _factors(name, value):
    """Return a dict of epochs to factors."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict of epochs to factors, not {checks.shown(value)}")
    return {
        checks.count(f"an epoch of {name}", epoch): checks.size(f"{name}[{epoch}]", factor)
        for epoch, factor in value.items()
    }


@checked(factors=_factors)
def steps(factors):
    """Return a schedule that jumps: ``steps({5: 0.1})`` is 1 in the first five epochs and 0.1 from then on.

    Parameters
    ----------
    factors : dict of int to float
        For some epochs, counted from 0, the scale from that epoch on. All scales are relative to the initial step size.

    Source: the tutorial of Kolter and Madry, chapter 4, whose CNN learns at 0.1 and after five epochs at 0.01.
    """
    return lambda epoch: factors[max(reached)] if (reached := [e for e in factors if e <= epoch]) else 1.0


@checked(epochs=whole(1))
def cosine(epochs):
    r"""Return a schedule that falls from 1 towards 0 like half a cosine: :math:`(1 + \cos(\pi e / E)) / 2` in epoch e.

    Parameters
    ----------
    epochs : int
        The number E of epochs.

    Source: Loshchilov and Hutter (2017), equation 5, without restarts.
    """
    return lambda epoch: (1 + math.cos(math.pi * min(epoch, epochs) / epochs)) / 2


def scales(schedule, epochs):
    """Return the factor of the schedule for each epoch; refuse anything but a number >= 0."""
    return [checks.size(f"schedule({epoch})", schedule(epoch)) for epoch in range(epochs)]


def _zeros(what, params):
    return {f"{what}/{name}": namespace(p).zeros_like(p) for name, p in params.items()}


def _decayed(p, g, weight_decay):
    """Return the gradient including the weight decay, in the dtype of the parameter."""
    g = g.astype(p.dtype, copy=False)
    return g + weight_decay * p if weight_decay else g
