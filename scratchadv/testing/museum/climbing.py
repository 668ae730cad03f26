"""What several exhibits share: a short PGD, a PGD with any step, and the sets in which they are tried."""

from functools import partial

import numpy as np

from ...attacks import pgd
from ...checked import check_attack
from ...models.protocol import loss_and_gradient
from ...numerics import per_row
from ...sets import Linf

short_pgd = partial(pgd, steps=6)
BALL = Linf(0.25)
BOXED = Linf(0.25).within(0, 1)
SEVERAL = {"models": ("softmax", "network")}  # models with two or more logits


def climbing(move, steps=6):
    """Return a PGD from δ = 0 with the step ``move(delta_set, delta, g)``, which returns its best iterate."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        delta = best = np.zeros_like(x)
        best_value, g = loss_and_gradient(model, model.loss, x, y)
        for _ in range(steps):
            delta = move(threat.at(x), delta, g)
            value, g = loss_and_gradient(model, model.loss, x + delta, y)
            best = np.where(per_row(value > best_value, x), delta, best)
            best_value = np.maximum(value, best_value)
        return best

    return run
