"""Any differentiable function as a model, with gradients from automatic differentiation."""

import numpy as np

from .. import checks
from ..backend import like
from ..checked import checked, each_by_name, taking
from ..engine import vjp
from ..engine.scalar import topological_order
from ..losses import cross_entropy


class Taped:
    r"""A model made from a function of tensors.

    .. math:: z = f(\theta, x)

    Attacks and training need only pullbacks from a model, and ``engine.vjp`` computes them, so that no gradient is
    derived by hand. Use it for a network behind an autoencoder or a preprocessing step, or to try out an idea.

    Parameters
    ----------
    f : callable
        ``f(params, x)``, where params is a dict of arrays or tensors and x a tensor of shape ``(N, *D)``, returns the
        logits, a tensor with N rows. It is written with Python's operators and the functions of ``engine.ops``.
    params : dict of str to float array
        The parameters. A pullback uses the arrays of its forward pass, since copying all of them would take too long.
        As long as it is needed, replace a parameter (``model.params["bias"] = bias - step``) and do not overwrite it;
        x and the logits may be overwritten.
    shape : tuple of int, optional
        The shape of one example. If it is given, x of another shape is refused, and f is run once to find out how many
        examples fit into the cache together.
    loss : Loss
        The loss that training minimises and attacks increase.
    task : Task, optional
        What the logits mean. Default: their shape decides.

    Attributes
    ----------
    activations : int
        The number of values that f computes for one example; 0 (unknown) without ``shape``.

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
        """Return the logits, in the dtype of x."""
        return self.vjp_x(x)[0]  # with tensors, whose += does not change the caller's x, as that of an array would

    def vjp_x(self, x):
        """Return the logits, and the pullback from dz to the gradient in x."""
        checks.one_side(x, *self.params.values())
        theta = {name: value.astype(x.dtype, copy=False) for name, value in self.params.items()}
        z, pull = vjp(lambda tensor: self._rows(theta, tensor), x, shared=theta.values())
        return z, lambda dz: pull(dz)[0]

    def vjp_theta(self, x):
        """Return the logits, and the pullback from dz to the gradients in the parameters, in their dtype."""
        checks.one_side(x, *self.params.values())

        def f(x, *theta):  # x is a tensor too, as self.f expects
            return self._rows({name: t.astype(x.dtype) for name, t in zip(self.params, theta, strict=True)}, x)

        z, pull = vjp(f, x, *self.params.values(), shared=self.params.values())
        names = tuple(self.params)
        return z, lambda dz: dict(zip(names, pull(dz)[1:], strict=True))

    def _count(self):
        """Return how many values the tape of one example holds."""
        some = next(iter(self.params.values()), np.zeros(()))
        x = like(np.random.default_rng(0).random((1, *self.shape)), some)  # not constant, because f may normalise
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
        """Return what f computes; refuse it unless it has one row for each example."""
        if self.shape not in (None, x.shape[1:]):
            raise ValueError(f"x has shape {x.shape}; examples of shape {self.shape} were expected")
        z = self.f(theta, x)
        if getattr(z, "shape", ())[:1] != x.shape[:1]:
            found = f"shape {z.shape}" if hasattr(z, "shape") else repr(z)
            raise ValueError(f"f returns {found} for {len(x)} examples; one row for each example was expected")
        return z
