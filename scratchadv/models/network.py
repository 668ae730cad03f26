"""A chain of layers as a model: here the chain rule is written once."""

import copy
import dataclasses
import math
from functools import partial

import numpy as np

from .. import checks
from ..backend import snapshot
from ..checked import checked, each
from ..layers import Dropout, Flatten, ReLU
from ..losses import cross_entropy
from ..seeded import pieces
from ..tasks import Classes


class Network:
    """A chain of layers with logits of shape ``(N, K)`` and labels 0 to K − 1.

    Parameters
    ----------
    layers : list of Layer
        The last layer computes the logits.
    shape : tuple of int
        The shape of one example.
    rng : numpy.random.Generator
        Draws the parameters.
    dtype : dtype
        The dtype of the parameters: float32 or float64.

    Attributes
    ----------
    params : dict of str to array
        The parameters: ``"2.weight"`` is the weight of layer 2. A pullback uses the arrays of its forward pass. As long
        as it is needed, replace a parameter by another array and do not overwrite it; x and the logits may be
        overwritten.
    task : Task
        ``Classes(K)`` for K logits.
    activations : int
        The number of values that the layers compute for one example.
    """

    loss = cross_entropy

    @checked(layers=each(checks.layer, least=1))
    def __init__(self, layers, shape, rng, dtype=np.float32):
        self.arrange(layers, shape, lambda layer, shape: layer.initial(shape, rng, dtype))

    def arrange(self, layers, shape, begin):
        """Chain the layers, and set the parameters and the task.

        Parameters
        ----------
        layers, shape
            As for the class.
        begin : callable
            ``begin(layer, shape)``, with the shape of the layer's input, returns the layer's ``params`` and the shape
            of its output.

        Raises
        ------
        ValueError
            If the layers do not form a network.
        """
        # Flatten and Dropout may pass x itself on to the next layer.
        first = next((layer for layer in layers if not isinstance(layer, Flatten | Dropout)), None)
        if isinstance(first, ReLU):
            raise ValueError("layers: a network cannot begin with ReLU: it works in place, and x belongs to the caller")
        self.layers = layers
        self.shape = tuple(shape)
        self.params = {}
        self.activations = 0
        self._names = []
        for i, layer in enumerate(layers):
            try:
                params, shape = begin(layer, shape)
            except ValueError as error:
                raise ValueError(f"layers[{i}]: {error}") from error
            self._names.append(list(params))
            self.activations += math.prod(shape)
            self.params |= {f"{i}.{name}": value for name, value in params.items()}
        if len(shape) != 1:
            raise ValueError(
                f"layers: the last one returns shape {shape} for one example; logits of shape (K,) were expected"
            )
        self.task = Classes(*shape)

    def logits(self, x):
        """Return the logits, shape ``(N, K)``."""
        return self._forward(x)[0]

    def vjp_x(self, x):
        """Return the logits, and the pullback from dz to the gradient in x."""
        z, tape = self._forward(x)

        def pull(dz):
            dz = dz.copy()  # the layers below may work in place
            for _, layer, params, saved in reversed(tape):
                dz = layer.input_gradient(params, saved, dz)
            return dz.reshape(x.shape)

        return z, pull

    def vjp_theta(self, x):
        """Return the logits, and the pullback from dz to the gradients in the parameters, in their dtype."""
        z, tape = self._forward(snapshot(x))
        dtypes = {name: value.dtype for name, value in self.params.items()}

        def pull(dz):
            grads = {}
            dz = dz.copy()
            for i, layer, params, saved in reversed(tape):
                for name, value in layer.parameter_gradient(params, saved, dz).items():
                    grads[f"{i}.{name}"] = value.astype(dtypes[f"{i}.{name}"], copy=False)
                if len(grads) == len(dtypes):
                    return grads
                dz = layer.input_gradient(params, saved, dz)

        return z, pull

    def noisy(self, seeds):
        """Return the network for one training step: its dropout layers are active, and the parameters are shared.

        Parameters
        ----------
        seeds : array of int, shape (N,)
            One seed for each of the N examples that the network will be given. What layer i drops from an example
            depends only on the example's seed and on i, and so not on the other examples.

        Returns
        -------
        Network

        Raises
        ------
        TypeError
            If the seeds are not a one-dimensional array of whole numbers.
        """
        if getattr(seeds, "ndim", 0) != 1 or seeds.dtype.kind not in "iu":
            raise TypeError(f"seeds must be an array of whole numbers, one for each example, not {seeds!r}")
        seeds = seeds.astype(np.uint64)
        twin = copy.copy(self)
        twin.layers = [
            dataclasses.replace(layer, rng=partial(pieces, seeds, i)) if isinstance(layer, Dropout) else layer
            for i, layer in enumerate(self.layers)
        ]
        return twin

    def _forward(self, x):
        """Return the logits, and for each layer its number, its parameters and what it saved for the pullback."""
        checks.one_side(x, *self.params.values())
        flat = (math.prod(x.shape[1:]),)
        if (flat if len(self.shape) == 1 else x.shape[1:]) != self.shape:
            raise ValueError(f"x has shape {x.shape}; examples of shape {self.shape} were expected")
        tape = []
        x = x.reshape(-1, *self.shape)
        for i, layer in enumerate(self.layers):
            params = {name: self.params[f"{i}.{name}"].astype(x.dtype, copy=False) for name in self._names[i]}
            x, saved = layer.forward(params, x)
            tape.append((i, layer, params, saved))
        return x.copy() if x is saved else x, tape  # a copy, because the caller may write to the logits
