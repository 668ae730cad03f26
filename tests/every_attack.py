"""Every attack of the library in quick settings, all called alike: what is promised for all of them is tried on all."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from scratchadv import checks
from scratchadv.attacks import (
    apgd,
    boundary,
    carlini_wagner,
    deepfool,
    exact,
    fab,
    fgsm,
    fgsm_random_start,
    genattack,
    hopskipjump,
    iterated_fgsm,
    jsma,
    lbfgs,
    momentum_fgsm,
    nes,
    one_pixel,
    pgd,
    spsa,
    square,
    standard,
    universal,
    universal_gradient,
)
from scratchadv.sets import L0, L1, L2, Linf


@dataclass(frozen=True)
class Attack:
    """An attack that is called ``attack(model, x, y, threat, **options)`` and returns δ, shaped like x or for all x.

    Attributes
    ----------
    function : callable
    ball : Ball
        A radius at which it has something to do in the unit cube.
    random : bool
        Whether it takes ``rng``; without one it is called with the seed 0.
    seeded : bool
        Whether it takes ``seeds``, so that an example has the same luck in any batch.
    universal : bool
        Whether it returns one δ for all examples, shape (1, *D).
    needs : str
        "gradients", "scores" or "labels".
    """

    function: Any
    ball: Any
    random: bool = False
    seeded: bool = False
    universal: bool = False
    needs: str = "gradients"

    def __call__(self, model, x, y, threat=None, **options):
        if self.random and not {"rng", "seeds"} & set(options):
            options["rng"] = 0
        return self.function(model, x, y, self.ball if threat is None else threat, **options)


def smallest(attack, **settings):
    """A smallest-change attack in the norm and the box of the threat; its radius does not count."""

    def run(model, x, y, threat, **options):
        return attack(model, x, y, norm=type(threat.ball), box=threat.box, **settings, **options)

    return run


def opposite(model, x, y, *, target=None, **options):
    """L-BFGS, which needs a target: the runner-up by default."""
    if target is None:
        images, labels = checks.examples(model, x, y)
        z = model.logits(images)
        target = -labels if z.ndim == 1 else z.argsort(axis=1)[:, -2]
    return lbfgs(model, x, y, target=target, **options)


def _universal(model, x, y, threat, **options):
    """Universal perturbations look at the model's own predictions, not at labels."""
    return universal(model, x, threat, passes=2, rate=1.0, **options)


GRADIENTS = {
    "fgsm": Attack(fgsm, Linf(0.3)),
    "fgsm_random_start": Attack(fgsm_random_start, Linf(0.3), random=True),
    "iterated_fgsm": Attack(iterated_fgsm, Linf(0.3)),
    "momentum_fgsm": Attack(momentum_fgsm, L2(0.5)),
    "pgd": Attack(partial(pgd, steps=8), L2(0.5)),
    "pgd, plain steps": Attack(partial(pgd, steps=8, normalized=False, alpha=0.1), Linf(0.3)),
    "pgd, restarts": Attack(partial(pgd, steps=4, restarts=3), L1(0.8), random=True),
    "apgd": Attack(partial(apgd, steps=12), Linf(0.3)),
    "apgd, restarts": Attack(partial(apgd, steps=8, restarts=2), L2(0.5), random=True),
    "apgd, until wrong": Attack(partial(apgd, steps=8, until_wrong=True), L2(0.5)),
    "standard": Attack(partial(standard, steps=3, queries=10), Linf(0.3), random=True),
    "deepfool": Attack(smallest(deepfool), L2(1)),
    "deepfool, max": Attack(smallest(deepfool), Linf(1)),
    "fab": Attack(smallest(fab, steps=10), L2(1)),
    "fab, max": Attack(smallest(fab, steps=10), Linf(1)),
    "fab, sum": Attack(smallest(fab, steps=10), L1(1)),
    "carlini_wagner": Attack(smallest(carlini_wagner, steps=15, searches=2, c=1.0, lr=0.2), L2(1)),
    "carlini_wagner, max": Attack(smallest(carlini_wagner, steps=6, c=20.0, lr=0.5), Linf(1)),
    "carlini_wagner, count": Attack(smallest(carlini_wagner, steps=6, c=2e6, lr=0.5), L0(1)),
    "jsma": Attack(smallest(jsma, upsilon=1.0, theta=0.5), L0(1)),
    "lbfgs": Attack(smallest(opposite, searches=2, steps=4), L2(1)),
    "universal": Attack(_universal, L2(0.8), universal=True),
    "universal_gradient": Attack(universal_gradient, L2(0.8), universal=True),
}
SCORES = {
    "square": Attack(partial(square, queries=40), Linf(0.3), random=True, seeded=True, needs="scores"),
    "square, length": Attack(partial(square, queries=40), L2(0.8), random=True, seeded=True, needs="scores"),
    "genattack": Attack(partial(genattack, queries=40), Linf(0.3), random=True, seeded=True, needs="scores"),
    "nes": Attack(partial(nes, queries=60, pairs=4), Linf(0.3), random=True, seeded=True, needs="scores"),
    "spsa": Attack(partial(spsa, queries=60, pairs=4), L2(0.8), random=True, seeded=True, needs="scores"),
}
ONE_PIXEL = {
    "one_pixel": Attack(partial(one_pixel, queries=60, population=10), L0(1), random=True, seeded=True, needs="scores"),
}
LABELS = {
    "boundary": Attack(smallest(boundary, queries=80), L2(1), random=True, seeded=True, needs="labels"),
    "hopskipjump": Attack(
        smallest(hopskipjump, queries=120, directions=8), L2(1), random=True, seeded=True, needs="labels"
    ),
    "hopskipjump, max": Attack(
        smallest(hopskipjump, queries=120, directions=8), Linf(1), random=True, seeded=True, needs="labels"
    ),
}
BLACK_BOXES = SCORES | LABELS
EVERY = GRADIENTS | BLACK_BOXES
EXACT = Attack(exact, L2(0.5))  # on linear models only

NO_ATTACKS = {  # public names of the package that take no model, x and y, or give no δ for them
    *("ATN", "CPPN", "Direct", "Elites", "Substitute"),
    *("BudgetError", "LabelOracle", "LogitOracle", "ProbabilityOracle", "oracle"),
    *("applied", "atn_loss", "fooling_rate", "leaves", "rerank", "saliency_map"),
    *("bounded", "gradient_ascent", "map_elites", "substitute", "train_atn", "tree_attack"),
}
