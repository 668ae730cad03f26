"""Checks of models, perturbation sets, losses and optimisers, and of all that an attack is given."""

import math

import numpy as np

from ..backend import namespace
from .arrays import images, one_side
from .outputs import fitting
from .ranges import inside_box, pixel_range
from .values import function, has, shown


def model(name, value):
    """Refuse what has no ``logits`` and ``vjp_x``."""
    return has(name, value, ("logits", "vjp_x"), "a model with logits and vjp_x")


def classifier(name, value):
    """Refuse what has no ``logits``; what only predicts needs no gradient."""
    return has(name, value, ("logits",), "a model with logits")


def judged(name, value):
    """Refuse what has no ``logits`` and ``loss``; what is only judged needs no gradient."""
    return has(name, value, ("logits", "loss"), "a model with logits and loss")


def trainable(name, value):
    """Refuse what has no ``logits``, ``vjp_theta`` and ``params``."""
    return has(name, value, ("logits", "vjp_theta", "params"), "a model with logits, vjp_theta and params")


def black_box(name, value):
    """Refuse what shows neither logits nor probabilities nor labels."""
    if isinstance(value, type) or not any(
        callable(getattr(value, shown, None)) for shown in ("logits", "probabilities", "predict_proba", "predict")
    ):
        raise TypeError(f"{name} must have one of logits, probabilities and predict; {shown(value)} has none of them")
    return value


def features(model, x):
    """Refuse x whose examples have another number of components than a model of scikit-learn was fitted with."""
    expected, found = getattr(model, "n_features_in_", None), math.prod(x.shape[1:])
    if expected not in (None, found):
        raise ValueError(f"x has shape {x.shape}, {found} features an example; the model has {expected}")


def layer(name, value):
    """Refuse what is no layer, as those of ``scratchadv.layers`` are."""
    return has(name, value, ("initial",), "a layer, such as Dense(10)")


def loss(name, value):
    """Refuse what has no ``value`` and ``grad``, as the losses of ``scratchadv.losses`` have."""
    return has(name, value, ("value", "grad"), "a loss with value(z, y) and grad(z, y)")


def optimizer(name, value):
    """Refuse what has no ``start`` and ``step``, as the optimisers of ``scratchadv.training.optim`` have."""
    has(name, value, ("start", "step"), "an optimiser, such as SGD(0.1)")
    function(f"{name}.step", value.step, ("params", "grads", "state", "scale"))
    return value


def threat(name, value):
    """Refuse what is no perturbation set."""
    return has(name, value, ("at", "project", "linear_max", "contains"), "a perturbation set, such as Linf(0.1)")


def loss_of(z, loss, y, target, name="loss"):
    """Refuse a loss that cannot be computed from the logits z of one example and its labels.

    Parameters
    ----------
    z : array, shape (1,) or (1, K)
    loss : Loss
    y, target : array, shape (1,)
        The target may be None.
    name : str
    """
    labels = y
    if getattr(loss, "of_pairs", False):
        if target is None:
            raise ValueError(f"{name}: {type(loss).__name__} needs the labels to reach: pass target")
        labels = namespace(y).stack([y, target], axis=1)
    try:
        wrong = np.shape(loss.value(z, labels)) != (1,)
        why = ""
    except Exception as error:
        wrong, why = True, f": {type(error).__name__}: {error}"
    if wrong:
        what = "binary models" if z.ndim == 1 else f"models of {z.shape[1]} classes"
        raise ValueError(f"{name} = {shown(loss)} cannot be computed for {what}{why}")


def examples(model, x, y, name="y"):
    """Return (x, y) for a model that may be asked about them; costs the logits of one example."""
    x = images(x)
    one_side(x, *getattr(model, "params", {}).values())
    return x, fitting(model, x, y, name)


def attack(model, x, y, threat, target=None):
    """Return (x, y, target) for an attack in a set; refuse bad input."""
    x, y = examples(model, x, y)
    threat.at(x)
    return x, y, None if target is None else fitting(model, x, target, "target")


def smallest_change(model, x, y, pixels, target=None):
    """Return (x, y, target) for an attack that looks for the smallest change; ``pixels`` is (lower, upper) or None."""
    x, y = examples(model, x, y)
    if pixels is not None:
        inside_box(x, *pixel_range("box", pixels))
    return x, y, None if target is None else fitting(model, x, target, "target")
