"""The public tests of homework 5. A kill counts only if the same law lets every correct attack pass."""

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
    """Return the exhibit of this name: ``make(True)`` is the attack with the bug, ``make(False)`` the one without."""
    return next(exhibit for exhibit in EXHIBITS if exhibit.make.__name__ == name)


def called(run, draws=False):
    """Return the attack with an argument ``rng``, which is passed on only if the attack draws random numbers."""

    def attack(model, x, y, threat, rng=None, **options):
        if draws:
            options["rng"] = np.random.default_rng(0) if rng is None else rng
        return run(model, x, y, threat, **options)

    return attack


def forgetful(run):
    """Return the attack with a bug that concerns only one law: it leaves the model in training mode."""

    def attack(model, *arguments, **options):
        delta = run(model, *arguments, **options)
        model.training = True
        return delta

    return attack


def without_a_bug(threats, *, draws=False, forgets=True, **options):
    """Return triples (name, attack, threat): correct attacks, and one with a bug that does not concern this law."""
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
    """Return a bug of the museum and its correct twin, under a threat."""
    exhibit = museum(name)
    wrong = called(exhibit.make(True), draws)
    right = called(exhibit.make(False), draws)
    return (exhibit.wrong, wrong, threat), (f"an attack without the bug '{exhibit.wrong}'", right, threat)


def lost_seed(threat):
    """Return exhibit 28 with a generator that continues from call to call, so that everyone is graded alike."""
    own = np.random.default_rng(0)

    def run(model, x, y, threat, rng):
        return fgsm_random_start(model, x, y, threat, rng=own)

    twin = ("fgsm_random_start", called(fgsm_random_start, True), threat)
    return (museum("no_seed").wrong, called(run, True), threat), twin


def grade(name, bugs, correct):
    """Check that the student's law lets all correct attacks pass and kills every bug, in an order unknown to it."""
    law = getattr(importlib.import_module("laws"), name)
    wrong = [(what, attack, threat, True) for (what, attack, threat), _ in bugs]
    right = [(*other, False) for other in [*correct, *(twin for _, twin in bugs)]]
    cases = [*wrong, *right]
    random.Random(name).shuffle(cases)
    missed = []
    for what, attack, threat, is_wrong in cases:
        said = verdict(law, attack, threat)
        if said and not is_wrong:
            raise AssertionError(f"your {name} refuses an attack that satisfies it ({what}, under {threat}): {said}")
        if is_wrong and said is None:
            missed.append(f"your {name} lets a bug pass: {what} (under {threat})")
        elif is_wrong and not said.startswith("AssertionError"):
            missed.append(f"your {name} should raise AssertionError for the bug: {what}; it raises {said}")
    assert not missed, "\n".join(missed)


def verdict(law, attack, threat):
    """Return what the law raises, in words, or None."""
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
    """An attack that returns None, and one that returns a single δ for the whole batch"""
    bugs = [bug("failure_is_none", BOXED), bug("one_at_a_time", BALL)]
    grade("an_array_like_x", bugs, without_a_bug(THREATS, draws=True))


def test_inside_the_set_kills_what_leaves_it():
    """An attack without the box, and one with an ε for pixels from 0 to 255"""
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
    """An attack that loses at the box a budget that it could have used elsewhere"""
    grade("the_closed_form", [bug("box_at_the_end", ROUND_BOXED)], without_a_bug(THREATS))
