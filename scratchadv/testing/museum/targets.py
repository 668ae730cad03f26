"""Bugs of labels and targets."""

import numpy as np

from ...attacks import fgsm
from ...checked import check_attack
from ...models.protocol import finite, predict
from ...sets import L0
from .climbing import BALL, BOXED, SEVERAL, short_pgd
from .exhibit import attack, exhibit


@exhibit(17, "ART #2306", "targets are respected", attack(L0(2).within(0, 1), exact=True, targeted=True, **SEVERAL))
def ranked_by_the_target_alone(bug):
    """JSMA ranks pixels by the gradient of the target's logit alone."""

    def run(model, x, y, threat, target=None):
        if target is None:
            return fgsm(model, x, y, threat)
        check_attack(model, x, y, threat, target)
        z, pull = model.vjp_x(x)
        units = np.eye(z.shape[1], dtype=z.dtype)
        return threat.at(x).linear_max(pull(units[target] if bug else units[target] - units[y]))

    return run


@exhibit(19, "torchattacks", "targets are respected", attack(BOXED, iterated=True, targeted=True, **SEVERAL))
def hard_coded_target(bug):
    """The target class is hard-coded as y + 1."""

    def run(model, x, y, threat, target=None):
        if bug and target is not None:
            target = (y + 1) % model.logits(x).shape[1]
        return short_pgd(model, x, y, threat, target=target)

    return run


@exhibit(24, "ART #1334, CleverHans #104", "misclassified inputs", attack(BALL, iterated=True))
def labels_from_the_model(bug):
    """The model's own prediction is used in place of the label."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        return short_pgd(model, x, predict(model, x) if bug else y, threat)

    return run


@exhibit(40, "scratchadv 0.1.0", "any integer type of labels", attack(BALL, exact=True, **SEVERAL))
def labels_that_become_floats(bug):
    """Unsigned labels stacked with signed ones become floats, which cannot be used as indices."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        z, pull = model.vjp_x(x)
        pairs = np.stack([y if bug else y.astype(np.int64), _rival(z, y)], axis=1)
        units = np.eye(z.shape[1], dtype=z.dtype)
        return threat.linear_max(finite(pull(units[pairs[:, 1]] - units[pairs[:, 0]])))

    return run


def _rival(z, y):
    """Return the other class with the highest logit."""
    others = np.where(np.arange(z.shape[1]) == y[:, None].astype(np.int64), -np.inf, z)
    return others.argmax(axis=1)
