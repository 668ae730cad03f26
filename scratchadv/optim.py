"""Optimisers: one step on a dict of parameters."""

from dataclasses import dataclass


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

    def step(self, params, grads):
        """The new parameters; the old ones stay as they are."""
        return {name: p - self.lr * grads[name] for name, p in params.items()}
