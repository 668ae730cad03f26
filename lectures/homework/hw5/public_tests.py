"""The tests of homework 5 that you see. A kill counts only where the same law lets every correct attack pass."""

import importlib
import random
from functools import partial

import numpy as np

from scratchadv.attacks import fgsm, fgsm_random_start, pgd
from scratchadv.sets import L1, L2, Linf
from scratchadv.testing.museum import EXHIBITS

BALL, BOXED, CENTRED = Linf(0.25), Linf(0.25).within(0, 1), Linf(0.25).within(-1, 1)
ROUND, ROUND_BOXED = L2(0.5), L2(0.5).within(0, 1)
THREATS = [BALL, BOXED, CENTRED, ROUND, ROUND_BOXED, L1(0.5).within(0, 1)]


def museum(name):
    """The exhibit of this name: ``make(True)`` is the attack with the bug, ``make(False)`` without."""
    return next(exhibit for exhibit in EXHIBITS if exhibit.make.__name__ == name)


def called(run, draws=False):
    """The attack with ``rng=``, which it does not get where it draws nothing."""

    def attack(model, x, y, threat, rng=None, **options):
        if draws:
            options["rng"] = np.random.default_rng(0) if rng is None else rng
        return run(model, x, y, threat, **options)

    return attack


def forgetful(run):
    """The attack, but it leaves the model in training mode: a bug that only one law is about."""

    def attack(model, *arguments, **options):
        delta = run(model, *arguments, **options)
        model.training = True
        return delta

    return attack


def without_a_bug(threats, *, draws=False, forgets=True, **options):
    """Correct attacks under each threat, and one with a bug that this law is not about: (what it is, it, threat)."""
    found = [("fgsm", called(fgsm)), ("pgd", called(partial(pgd, steps=20)))]
    if draws:
        found += [
            ("fgsm_random_start", called(fgsm_random_start, True)),
            ("pgd, random start", called(partial(pgd, steps=5), True)),
        ]
    if forgets:
        found.append(("fgsm, which leaves the model in training mode", called(forgetful(fgsm))))
    return [(name, attack, threat) for threat in threats for name, attack in found]


def bug(name, threat, draws=False):
    """A bug of the museum and its correct twin, under a threat."""
    exhibit = museum(name)
    wrong, right = called(exhibit.make(True), draws), called(exhibit.make(False), draws)
    return (exhibit.wrong, wrong, threat), (f"an attack without the bug '{exhibit.wrong}'", right, threat)


def lost_seed(threat):
    """Museum 28 with a generator that goes on from call to call, so that everybody is graded alike."""
    own = np.random.default_rng(0)

    def run(model, x, y, threat, rng):
        return fgsm_random_start(model, x, y, threat, rng=own)

    twin = ("fgsm_random_start", called(fgsm_random_start, True), threat)
    return (museum("no_seed").wrong, called(run, True), threat), twin


def grade(name, bugs, correct):
    """The student's law must let all correct attacks pass, and must kill every bug; in no order that it could know."""
    law = getattr(importlib.import_module("laws"), name)
    wrong = [(what, attack, threat, True) for (what, attack, threat), _ in bugs]
    right = [(*other, False) for other in [*correct, *(twin for _, twin in bugs)]]
    cases = [*wrong, *right]
    random.Random(name).shuffle(cases)
    missed = []
    for what, attack, threat, is_wrong in cases:
        said = verdict(law, attack, threat)
        if said and not is_wrong:
            raise AssertionError(f"your {name} refuses an attack that keeps it ({what}, under {threat}): {said}")
        if is_wrong and said is None:
            missed.append(f"your {name} lets a bug pass: {what} (under {threat})")
        elif is_wrong and not said.startswith("AssertionError"):
            missed.append(f"your {name} should raise AssertionError for the bug: {what}; it raises {said}")
    assert not missed, "\n".join(missed)


def verdict(law, attack, threat):
    """What the law raises, in words, or None."""
    try:
        with np.errstate(all="ignore"):
            law(attack, threat)
    except NotImplementedError:
        raise
    except AssertionError as error:
        return f"AssertionError: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def test_an_array_like_x_kills_nothing_and_too_little():
    """An attack that gives None, and one that gives one δ for the whole batch"""
    bugs = [bug("failure_is_none", BOXED), bug("one_at_a_time", BALL)]
    grade("an_array_like_x", bugs, without_a_bug(THREATS, draws=True))


def test_inside_the_set_kills_what_leaves_it():
    """An attack without the box, and one with an ε for bytes"""
    bugs = [bug("no_box", BOXED), bug("eps_for_bytes", BALL)]
    grade("inside_the_set", bugs, without_a_bug(THREATS, draws=True))


def test_nothing_is_changed_kills_what_changes_things():
    """An attack that writes to x, and one that leaves the model in training mode"""
    bugs = [bug("in_place", BOXED), bug("training_mode", BALL)]
    bystander = bug("no_box", BOXED)[0]
    grade("nothing_is_changed", bugs, [*without_a_bug(THREATS, draws=True, forgets=False), bystander])


def test_the_same_again_kills_the_lost_seed():
    """An attack that draws from a generator of its own"""
    bystander = bug("no_box", BOXED)[0]
    grade("the_same_again", [lost_seed(BOXED)], [*without_a_bug(THREATS, draws=True), bystander])


def test_the_closed_form_kills_the_late_box():
    """An attack that cuts off at the box what it could have used elsewhere"""
    grade("the_closed_form", [bug("box_at_the_end", ROUND_BOXED)], without_a_bug(THREATS))
