"""``scratchadv reproduce unrecognisable``: images that mean nothing to people, and that a CNN is certain about."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..experiment import Experiment, Measured, Setup
from ..networks import training as networks
from ..table import Published, Table
from . import ABOUT
from .figures import figures
from .search import ALPHA, ENCODINGS, PENALTY, answers, ascend, evolve

NETWORKS = {"CNN": "CNN", "robust CNN": "robust CNN"}
WAYS = {**{name: partial(evolve, way=name) for name in ENCODINGS}, "gradient": ascend}
SURE, CERTAIN = 0.99, 0.9999
EARLY = 50  # the paper's number of generations

# By the way of searching: on MNIST, with LeNet, the images of most runs, after 200 generations.
PUBLISHED = {
    "direct": Published("each class ≥ 99.99 % in fewer than 50 generations; median 99.99 % at 200", "quoted"),
    "CPPN": Published("each class ≥ 99.99 %", "recalled"),
}


@dataclass(frozen=True)
class Plan:
    """The sizes and budgets of a run.

    Attributes
    ----------
    networks : networks.Plan
        How the networks are trained.
    runs : int
        The number of independent searches of each kind.
    generations, children : int
        The generations of MAP-Elites, and the images in each.
    steps : int
        The steps of gradient ascent.
    note : str
        Marks a plan that is smaller than the full one, in the head of the table.
    """

    networks: Any
    runs: int
    generations: int
    children: int
    steps: int
    note: str = ""


FULL = Plan(networks.FULL, runs=5, generations=200, children=200, steps=200)
QUICK = Plan(
    networks.QUICK,
    runs=1,
    generations=120,
    children=200,
    steps=200,
    note=" (QUICK: little data, few generations)",
)


def ahead(plan, data):
    """Return a sentence that says what happens first."""
    return "images are made for the CNNs of `scratchadv reproduce networks`; any not in the cache are trained first"


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the CNN, and the robust CNN in the ball of radius ε, or take them from the cache."""
    models = networks.train_networks(plan.networks, data, eps, seed, cache, tuple(NETWORKS))
    return Setup(models, data, plan, eps, seed)


def measure(setup, report):
    """Make images for both networks in every way, measure the confidence, and keep the images."""
    found = search(setup, report)
    return Measured({"numbers": confidences(setup, found)}, kept=found)


def search(setup, report):
    """Return the results of all searches, by (network, way)."""
    found = {}
    for network, model in setup.models.items():
        for way, searched in WAYS.items():
            found[network, way] = searched(setup, model)
            report(f"{way} in the {NETWORKS[network]}: {found[network, way].seconds:.0f} s")
    return found


def confidences(setup, found):
    """Return rows: way, network, confidence early and at the end, that of the other network, queries, seconds."""
    rows = []
    for (network, way), result in found.items():
        other = next(name for name in setup.models if name != network)
        p = np.exp(result.log_p)
        rows.append(
            {
                "way": way,
                "network": network,
                "early": summary(p[:, EARLY]) if len(p[0]) > EARLY else None,
                "end": summary(p[:, -1]),
                "other network": summary(np.exp(answers(setup.models[other], result.x))),
                "queries": result.queries,
                "seconds": round(result.seconds, 2),
            }
        )
    return rows


def summary(p):
    """Return the median and the smallest confidence, and the shares of images at least 99 % and 99.99 %."""
    shares = {"sure": (p >= SURE).mean(), "certain": (p >= CERTAIN).mean()}
    return {name: float(value) for name, value in {"median": np.median(p), "least": p.min(), **shares}.items()}


def describe(setup):
    """Return the whole setting, for the head of the table."""
    plan, data = setup.plan, setup.data
    return {
        "data": f"{data.source}; networks trained on {plan.networks.train:,} images{plan.note}",
        "robust CNN": f"trained against FGSM with random start, ‖δ‖∞ ≤ {setup.eps:g}",
        "MAP-Elites": f"{plan.generations} generations of {plan.children} after a random one; no crossover; one image "
        f"for each class; independent runs: {plan.runs}; logits only",
        "direct": "uniform noise; a pixel is mutated with probability 0.1, which is halved every 1,000 generations, by "
        "polynomial mutation, η = 15",
        "CPPN": "x, y, radius, bias; sine, sigmoid, Gaussian, linear; at most 16 hidden nodes",
        "gradient": f"log p − {PENALTY:g} / 2 ‖x‖², {plan.steps} steps of {ALPHA:g} in 0 ≤ x ≤ 1 from uniform noise",
        "confidence": "the probability of the class that the image was made for; shares are of the images of all "
        "classes and runs",
        "seed": setup.seed,
    }


def tables(result):
    """Return the table, with a row for each network and way."""
    header = ["way", "made for", f"generation {EARLY}: median, ≥ 99.99 %", "end: median, least", "≥ 99 %", "≥ 99.99 %"]
    header += ["the other network: median, ≥ 99 %", "queries per run", "seconds", "paper"]
    rows = []
    for row in result["numbers"]:
        early, end, other = row["early"], row["end"], row["other network"]
        compared = result["mnist"] and row["network"] == "CNN" and row["way"] in PUBLISHED
        cells = [
            f"{percent(early['median'])}, {share(early['certain'])}" if early else "–",
            f"{percent(end['median'])}, {percent(end['least'])}",
            share(end["sure"]),
            share(end["certain"]),
            f"{percent(other['median'])}, {share(other['sure'])}",
            f"{row['queries']:,}",
            f"{row['seconds']:.0f}",
            PUBLISHED[row["way"]].marked if compared else "–",
        ]
        rows.append([row["way"], NETWORKS[row["network"]], *cells])
    return [Table("Unrecognisable images", header, rows)]


def percent(p):
    """Return a confidence as text, rounded down: 0.99996 is 99.99 %."""
    return f"{np.floor(10_000 * p) / 100:.2f} %"


def share(p):
    """Return a share of the images as text."""
    return f"{100 * p:.0f} %"


EXPERIMENT = Experiment(
    ABOUT, FULL, train, measure, describe, tables, figures, quick=QUICK, published=PUBLISHED, ahead=ahead
)
