"""``scratchadv reproduce unrecognisable``: images that mean nothing to us, and convince a CNN."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ... import datasets
from ...attacks.black_box.queries import oracle
from ...attacks.unrecognisable.encodings import CPPN, Direct
from ...attacks.unrecognisable.gradient_ascent import gradient_ascent
from ...attacks.unrecognisable.map_elites import log_probabilities, map_elites
from ...support.console import say
from ..networks import experiment as networks
from ..table import markdown, prepare, publish
from .figures import figures

NETWORKS = {"CNN": "CNN", "robust CNN": "robust CNN"}
ENCODINGS = {"direct": Direct, "CPPN": CPPN}
SURE, CERTAIN = 0.99, 0.9999
EARLY = 50  # the paper's number of generations
PENALTY, ALPHA = 0.01, 1.0

# On MNIST, with LeNet: the images of most runs, after 200 generations.
PUBLISHED = {
    "direct": "each class ≥ 99.99 % in fewer than 50 generations; median 99.99 % at 200",
    "CPPN": "each class ≥ 99.99 % (recalled)",
}


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    networks : networks.Plan
        How the models are trained.
    runs : int
        Independent searches of each kind.
    generations, children : int
        Of MAP-Elites.
    steps : int
        Of gradient ascent.
    """

    networks: networks.Plan
    runs: int
    generations: int
    children: int
    steps: int


FULL = Plan(networks.FULL, runs=5, generations=200, children=200, steps=200)
QUICK = Plan(networks.QUICK, runs=1, generations=120, children=200, steps=200)


@dataclass(frozen=True)
class Unrecognisable:
    """The models by name, and how they are searched."""

    models: dict
    data: Any
    plan: Plan
    eps: float
    seed: int


class Found(NamedTuple):
    """What one way found in one network: images ``(runs, K, *D)``, log p of their classes ``(runs, times, K)``."""

    x: Any
    log_p: Any
    queries: float
    seconds: float


def run(data="auto", eps=networks.TUTORIAL_EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train (or take from the cache), search, and write table, figures and result.

    Parameters
    ----------
    eps : float
        The radius of the ℓ∞ ball that the robust CNN is trained in; the search itself has no distance to keep.
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
    report("the CNNs of `scratchadv reproduce networks` are searched; without them in the cache, they come first\n")
    trained = networks.train(loaded, plan.networks, eps, seed, cache, tuple(NETWORKS))
    experiment = Unrecognisable(trained, loaded, plan, eps, seed)
    found = search(experiment, report)
    setting, numbers = describe(experiment), measure(experiment, found)
    comparable = loaded.source.startswith("MNIST")
    table = markdown("Unrecognisable images", setting, *tabulate(numbers, plan, comparable))
    publish(out, began, table, {"setting": setting, "numbers": numbers}, partial(figures, experiment, found), report)
    return {"setting": setting, "numbers": numbers}


def search(experiment, report):
    """What was found, by (network, way)."""
    found = {}
    for network, model in experiment.models.items():
        for way in (*ENCODINGS, "gradient"):
            found[network, way] = (ascend if way == "gradient" else partial(evolve, way=way))(experiment, model)
            report(f"{way} in the {NETWORKS[network]}: {found[network, way].seconds:.0f} s")
    return found


def generators(experiment):
    """One generator a run."""
    return np.random.default_rng(experiment.seed).spawn(experiment.plan.runs)


def evolve(experiment, model, way):
    """MAP-Elites, run after run."""
    plan, began = experiment.plan, time.perf_counter()
    encoding, options = ENCODINGS[way](experiment.data.x_test.shape[1:]), {"generations": plan.generations}
    runs = [map_elites(model, encoding, children=plan.children, rng=rng, **options) for rng in generators(experiment)]
    x, history = (np.stack(parts) for parts in zip(*((found.x, found.history) for found in runs), strict=True))
    return Found(x, history, runs[0].queries, time.perf_counter() - began)


def ascend(experiment, model):
    """Gradient ascent towards each class from uniform noise, run after run."""
    plan, classes, began = experiment.plan, np.arange(len(experiment.data.class_names)), time.perf_counter()
    shape = (plan.runs, len(classes), *experiment.data.x_test.shape[1:])
    noise = np.stack([rng.random(shape[1:], dtype=np.float32) for rng in generators(experiment)])
    y = np.tile(classes, plan.runs)
    flat = gradient_ascent(model, noise.reshape(-1, *shape[2:]), y, penalty=PENALTY, steps=plan.steps, alpha=ALPHA)
    x = flat.reshape(shape)
    return Found(x, answers(model, x)[:, None], (plan.steps + 1) * len(classes), time.perf_counter() - began)


def answers(model, x):
    """How sure the model is that image k is of class k, as log p, ``(runs, K)``."""
    runs, k = x.shape[:2]
    log_p = log_probabilities(oracle(model), x.reshape(runs * k, *x.shape[2:])).reshape(runs, k, k)
    return log_p.diagonal(axis1=1, axis2=2)


def measure(experiment, found):
    """Rows: way, network, confidence early and in the end, what the other network says, queries, seconds."""
    rows = []
    for (network, way), result in found.items():
        other = next(name for name in experiment.models if name != network)
        p = np.exp(result.log_p)
        rows.append(
            {
                "way": way,
                "network": network,
                "early": summary(p[:, EARLY]) if len(p[0]) > EARLY else None,
                "end": summary(p[:, -1]),
                "other network": summary(np.exp(answers(experiment.models[other], result.x))),
                "queries": result.queries,
                "seconds": round(result.seconds, 2),
            }
        )
    return rows


def summary(p):
    """Median and smallest confidence, and the shares of the images that are sure and certain."""
    shares = {"sure": (p >= SURE).mean(), "certain": (p >= CERTAIN).mean()}
    return {name: float(value) for name, value in {"median": np.median(p), "least": p.min(), **shares}.items()}


def describe(experiment):
    """The whole setting, for the head of the table."""
    plan, data = experiment.plan, experiment.data
    quick = " (QUICK: little data, few generations)" if plan is QUICK else ""
    return {
        "data": f"{data.source}; networks trained on {plan.networks.train:,} images{quick}",
        "robust CNN": f"trained against FGSM with random start, ‖δ‖∞ ≤ {experiment.eps:g}",
        "MAP-Elites": f"{plan.generations} generations of {plan.children} after a random one; no crossover; an image a "
        f"class; independent runs: {plan.runs}; logits only",
        "direct": "uniform noise; a pixel is mutated with probability 0.1, halved every 1,000 generations, by "
        "polynomial mutation, η = 15",
        "CPPN": "x, y, radius, bias; sine, sigmoid, Gaussian, linear; at most 16 hidden nodes",
        "gradient": f"log p − {PENALTY:g} / 2 ‖x‖², {plan.steps} steps of {ALPHA:g} in 0 ≤ x ≤ 1 from uniform noise",
        "confidence": "the probability of the class that the image was made for; shares are of the images of all "
        "classes and runs",
        "seed": experiment.seed,
    }


def tabulate(numbers, plan, comparable):
    """Header and rows."""
    header = ["way", "made for", f"generation {EARLY}: median, ≥ 99.99 %", "end: median, least", "≥ 99 %", "≥ 99.99 %"]
    header += ["the other network: median, ≥ 99 %", "queries a run", "seconds", "paper"]
    rows = []
    for row in numbers:
        early, end, other = row["early"], row["end"], row["other network"]
        paper = PUBLISHED.get(row["way"], "–") if comparable and row["network"] == "CNN" else "–"
        cells = [
            f"{percent(early['median'])}, {share(early['certain'])}" if early else "–",
            f"{percent(end['median'])}, {percent(end['least'])}",
            share(end["sure"]),
            share(end["certain"]),
            f"{percent(other['median'])}, {share(other['sure'])}",
        ]
        rows.append(
            [row["way"], NETWORKS[row["network"]], *cells, f"{row['queries']:,}", f"{row['seconds']:.0f}", paper]
        )
    return header, rows


def percent(p):
    """A confidence, cut off and not rounded: 0.99996 is 99.99 %."""
    return f"{np.floor(10_000 * p) / 100:.2f} %"


def share(p):
    """A share of the images."""
    return f"{100 * p:.0f} %"
