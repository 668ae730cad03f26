"""Substitutes: networks that learn from the labels of the victim and are attacked in its place."""

import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...attacks.black_box.queries import LabelOracle
from ...attacks.black_box.substitution import substitute
from ...attacks.gradient.fgsm import fgsm
from ...models import CNN, MLP
from ...models.protocol import predict
from ...sets import Linf
from ...training import fit
from ...training.optim import Adam

FIRST = 150  # the number of images that the substitute begins with
STEPS = (0.1, -0.1)  # λ of the paper, and its opposite

# The architectures of the substitute: their names in the table, and their constructors.
SUBSTITUTES = {"cnn": ("CNN", CNN), "mlp": ("MLP 784-200-200-10", partial(MLP, (784, 200, 200, 10)))}


class Learned(NamedTuple):
    """The results of one substitute: its row, the model, and δ."""

    row: dict
    model: Any
    delta: Any


def measure_substitute(setup, step, report):
    """Train a substitute on the labels of the victim, and attack it with FGSM."""
    plan, data = setup.plan, setup.data
    rng = np.random.default_rng(setup.seed)
    rest = np.arange(2 * plan.images + 20, len(data.x_test))  # none of the images that are attacked
    first = data.x_test[rng.choice(rest, min(FIRST, len(rest)), replace=False)]
    training = partial(fit, epochs=plan.epochs, optimizer=Adam(1e-3), rng=rng, progress=False)
    _, make = SUBSTITUTES[plan.substitute]
    own = make(rng=np.random.default_rng(setup.seed + 1))
    began = time.perf_counter()
    victim = LabelOracle(setup.model)
    learned = substitute(victim, own, first, training, rounds=plan.rounds, step=step)
    delta = fgsm(learned.model, setup.x, setup.y, setup.threat)
    seconds = time.perf_counter() - began
    success = predict(setup.model, setup.x + delta) != setup.y
    agreement = (predict(learned.model, setup.x) == setup.y).mean()
    report(f"substitute, step {step:+g}: {100 * success.mean():.0f} % in {seconds:.0f} s")
    row = {
        "key": f"substitute, {step:+g}",
        "attack": f"substitute, step {step:+g}",
        "sees": "labels",
        "norm": Linf.name,
        "radius": setup.eps,
        "images": len(setup.x),
        "success": float(success.mean()),
        "queries in all": victim.asked,
        "agreement": float(agreement),
        "mean size": float(Linf.norm(delta)[success].mean()) if success.any() else None,
        "seconds": round(seconds, 1),
    }
    return Learned(row, learned.model, delta)
