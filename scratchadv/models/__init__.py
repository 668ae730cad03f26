"""Models with hand-written gradients, and ``Taped`` for all others. Attacks use only what :class:`Model` promises."""

from .cnn import CNN
from .logistic import LogisticRegression
from .mlp import MLP, SoftmaxRegression
from .neighbours import SoftNeighbours
from .network import Network
from .protocol import Model
from .taped import Taped

__all__ = ["CNN", "MLP", "LogisticRegression", "Model", "Network", "SoftNeighbours", "SoftmaxRegression", "Taped"]
