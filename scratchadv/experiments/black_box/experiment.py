"""``scratchadv reproduce black_box``: attacks on the tutorial's CNN that see only its outputs."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...models.protocol import predict
from ...sets import Linf
from ..experiment import Experiment, Measured, Setup
from ..networks import training as networks
from ..networks.images import targets_of
from ..table import Published, Table
from . import ABOUT
from .figures import figures
from .line_up import BOX, attacks
from .substitutes import FIRST, STEPS, SUBSTITUTES, measure_substitute
from .trace import Trace

# By the key of the attack.
PUBLISHED = {
    "genattack, targeted": Published("100 %, median 996 queries, ε = 0.3", "recalled"),
    "one_pixel": Published("67.97 % of CIFAR-10 images", "abstract"),
    "substitute, +0.1": Published("84.24 % of another network after 6,400 queries", "abstract"),
}


@dataclass(frozen=True)
class Plan:
    """The sizes and budgets of a run.

    Attributes
    ----------
    networks : networks.Plan
        How the CNN is trained.
    images, fewer : int
        The number of test images for the attacks in a set, and for those that see labels or change one pixel.
    queries : int
        The queries for each image.
    pixel_queries : int
        The queries for each image in the one-pixel attack.
    rounds, epochs : int
        The rounds of the substitute, and the epochs of its training in each round.
    substitute : str
        The architecture of the substitute, one of ``SUBSTITUTES``.
    note : str
        Marks a plan that is smaller than the full one, in the head of the table.
    """

    networks: Any
    images: int
    fewer: int
    queries: int
    pixel_queries: int
    rounds: int
    epochs: int
    substitute: str
    note: str = ""


FULL = Plan(
    networks.FULL, images=100, fewer=40, queries=5000, pixel_queries=8001, rounds=6, epochs=10, substitute="cnn"
)
QUICK = Plan(
    networks.QUICK,
    images=10,
    fewer=10,
    queries=400,
    pixel_queries=401,
    rounds=3,
    epochs=10,
    substitute="mlp",
    note=" (QUICK: little data, few queries)",
)


@dataclass(frozen=True)
class BlackBoxes(Setup):
    """The victim, and the test images that are attacked.

    Attributes
    ----------
    x, y : array, shapes (N, *D) and (N,)
        Images that the victim classifies correctly, and their labels.
    """

    x: Any
    y: Any

    @property
    def model(self):
        """The victim."""
        return self.models["victim"]

    @property
    def threat(self):
        """The ℓ∞ ball in the box."""
        return Linf(self.eps).within(*BOX)

    @property
    def target(self):
        """A random wrong class for each image."""
        return targets_of(self.y, self.seed)


class Traced(NamedTuple):
    """The results of one attack: its row, the queries that fooled the victim, and δ."""

    attack: Any
    row: dict
    trace: Trace
    delta: Any


def ahead(plan, data):
    """Return a sentence that says what happens first."""
    return "the CNN of `scratchadv reproduce networks` is attacked; if it is not in the cache, it is trained first"


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the CNN, or take it from the cache, and choose the images."""
    trained = networks.train_networks(plan.networks, data, networks.TUTORIAL_EPS, seed, cache, ("CNN",))
    return begin(trained["CNN"], data, plan, eps, seed)


def begin(model, data, plan, eps, seed):
    """Choose the first test images that the model classifies correctly."""
    x, y = (part[: 2 * plan.images + 20] for part in (data.x_test, data.y_test))
    right = np.flatnonzero(predict(model, x) == y)[: plan.images]
    return BlackBoxes({"victim": model}, data, plan, eps, seed, x[right], y[right])


def measure(setup, report):
    """Measure every attack, and both substitutes."""
    traced = [measure_one(setup, attack, report) for attack in attacks(setup)]
    learned = [measure_substitute(setup, step, report) for step in STEPS]
    return Measured({"attacks": [one.row for one in (*traced, *learned)]}, kept=(traced, learned))


def measure_one(setup, attack, report):
    """Run one attack, and judge it by predicting again."""
    x, y, target = (a[: attack.images] for a in (setup.x, setup.y, setup.target))
    if not attack.targeted:
        target = None
    trace = Trace(setup.model, x, y, attack.norm, target)
    began = time.perf_counter()
    delta = attack.run(attack.level(trace), x, y, target, np.random.default_rng(setup.seed))
    seconds = time.perf_counter() - began
    label = predict(setup.model, x + delta)
    size = attack.norm.norm(delta)
    success = (label != y if target is None else label == target) & (size <= attack.radius * (1 + 1e-5))
    first = trace.first(attack.radius)
    report(f"{attack.name}, {attack.norm.name}: {100 * success.mean():.0f} % in {seconds:.0f} s")
    row = {
        "key": attack.key,
        "attack": attack.name,
        "sees": attack.sees,
        "norm": attack.norm.name,
        "radius": attack.radius if np.isfinite(attack.radius) else None,
        "images": len(x),
        "success": float(success.mean()),
        "median queries": float(np.median(first[success])) if success.any() else None,
        "mean queries": float(trace.numbers.mean()),
        "mean size": float(size[success].mean()) if success.any() else None,
        "seconds": round(seconds, 1),
    }
    return Traced(attack, row, trace, delta)


def describe(setup):
    """Return the whole setting, for the head of the table."""
    plan, data = setup.plan, setup.data
    name, _ = SUBSTITUTES[plan.substitute]
    return {
        "data": f"{data.source}; CNN trained on {plan.networks.train:,} images{plan.note}",
        "images": "the first test images that the CNN classifies correctly; 0 ≤ x + δ ≤ 1",
        "queries": f"at most {plan.queries:,} per image ({plan.pixel_queries:,} for one pixel), including x itself; "
        "the median is over the successes, of the number of the first query that succeeds",
        "success": "another label (or the target, a random wrong class) when predicting again, and within the radius",
        "substitute": f"{name} from {FIRST} other test images, {plan.rounds} rounds of {plan.epochs} "
        f"epochs of Adam, step 0.001; FGSM on it with ε = {setup.eps:g}",
        "seed": setup.seed,
    }


def tables(result):
    """Return the table."""
    header = ["attack", "sees", "set", "images", "success", "median queries", "mean size", "seconds", "paper"]
    return [Table("Black boxes: ten digits", header, [cells(row) for row in result["attacks"]])]


def cells(row):
    """Return a line of the table."""
    return [
        row["attack"] + (f" (agrees on {100 * row['agreement']:.0f} %)" if "agreement" in row else ""),
        row["sees"],
        row["norm"] + (" smallest" if row["radius"] is None else f" ≤ {row['radius']:g}"),
        str(row["images"]),
        f"{100 * row['success']:.0f} %",
        queries_of(row),
        "–" if row["mean size"] is None else f"{row['mean size']:.3g}",
        f"{row['seconds']:.0f}",
        PUBLISHED[row["key"]].marked if row["key"] in PUBLISHED else "–",
    ]


def queries_of(row):
    """Return as text the median number of queries, or all queries of a substitute; a dash if there is no radius."""
    if row["radius"] is None:
        return "–"
    if "queries in all" in row:
        return f"{row['queries in all']:,} in all"
    return "–" if row["median queries"] is None else f"{row['median queries']:,.0f}"


EXPERIMENT = Experiment(
    ABOUT, FULL, train, measure, describe, tables, figures, quick=QUICK, published=PUBLISHED, ahead=ahead
)
