"""``scratchadv reproduce attacks``: white-box attacks, from the slides and newer, on the tutorial's networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...evaluate import judge
from ...models.protocol import predict
from ...sets import L2, Linf
from ..experiment import Experiment, Measured, Setup
from ..networks import training as networks
from ..networks.images import targets_of
from ..table import Published, Table
from . import ABOUT
from .cost import timed
from .figures import figures
from .line_up import attacks_for_smallest, attacks_in_set

BOX = (0, 1)
NETWORKS = {"2-layer": "MLP 784-200-10", "CNN": "CNN", "robust CNN": "robust CNN"}

# By the key of the attack.
PUBLISHED = {
    "lbfgs": [Published("mean RMS .058 and .065 on two small MLPs", "quoted")],
    "jsma, probabilities": [
        Published("97 % at 4.02 % of the pixels", "abstract"),
        Published("14.5 % allowed", "quoted"),
    ],
}


@dataclass(frozen=True)
class Plan:
    """The sizes and budgets of a run.

    Attributes
    ----------
    networks : networks.Plan
        How the networks are trained.
    in_set, long, smallest : int
        The number of test images for the attacks in a set, for the slow ones among them (Square and standard), and for
        the attacks that search for the smallest change.
    queries : int
        The queries of Square.
    descent : int
        The largest number of steps of Adam in a run of Carlini–Wagner.
    note : str
        Marks a plan that is smaller than the full one, in the head of the tables.
    """

    networks: Any
    in_set: int
    long: int
    smallest: int
    queries: int
    descent: int
    note: str = ""


FULL = Plan(networks.FULL, in_set=1000, long=100, smallest=50, queries=5000, descent=200)
QUICK = Plan(networks.QUICK, in_set=20, long=20, smallest=4, queries=200, descent=100, note=" (QUICK: little data)")


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the networks in the tutorial's ball, or take them from the cache."""
    trained = networks.train_networks(plan.networks, data, networks.TUTORIAL_EPS, seed, cache)
    return Setup({key: trained[key] for key in NETWORKS}, data, plan, eps, seed)


def measure(setup, report):
    """Measure the attacks in a set, and those that search for the smallest change."""
    return Measured({"in a set": measure_in_set(setup, report), "smallest change": measure_smallest(setup, report)})


def measure_in_set(setup, report):
    """Return rows: attack, network, images, success, queries and gradients per image, seconds."""
    rows = []
    for network in NETWORKS:
        for attack in attacks_in_set(setup.plan, setup.seed):
            rows.append(measure_one(setup, network, attack))
            report(f"{attack.name} on the {NETWORKS[network]}: {rows[-1]['seconds']:.0f} s")
    return rows


def measure_one(setup, network, attack):
    """Return the row of an attack in a set on one network."""
    model, threat = setup.models[network], Linf(setup.eps).within(*BOX)
    x, y = (a[: attack.images] for a in (setup.data.x_test, setup.data.y_test))
    target = {"target": targets_of(y, setup.seed)} if attack.targeted else {}
    delta, costs = timed(model, x, lambda counted: attack.run(counted, x, y, threat, **target))
    success = judge(model, x, y, delta, threat, **target).success.mean()
    return {"attack": attack.name, "network": network, "images": len(x), "success": float(success), **costs}


def measure_smallest(setup, report):
    """Return rows: attack, norm, network, success, size of the change, queries and gradients per image, seconds."""
    rows = []
    x, y = (a[: setup.plan.smallest] for a in (setup.data.x_test, setup.data.y_test))
    targets = targets_of(y, setup.seed)
    for network in NETWORKS:
        for attack in attacks_for_smallest(setup.plan):
            model = setup.models[network]
            delta, costs = timed(model, x, lambda counted, a=attack: a.run(counted, x, y, targets))
            found = predict(model, x + delta)
            fooled = found == targets if attack.targeted else found != y
            sizes = attack.norm.norm(delta)[fooled & (predict(model, x) == y)]
            size = {"mean": float(sizes.mean()), "median": float(np.median(sizes))} if len(sizes) else {}
            names = {"key": attack.key, "attack": attack.title, "norm": attack.norm.name, "network": network}
            rows.append({**names, "success": float(fooled.mean()), **size, **costs})
            report(f"{attack.title}, {attack.norm.name}, on the {NETWORKS[network]}: {costs['seconds']:.0f} s")
    return rows


def describe(setup):
    """Return the whole setting, for the head of the tables."""
    plan, data = setup.plan, setup.data
    return {
        "data": f"{data.source}; networks trained on {plan.networks.train:,} images{plan.note}",
        "in a set": f"{Linf(setup.eps).within(*BOX)}; the first {plan.in_set:,} test images, {plan.long:,} for "
        "Square and standard",
        "smallest change": f"0 ≤ x + δ ≤ 1, no ε; the first {plan.smallest:,} test images; sizes are of the images "
        f"that fool the network; Carlini–Wagner with at most {plan.descent} steps per run",
        "targets": "a random wrong class for each image; success is the prediction of the final input",
        "seed": setup.seed,
    }


def tables(result):
    """Return both tables."""

    def costs(row):
        return [f"{row['queries']:,.0f}", f"{row['gradients']:,.0f}", f"{row['seconds']:.1f}"]

    in_set = [
        [row["attack"], NETWORKS[row["network"]], f"{row['images']:,}", f"{100 * row['success']:.1f} %", *costs(row)]
        for row in result["in a set"]
    ]
    smallest = [
        [
            row["attack"],
            NETWORKS[row["network"]],
            f"{100 * row['success']:.0f} %",
            *sizes_of(row),
            *costs(row),
            ", ".join(published.marked for published in PUBLISHED.get(row["key"], ())) or "–",
        ]
        for row in result["smallest change"]
    ]
    header = ["queries", "gradients", "seconds"]
    return [
        Table("Attacks in a set", ["attack", "network", "images", "error", *header], in_set),
        Table(
            "Attacks that look for the smallest change",
            ["attack", "network", "success", "mean size", "median size", *header, "paper"],
            smallest,
        ),
    ]


def sizes_of(row):
    """Return mean and median size with the norm; for ℓ2 also the root mean square over the pixels, as in the paper."""
    if "mean" not in row:
        return "–", "–"
    rms = f" (RMS {row['mean'] / 28:.3f})" if row["norm"] == L2.name else ""
    return f"{row['norm']} {row['mean']:.3g}{rms}", f"{row['median']:.3g}"


EXPERIMENT = Experiment(
    ABOUT,
    FULL,
    train,
    measure,
    describe,
    tables,
    figures,
    quick=QUICK,
    published=PUBLISHED,
    ahead=networks.come_first,
)
