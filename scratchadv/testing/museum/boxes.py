"""Bugs of the perturbation set: its centre, its radius and its box."""

import numpy as np

from ...attacks import fgsm
from ...checked import check_attack
from ...losses import margin
from ...numerics import per_row
from ...sets import L2, Linf
from .climbing import BALL, BOXED, climbing, short_pgd
from .exhibit import attack, exhibit


@exhibit(1, "ART #85", "inside the set", attack(BALL, iterated=True))
def centred_on_the_previous_iterate(bug):
    """The ball is centred on the previous iterate, so the steps drift out of the ball around x."""

    def move(delta_set, delta, g):
        step = delta_set.step(g, delta_set.radius / 2)
        return delta + delta_set.project(step) if bug else delta_set.project(delta + step)

    return climbing(move)


@exhibit(2, "ART #73", "inside the set", attack(BALL, iterated=True, random=True))
def start_on_top_of_eps(bug):
    """The random start is added to a δ that may already be as long as ε."""

    def run(model, x, y, threat, rng):
        check_attack(model, x, y, threat)
        start = threat.sample(rng, x)
        if bug:
            return start + short_pgd(model, x + start, y, threat)
        return short_pgd(model, x, y, threat, start=start)

    return run


@exhibit(3, "ART #148", "inside the set", attack(BOXED, exact=True))
def no_box(bug):
    """The image is never clipped to the box."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        return fgsm(model, x, y, threat.ball if bug else threat)

    return run


@exhibit(4, "CleverHans PR #223", "the closed form", attack(L2(0.5).within(0, 1), exact=True))
def box_at_the_end(bug):
    """The box is applied only at the end, so the part of δ that it cuts off is lost."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        if bug:
            return np.clip(x + fgsm(model, x, y, threat.ball), threat.pixels.lower, threat.pixels.upper) - x
        return fgsm(model, x, y, threat)

    return run


@exhibit(5, "Foolbox #564", "the model sees pixels only", attack(BOXED, exact=True))
def candidates_out_of_range(bug):
    """Candidates outside the pixel range are tried, and only the best one is projected back into it."""

    def run(model, x, y, threat):
        x, y, _ = check_attack(model, x, y, threat)
        delta_set = threat.at(x)
        best = fgsm(model, x, y, threat)
        candidates = [best, 2 * best]
        if not bug:
            candidates = [delta_set.project(delta) for delta in candidates]
        values = [margin.value(model.logits(x + delta), y) for delta in candidates]
        return delta_set.project(np.where(per_row(values[1] > values[0], x), candidates[1], candidates[0]))

    return run


@exhibit(25, "Foolbox #602, #681, #703", "inside the set", attack(Linf(0.25).within(-1, 1), exact=True))
def other_bounds(bug):
    """Bounds and normalisation are confused: images in [−1, 1] are clipped to [0, 1]."""

    def run(model, x, y, threat):
        delta = fgsm(model, x, y, threat)
        return np.clip(x + delta, 0 if bug else threat.pixels.lower, threat.pixels.upper) - x

    return run


@exhibit(31, "DEEPSEC #9", "a larger radius is not weaker", attack(BOXED, keeps_best=True))
def dropped_at_the_edge(bug):
    """Success falls as ε grows, because steps that leave the box are dropped instead of projected."""

    def move(delta_set, delta, g):
        step = delta_set.ball.linear_max(g)
        fits = delta_set.contains(step).all() if len(step) == 1 else delta_set.contains(step)
        return np.where(per_row(np.atleast_1d(fits), step), step, 0) if bug else delta_set.project(step)

    return climbing(move, steps=1)


@exhibit(33, "ART universal perturbation", "inside the set", attack(BALL, exact=True))
def eps_for_bytes(bug):
    """The default ε is meant for pixels in 0..255, but the data are in [0, 1]."""

    def run(model, x, y, threat):
        return fgsm(model, x, y, Linf(10.0) if bug else threat)

    return run
