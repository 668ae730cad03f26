"""Perturbation sets Δ: what an attacker may add to an example."""

from .ball import Ball
from .box import Box, Mask, Range, bounds_of
from .intersection import Intersection, Set
from .norms import L0, L1, L2, Linf

__all__ = ["L0", "L1", "L2", "Ball", "Box", "Intersection", "Linf", "Mask", "Range", "Set", "bounds_of"]
