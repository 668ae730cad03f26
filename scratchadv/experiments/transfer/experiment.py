"""``scratchadv reproduce transfer``: what transfers between models, between techniques, and between tasks."""

import time
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from ... import datasets
from ...attacks import fgsm, pgd, tree_attack
from ...evaluate.transfer import matrix, over_seeds, tabulate
from ...interop.scikit_learn import linear_scores
from ...models import CNN, MLP, SoftmaxRegression, SoftNeighbours
from ...sets import Linf
from ...support.console import say
from ...support.optional import needed_by
from ...training import zoo
from ...training.optim import Adam
from ..networks import experiment as networks
from ..networks.experiment import BOX
from ..table import markdown, prepare, publish
from .figures import figures

TEMPERATURE = 3.0  # of the soft neighbours; of 0.3, 1, 3, 10, 30 the one whose δ fooled most neighbours of MNIST

TASKS = {
    "which digit": (10, lambda y: y),
    "even or odd": (2, lambda y: y % 2),
    "5 or more": (2, lambda y: (y >= 5).astype(y.dtype)),
}

# Papernot, McDaniel and Goodfellow (2016), MNIST, their own models and perturbations (FGSM with ε = 0.3 on networks,
# logistic regression and neighbours), per cent misclassified; quoted. Rows: made on.
PAPER = {
    "network": (38.27, 23.02, 64.32, 79.31, 8.36),
    "logistic regression": (6.31, 91.64, 91.43, 87.42, 11.29),
    "SVM": (2.51, 36.56, 100.0, 80.03, 5.19),  # 36.56 is recalled; the slides that quote the rest have 35.56
    "decision tree": (0.82, 12.22, 8.85, 89.29, 3.31),
    "nearest neighbours": (11.75, 42.89, 82.16, 82.95, 41.65),
}

ATTACKS = {"models": {"PGD": pgd, "FGSM": fgsm}, "techniques": {"own attacks": pgd}, "tasks": {"PGD": pgd}}
WITHOUT = "scikit-learn is not installed, so techniques are left out: pip install 'scratchadv[techniques]'"


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    train, epochs : int
        Images that the networks of each seed are trained on, and for how long.
    seeds : int
        Each has training images of its own.
    techniques : int
        Training images of each technique.
    test : int
        Test images that are attacked.
    """

    train: int
    epochs: int
    seeds: int
    techniques: int
    test: int


FULL = Plan(train=20_000, epochs=5, seeds=3, techniques=10_000, test=1_000)
QUICK = Plan(train=5_000, epochs=3, seeds=2, techniques=1_000, test=100)


@dataclass(frozen=True)
class Measured:
    """One matrix, over all seeds.

    Attributes
    ----------
    part : {"models", "techniques", "tasks"}
    attack : str
    eps : float
    transfers : list of Transfer
        One a seed.
    """

    part: str
    attack: str
    eps: float
    transfers: Any


def run(data="auto", eps=networks.TUTORIAL_EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train (or take from the cache), attack each source, test on all, and write tables, figures and result.

    Parameters
    ----------
    eps : float
        Radius of the ℓ∞ ball, in pixels of [0, 1]; twice as much is tried too.
    data, seed, quick, out, cache, report
        As for :func:`scratchadv.experiments.networks.experiment.run`; the seed is the first of several.

    Returns
    -------
    dict
        What ``result.json`` holds.
    """
    began = time.perf_counter()
    out, eps, seed = prepare(out, eps, seed)
    plan, loaded = QUICK if quick else FULL, datasets.load(data)
    shares = [share(loaded, plan.train, i) for i in range(plan.seeds)]
    x, y = loaded.x_test[: plan.test], loaded.y_test[: plan.test]
    measured = []
    for part, groups in prepared(shares, plan, seed, cache, report).items():
        own = {name: labels(y) for name, (_, labels) in TASKS.items()} if part == "tasks" else y
        for name, attack in ATTACKS[part].items():
            measured += [measure(part, name, groups, x, own, radius, seed, attack) for radius in (eps, 2 * eps)]
        report(f"between {part}: done")
    setting = describe(loaded, plan, seed, measured)
    result = {"setting": setting, "transfer": [row for one in measured for row in as_rows(one)]}
    publish(out, began, tables(setting, measured), result, partial(figures, measured), report)
    return result


def share(data, n, i):
    """The data set with the i-th n of its training images alone."""
    part = slice(i * n, (i + 1) * n)
    return replace(data, x_train=data.x_train[part], y_train=data.y_train[part])


def prepared(shares, plan, seed, cache, report):
    """The groups of each part: for each seed the models by name, and the attacks of those that have their own."""
    seeds = range(seed, seed + plan.seeds)
    parts = {
        "models": [(models(data, plan, s, cache), {}) for data, s in zip(shares, seeds, strict=True)],
        "tasks": [(tasks(data, plan, s, cache), {}) for data, s in zip(shares, seeds, strict=True)],
    }
    if find_spec("sklearn") is None:
        report(WITHOUT)
    else:
        first = [share(data, plan.techniques, 0) for data in shares]
        parts["techniques"] = [techniques(data, plan, s, cache) for data, s in zip(first, seeds, strict=True)]
    return {part: parts[part] for part in ("models", "techniques", "tasks") if part in parts}


def models(data, plan, seed, cache):
    """A linear softmax, two MLPs and a CNN."""
    make = {
        "linear": lambda rng: SoftmaxRegression(rng=rng),
        "2-layer": lambda rng: MLP((784, 200, 10), rng=rng),
        "4-layer": lambda rng: MLP((784, 200, 100, 100, 10), rng=rng),
        "CNN": lambda rng: CNN(rng=rng),
    }
    return {name: trained(name, f, data, data.y_train, plan, seed, cache) for name, f in make.items()}


def tasks(data, plan, seed, cache):
    """The same MLP for each labelling of the same images."""

    def network(name):
        k, labels = TASKS[name]
        file = f"2-layer-{name.replace(' ', '-')}"
        return trained(file, lambda rng: MLP((784, 200, k), rng=rng), data, labels(data.y_train), plan, seed, cache)

    return {name: network(name) for name in TASKS}


def techniques(data, plan, seed, cache):
    """An MLP, the techniques of scikit-learn, and how those of them are attacked that have no gradient themselves."""
    with needed_by("an attack between techniques", "scikit-learn", "techniques"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.svm import LinearSVC
        from sklearn.tree import DecisionTreeClassifier

    x, y = data.x_train.reshape(len(data.x_train), -1), data.y_train
    fitted = {
        "logistic regression": LogisticRegression(C=0.1, tol=1e-3, max_iter=1000),
        "SVM": LinearSVC(C=0.01, random_state=seed),
        "decision tree": DecisionTreeClassifier(random_state=seed),
        "nearest neighbours": KNeighborsClassifier(5, algorithm="brute"),
    }
    soft = SoftNeighbours(x, y, TEMPERATURE)
    attacks = {
        "logistic regression": by_scores,
        "SVM": by_scores,
        "decision tree": tree_attack,
        "nearest neighbours": lambda _, x, y, threat: pgd(soft, x, y, threat),
    }
    network = trained("2-layer", lambda rng: MLP((784, 200, 10), rng=rng), data, y, plan, seed, cache)
    return {"network": network} | {name: technique.fit(x, y) for name, technique in fitted.items()}, attacks


def by_scores(technique, x, y, threat):
    """PGD on the scores of a linear technique."""
    return pgd(linear_scores(technique), x, y, threat)


def trained(name, make, data, y, plan, seed, cache):
    """A network from its seed: its start, and the order of the images."""
    options = {"epochs": plan.epochs, "optimizer": Adam(1e-3), "rng": np.random.default_rng(seed), "cache": cache}
    return zoo.trained(name, lambda: make(np.random.default_rng(seed)), data.x_train, y, **options)


def measure(part, name, groups, x, y, eps, seed, attack):
    """δ made on the models of each seed, tested on those of the next."""
    threat, transfers = Linf(eps).within(*BOX), []
    for i, (sources, own) in enumerate(groups):
        targets, attacks = groups[(i + 1) % len(groups)][0], dict.fromkeys(sources, attack) | own
        transfers.append(matrix(sources, targets, x, y, threat, attacks, rng=np.random.default_rng(seed + i)))
    return Measured(part, name, eps, transfers)


def describe(data, plan, seed, measured):
    """The whole setting, for the head of the tables."""
    quick = " (QUICK: little data)" if plan is QUICK else ""
    techniques = any(one.part == "techniques" for one in measured)
    return {
        "data": f"{data.source}; {plan.seeds} seeds from {seed}, each with {plan.train:,} training images of its own, "
        f"the techniques with the first {plan.techniques:,} of them; the first {plan.test:,} test images{quick}",
        "threat": f"‖δ‖∞ ≤ ε and {BOX[0]} ≤ x + δ ≤ {BOX[1]}",
        "training": f"Adam, step 0.001, batches of 100, {plan.epochs} epochs, float32",
        "attacks": "FGSM; PGD of 40 steps from δ = 0",
        "cells": "made on the models of one seed, tested on those of the next; per cent of the images that both have "
        "right when clean, each by its own labels; mean ± standard deviation over the seeds; in brackets random noise "
        "as large as δ, image by image (± the same in every pixel that has room)",
        "itself": "δ on the very model that it was made on, per cent of what that has right",
        "techniques": f"PGD on the scores of logistic regression (C = 0.1) and of the linear SVM (C = 0.01); the exact "
        f"smallest change on the tree; PGD on soft neighbours (T = {TEMPERATURE:g}) for 5 nearest neighbours"
        if techniques
        else WITHOUT,
        "tasks": "an MLP 784-200-K trained on another labelling of the same images",
    }


def tables(setting, measured):
    """The clean errors under the whole setting, a table for each matrix, and on MNIST the paper's."""
    parts = {one.part: one.transfers for one in measured}
    errors = [
        [f"{part}: {name}", clean_error(transfers, i)]
        for part, transfers in parts.items()
        for i, name in enumerate(transfers[0].sources)
    ]
    whole = [markdown("Transferability", setting, ["model", "clean test error"], errors)]
    whole += [markdown(title_of(one), {}, *tabulate(one.transfers)) for one in measured]
    if "techniques" in parts and setting["data"].startswith("MNIST"):
        whole.append(paper())
    return "\n".join(whole)


def paper():
    """What Papernot et al. measured between techniques."""
    title = "Between techniques in the paper (Papernot et al. 2016: other models and attacks; quoted, 36.6 recalled)"
    lines = [[name, *(f"{share:.1f}" for share in row)] for name, row in PAPER.items()]
    return markdown(title, {}, ["made on ↓, tested on →", *PAPER], lines)


def clean_error(transfers, i):
    """Mean ± deviation over the seeds, as a cell."""
    wrong = [100 - 100 * one.right_source[i].mean() for one in transfers]
    return f"{np.mean(wrong):.1f} ± {np.std(wrong, ddof=1):.1f} %"


def title_of(one):
    """What was measured, in a line."""
    return f"Between {one.part}, {one.attack}, ε = {one.eps:g}"


def as_rows(one):
    """Each cell of a matrix with all that is known of it, as JSON can say it."""
    rows, first = [], one.transfers[0]
    shares = {of: over_seeds(one.transfers, of) for of in ("success", "control", "carried")}
    examples = np.mean([transfer.examples for transfer in one.transfers], axis=0)
    for i, source in enumerate(first.sources):
        sizes = np.concatenate([transfer.size[i][transfer.fell[i]] for transfer in one.transfers])
        for j, target in enumerate(first.targets):
            row = {"part": one.part, "attack": one.attack, "eps": one.eps, "made on": source, "tested on": target}
            for of, (mean, deviation) in shares.items():
                row |= {of: number(mean[i, j]), f"{of}, deviation": number(deviation[i, j])}
            row |= {"examples": examples[i, j], "median size": number(np.median(sizes)) if len(sizes) else None}
            rows.append(row)
    return rows


def number(value):
    """A float, or None where there is none: JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
