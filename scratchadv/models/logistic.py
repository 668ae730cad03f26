"""Logistic regression, the linear model of the slides."""

import math

import numpy as np

from .. import checks
from ..backend import namespace, snapshot
from ..checked import checked
from ..losses import logistic
from ..numerics import per_row, rows
from ..tasks import Binary


class LogisticRegression:
    r"""Logistic regression: one logit, linear in x.

    .. math:: z = \theta^T x + \theta_0, \qquad \nabla_x z = \theta, \quad \nabla_\theta z = x, \quad
              \partial z / \partial \theta_0 = 1

    Parameters
    ----------
    theta : array, shape D
        The weights, shaped like one example; float32 or float64.
    theta0 : float
        The bias.

    Notes
    -----
    Labels are −1 and +1, and τ(z) is the probability of +1.

    Source: slide "Linear Models".
    """

    loss = logistic
    task = Binary()
    linear = True

    @checked(theta=checks.example, theta0=checks.number)
    def __init__(self, theta, theta0=0.0):
        theta0 = namespace(theta).asarray(theta0, dtype=theta.dtype)
        self.params = {"theta": theta, "theta0": theta0}

    @classmethod
    @checked
    def initial(cls, shape, rng, dtype=np.float32):
        r"""Draw every parameter uniformly from :math:`\pm 1/\sqrt{D}`, as the tutorial does, for D numbers in x."""
        bound = 1 / math.sqrt(math.prod(shape))
        theta = rng.uniform(-bound, bound, shape).astype(dtype)
        return cls(theta, rng.uniform(-bound, bound))

    def logits(self, x):
        """Return the logits z = θᵀx + θ0, shape ``(N,)``, in the dtype of x."""
        theta, theta0 = self._params_like(x)
        return rows(x) @ theta.ravel() + theta0

    def vjp_x(self, x):
        """Return the logits, and the pullback from dz to the gradient in x, dz θ."""
        theta, _ = self._params_like(x)
        return self.logits(x), lambda dz: per_row(dz, x) * theta

    def vjp_theta(self, x):
        """Return the logits, and the pullback from dz to the gradients in θ and θ0, the sums of dz x and of dz.

        The gradients have the dtype of the parameters.
        """
        dtype = self.params["theta"].dtype
        x = snapshot(x)

        def pull(dz):
            theta = (dz @ rows(x)).reshape(x.shape[1:])
            return {"theta": theta.astype(dtype, copy=False), "theta0": dz.sum().astype(dtype, copy=False)}

        return self.logits(x), pull

    def _params_like(self, x):
        theta = self.params["theta"]
        checks.one_side(x, theta)
        if x.shape[1:] != theta.shape:
            raise ValueError(f"x has shape {x.shape}; examples of shape {theta.shape} were expected")
        return theta.astype(x.dtype, copy=False), self.params["theta0"].astype(x.dtype, copy=False)
