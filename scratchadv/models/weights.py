"""Models in files: the architecture as JSON text and the parameters, in one ``.npz`` file without pickle."""

import dataclasses

import numpy as np

from .. import checks, layers, losses
from ..backend import host
from ..checked import checked
from ..layers import Layer
from ..support import archive
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


@checked
def save(model, path):
    """Write the model to a file, completely or not at all: an existing file stays until the new one is complete.

    Parameters
    ----------
    model : LogisticRegression, SoftmaxRegression, MLP, CNN or Network
        Its parameters keep their dtypes, and may be on a GPU.
    path : str or path
        The file; no suffix is added to its name.

    Raises
    ------
    TypeError
        If the model is of another class, or if one of its layers or its loss is not from this package.
    ValueError
        If a parameter is NaN or infinite, since attacks on such a model and its evaluation would mean nothing.
    """
    about = architecture(model)
    params = {name: host(p) for name, p in model.params.items()}
    if name := archive.not_finite(params):
        raise ValueError(f"{name} holds NaN or infinite values: such a model is not saved")
    archive.write(path, "model", about, params)


@checked
def load(path):
    """Return the model that ``save`` has written to a file, of the same class, with NumPy arrays as its parameters.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    LogisticRegression, SoftmaxRegression, MLP, CNN or Network

    Raises
    ------
    OSError
        If the file does not exist, is not a regular file, or cannot be read.
    BadFileError
        If it is damaged, cut off or a file of another kind, if its parameters do not fit its architecture, or if one of
        them is NaN or infinite. It is a ValueError.
    """
    about, params = archive.read(path, "model")
    if wrong := [f"{name} ({a.dtype})" for name, a in params.items() if a.dtype not in (np.float32, np.float64)]:
        raise archive.BadFileError(f"{path} does not fit: {wrong[0]} was expected to be float32 or float64")
    if name := archive.not_finite(params):
        raise archive.BadFileError(f"{path} cannot be used: {name} holds NaN or infinite values")
    with archive.refusing(f"{path} holds no architecture that can be built"):
        model, shapes = _build(about, params)
    archive.check_shapes(path, params, shapes)
    model.params = {name: params[name] for name in shapes}
    return model


def architecture(model):
    """Return the description of everything in the model except its parameters, in values that JSON can store.

    Parameters
    ----------
    model : LogisticRegression, SoftmaxRegression, MLP, CNN or Network

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        If the model is of another class, or if one of its layers or its loss is not from this package.
    """
    loss_types = {name: type(loss) for name, loss in LOSSES.items()}
    about = {"model": _known(model, MODELS, "model"), "loss": _known(model.loss, loss_types, "loss")}
    if isinstance(model, Network):
        about |= {"shape": [int(side) for side in model.shape], "layers": [_of_layer(p) for p in model.layers]}
    return about


def _known(thing, classes, what):
    name = type(thing).__name__
    if classes.get(name) is not type(thing):
        raise TypeError(f"a {what} of class {name} cannot be stored; one of {', '.join(classes)} was expected")
    return name


def _of_layer(layer):
    settings = dataclasses.asdict(layer) if dataclasses.is_dataclass(layer) else {}
    settings.pop("rng", None)  # the generator of dropout belongs to a training step
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()}
    return {"layer": _known(layer, LAYERS, "layer"), **plain}


def _build(about, params):
    """Return the model without its parameters, and the shapes that these must have; no array is allocated."""
    cls = MODELS[about["model"]]
    if cls is LogisticRegression:
        model = cls(params["theta"])
        shapes = {"theta": params["theta"].shape, "theta0": ()}
    else:
        chain = [_layer(**settings) for settings in about["layers"]]
        shape = [checks.count("a side of the examples", side, least=1) for side in about["shape"]]
        model = cls.__new__(cls)  # the subclasses of Network differ only in how they choose their layers
        model.arrange(chain, shape, lambda layer, shape: layer.shapes(shape))
        shapes = model.params
    if type(model.loss).__name__ != about["loss"]:
        model.loss = LOSSES[about["loss"]]
    return model, shapes


def _layer(*, layer, **settings):
    if "rng" in settings:
        raise ValueError("a layer in a file must not have a generator")
    return LAYERS[layer](**settings)
