"""Models with hand-written gradients; attacks know them by :class:`Model` only."""

from .logistic import LogisticRegression
from .protocol import Model

__all__ = ["LogisticRegression", "Model"]
