"""Checks of models and their logits, perturbation sets, losses and optimisers."""

import math

from ..backend import namespace
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


def logits(z, what="x"):
    """Return the logits; refuse NaN.

    Parameters
    ----------
    z : array, shape (N, ...)
    what : str
        What the model was asked about.
    """
    wrong = namespace(z).isnan(z.reshape(len(z), -1)).any(axis=1)
    if wrong.any():
        raise ValueError(f"the logits of the model are NaN for {int(wrong.sum())} of {len(z)} examples of {what}")
    return z
