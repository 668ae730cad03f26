"""Any differentiable function as a model: the engine does the gradients."""

import numpy as np

from .. import checks
from ..backend import like
from ..checked import checked, each_by_name, taking
from ..engine import vjp
from ..engine.scalar import topological_order
from ..losses import cross_entropy


class Taped:
    r"""A function of tensors with the interface of a model.

    .. math:: z = f(\theta, x)

    Everything that attacks and training ask of a model is a pullback, and ``engine.vjp`` gives pullbacks: nothing is
    derived by hand. For a network behind an autoencoder, a network behind a preprocessing step, an idea of today.

    Parameters
    ----------
    f : callable
        ``f(params, x)``, with a dict of arrays or tensors and a tensor of shape ``(N, *D)``, gives the logits, a
        tensor of N rows. It is written with Python's operators and the functions of ``engine.ops``.
    params : dict of str to float array
        Replace a parameter, ``model.params["bias"] = bias - step``, rather than overwrite it, between ``vjp_x`` or
        ``vjp_theta`` and the last use of the pullback, which works with the arrays of the forward pass: copies of all
        parameters would take too long. x and the logits may be overwritten.
    shape : tuple of int, optional
        The shape of one example: x of another shape is refused, and f is run once to see how many examples fit the
        cache together.
    loss : Loss
    task : Task, optional
        What the logits mean. Without it their shape says so.

    Attributes
    ----------
    activations : int
        How many numbers f computes for one example; 0 (unknown) without ``shape``.

    Examples
    --------
    >>> def squares(params, x):
    ...     return x**2 @ params["weight"]
    >>> model = Taped(squares, {"weight": np.array([[1.0, 0.0], [0.0, 2.0]])})
    >>> z, pull = model.vjp_x(np.array([[1.0, 3.0]]))
    >>> z, pull(np.array([[1.0, 1.0]]))
    (array([[ 1., 18.]]), array([[ 2., 12.]]))
    """

    @checked(f=taking("params", "x"), params=each_by_name(checks.parameter))
    def __init__(self, f, params, shape=None, loss=cross_entropy, task=None):
        self.f, self.params, self.loss, self.task = f, params, loss, task
        self.shape, self.activations = None, 0
        if shape is not None:
            self.shape = shape
            self.activations = self._count()

    def logits(self, x):
        """Z, in the dtype of x."""
        return self.vjp_x(x)[0]  # by the tape: a tensor's += leaves the caller's x alone, an array's does not

    def vjp_x(self, x):
        """Z, and dz to the gradient by x."""
        checks.one_side(x, *self.params.values())
        theta = {name: value.astype(x.dtype, copy=False) for name, value in self.params.items()}
        z, pull = vjp(lambda tensor: self._rows(theta, tensor), x, shared=theta.values())
        return z, lambda dz: pull(dz)[0]

    def vjp_theta(self, x):
        """Z, and dz to the gradients by the parameters, in the dtype of the parameters."""
        checks.one_side(x, *self.params.values())

        def f(x, *theta):  # x too is a tensor, as f expects
            return self._rows({name: t.astype(x.dtype) for name, t in zip(self.params, theta, strict=True)}, x)

        z, pull = vjp(f, x, *self.params.values(), shared=self.params.values())
        names = tuple(self.params)
        return z, lambda dz: dict(zip(names, pull(dz)[1:], strict=True))

    def _count(self):
        """How many numbers stand on the tape of one example."""
        some = next(iter(self.params.values()), np.zeros(()))
        x = like(np.random.default_rng(0).random((1, *self.shape)), some)  # not constant: f may normalise
        count = 0

        def f(tensor):
            nonlocal count
            z = self._rows(self.params, tensor)
            count = sum(t.size for t in topological_order(z) if t.parents)
            return z

        try:
            vjp(f, x)
        except Exception as error:
            words = f"f(params, x) fails for x of shape (1, *shape) = {x.shape}"
            raise ValueError(f"{words}: {type(error).__name__}: {error}") from error
        return count

    def _rows(self, theta, x):
        """Whatever f gives; refuse what has not one row an example."""
        if self.shape not in (None, x.shape[1:]):
            raise ValueError(f"x has shape {x.shape}; examples of shape {self.shape} were expected")
        z = self.f(theta, x)
        if getattr(z, "shape", ())[:1] != x.shape[:1]:
            found = f"shape {z.shape}" if hasattr(z, "shape") else repr(z)
            raise ValueError(f"f gives {found} for {len(x)} examples; one row an example was expected")
        return z
