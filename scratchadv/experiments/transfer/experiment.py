"""``scratchadv reproduce transfer``: transfer between models, between techniques, and between tasks."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from ...attacks import fgsm, pgd
from ...evaluate.transfer import matrix, over_seeds
from ...sets import Linf
from ..experiment import Experiment, Measured
from ..table import Published, Table
from . import ABOUT
from .figures import figures
from .training import FULL, QUICK, TASKS, TEMPERATURE, WITHOUT, train

BOX = (0, 1)

# The attacks of each part, by their keys; sources without a gradient have attacks of their own.
ATTACKS = {"models": {"pgd": pgd, "fgsm": fgsm}, "techniques": {"own_attacks": pgd}, "tasks": {"pgd": pgd}}
TITLES = {"pgd": "PGD", "fgsm": "FGSM", "own_attacks": "own attacks"}

# Per cent misclassified in Papernot, McDaniel and Goodfellow (2016): MNIST, with their models and perturbations (FGSM
# with ε = 0.3 on networks, logistic regression and neighbours). The rows are the sources.
PAPER = {
    "network": (38.27, 23.02, 64.32, 79.31, 8.36),
    "logistic regression": (6.31, 91.64, 91.43, 87.42, 11.29),
    "SVM": (2.51, 36.56, 100.0, 80.03, 5.19),  # the slides that quote the rest have 35.56 in the second place
    "decision tree": (0.82, 12.22, 8.85, 89.29, 3.31),
    "nearest neighbours": (11.75, 42.89, 82.16, 82.95, 41.65),
}
RECALLED = ("SVM", "logistic regression")
PUBLISHED = {
    (source, target): Published(f"{share:.1f}", "recalled" if (source, target) == RECALLED else "quoted")
    for source, row in PAPER.items()
    for target, share in zip(PAPER, row, strict=True)
}


@dataclass(frozen=True)
class Matrix:
    """A matrix over all seeds.

    Attributes
    ----------
    part : {"models", "techniques", "tasks"}
    attack : str
        A key of ``TITLES``.
    eps : float
    transfers : list of Transfer
        One for each seed.
    """

    part: str
    attack: str
    eps: float
    transfers: Any

    @property
    def title(self):
        """The name of the attack."""
        return TITLES[self.attack]


def measure(setup, report):
    """Measure the matrices of every part, at ε and at 2ε."""
    x, y = setup.data.x_test[: setup.plan.test], setup.data.y_test[: setup.plan.test]
    matrices = []
    for part, groups in setup.models.items():
        own = {name: labels(y) for name, (_, labels) in TASKS.items()} if part == "tasks" else y
        for key, attack in ATTACKS[part].items():
            for eps in (setup.eps, 2 * setup.eps):
                matrices.append(measure_matrix(part, key, groups, x, own, eps, setup.seed, attack))
        report(f"between {part}: done")
    parts = {one.part: one for one in matrices}
    numbers = {
        "clean errors": [row for one in parts.values() for row in clean_errors(one)],
        "itself": [row for one in matrices for row in itself_of(one)],
        "transfer": [row for one in matrices for row in cells_of(one)],
    }
    return Measured(numbers, kept=matrices)


def measure_matrix(part, key, groups, x, y, eps, seed, attack):
    """Make δ on the models of each seed, and evaluate it on the models of the next seed."""
    threat = Linf(eps).within(*BOX)
    transfers = []
    for i, (sources, own) in enumerate(groups):
        targets, _ = groups[(i + 1) % len(groups)]
        attacks = dict.fromkeys(sources, attack) | own
        transfers.append(matrix(sources, targets, x, y, threat, attacks, rng=np.random.default_rng(seed + i)))
    return Matrix(part, key, eps, transfers)


def clean_errors(one):
    """Return rows: part, model, mean and deviation over the seeds of its clean test error."""
    rows = []
    for i, name in enumerate(one.transfers[0].sources):
        wrong = [1 - float(transfer.right_source[i].mean()) for transfer in one.transfers]
        row = {"part": one.part, "model": name, "error": float(np.mean(wrong))}
        rows.append({**row, "error, deviation": number(np.std(wrong, ddof=1)) if len(wrong) > 1 else None})
    return rows


def itself_of(one):
    """Return rows: the success on each source itself."""
    mean, deviation = over_seeds(one.transfers, "itself")
    return [
        {
            "part": one.part,
            "attack": one.attack,
            "eps": one.eps,
            "made on": source,
            "success": number(mean[i]),
            "success, deviation": number(deviation[i]),
        }
        for i, source in enumerate(one.transfers[0].sources)
    ]


def cells_of(one):
    """Return a row for each cell of a matrix, with all its numbers in values that JSON can store."""
    rows = []
    first = one.transfers[0]
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
    """Return a float, or None for NaN, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


def describe(setup):
    """Return the whole setting, for the head of the tables."""
    plan, data = setup.plan, setup.data
    techniques = (
        f"PGD on the scores of logistic regression (C = 0.1) and of the linear SVM (C = 0.01); the exact "
        f"smallest change on the tree; PGD on soft neighbours (T = {TEMPERATURE:g}) for 5 nearest neighbours"
    )
    return {
        "data": f"{data.source}; {plan.seeds} seeds from {setup.seed}, each with {plan.train:,} training images of its "
        f"own, the techniques with the first {plan.techniques:,} of them; the first {plan.test:,} test images"
        f"{plan.note}",
        "threat": f"‖δ‖∞ ≤ ε and {BOX[0]} ≤ x + δ ≤ {BOX[1]}",
        "training": f"Adam, step 0.001, batches of 100, {plan.epochs} epochs, float32",
        "attacks": "FGSM; PGD of 40 steps from δ = 0",
        "cells": "made on the models of one seed, tested on those of the next; per cent of the images that both "
        "classify correctly when clean, each with its own labels; mean ± standard deviation over the seeds; in "
        "brackets random noise as large as δ on each image (± its size in every pixel, as far as the box allows)",
        "itself": "δ on the model that it was made on, per cent of the images that it classifies correctly",
        "techniques": techniques if "techniques" in setup.models else WITHOUT,
        "tasks": "an MLP 784-200-K trained on another labelling of the same images",
    }


def tables(result):
    """Return the tables: the clean errors, one for each matrix, and for MNIST that of the paper."""
    clean = [
        [f"{row['part']}: {row['model']}", f"{per_cent(row['error'], row['error, deviation'])} %"]
        for row in result["clean errors"]
    ]
    found = [Table("Transferability", ["model", "clean test error"], clean)]
    itself = {key: list(rows) for key, rows in groupby(result["itself"], matrix_of)}
    found += [table_of(key, itself[key], list(rows)) for key, rows in groupby(result["transfer"], matrix_of)]
    if result["mnist"] and any(row["part"] == "techniques" for row in result["transfer"]):
        found.append(paper())
    return found


def matrix_of(row):
    """Return the matrix to which a row belongs."""
    return row["part"], row["attack"], row["eps"]


def table_of(key, itself, cells):
    """Return the table of one matrix: mean ± deviation over the seeds, and the control in brackets."""
    part, attack, eps = key
    targets = list(dict.fromkeys(cell["tested on"] for cell in cells))
    lines = []
    for own in itself:
        row = [cell for cell in cells if cell["made on"] == own["made on"]]
        shares = [
            f"{per_cent(cell['success'], cell['success, deviation'])} ({per_cent(cell['control'])})" for cell in row
        ]
        lines.append([own["made on"], per_cent(own["success"], own["success, deviation"]), *shares])
    title = f"Between {part}, {TITLES[attack]}, ε = {eps:g}"
    return Table(title, ["made on ↓, tested on →", "itself", *targets], lines)


def per_cent(share, deviation=None):
    """Return a share in per cent as text, with its deviation if there is one; a dash if there is no share."""
    if share is None:
        return "–"
    return f"{100 * share:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def paper():
    """Return the table of Papernot et al. for transfer between techniques."""
    title = "Between techniques in the paper (Papernot et al. 2016: other models and attacks; quoted, 36.6 recalled)"
    lines = [[source, *(PUBLISHED[source, target].text for target in PAPER)] for source in PAPER]
    return Table(title, ["made on ↓, tested on →", *PAPER], lines)


EXPERIMENT = Experiment(ABOUT, FULL, train, measure, describe, tables, figures, quick=QUICK, published=PUBLISHED)
