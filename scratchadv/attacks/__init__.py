"""Attacks: pure functions of model, examples, labels and threat that return δ, shaped like x, inside Δ(x).

``exact`` solves the inner maximisation on linear models; ``gradient`` goes up the loss inside Δ.
"""

from .exact import exact
from .gradient.fgsm import fgsm, fgsm_random_start
from .gradient.pgd import pgd

__all__ = ["exact", "fgsm", "fgsm_random_start", "pgd"]
