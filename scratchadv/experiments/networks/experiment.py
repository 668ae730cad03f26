"""``scratchadv reproduce networks``: the slides' networks under FGSM and PGD, and adversarial training."""

import time
from functools import partial

import numpy as np

from ...attacks import fgsm, pgd
from ...evaluate import judge, robust_accuracy
from ...models import CNN
from ...models.protocol import predict
from ...sets import Linf
from ..experiment import Experiment, Measured, Setup
from ..table import Published, Table
from . import ABOUT
from .figures import figures
from .training import BOX, FULL, NAMES, QUICK, TUTORIAL_EPS, train_networks

STEPS, ALPHA = 40, 0.01

# Test errors (MNIST, ε = 0.1, no box) by network and attack: those of the tutorial and of a public rerun.
PUBLISHED = {
    ("2-layer", "FGSM"): {"tutorial": Published("0.926", "recalled"), "rerun": Published("0.933", "seen")},
    ("4-layer", "FGSM"): {"tutorial": Published("0.883", "recalled"), "rerun": Published("0.938", "seen")},
    ("CNN", "FGSM"): {"tutorial": Published("0.417", "recalled"), "rerun": Published("0.500", "seen")},
    ("2-layer", "PGD"): {"tutorial": Published("0.964", "recalled"), "rerun": Published("0.956", "seen")},
    ("4-layer", "PGD"): {"tutorial": Published("0.984", "recalled"), "rerun": Published("0.985", "seen")},
    ("CNN", "PGD"): {"tutorial": Published("0.743", "recalled"), "rerun": Published("0.761", "seen")},
    ("CNN", "restarts"): {"tutorial": Published("0.765", "recalled"), "rerun": Published("0.781", "seen")},
    ("robust CNN", "clean"): {"tutorial": Published("0.011", "recalled")},
    ("robust CNN", "PGD"): {"tutorial": Published("0.028", "recalled")},
}


def ahead(plan, data):
    """Return a sentence that says how long the run will take."""
    time_ahead = f"about {minutes(data, plan):.0f} minutes on this machine if nothing is in the cache"
    return f"{time_ahead}; trained models are kept, and an interrupted training continues where it stopped"


def minutes(data, plan):
    """Return an estimate of the time of the run in minutes, from the measured time of one gradient of the CNN."""
    model = CNN()
    x, y = data.x_test[:100], data.y_test[:100]
    pgd(model, x, y, Linf(0.1), steps=1)
    began = time.perf_counter()
    pgd(model, x, y, Linf(0.1), steps=3)
    gradient = (time.perf_counter() - began) / 300
    training = plan.train * plan.epochs * (1.5 + 3.0)
    attacks = plan.test * STEPS * (4 + plan.restarts / 3) + plan.curve * 2 * 9 * STEPS
    return gradient * (training + attacks) / 60


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the four networks, or take them from the cache."""
    return Setup(train_networks(plan, data, eps, seed, cache), data, plan, eps, seed)


def measure(setup, report=None):
    """Measure test errors without and with the box: clean, under FGSM and PGD, and for the CNN with restarts."""
    x, y = setup.data.x_test[: setup.plan.test], setup.data.y_test[: setup.plan.test]
    threats = {"no box": Linf(setup.eps), "box": Linf(setup.eps).within(*BOX)}
    ascent = partial(pgd, steps=STEPS, alpha=ALPHA)
    restarts = [partial(ascent, rng=np.random.default_rng(setup.seed))] * setup.plan.restarts
    numbers = {}
    for name, model in setup.models.items():
        attacks = {"FGSM": fgsm, "PGD": ascent}
        again = restarts if name == "CNN" else []
        errors = {box: errors_in(threat, model, x, y, attacks, again) for box, threat in threats.items()}
        numbers[name] = {"clean": {"no box": float((predict(model, x) != y).mean())}}
        numbers[name] |= {attack: {box: errors[box][attack] for box in threats} for attack in errors["box"]}
    return Measured({"numbers": numbers})


def errors_in(threat, model, x, y, attacks, restarts):
    """Return the test error in one set under each attack, and under restarts of the last one if there are any."""
    errors = {}
    for name, attack in attacks.items():
        stands = ~judge(model, x, y, attack(model, x, y, threat), threat).success
        errors[name] = 1 - float(stands.mean())
    if restarts:  # only on the examples that stand after the attack from δ = 0
        left = robust_accuracy(model, x[stands], y[stands], threat, restarts) if stands.any() else 0
        errors["restarts"] = 1 - float(stands.mean()) * left
    return errors


def describe(setup):
    """Return the whole setting, for the head of the table."""
    plan, data = setup.plan, setup.data
    return {
        "data": f"{data.source}; {plan.train:,} training and {plan.test:,} test images{plan.note}",
        "threat": f"{Linf(setup.eps)} in pixels of [0, 1]; 'box' adds 0 ≤ x + δ ≤ 1",
        "attacks": f"FGSM; PGD of {STEPS} steps of {ALPHA} along the sign from δ = 0; restarts: {plan.restarts} more "
        "from random starts",
        "training": f"SGD, step 0.1, batches of 100, {plan.epochs} epochs, float32, seed {setup.seed}; the CNN "
        f"with step 0.01 after epoch {plan.epochs // 2}",
        "robust CNN": "Adam, step 0.001, and a tenth of it after epoch "
        f"{plan.epochs * 3 // 5}, against FGSM with random start (no box), step 1.25 ε",
    }


def tables(result):
    """Return the table: error, tutorial, public rerun, this run without and with the box."""
    attacks = {"clean": "clean", "FGSM": "FGSM", "PGD": f"PGD-{STEPS}"}
    attacks["restarts"] = f"PGD-{STEPS}, {result['plan']['restarts']} restarts"
    comparable = result["mnist"] and result["eps"] == TUTORIAL_EPS
    rows = []
    for name, errors in result["numbers"].items():
        for attack, title in attacks.items():
            if attack in errors:
                published = PUBLISHED.get((name, attack), {}) if comparable else {}
                there = [published[source].text if source in published else "–" for source in ("tutorial", "rerun")]
                here = [f"{errors[attack][box]:.4f}" if box in errors[attack] else "–" for box in ("no box", "box")]
                rows.append([f"{NAMES[name]}: {title}", *there, *here])
    header = ["test error", "tutorial", "public rerun", "here, no box", "here, box"]
    return [Table("Networks: ten digits", header, rows)]


EXPERIMENT = Experiment(
    ABOUT,
    FULL,
    train,
    measure,
    describe,
    tables,
    partial(figures, steps=STEPS, alpha=ALPHA),
    quick=QUICK,
    published=PUBLISHED,
    ahead=ahead,
)
