"""The attacks that ``scratchadv reproduce black_box`` compares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...attacks.black_box.boundary import boundary
from ...attacks.black_box.genattack import genattack
from ...attacks.black_box.gradient_estimates import nes, spsa
from ...attacks.black_box.hopskipjump import hopskipjump
from ...attacks.black_box.one_pixel import one_pixel
from ...attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from ...attacks.black_box.square import square
from ...sets import L0, L2, Linf

BOX = (0, 1)
SEES = {LogitOracle: "logits", ProbabilityOracle: "probabilities", LabelOracle: "labels"}


@dataclass(frozen=True)
class Attack:
    """An attack that queries the victim itself, without a substitute; it has a row in the table.

    Attributes
    ----------
    key : str
        Its key in the table of published numbers.
    name : str
        Its name in the table.
    level : oracle class
        Shows the attack what it may see.
    norm : ball class
        Measures the change.
    radius : float
        The largest change that counts as a success; infinite if there is no ε.
    images : int
        The number of test images that it attacks.
    run : callable
        ``run(oracle, x, y, target, rng)`` returns δ.
    targeted : bool
    """

    key: str
    name: str
    level: Any
    norm: Any
    radius: float
    images: int
    run: Callable
    targeted: bool = False

    @property
    def sees(self):
        """What the attack sees, in a word."""
        return SEES[self.level]


def attacks(setup):
    """Return the attacks in the ℓ∞ ball, the one on a single pixel, and those that search for the smallest change."""
    plan, threat, eps = setup.plan, setup.threat, setup.eps
    q, many, few, free = plan.queries, plan.images, plan.fewer, float("inf")

    def inside(attack):
        return lambda oracle, x, y, _, rng: attack(oracle, x, y, threat, queries=q, rng=rng)

    def aimed(oracle, x, y, target, rng):
        return genattack(oracle, x, y, threat, queries=q, target=target, rng=rng)

    def pixel(oracle, x, y, _, rng):
        return one_pixel(oracle, x, y, L0(1).within(*BOX), queries=plan.pixel_queries, rng=rng)

    def smallest(attack, norm):
        return lambda oracle, x, y, _, rng: attack(oracle, x, y, norm=norm, queries=q, rng=rng)

    return [
        Attack("square", "Square", LogitOracle, Linf, eps, many, inside(square)),
        Attack("nes", "NES", ProbabilityOracle, Linf, eps, many, inside(nes)),
        Attack("spsa", "SPSA", LogitOracle, Linf, eps, many, inside(spsa)),
        Attack("genattack", "GenAttack", ProbabilityOracle, Linf, eps, many, inside(genattack)),
        Attack("genattack, targeted", "GenAttack, targeted", ProbabilityOracle, Linf, eps, many, aimed, targeted=True),
        Attack("one_pixel", "one pixel", ProbabilityOracle, L0, 1, few, pixel),
        Attack("hopskipjump", "HopSkipJump", LabelOracle, Linf, eps, few, smallest(hopskipjump, Linf)),
        Attack("hopskipjump", "HopSkipJump", LabelOracle, L2, free, few, smallest(hopskipjump, L2)),
        Attack("boundary", "Boundary", LabelOracle, L2, free, few, smallest(boundary, L2)),
    ]
