r"""Automatic differentiation on NumPy and CuPy arrays, to be read in an hour.

Read in this order:

1. ``scalar.py``: the whole idea on one page, for single numbers
2. ``tape.py``: the same for arrays; ``vjp``, ``grad``, ``value_and_grad``
3. ``ops.py``: the table of rules, each beside its formula

>>> import numpy as np
>>> from scratchadv.engine import grad, ops, vjp
>>> value, pull = vjp(lambda x, y: x * y, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
>>> value, pull(np.array([1.0, 10.0]))
(array([3., 8.]), (array([ 3., 40.]), array([ 1., 20.])))

A gradient can be differentiated again. The product of the Hessian H of :math:`f(x) = \sum_i x_i^3` and a vector v is
the gradient of :math:`\langle \nabla f(x), v \rangle`, and H is never built; here H = diag(6 x):

>>> x, v = np.array([1.0, 2.0]), np.array([1.0, -1.0])
>>> grad(lambda x: (grad(lambda x: (x**3).sum())(x) * v).sum())(x)
array([  6., -12.])

Input-gradient regularisation needs :math:`\nabla_\theta \|\nabla_x L\|^2`. Here :math:`L = \Psi(\theta^T x)`, so
:math:`\nabla_x L = -\tau(-\theta^T x)\, \theta`, which has length 1/2 at θ = e₁ and x = 0:

>>> theta, x = np.array([1.0, 0.0]), np.array([0.0, 0.0])
>>> grad(lambda theta: (grad(lambda x: ops.softplus(-(theta @ x)))(x) ** 2).sum())(theta)
array([0.5, 0. ])
"""

from . import ops
from .tape import Tensor, grad, plain, value_and_grad, vjp

__all__ = ["Tensor", "grad", "ops", "plain", "value_and_grad", "vjp"]
