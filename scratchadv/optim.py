"""Optimisers: one step on a dict of parameters."""

from dataclasses import dataclass

from . import checks


@dataclass(frozen=True)
class SGD:
    r"""Gradient descent on a minibatch: :math:`\theta^{[t+1]} = \theta^{[t]} - \alpha \nabla_\theta`.

    Parameters
    ----------
    lr : float
        Step size α.

    Source: slide "Adversarial Training".
    """

    lr: float

    def __post_init__(self):
        # a Python float: a NumPy one would turn float32 parameters into float64
        object.__setattr__(self, "lr", checks.radius("lr", self.lr))

    def step(self, params, grads):
        """The new parameters; the old ones stay as they are."""
        return {name: p - self.lr * grads[name] for name, p in params.items()}
