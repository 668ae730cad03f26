"""One perturbation, or one network, for all inputs."""

from .transformation import ATN, atn_loss, rerank, train_atn
from .universal import applied, fooling_rate, universal, universal_gradient

__all__ = ["ATN", "applied", "atn_loss", "fooling_rate", "rerank", "train_atn", "universal", "universal_gradient"]
