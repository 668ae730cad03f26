"""Models with hand-written gradients, and ``Taped`` for the rest; attacks know them by :class:`Model` only."""

from .cnn import CNN
from .logistic import LogisticRegression
from .mlp import MLP, SoftmaxRegression
from .neighbours import SoftNeighbours
from .network import Network
from .protocol import Model
from .taped import Taped

__all__ = ["CNN", "MLP", "LogisticRegression", "Model", "Network", "SoftNeighbours", "SoftmaxRegression", "Taped"]
