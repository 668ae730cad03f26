"""The hidden tests of homework 5: more bugs for the same laws, and laws that the public tests do not try."""

from functools import partial

import numpy as np
from public_tests import BALL, BOXED, CENTRED, ROUND, THREATS, bug, called, forgetful, grade, lost_seed, without_a_bug

from scratchadv.attacks import fgsm, pgd
from scratchadv.losses import cross_entropy
from scratchadv.sets import L0, Linf


def own_bug(what, wrong, threat):
    """Return a bug that is not in the museum, and FGSM as its correct twin."""
    return (what, called(wrong), threat), ("fgsm", called(fgsm), threat)


def targeted(threats):
    """Return correct attacks that take a target, under each threat."""
    found = [
        ("fgsm", called(fgsm)),
        ("pgd", called(partial(pgd, steps=20, keep="loss"))),
        ("fgsm, forgetful", called(forgetful(fgsm))),
    ]
    return [(name, attack, threat) for threat in threats for name, attack in found]


def test_an_array_like_x_kills_the_wrong_dtype():
    """float64 from the random start, float32 for every input, and another shape"""

    def flat(model, x, y, threat):
        return fgsm(model, x, y, threat).reshape(-1)

    bugs = [
        bug("float64_creeps_in", BOXED, draws=True),
        bug("float32_is_forced", BALL),
        own_bug("δ is returned flat.", flat, BALL),
    ]
    grade("an_array_like_x", bugs, [*without_a_bug(THREATS, draws=True), bug("no_box", BOXED)[0]])


def test_inside_the_set_kills_those_who_drift():
    """A ball around the last iterate, a start on top of ε, other bounds, and 0.1 % too far"""

    def a_hair(model, x, y, threat):
        return 1.001 * fgsm(model, x, y, threat)

    bugs = [
        bug("centred_on_the_previous_iterate", BALL),
        bug("start_on_top_of_eps", BALL, draws=True),
        bug("other_bounds", CENTRED),
        own_bug("The radius is 0.1 % too large.", a_hair, Linf(0.25)),
    ]
    grade("inside_the_set", bugs, [*without_a_bug(THREATS, draws=True), lost_seed(BOXED)[0]])


def test_the_closed_form_kills_frozen_pixels():
    """Pixels at the ends of their range that never move; and an attack that does nothing"""

    def nothing(model, x, y, threat):
        return np.zeros_like(x)

    bugs = [bug("frozen_pixels", BOXED), own_bug("δ is always 0.", nothing, ROUND)]
    grade("the_closed_form", bugs, [*without_a_bug(THREATS), bug("float64_inside", BALL)[0]])


def test_confident_logits_kills_vanished_gradients():
    """A tiny gradient lost in normalisation, a loss of probabilities, gradients that round to zero"""
    bugs = [
        bug("tiny_gradient", ROUND),
        bug("loss_on_probabilities", BALL),
        bug("zero_gradients_in_silence", BOXED),
    ]
    grade("confident_logits", bugs, without_a_bug([BALL, BOXED, CENTRED, ROUND]))


def test_the_model_sees_pixels_only_kills_the_candidates():
    """Candidates that leave the pixel range before the best of them is clipped to it"""
    bugs = [bug("candidates_out_of_range", BOXED)]
    grade("the_model_sees_pixels_only", bugs, without_a_bug(THREATS, draws=True))


def test_batch_mates_do_not_matter_kills_what_shares():
    """Steps along the mean loss, and a batch that stops together"""
    bugs = [bug("mean_loss", BALL), bug("the_batch_stops_together", BALL)]
    grade("batch_mates_do_not_matter", bugs, [*without_a_bug(THREATS), bug("labels_from_the_model", BALL)[0]])


def test_misclassified_inputs_kills_the_guessed_label():
    """The model's own prediction, taken for the label"""
    bystander = bug("no_box", BOXED)[0]
    grade("misclassified_inputs", [bug("labels_from_the_model", BALL)], [*without_a_bug(THREATS), bystander])


def test_targets_are_respected_kills_the_wrong_target():
    """A target that is always y + 1, a ranking by the target alone, and a target that is ignored"""

    def untargeted(model, x, y, threat, target=None):
        return pgd(model, x, y, threat, loss=cross_entropy)

    def at_target(model, x, y, threat, target=None):
        return fgsm(model, x, y, threat, target=target)

    bugs = [
        bug("hard_coded_target", BOXED),
        bug("ranked_by_the_target_alone", L0(2).within(0, 1)),
        (("The target is ignored.", called(untargeted), BALL), ("fgsm", called(at_target), BALL)),
    ]
    grade("targets_are_respected", bugs, targeted([BALL, BOXED, ROUND]))


def test_more_restarts_are_not_weaker_kills_the_common_choice():
    """The best restart is chosen for the whole batch, not for each example"""
    bugs = [bug("restarts_for_the_data_set", BALL, draws=True)]
    short = partial(pgd, steps=5)
    runs = [("pgd", called(short, True)), ("pgd, forgetful", called(forgetful(short), True))]
    correct = [(name, attack, threat) for threat in (BALL, BOXED, ROUND) for name, attack in runs]
    grade("more_restarts_are_not_weaker", bugs, correct)
