"""Nearest neighbours with a gradient."""

from ..backend import namespace
from ..checked import checked
from ..losses import cross_entropy
from ..numerics import log_sum_exp, rows
from ..tasks import Classes


class SoftNeighbours:
    r"""A smooth nearest-neighbour classifier, which has a gradient: every training example votes, near ones more.

    .. math::
        z_k = \log \sum_{i: y_i = k} e^{-\lVert x - x_i \rVert_2^2 / T}, \qquad
        \nabla_x z_k = \frac 2 T \left(\sum_{i: y_i = k} w_i x_i - x\right), \quad
        w_i = e^{-\lVert x - x_i \rVert_2^2 / T - z_k}

    The softmax of z is the soft nearest-neighbour vote. As T → 0 the class of the largest logit becomes the class of
    the nearest training example.

    Parameters
    ----------
    x : array, shape (M, *D)
        The training examples.
    y : array of int, shape (M,)
        Their labels, 0 to K − 1; every class has at least one example.
    temperature : float
        The temperature T, in units of x².

    Source: Papernot, McDaniel and Goodfellow (2016), "Transferability in machine learning", after Goldberger
    et al. (2004).
    """

    loss = cross_entropy

    @checked
    def __init__(self, x, y, temperature=1.0):
        k = int(y.max()) + 1
        self.task = Classes(k)
        y = self.task.check_labels(y, len(x))
        self.temperature = temperature
        self.params = {f"class {label}": rows(x[y == label]) for label in range(k)}
        if empty := [name for name, c in self.params.items() if not len(c)]:
            raise ValueError(f"y: {empty[0]} has no example; every class from 0 to {k - 1} needs one")
        self.activations = 2 * len(x)

    def logits(self, x):
        """Return the logits, shape ``(N, K)``."""
        return self.vjp_x(x)[0]

    def vjp_x(self, x):
        """Return the logits, and the pullback from dz to the gradient in x."""
        flat = rows(x)
        classes = [c.astype(x.dtype, copy=False) for c in self.params.values()]
        votes = [-_squared_distances(flat, c) / self.temperature for c in classes]
        z = [log_sum_exp(vote) for vote in votes]

        def pull(dz):
            mean = [namespace(x).exp(vote - top) @ c for vote, top, c in zip(votes, z, classes, strict=True)]
            g = sum(dz[:, k, None] * (m - flat) for k, m in enumerate(mean))
            return (2 / self.temperature * g).reshape(x.shape)

        return namespace(x).concatenate(z, axis=1), pull


def _squared_distances(x, c):
    """Return ‖x_n − c_m‖², shape (N, M)."""
    return (x * x).sum(axis=1)[:, None] + (c * c).sum(axis=1) - 2 * (x @ c.T)
