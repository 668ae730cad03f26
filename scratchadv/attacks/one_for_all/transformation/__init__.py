"""Adversarial transformation networks, which learn to attack other models in a single forward pass.

Read ``network.py`` for the network, ``loss.py`` for its loss, and ``training.py`` for its training.
"""

from .loss import atn_loss, rerank
from .network import ATN, KINDS
from .training import train_atn

__all__ = ["ATN", "KINDS", "atn_loss", "rerank", "train_atn"]
