"""Adversarial transformation networks: a network that learns to attack others, and then needs one forward pass.

Read ``network.py`` for the network, ``loss.py`` for what it is trained on, ``training.py`` for the training.
"""

from .loss import atn_loss, rerank
from .network import ATN, KINDS
from .training import train_atn

__all__ = ["ATN", "KINDS", "atn_loss", "rerank", "train_atn"]
