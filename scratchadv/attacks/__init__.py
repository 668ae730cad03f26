"""Attacks: pure functions of model, examples and labels that return δ, shaped like x.

Attacks in a set take a threat and stay inside Δ(x): ``exact`` solves the inner maximisation on linear models;
``gradient`` goes up the loss; ``black_box`` sees only what the model puts out; ``standard`` is the worst case of four.
Those of ``constrained`` take no ε and look for the smallest change that fools; ``bounded`` makes them attacks in a set.
"""

from .black_box.boundary import boundary
from .black_box.genattack import genattack
from .black_box.gradient_estimates import nes, spsa
from .black_box.hopskipjump import hopskipjump
from .black_box.one_pixel import one_pixel
from .black_box.square import square
from .constrained.bounded import bounded
from .constrained.carlini_wagner import carlini_wagner
from .constrained.deepfool import deepfool
from .constrained.fab import fab
from .constrained.jsma import jsma, saliency_map
from .constrained.lbfgs import lbfgs
from .exact import exact
from .gradient.apgd import apgd
from .gradient.fgsm import fgsm, fgsm_random_start
from .gradient.iterated_fgsm import iterated_fgsm, momentum_fgsm
from .gradient.pgd import pgd
from .standard import standard

__all__ = [
    "apgd",
    "boundary",
    "bounded",
    "carlini_wagner",
    "deepfool",
    "exact",
    "fab",
    "fgsm",
    "fgsm_random_start",
    "genattack",
    "hopskipjump",
    "iterated_fgsm",
    "jsma",
    "lbfgs",
    "momentum_fgsm",
    "nes",
    "one_pixel",
    "pgd",
    "saliency_map",
    "spsa",
    "square",
    "standard",
]
