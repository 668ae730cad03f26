"""``scratchadv reproduce networks``: the slides' networks on ten digits under FGSM and PGD, and trained against them.

The networks and settings are those of the tutorial that the slides draw on (Kolter and Madry, chapters 3 and 4).
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import datasets
from ...attacks import fgsm, fgsm_random_start, pgd
from ...evaluate import judge, robust_accuracy
from ...models import CNN, MLP
from ...models.protocol import predict
from ...sets import Linf
from ...support.console import say
from ...training import zoo
from ...training.optim import SGD, Adam, steps
from ..table import markdown, prepare, publish
from .figures import NAMES, figures

BOX = (0, 1)
TUTORIAL_EPS = 0.1
STEPS, ALPHA = 40, 0.01

# Test errors (MNIST, ε = 0.1, no box): the tutorial's, recalled, and a public rerun's, seen.
PUBLISHED = {
    "2-layer FGSM": ("0.926", "0.933"),
    "4-layer FGSM": ("0.883", "0.938"),
    "CNN FGSM": ("0.417", "0.500"),
    "2-layer PGD": ("0.964", "0.956"),
    "4-layer PGD": ("0.984", "0.985"),
    "CNN PGD": ("0.743", "0.761"),
    "CNN restarts": ("0.765", "0.781"),
    "robust CNN clean": ("0.011", ""),
    "robust CNN PGD": ("0.028", ""),
}


@dataclass(frozen=True)
class Plan:
    """How much of everything: the tutorial's run, or the quick one.

    Attributes
    ----------
    train, test : int
        Images to train on and to attack.
    epochs : int
    restarts : int
        Of PGD on the CNN.
    curve : int
        Test images for the curves over ε.
    """

    train: int
    test: int
    epochs: int
    restarts: int
    curve: int


FULL = Plan(train=60_000, test=10_000, epochs=10, restarts=10, curve=1_000)
QUICK = Plan(train=5_000, test=200, epochs=5, restarts=10, curve=100)


@dataclass(frozen=True)
class Networks:
    """The trained models and the test images they are attacked on."""

    models: dict
    data: Any
    plan: Plan
    eps: float
    seed: int


def run(data="auto", eps=TUTORIAL_EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train (or take from the cache), attack, and write table, figures and result.

    Parameters
    ----------
    data : {"auto", "mnist", "strokes"}
    eps : float
        Radius of the ℓ∞ ball, in pixels of [0, 1].
    seed : int
    quick : bool
        All of it on less data.
    out : pathlib.Path
        The folder for ``table.md``, ``result.json`` and the figures.
    cache : path, optional
        Where trained models are kept; default the user's cache.
    report : callable
        Takes each line of the report.

    Returns
    -------
    dict
        What ``result.json`` holds.
    """
    began = time.perf_counter()
    out, eps, seed = prepare(out, eps, seed)
    plan, loaded = QUICK if quick else FULL, datasets.load(data)
    ahead = f"about {minutes(loaded, plan):.0f} minutes on this machine if nothing is in the cache"
    report(f"{ahead}; trained models are kept, and an interrupted training goes on where it was\n")
    experiment = Networks(train(loaded, plan, eps, seed, cache), loaded, plan, eps, seed)
    numbers = measure(experiment)
    setting = describe(experiment)
    comparable = loaded.source.startswith("MNIST") and eps == TUTORIAL_EPS
    table = markdown("Networks: ten digits", setting, *tabulate(numbers, plan, comparable))
    result = {"setting": setting, "numbers": numbers}
    publish(out, began, table, result, partial(figures, experiment, STEPS, ALPHA), report)
    return result


def minutes(data, plan):
    """How long the run will take, from the time of one gradient of the CNN here."""
    model, x, y = CNN(), data.x_test[:100], data.y_test[:100]
    pgd(model, x, y, Linf(0.1), steps=1)
    began = time.perf_counter()
    pgd(model, x, y, Linf(0.1), steps=3)
    gradient = (time.perf_counter() - began) / 300
    training = plan.train * plan.epochs * (1.5 + 3.0)
    attacks = plan.test * STEPS * (4 + plan.restarts / 3) + plan.curve * 2 * 9 * STEPS
    return gradient * (training + attacks) / 60


def quick(data, name, seed=0, cache=None):
    """One of the networks, trained on as little data as ``--quick`` takes, or from the cache: for the lectures.

    Parameters
    ----------
    data : Dataset
    name : {"2-layer", "4-layer", "CNN", "robust CNN"}
    seed : int
    cache : path, optional

    Returns
    -------
    Model
    """
    return train(data, QUICK, TUTORIAL_EPS, seed, cache, [name], progress=False)[name]


def train(data, plan, eps, seed, cache, names=tuple(NAMES), progress=True):
    """The networks by their names."""
    x, y = data.x_train[: plan.train], data.y_train[: plan.train]

    def start():
        return np.random.default_rng(seed)

    def trained(name):
        make, options = recipes[name]
        rng = start()
        options = {"epochs": plan.epochs, "optimizer": SGD(0.1), "rng": rng, "cache": cache} | options
        if attack := options.get("attack"):
            options["attack"] = partial(attack, rng=rng)
        return zoo.trained(name.replace(" ", "-"), make, x, y, progress=progress, **options)

    robust = {
        "attack": partial(fgsm_random_start, threat=Linf(eps)),
        "optimizer": Adam(1e-3),
        "schedule": steps({plan.epochs * 3 // 5: 0.1}),
    }
    recipes = {
        "2-layer": (lambda: MLP((784, 200, 10), rng=start()), {}),
        "4-layer": (lambda: MLP((784, 200, 100, 100, 10), rng=start()), {}),
        "CNN": (lambda: CNN(rng=start()), {"schedule": steps({plan.epochs // 2: 0.1})}),
        "robust CNN": (lambda: CNN(rng=start()), robust),
    }
    return {name: trained(name) for name in names}


def measure(experiment):
    """Test errors: clean, under FGSM, PGD, and PGD with restarts on the CNN, without and with the box."""
    plan, ball = experiment.plan, Linf(experiment.eps)
    x, y = experiment.data.x_test[: plan.test], experiment.data.y_test[: plan.test]
    ascent = partial(pgd, steps=STEPS, alpha=ALPHA)
    restarts = [partial(ascent, rng=np.random.default_rng(experiment.seed))] * plan.restarts
    numbers = {}
    for name, model in experiment.models.items():
        numbers[f"{name} clean"] = float((predict(model, x) != y).mean())
        for box, threat in (("no box", ball), ("box", ball.within(*BOX))):
            for label, attack in (("FGSM", fgsm), ("PGD", ascent)):
                stands = ~judge(model, x, y, attack(model, x, y, threat), threat).success
                numbers[f"{name} {label}, {box}"] = 1 - float(stands.mean())
            if name == "CNN":  # only what stands after PGD from δ = 0 is started again
                left = robust_accuracy(model, x[stands], y[stands], threat, restarts) if stands.any() else 0
                numbers[f"CNN restarts, {box}"] = 1 - float(stands.mean()) * left
    return numbers


def describe(experiment):
    """The whole setting, for the head of the table."""
    plan, data = experiment.plan, experiment.data
    quick = " (QUICK: less data than the tutorial's 60,000 and 10,000)" if plan is QUICK else ""
    return {
        "data": f"{data.source}; {plan.train:,} training and {plan.test:,} test images{quick}",
        "threat": f"{Linf(experiment.eps)} in pixels of [0, 1]; 'box' adds 0 ≤ x + δ ≤ 1",
        "attacks": f"FGSM; PGD of {STEPS} steps of {ALPHA} along the sign from δ = 0; restarts: {plan.restarts} more "
        "from random starts",
        "training": f"SGD, step 0.1, batches of 100, {plan.epochs} epochs, float32, seed {experiment.seed}; the CNN "
        f"with step 0.01 after epoch {plan.epochs // 2}",
        "robust CNN": "Adam, step 0.001 and a tenth of it after epoch "
        f"{plan.epochs * 3 // 5}, against FGSM with random start (no box), step 1.25 ε",
    }


def tabulate(numbers, plan, comparable):
    """Header and rows: error, tutorial, public rerun, here without and with the box."""
    attacks = {"clean": "clean", "FGSM": "FGSM", "PGD": f"PGD-{STEPS}"}
    attacks["restarts"] = f"PGD-{STEPS}, {plan.restarts} restarts"
    rows = []
    for name, title in NAMES.items():
        for key, attack in attacks.items():
            free = numbers.get(f"{name} {key}", numbers.get(f"{name} {key}, no box"))
            if free is not None:
                published = PUBLISHED.get(f"{name} {key}", ("", "")) if comparable else ("", "")
                boxed = numbers.get(f"{name} {key}, box")
                here = [f"{free:.4f}", "–" if boxed is None else f"{boxed:.4f}"]
                rows.append([f"{title}: {attack}", *(p or "–" for p in published), *here])
    return ["test error", "tutorial", "public rerun", "here, no box", "here, box"], rows
