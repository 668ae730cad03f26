"""Perturbation sets Δ: what an attacker may add to an example."""

from .norms import L0, L1, L2, Ball, Boxed, Linf

__all__ = ["L0", "L1", "L2", "Ball", "Boxed", "Linf"]
