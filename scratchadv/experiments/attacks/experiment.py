"""``scratchadv reproduce attacks``: the white-box attacks of the slides, and today's, on the tutorial's networks."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import datasets
from ...attacks import (
    apgd,
    carlini_wagner,
    deepfool,
    fab,
    fgsm,
    iterated_fgsm,
    jsma,
    lbfgs,
    momentum_fgsm,
    pgd,
    square,
    standard,
)
from ...evaluate import judge
from ...losses import dlr, logit_difference
from ...models.protocol import predict
from ...models.watched import Watched
from ...sets import L0, L2, Linf
from ...support.console import say
from ..networks import experiment as networks
from ..table import markdown, prepare, publish
from .figures import figures

BOX = (0, 1)
NETWORKS = {"2-layer": "MLP 784-200-10", "CNN": "CNN", "robust CNN": "robust CNN"}

PAPERS = {
    "L-BFGS": "mean RMS .058 and .065 on two small MLPs (quoted)",
    "JSMA, probabilities": "97 % at 4.02 % of the pixels (abstract), 14.5 % allowed (quoted)",
}


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    networks : networks.Plan
        How the models are trained.
    in_set, long, smallest : int
        Test images for the attacks in a set, for Square and standard among them, which take long, and for those that
        look for the smallest change.
    queries : int
        Of Square.
    descent : int
        Steps of Adam, at most, in a run of Carlini–Wagner.
    """

    networks: networks.Plan
    in_set: int
    long: int
    smallest: int
    queries: int
    descent: int


FULL = Plan(networks.FULL, in_set=1000, long=100, smallest=50, queries=5000, descent=200)
QUICK = Plan(networks.QUICK, in_set=20, long=20, smallest=4, queries=200, descent=100)
LONG = "Square", "standard"


@dataclass(frozen=True)
class Attacks:
    """The models by name, and the images they are attacked on."""

    models: dict
    data: Any
    plan: Plan
    eps: float
    seed: int


def run(data="auto", eps=networks.TUTORIAL_EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train (or take from the cache), attack, and write tables, figures and result.

    Parameters
    ----------
    eps : float
        Radius of the ℓ∞ ball of the attacks in a set, in pixels of [0, 1].
    data, seed, quick, out, cache, report
        As for :func:`scratchadv.experiments.networks.experiment.run`.

    Returns
    -------
    dict
        What ``result.json`` holds.
    """
    began = time.perf_counter()
    out, eps, seed = prepare(out, eps, seed)
    plan, loaded = QUICK if quick else FULL, datasets.load(data)
    report("the networks of `scratchadv reproduce networks` are attacked; without them in the cache, they come first\n")
    trained = networks.train(loaded, plan.networks, networks.TUTORIAL_EPS, seed, cache)
    experiment = Attacks({name: trained[name] for name in NETWORKS}, loaded, plan, eps, seed)
    in_set, smallest = measure_in_set(experiment, report), measure_smallest(experiment, report)
    setting = describe(experiment)
    table = tabulate(setting, in_set, smallest)
    result = {"setting": setting, "in a set": in_set, "smallest change": smallest}
    publish(out, began, table, result, partial(figures, experiment), report)
    return result


def attacks_in_set(plan, seed):
    """Functions of (model, x, y, threat) by their names in the table."""

    def rng():
        return np.random.default_rng(seed)

    return {
        "FGSM": fgsm,
        "iterated FGSM, 10 steps": iterated_fgsm,
        "momentum FGSM, 10 steps": momentum_fgsm,
        "PGD, 40 steps": pgd,
        "PGD, 40 steps, 10 restarts": lambda *given: pgd(*given, restarts=10, rng=rng()),
        "APGD, cross-entropy, 100 steps": lambda *given: apgd(*given, rng=rng()),
        "APGD, DLR, 100 steps": lambda *given: apgd(*given, loss=dlr, rng=rng()),
        f"Square, {plan.queries:,} queries": lambda *given: square(*given, queries=plan.queries, rng=rng()),
        "standard": lambda *given: standard(*given, queries=plan.queries, rng=rng()),
    }


def attacks_for_smallest(plan):
    """(name, ball that measures the change, function of (model, x, y, target)); targets only where one is needed."""
    cw = partial(carlini_wagner, steps=plan.descent)
    return [
        ("L-BFGS", L2, lambda model, x, y, target: lbfgs(model, x, y, target=target)),
        ("JSMA", L0, lambda model, x, y, target: jsma(model, x, y, target=target)),
        ("JSMA, probabilities", L0, lambda model, x, y, target: jsma(model, x, y, target=target, of="probabilities")),
        ("DeepFool", L2, lambda model, x, y, _: deepfool(model, x, y, norm=L2)),
        ("DeepFool", Linf, lambda model, x, y, _: deepfool(model, x, y, norm=Linf)),
        ("FAB", L2, lambda model, x, y, _: fab(model, x, y, norm=L2)),
        ("FAB", Linf, lambda model, x, y, _: fab(model, x, y, norm=Linf)),
        ("Carlini–Wagner", L2, lambda model, x, y, _: cw(model, x, y, norm=L2)),
        ("Carlini–Wagner", Linf, lambda model, x, y, _: cw(model, x, y, norm=Linf)),
        ("Carlini–Wagner", L0, lambda model, x, y, _: cw(model, x, y, norm=L0)),
        ("Carlini–Wagner, targeted", L2, lambda model, x, y, target: cw(model, x, y, target=target)),
    ]


def measure_in_set(experiment, report):
    """Rows: attack, network, images, error, queries and gradients an image, seconds."""
    rows, plan = [], experiment.plan
    aimed = {"L(y) − L(target)": None, "z_target − z_y": logit_difference}
    for key in NETWORKS:
        for name, attack in attacks_in_set(plan, experiment.seed).items():
            images = plan.long if name.startswith(LONG) else plan.in_set
            rows.append(measure(experiment, key, name, attack, images))
            report(f"{name} on the {NETWORKS[key]}: {rows[-1]['seconds']:.0f} s")
        for name, loss in aimed.items():
            attack = partial(pgd, loss=loss)
            rows.append(measure(experiment, key, f"PGD targeted, {name}", attack, plan.in_set, aimed=True))
    return rows


def measure(experiment, key, name, attack, images, aimed=False):
    """The row of an attack in a set on one network; aimed at the classes of ``targets_of``, or at none."""
    model, threat = experiment.models[key], Linf(experiment.eps).within(*BOX)
    x, y = (a[:images] for a in (experiment.data.x_test, experiment.data.y_test))
    target = {"target": targets_of(y, experiment.seed)} if aimed else {}
    delta, costs = timed(model, x, lambda counted: attack(counted, x, y, threat, **target))
    success = judge(model, x, y, delta, threat, **target).success.mean()
    return {"attack": name, "network": key, "images": len(x), "success": float(success), **costs}


def measure_smallest(experiment, report):
    """Rows: attack, norm, network, success, size of the change, queries and gradients an image, seconds."""
    rows = []
    x, y = (a[: experiment.plan.smallest] for a in (experiment.data.x_test, experiment.data.y_test))
    targets = targets_of(y, experiment.seed)
    for key in NETWORKS:
        for name, norm, attack in attacks_for_smallest(experiment.plan):
            model = experiment.models[key]
            delta, costs = timed(model, x, lambda model, a=attack: a(model, x, y, targets))
            aimed = name.startswith(("L-BFGS", "JSMA")) or name.endswith("targeted")
            found = predict(model, x + delta)
            fooled = found == targets if aimed else found != y
            sizes = norm(1).norm(delta)[fooled & (predict(model, x) == y)]
            size = {"mean": float(sizes.mean()), "median": float(np.median(sizes))} if len(sizes) else {}
            success = {"success": float(fooled.mean()), "targeted": aimed}
            rows.append({"attack": name, "norm": norm.name, "network": key, **success, **size, **costs})
            report(f"{name}, {norm.name}, on the {NETWORKS[key]}: {costs['seconds']:.0f} s")
    return rows


def targets_of(y, seed):
    """A random wrong class for each example."""
    return (y + np.random.default_rng(seed).integers(1, 10, len(y))) % 10


def timed(model, x, attack):
    """δ, and what it cost: queries and gradients an image, and seconds."""
    counted = Watched(model)
    began = time.perf_counter()
    delta = attack(counted)
    seconds = time.perf_counter() - began
    return delta, {
        "queries": counted.asked / len(x),
        "gradients": counted.pulled / len(x),
        "seconds": round(seconds, 2),
    }


def describe(experiment):
    """The whole setting, for the head of the tables."""
    plan, data = experiment.plan, experiment.data
    quick = " (QUICK: little data)" if plan is QUICK else ""
    return {
        "data": f"{data.source}; networks trained on {plan.networks.train:,} images{quick}",
        "in a set": f"{Linf(experiment.eps).within(*BOX)}; the first {plan.in_set:,} test images, {plan.long:,} for "
        "Square and standard",
        "smallest change": f"0 ≤ x + δ ≤ 1, no ε; the first {plan.smallest:,} test images; sizes over those fooled; "
        f"Carlini–Wagner with at most {plan.descent} steps a run",
        "targets": "a random wrong class for each image; success is the prediction of the final input",
        "seed": experiment.seed,
    }


def tabulate(setting, in_set, smallest):
    """Both tables under one head."""

    def cells(row, *fields):
        return [*fields, f"{row['queries']:,.0f}", f"{row['gradients']:,.0f}", f"{row['seconds']:.1f}"]

    first = [
        cells(r, r["attack"], NETWORKS[r["network"]], f"{r['images']:,}", f"{100 * r['success']:.1f} %") for r in in_set
    ]
    second = [
        [*cells(r, title_of(r), NETWORKS[r["network"]], f"{100 * r['success']:.0f} %", *sizes_of(r)), paper_of(r)]
        for r in smallest
    ]
    costs = ["queries", "gradients", "seconds"]
    header = ["attack", "network", "success", "mean size", "median size", *costs, "paper"]
    return "\n".join(
        [
            markdown("Attacks in a set", setting, ["attack", "network", "images", "error", *costs], first),
            markdown("Attacks that look for the smallest change", {}, header, second),
        ]
    )


def title_of(row):
    """The attack, and whether it aims at a class."""
    aims = row["targeted"] and "targeted" not in row["attack"]
    return f"{row['attack']}, targeted" if aims else row["attack"]


def sizes_of(row):
    """Mean and median size with the norm; for ℓ2 the root mean square over the pixels too, as L-BFGS's paper has it."""
    if "mean" not in row:
        return "–", "–"
    rms = f" (RMS {row['mean'] / 28:.3f})" if row["norm"] == L2.name else ""
    return f"{row['norm']} {row['mean']:.3g}{rms}", f"{row['median']:.3g}"


def paper_of(row):
    """What the attack's paper says."""
    return PAPERS.get(row["attack"], "–")
