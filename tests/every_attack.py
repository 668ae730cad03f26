"""Every attack of the library in quick settings, called in the same way, to test what is promised for all of them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from scratchadv.attacks import (
    CATALOGUE,
    Attack,
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
from scratchadv.attacks.catalogue import find
from scratchadv.checked import check_examples
from scratchadv.sets import L0, L1, L2, Linf


@dataclass(frozen=True)
class Trial:
    """An attack in quick settings, called ``trial(model, x, y, threat, **options)``; it returns δ.

    Attributes
    ----------
    row : Attack
        Its row in the catalogue.
    function : callable
    ball : Ball
        A ball whose radius leaves the attack something to do in the unit cube.
    random : bool
        Whether it draws random numbers in these settings. Without ``rng`` and ``seeds`` it is called with the seed 0.
    """

    row: Attack
    function: Any
    ball: Any
    random: bool

    @property
    def needs(self):
        """What it needs from the model: "gradients", "scores" or "labels"."""
        return self.row.knows

    @property
    def seeded(self):
        """Whether it takes ``seeds``, so that an example gets the same draws in every batch."""
        return "seeded" in self.row.promises

    @property
    def universal(self):
        """Whether it returns one δ for all examples, shape (1, *D)."""
        return self.row.gives == "one δ"

    def __call__(self, model, x, y, threat=None, **options):
        if self.random and not {"rng", "seeds"} & set(options):
            options["rng"] = 0
        return self.function(model, x, y, self.ball if threat is None else threat, **options)


def trial(name, function, ball):
    """The trial of this name: the name of the attack, then perhaps a comma and what is special about it."""
    row = find(name.split(",")[0])
    return Trial(row, function, ball, random="random" in row.promises or name.endswith(", restarts"))


def smallest(attack, **settings):
    """A smallest-change attack in the norm and the box of the threat; the radius is not used."""

    def run(model, x, y, threat, **options):
        return attack(model, x, y, norm=type(threat.ball), box=threat.box, **settings, **options)

    return run


def opposite(model, x, y, *, target=None, **options):
    """L-BFGS, which needs a target; by default the runner-up."""
    if target is None:
        images, labels = check_examples(model, x, y)
        z = model.logits(images)
        target = -labels if z.ndim == 1 else z.argsort(axis=1)[:, -2]
    return lbfgs(model, x, y, target=target, **options)


def _universal(model, x, y, threat, **options):
    """Universal perturbations use the model's own predictions, not the labels."""
    return universal(model, x, threat, passes=2, rate=1.0, **options)


TRIALS = {
    "fgsm": (fgsm, Linf(0.3)),
    "fgsm_random_start": (fgsm_random_start, Linf(0.3)),
    "iterated_fgsm": (iterated_fgsm, Linf(0.3)),
    "momentum_fgsm": (momentum_fgsm, L2(0.5)),
    "pgd": (partial(pgd, steps=8), L2(0.5)),
    "pgd, plain steps": (partial(pgd, steps=8, normalized=False, alpha=0.1), Linf(0.3)),
    "pgd, restarts": (partial(pgd, steps=4, restarts=3), L1(0.8)),
    "apgd": (partial(apgd, steps=12), Linf(0.3)),
    "apgd, restarts": (partial(apgd, steps=8, restarts=2), L2(0.5)),
    "apgd, until wrong": (partial(apgd, steps=8, until_wrong=True), L2(0.5)),
    "standard": (partial(standard, steps=3, queries=10), Linf(0.3)),
    "deepfool": (smallest(deepfool), L2(1)),
    "deepfool, max": (smallest(deepfool), Linf(1)),
    "fab": (smallest(fab, steps=10), L2(1)),
    "fab, max": (smallest(fab, steps=10), Linf(1)),
    "fab, sum": (smallest(fab, steps=10), L1(1)),
    "carlini_wagner": (smallest(carlini_wagner, steps=15, searches=2, c=1.0, lr=0.2), L2(1)),
    "carlini_wagner, max": (smallest(carlini_wagner, steps=6, c=20.0, lr=0.5), Linf(1)),
    "carlini_wagner, count": (smallest(carlini_wagner, steps=6, c=2e6, lr=0.5), L0(1)),
    "jsma": (smallest(jsma, upsilon=1.0, theta=0.5), L0(1)),
    "lbfgs": (smallest(opposite, searches=2, steps=4), L2(1)),
    "universal": (_universal, L2(0.8)),
    "universal_gradient": (universal_gradient, L2(0.8)),
    "square": (partial(square, queries=40), Linf(0.3)),
    "square, length": (partial(square, queries=40), L2(0.8)),
    "genattack": (partial(genattack, queries=40), Linf(0.3)),
    "nes": (partial(nes, queries=60, pairs=4), Linf(0.3)),
    "spsa": (partial(spsa, queries=60, pairs=4), L2(0.8)),
    "boundary": (smallest(boundary, queries=80), L2(1)),
    "hopskipjump": (smallest(hopskipjump, queries=120, directions=8), L2(1)),
    "hopskipjump, max": (smallest(hopskipjump, queries=120, directions=8), Linf(1)),
}
EVERY = {name: trial(name, *settings) for name, settings in TRIALS.items()}
GRADIENTS, SCORES, LABELS = (
    {name: one for name, one in EVERY.items() if one.needs == needs} for needs in ("gradients", "scores", "labels")
)
BLACK_BOXES = SCORES | LABELS
ONE_PIXEL = {"one_pixel": trial("one_pixel", partial(one_pixel, queries=60, population=10), L0(1))}  # only in a box
EXACT = trial("exact", exact, L2(0.5))  # on linear models only

# The attacks of the catalogue that take a model, x and y and return a δ for x: each of them needs a trial.
OF_EXAMPLES = {attack.name for attack in CATALOGUE if attack.gives in ("δ", "one δ") and attack.knows != "the tree"}
