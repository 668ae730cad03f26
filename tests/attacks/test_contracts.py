"""Every attack of the catalogue keeps the laws that follow from the promises in its row."""

from functools import partial

import pytest
from every_attack import OF_EXAMPLES, opposite

from scratchadv.attacks import bounded
from scratchadv.attacks.catalogue import find
from scratchadv.losses import dlr, margin
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing import assert_attack_contract

INF, TWO, ONE = (ball.within(0, 1) for ball in (Linf(0.3), L2(0.5), L1(0.7)))
ZERO, WIDE = L0(2).within(0, 1), Linf(0.25).within(-1, 1)

# One row for each trial: attack, settings, threat, and the promises that differ from those of the catalogue.
WITHOUT_RNG = {"random": False, "restarts": False}
CLIMBS = {"iterated": False, "keeps_best": True}  # returns the best of its iterates, but does not reach the closed form
LINEAR = {"models": ("logistic",)}
SHORT = {"queries": 60}
TRIALS = [
    *[("exact", {}, threat, LINEAR) for threat in (Linf(0.3), INF, TWO, ONE, ZERO)],
    *[("fgsm", {}, threat, {}) for threat in (Linf(0.3), L2(0.5), L1(0.7), Linf(0.0), INF, TWO, ONE, ZERO, WIDE)],
    *[("fgsm_random_start", {}, threat, {}) for threat in (INF, TWO)],
    *[("pgd", {"steps": 10}, threat, WITHOUT_RNG) for threat in (Linf(0.3), INF, TWO, ONE, ZERO)],
    ("pgd", {"steps": 10}, TWO, {"tolerance": 0.05}),
    ("pgd", {"steps": 10, "loss": margin}, INF, {**WITHOUT_RNG, "targeted": False, "loss": margin}),
    ("pgd", {"steps": 4, "normalized": False, "alpha": 0.1}, INF, {**WITHOUT_RNG, **CLIMBS, "targeted": False}),
    ("iterated_fgsm", {}, INF, {}),
    ("iterated_fgsm", {}, TWO, CLIMBS | {"targeted": False}),
    ("momentum_fgsm", {}, INF, {}),
    ("apgd", {"steps": 20}, INF, {"tolerance": 0.1}),
    ("apgd", {"steps": 20}, L2(0.5), WITHOUT_RNG),
    (
        *("apgd", {"steps": 10, "loss": dlr}, TWO),
        {**WITHOUT_RNG, "targeted": False, "loss": dlr, "classes": 3, "models": ("softmax", "network")},
    ),
    ("deepfool", {}, L2(0.5), {"reach": 0.9}),
    ("deepfool", {}, TWO, {}),
    ("fab", {"steps": 10}, INF, {**WITHOUT_RNG, "reach": 0.9}),
    ("fab", {"steps": 10}, TWO, {**WITHOUT_RNG, "reach": 0.9}),
    ("fab", {"steps": 10, "eps": 0.5}, TWO, {}),
    ("carlini_wagner", {"steps": 60, "searches": 5}, TWO, {"reach": 0.8}),
    ("jsma", {"upsilon": 1.0}, ZERO, {}),
    ("lbfgs", {"searches": 10, "steps": 15}, TWO, {**LINEAR, "reach": 0.9}),
    ("lbfgs", {"searches": 4, "steps": 10}, TWO, {}),
    ("standard", {"steps": 10, "queries": 20}, INF, {"reach": 0.95}),
    ("square", {"queries": 20}, INF, {}),
    *[
        ("genattack", {**SHORT, **options}, threat, {"max_examples": 6})
        for threat in (Linf(0.3), INF)
        for options in ({}, {"adaptive": True, "population": 3})
    ],
    ("one_pixel", {**SHORT, "population": 8}, L0(1).within(0, 1), {"loss": margin, "max_examples": 10}),
    (
        *("one_pixel", {"queries": 31, "population": 6, "solver": "scipy"}, L0(1).within(0, 1)),
        {"loss": margin, "max_examples": 5},
    ),
    *[
        (name, {**SHORT, "pairs": 2}, threat, {"loss": margin, "max_examples": 5})
        for name in ("nes", "spsa")
        for threat in (Linf(0.15), Linf(0.15).within(0, 1), L2(0.4).within(0, 1), L1(1.0))
    ],
    *[
        ("hopskipjump", {"queries": 80, "directions": 10}, threat, {})
        for threat in (L2(0.6).within(0, 1), L2(0.6), Linf(0.3).within(-1, 2), Linf(0.3))
    ],
    *[("boundary", SHORT, threat, {}) for threat in (L2(0.6).within(0, 1), L2(0.6))],
]
OTHER_CALLS = {"lbfgs": opposite}  # needs a target: the runner-up


def attack_of(row, settings):
    """The attack as the contract calls it, inside a set."""
    attack = partial(OTHER_CALLS.get(row.name, row.function), **settings)
    return bounded(attack) if "smallest" in row.promises else attack


@pytest.mark.parametrize(
    ("name", "settings", "threat", "own"), TRIALS, ids=lambda value: "" if isinstance(value, dict) else str(value)
)
def test_every_attack_keeps_its_promises(name, settings, threat, own):
    """The attack breaks no law that follows from its row in the catalogue"""
    row = find(name)
    assert_attack_contract(attack_of(row, settings), threat, **{"max_examples": 4} | row.contract | own)


def test_every_promise_is_tried():
    """Each attack of the catalogue that returns a δ for each example has a trial that withdraws no promise"""
    tried = {}
    for name, _, _, own in TRIALS:
        tried.setdefault(name, set()).update(flag for flag in find(name).contract if own.get(flag, True))
    assert set(tried) == {name for name in OF_EXAMPLES if find(name).gives == "δ"}
    assert tried == {name: set(find(name).contract) for name in tried}
