"""Bugs that make the δ of an example depend on its batch."""

import numpy as np

from ...attacks import fgsm
from ...checked import check_attack
from ...models.protocol import labels_of, loss_and_gradient
from ...numerics import per_row
from .climbing import BALL, climbing
from .exhibit import attack, exhibit


@exhibit(20, "torchattacks #12", "order and split do not matter", attack(BALL, keeps_best=True))
def mean_loss(bug):
    """The step follows the gradient of the mean loss, so its length depends on the size of the batch."""
    return climbing(lambda delta_set, delta, g: delta_set.project(delta + g / (len(g) if bug else 1)))


@exhibit(20, "torchattacks #33", "batch mates do not matter", attack(BALL, keeps_best=True))
def the_batch_stops_together(bug):
    """All examples are attacked until the last one in the batch is fooled."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        delta = np.zeros_like(x)
        for _ in range(6):
            standing = labels_of(model.logits(x + delta)) == y
            going = np.full(len(x), standing.any()) if bug else standing
            _, g = loss_and_gradient(model, model.loss, x + delta, y)
            step = threat.at(x).ascend(delta, g, threat.radius / 6)
            delta = np.where(per_row(going, x), step, delta)
        return np.where(per_row(_higher(model, x, y, delta), x), delta, 0)

    return run


def _higher(model, x, y, delta):
    return model.loss.value(model.logits(x + delta), y) >= model.loss.value(model.logits(x), y)


@exhibit(21, "ART PR #765", "more restarts are not weaker", attack(BALL, keeps_best=True, random=True, restarts=True))
def restarts_for_the_data_set(bug):
    """The best restart is chosen for the whole data set, not for each example."""

    def run(model, x, y, threat, rng, restarts=1):
        check_attack(model, x, y, threat)
        best = np.zeros_like(x)
        best_value = model.loss.value(model.logits(x), y)
        for _ in range(restarts):
            delta = threat.sample(rng, x)
            value = model.loss.value(model.logits(x + delta), y)
            better = np.full(len(x), value.sum() > best_value.sum()) if bug else value > best_value
            best = np.where(per_row(better, x), delta, best)
            best_value = np.where(better, value, best_value)
        return best

    return run


@exhibit(34, "ART #970", "an array like x", attack(BALL, exact=True))
def one_at_a_time(bug):
    """The batch size is fixed at 1, so only one example is attacked."""

    def run(model, x, y, threat):
        return fgsm(model, x[:1], y[:1], threat) if bug else fgsm(model, x, y, threat)

    return run
