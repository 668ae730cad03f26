"""Bugs that break the conventions about dtypes, changes in place, failures and seeds."""

import numpy as np

from ...attacks import fgsm, fgsm_random_start
from ...checked import check_attack
from ...models.protocol import labels_of, loss_and_gradient
from .climbing import BALL, BOXED
from .exhibit import attack, exhibit


@exhibit(22, "ART #366, #582, #2475", "an array like x", attack(BOXED, random=True))
def float64_creeps_in(bug):
    """float64 creeps in through the random start."""

    def run(model, x, y, threat, rng):
        check_attack(model, x, y, threat)
        start = 0.25 * threat.radius * rng.uniform(-1, 1, x.shape)
        start = threat.at(x).project(start if bug else start.astype(x.dtype))
        _, g = loss_and_gradient(model, model.loss, x, y)
        return threat.at(x).ascend(start, g, threat.radius)

    return run


@exhibit(22, "ART #497, CleverHans PR #819", "float64 nowhere unasked", attack(BALL, exact=True))
def float64_inside(bug):
    """Images are silently converted to float64, and the result is converted back at the end."""

    def run(model, x, y, threat):
        return fgsm(model, x.astype(float) if bug else x, y, threat).astype(x.dtype)

    return run


@exhibit(22, "CleverHans PR #819", "an array like x", attack(BALL, exact=True))
def float32_is_forced(bug):
    """float64 images are silently converted to float32."""

    def run(model, x, y, threat):
        return fgsm(model, x.astype(np.float32) if bug else x, y, threat)

    return run


@exhibit(23, "Foolbox #74, torchattacks #21", "nothing is changed", attack(BALL, exact=True))
def training_mode(bug):
    """The attack leaves the model in training mode."""

    def run(model, x, y, threat):
        if bug:
            model.training = True
        return fgsm(model, x, y, threat)

    return run


@exhibit(27, "Foolbox #175", "an array like x", attack(BOXED, exact=True))
def failure_is_none(bug):
    """An attack that fails returns None."""

    def run(model, x, y, threat):
        delta = fgsm(model, x, y, threat)
        failed = (labels_of(model.logits(x + delta)) == y).all()
        return None if bug and failed else delta

    return run


@exhibit(28, "Foolbox #243", "the same again", attack(BOXED, random=True))
def no_seed(bug):
    """The same seed does not give the same δ again."""

    def run(model, x, y, threat, rng):
        return fgsm_random_start(model, x, y, threat, rng=np.random.default_rng() if bug else rng)

    return run


@exhibit(32, "several", "nothing is changed", attack(BOXED, exact=True))
def in_place(bug):
    """The input array is changed in place."""

    def run(model, x, y, threat):
        delta = fgsm(model, x, y, threat)
        image = x if bug else x.copy()
        before = x.copy()
        image += delta
        return np.clip(image, threat.pixels.lower, threat.pixels.upper) - before

    return run
