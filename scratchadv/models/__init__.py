"""Models with hand-written gradients; attacks know them by :class:`Model` only."""

from .cnn import CNN
from .logistic import LogisticRegression
from .mlp import MLP, SoftmaxRegression
from .network import Network
from .protocol import Model

__all__ = ["CNN", "MLP", "LogisticRegression", "Model", "Network", "SoftmaxRegression"]
