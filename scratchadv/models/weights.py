"""Models in files: their architecture as JSON text and their parameters, in one ``.npz`` without pickle."""

import dataclasses

import numpy as np

from .. import archive, layers, losses
from ..layers import Layer
from .cnn import CNN
from .logistic import LogisticRegression
from .mlp import MLP, SoftmaxRegression
from .network import Network

MODELS = {model.__name__: model for model in (LogisticRegression, MLP, SoftmaxRegression, CNN, Network)}
LAYERS = {
    name: thing
    for name, thing in vars(layers).items()
    if hasattr(thing, "forward") and thing is not Layer and thing.__module__ == layers.__name__
}
LOSSES = {type(loss).__name__: loss for loss in (losses.logistic, losses.cross_entropy, losses.margin)}


def save(model, path):
    """Write the model into a file, whole or not at all: a file that was there stays until the new one is complete.

    Parameters
    ----------
    model : LogisticRegression, SoftmaxRegression, MLP, CNN or Network
        Its parameters keep their dtypes; they may lie on a device.
    path : str or path
        Nothing is appended to it.

    Raises
    ------
    TypeError
        If it is another model, or has a layer or a loss from elsewhere.
    """
    archive.write(path, "model", architecture(model), model.params)


def load(path):
    """The model from a file, of the class that it was, with its parameters on the host.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    LogisticRegression, SoftmaxRegression, MLP, CNN or Network

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is damaged, cut off, another file, or its parameters do not fit its architecture.
    """
    about, params = archive.read(path, "model")
    if wrong := [f"{name} ({a.dtype})" for name, a in params.items() if a.dtype not in (np.float32, np.float64)]:
        raise ValueError(f"{path} does not fit: {wrong[0]} was expected to be float32 or float64")
    try:
        model = _build(about, params)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} holds no architecture that can be built: {error!r}") from error
    archive.check_shapes(path, params, model.params)
    model.params = {name: params[name] for name in model.params}
    return model


def architecture(model):
    """All of the model but its parameters, as JSON can say it.

    Parameters
    ----------
    model : LogisticRegression, SoftmaxRegression, MLP, CNN or Network

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        If it is another model, or has a layer or a loss from elsewhere.
    """
    loss_types = {name: type(loss) for name, loss in LOSSES.items()}
    about = {"model": _known(model, MODELS, "model"), "loss": _known(model.loss, loss_types, "loss")}
    if isinstance(model, Network):
        about |= {"shape": [int(side) for side in model.shape], "layers": [_of_layer(p) for p in model.layers]}
    return about


def _known(thing, classes, what):
    name = type(thing).__name__
    if classes.get(name) is not type(thing):
        raise TypeError(f"a {what} of class {name} has no place in a file: {', '.join(classes)} have")
    return name


def _of_layer(layer):
    settings = dataclasses.asdict(layer) if dataclasses.is_dataclass(layer) else {}
    settings.pop("rng", None)  # of dropout: it belongs to a training step
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    return {"layer": _known(layer, LAYERS, "layer"), **plain}


def _build(about, params):
    """The model with parameters of the right shapes; their values do not matter."""
    cls = MODELS[about["model"]]
    if cls is LogisticRegression:
        model = cls(params["theta"])
    else:
        chain = [LAYERS[settings.pop("layer")](**settings) for settings in about["layers"]]
        model = cls.__new__(cls)  # the classes differ only in how they choose their layers
        Network.__init__(model, chain, about["shape"], np.random.default_rng(0))
    if type(model.loss).__name__ != about["loss"]:
        model.loss = LOSSES[about["loss"]]
    return model
