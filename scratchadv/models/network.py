"""A chain of layers as a model: the chain rule, written once."""

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
    """Layers one after the other; logits ``(N, K)`` and labels 0 to K − 1.

    Parameters
    ----------
    layers : list of Layer
        The last gives the logits.
    shape : tuple of int
        The shape of one example.
    rng : numpy.random.Generator
        Draws the parameters.
    dtype : dtype
        Of the parameters: float32 or float64.

    Attributes
    ----------
    params : dict of str to array
        ``"2.weight"`` is the weight of layer 2. Replace an array rather than overwrite it between ``vjp_x`` or
        ``vjp_theta`` and the last use of the pullback, which works with the arrays of the forward pass; x and the
        logits may be overwritten.
    task : Task
        ``Classes(K)`` for K logits.
    activations : int
        How many numbers the layers compute for one example.
    """

    loss = cross_entropy

    @checked(layers=each(checks.layer, least=1))
    def __init__(self, layers, shape, rng, dtype=np.float32):
        self.arrange(layers, shape, lambda layer, shape: layer.initial(shape, rng, dtype))

    def arrange(self, layers, shape, begin):
        """Put the layers one after the other.

        Parameters
        ----------
        layers, shape
            As for the class.
        begin : callable
            Takes a layer and the shape of its input; gives the layer's ``params`` and the shape of its output.

        Raises
        ------
        ValueError
            If the layers make no network.
        """
        first = next((layer for layer in layers if not isinstance(layer, Flatten | Dropout)), None)  # those hand x on
        if isinstance(first, ReLU):
            raise ValueError("layers: a network cannot begin with ReLU: it works in place, and x belongs to the caller")
        self.layers, self.shape, self.params = layers, tuple(shape), {}
        self._names, self.activations = [], 0
        for i, layer in enumerate(layers):
            try:
                params, shape = begin(layer, shape)
            except ValueError as error:
                raise ValueError(f"layers[{i}]: {error}") from error
            self._names.append(list(params))
            self.activations += math.prod(shape)
            self.params |= {f"{i}.{name}": value for name, value in params.items()}
        if len(shape) != 1:
            raise ValueError(f"layers: the last one gives shape {shape} an example; logits, shape (K,), were expected")
        self.task = Classes(*shape)

    def logits(self, x):
        """Z, ``(N, K)``."""
        return self._forward(x)[0]

    def vjp_x(self, x):
        """Z, and dz to the gradient by x."""
        z, tape = self._forward(x)

        def pull(dz):
            dz = dz.copy()  # the layers below may work in place
            for _, layer, params, saved in reversed(tape):
                dz = layer.input_gradient(params, saved, dz)
            return dz.reshape(x.shape)

        return z, pull

    def vjp_theta(self, x):
        """Z, and dz to the gradients by the parameters, in the dtype of the parameters."""
        z, tape = self._forward(snapshot(x))
        dtypes = {name: value.dtype for name, value in self.params.items()}

        def pull(dz):
            grads, dz = {}, dz.copy()
            for i, layer, params, saved in reversed(tape):
                for name, value in layer.parameter_gradient(params, saved, dz).items():
                    grads[f"{i}.{name}"] = value.astype(dtypes[f"{i}.{name}"], copy=False)
                if len(grads) == len(dtypes):
                    return grads
                dz = layer.input_gradient(params, saved, dz)

        return z, pull

    def noisy(self, seeds):
        """The same network for a training step: its dropout layers drop, and the parameters are shared.

        Parameters
        ----------
        seeds : array of int, shape (N,)
            One for each example that the network will be given. What layer i drops from an example is a function of the
            example's seed and of i, so it does not depend on the other examples.

        Returns
        -------
        Network

        Raises
        ------
        TypeError
            If the seeds are not an array of whole numbers.
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
        """The logits, and for each layer its number, parameters and what it saved."""
        checks.one_side(x, *self.params.values())
        flat = (math.prod(x.shape[1:]),)
        if (flat if len(self.shape) == 1 else x.shape[1:]) != self.shape:
            raise ValueError(f"x has shape {x.shape}; examples of shape {self.shape} were expected")
        tape, x = [], x.reshape(-1, *self.shape)
        for i, layer in enumerate(self.layers):
            params = {name: self.params[f"{i}.{name}"].astype(x.dtype, copy=False) for name in self._names[i]}
            x, saved = layer.forward(params, x)
            tape.append((i, layer, params, saved))
        return x.copy() if x is saved else x, tape  # the caller may write to the logits
