"""Attacks: pure functions of a model, examples and labels that return perturbations δ, shaped like x.

Most attacks take a threat and return a δ inside Δ(x): ``exact`` solves the inner maximisation on linear models; the
attacks of ``gradient/`` climb the loss; those of ``black_box/`` see only the outputs of the model; ``standard`` returns
the worst case of four attacks. The attacks of ``constrained/`` take no ε and look for the smallest δ that fools the
model; ``bounded`` turns them into attacks inside a set. ``one_for_all/`` makes one perturbation, or one network, for
all inputs, and ``unrecognisable/`` makes images without any original. ``CATALOGUE`` lists all attacks, with what each
needs and promises.

An attack that takes ``callback`` calls it with an ``Iterate``, which records the restart, the step, δ and its loss.
"""

from .black_box.boundary import boundary
from .black_box.genattack import genattack
from .black_box.gradient_estimates import nes, spsa
from .black_box.hopskipjump import hopskipjump
from .black_box.one_pixel import one_pixel
from .black_box.queries import BudgetError, LabelOracle, LogitOracle, ProbabilityOracle, oracle
from .black_box.square import square
from .black_box.substitution import Substitute, substitute
from .callback import Iterate
from .catalogue import CATALOGUE, Attack
from .constrained.bounded import bounded
from .constrained.carlini_wagner import carlini_wagner
from .constrained.deepfool import deepfool
from .constrained.fab import fab
from .constrained.jsma import jsma, saliency_map
from .constrained.lbfgs import lbfgs
from .constrained.trees import leaves, tree_attack
from .ensemble import standard
from .gradient.apgd import apgd
from .gradient.fgsm import fgsm, fgsm_random_start
from .gradient.iterated_fgsm import iterated_fgsm, momentum_fgsm
from .gradient.pgd import pgd
from .linear import exact
from .one_for_all.mean_gradient import universal_gradient
from .one_for_all.perturbation import applied, fooling_rate, universal
from .one_for_all.transformation import ATN, atn_loss, rerank, train_atn
from .unrecognisable.encodings import CPPN, Direct
from .unrecognisable.gradient_ascent import gradient_ascent
from .unrecognisable.map_elites import Elites, map_elites

__all__ = [
    "ATN",
    "CATALOGUE",
    "CPPN",
    "Attack",
    "BudgetError",
    "Direct",
    "Elites",
    "Iterate",
    "LabelOracle",
    "LogitOracle",
    "ProbabilityOracle",
    "Substitute",
    "apgd",
    "applied",
    "atn_loss",
    "boundary",
    "bounded",
    "carlini_wagner",
    "deepfool",
    "exact",
    "fab",
    "fgsm",
    "fgsm_random_start",
    "fooling_rate",
    "genattack",
    "gradient_ascent",
    "hopskipjump",
    "iterated_fgsm",
    "jsma",
    "lbfgs",
    "leaves",
    "map_elites",
    "momentum_fgsm",
    "nes",
    "one_pixel",
    "oracle",
    "pgd",
    "rerank",
    "saliency_map",
    "spsa",
    "square",
    "standard",
    "substitute",
    "train_atn",
    "tree_attack",
    "universal",
    "universal_gradient",
]
