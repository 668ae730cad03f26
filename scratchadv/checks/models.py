"""Checks of models and their logits, perturbation sets, losses and optimisers."""

import math

from ..backend import namespace
from .values import function, has, shown


def model(name, value):
    """Return the value if it has ``logits`` and ``vjp_x``."""
    return has(name, value, ("logits", "vjp_x"), "a model with logits and vjp_x")


def classifier(name, value):
    """Return the value if it has ``logits``: a model that only predicts needs no gradient."""
    return has(name, value, ("logits",), "a model with logits")


def judged(name, value):
    """Return the value if it has ``logits`` and ``loss``: a model that is only evaluated needs no gradient."""
    return has(name, value, ("logits", "loss"), "a model with logits and loss")


def trainable(name, value):
    """Return the value if it has ``logits``, ``vjp_theta`` and ``params``."""
    return has(name, value, ("logits", "vjp_theta", "params"), "a model with logits, vjp_theta and params")


def black_box(name, value):
    """Return the value if it returns logits, probabilities or labels."""
    if isinstance(value, type) or not any(
        callable(getattr(value, shown, None)) for shown in ("logits", "probabilities", "predict_proba", "predict")
    ):
        raise TypeError(f"{name} must have one of logits, probabilities and predict; {shown(value)} has none of them")
    return value


def features(model, x):
    """Refuse x whose examples do not have as many features as a scikit-learn model was fitted to."""
    expected = getattr(model, "n_features_in_", None)
    found = math.prod(x.shape[1:])
    if expected not in (None, found):
        raise ValueError(f"x has shape {x.shape}, {found} features for each example; the model has {expected}")


def layer(name, value):
    """Return the value if it is a layer, such as those of ``scratchadv.layers``."""
    return has(name, value, ("initial",), "a layer, such as Dense(10)")


def loss(name, value):
    """Return the value if it has ``value`` and ``grad``, as the losses of ``scratchadv.losses`` do."""
    return has(name, value, ("value", "grad"), "a loss with value(z, y) and grad(z, y)")


def optimizer(name, value):
    """Return the value if it has ``start`` and ``step``, as the optimisers of ``scratchadv.training.optim`` do."""
    has(name, value, ("start", "step"), "an optimiser, such as SGD(0.1)")
    function(f"{name}.step", value.step, ("params", "grads", "state", "scale"))
    return value


def threat(name, value):
    """Return the value if it is a perturbation set."""
    return has(name, value, ("at", "project", "linear_max", "contains"), "a perturbation set, such as Linf(0.1)")


def logits(z, what="x"):
    """Return the logits if none of them is NaN.

    Parameters
    ----------
    z : array, shape (N, ...)
    what : str
        The name of the examples, for the message.
    """
    wrong = namespace(z).isnan(z.reshape(len(z), -1)).any(axis=1)
    if wrong.any():
        raise ValueError(f"the logits of the model are NaN for {int(wrong.sum())} of {len(z)} examples of {what}")
    return z
