"""The attacks that ``scratchadv reproduce attacks`` compares."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...attacks import (
    apgd,
    carlini_wagner,
    deepfool,
    fab,
    fgsm,
    iterated_fgsm,
    jsma,
    lbfgs,
    momentum_fgsm,
    pgd,
    square,
    standard,
)
from ...losses import dlr, logit_difference
from ...sets import L0, L2, Linf


@dataclass(frozen=True)
class InSet:
    """An attack in a perturbation set.

    Attributes
    ----------
    name : str
        Its name in the table.
    images : int
        The number of test images that it attacks.
    run : callable
        ``run(model, x, y, threat)`` returns δ; a targeted attack also takes ``target=``.
    targeted : bool
    """

    name: str
    images: int
    run: Callable
    targeted: bool = False


@dataclass(frozen=True)
class Smallest:
    """An attack that searches for the smallest change.

    Attributes
    ----------
    key : str
        Its key in the table of published numbers.
    name : str
        Its name in the table.
    norm : ball class
        Measures the change.
    run : callable
        ``run(model, x, y, target)`` returns δ.
    targeted : bool
    """

    key: str
    name: str
    norm: Any
    run: Callable
    targeted: bool = False

    @property
    def title(self):
        """The name, and whether the attack is targeted."""
        return f"{self.name}, targeted" if self.targeted else self.name


def attacks_in_set(plan, seed):
    """Return the attacks in a set; the targeted ones come last."""
    many, few = plan.in_set, plan.long

    def rng():
        return np.random.default_rng(seed)

    return [
        InSet("FGSM", many, fgsm),
        InSet("iterated FGSM, 10 steps", many, iterated_fgsm),
        InSet("momentum FGSM, 10 steps", many, momentum_fgsm),
        InSet("PGD, 40 steps", many, pgd),
        InSet("PGD, 40 steps, 10 restarts", many, lambda *given: pgd(*given, restarts=10, rng=rng())),
        InSet("APGD, cross-entropy, 100 steps", many, lambda *given: apgd(*given, rng=rng())),
        InSet("APGD, DLR, 100 steps", many, lambda *given: apgd(*given, loss=dlr, rng=rng())),
        InSet(
            f"Square, {plan.queries:,} queries",
            few,
            lambda *given: square(*given, queries=plan.queries, rng=rng()),
        ),
        InSet("standard", few, lambda *given: standard(*given, queries=plan.queries, rng=rng())),
        InSet("PGD targeted, L(y) − L(target)", many, partial(pgd, loss=None), targeted=True),
        InSet("PGD targeted, z_target − z_y", many, partial(pgd, loss=logit_difference), targeted=True),
    ]


def attacks_for_smallest(plan):
    """Return the attacks that search for the smallest change; all receive targets, which only some of them use."""
    cw = partial(carlini_wagner, steps=plan.descent)

    def aimed(attack):
        return lambda model, x, y, target: attack(model, x, y, target=target)

    def in_norm(attack, norm):
        return lambda model, x, y, target: attack(model, x, y, norm=norm)

    return [
        Smallest("lbfgs", "L-BFGS", L2, aimed(lbfgs), targeted=True),
        Smallest("jsma", "JSMA", L0, aimed(jsma), targeted=True),
        Smallest(
            "jsma, probabilities", "JSMA, probabilities", L0, aimed(partial(jsma, of="probabilities")), targeted=True
        ),
        Smallest("deepfool", "DeepFool", L2, in_norm(deepfool, L2)),
        Smallest("deepfool", "DeepFool", Linf, in_norm(deepfool, Linf)),
        Smallest("fab", "FAB", L2, in_norm(fab, L2)),
        Smallest("fab", "FAB", Linf, in_norm(fab, Linf)),
        Smallest("carlini_wagner", "Carlini–Wagner", L2, in_norm(cw, L2)),
        Smallest("carlini_wagner", "Carlini–Wagner", Linf, in_norm(cw, Linf)),
        Smallest("carlini_wagner", "Carlini–Wagner", L0, in_norm(cw, L0)),
        Smallest("carlini_wagner", "Carlini–Wagner", L2, aimed(cw), targeted=True),
    ]
