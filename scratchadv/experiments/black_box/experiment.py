"""``scratchadv reproduce black_box``: attacks on the tutorial's CNN that only see what it puts out."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import datasets, tasks
from ...attacks.black_box.boundary import boundary
from ...attacks.black_box.genattack import genattack
from ...attacks.black_box.gradient_estimates import nes, spsa
from ...attacks.black_box.hopskipjump import hopskipjump
from ...attacks.black_box.one_pixel import one_pixel
from ...attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from ...attacks.black_box.square import square
from ...attacks.black_box.substitution import substitute
from ...attacks.gradient.fgsm import fgsm
from ...models import CNN, MLP
from ...models.protocol import predict
from ...models.watched import Watched
from ...sets import L0, L2, Linf
from ...support.console import say
from ...training import fit
from ...training.optim import Adam
from ..networks import experiment as networks
from ..table import markdown, prepare, publish
from .figures import figures

BOX = (0, 1)
EPS = 0.3
FIRST = 150  # images that the substitute begins with

SUBSTITUTES = {"CNN": CNN, "MLP 784-200-200-10": partial(MLP, (784, 200, 200, 10))}

PAPERS = {
    "GenAttack, targeted": "100 %, median 996 queries, ε = 0.3 (recalled)",
    "one pixel": "67.97 % of CIFAR-10 images (abstract)",
    "substitute, step +0.1": "84.24 % of another network after 6,400 queries (abstract)",
}


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    networks : networks.Plan
        How the CNN is trained.
    images, fewer : int
        Test images for the attacks in a set; for those that see labels, and for one pixel.
    queries : int
        Of each image.
    pixel_queries : int
        Of each image under the one-pixel attack.
    rounds, epochs : int
        Of the substitute, and of its training in each round.
    substitute : str
        Its architecture, one of ``SUBSTITUTES``.
    """

    networks: networks.Plan
    images: int
    fewer: int
    queries: int
    pixel_queries: int
    rounds: int
    epochs: int
    substitute: str


FULL = Plan(
    networks.FULL, images=100, fewer=40, queries=5000, pixel_queries=8001, rounds=6, epochs=10, substitute="CNN"
)
QUICK = Plan(
    networks.QUICK,
    images=10,
    fewer=10,
    queries=400,
    pixel_queries=401,
    rounds=3,
    epochs=10,
    substitute="MLP 784-200-200-10",
)


@dataclass(frozen=True)
class BlackBoxes:
    """The model, the images that it classifies rightly, and the setting."""

    model: Any
    data: Any
    x: Any
    y: Any
    plan: Plan
    eps: float
    seed: int

    @property
    def threat(self):
        """The ℓ∞ ball in the box."""
        return Linf(self.eps).within(*BOX)

    @property
    def target(self):
        """A random wrong class for each image."""
        return (self.y + np.random.default_rng(self.seed).integers(1, 10, len(self.y))) % 10


@dataclass(frozen=True)
class Attack:
    """A line of the table.

    Attributes
    ----------
    name : str
    level : oracle class
        What it may see.
    ball : Ball
        What success needs, and the norm of the sizes; an infinite radius where there is no ε.
    images : int
    run : callable
        ``run(oracle, x, y, target, rng)`` gives δ.
    targeted : bool
    """

    name: str
    level: Any
    ball: Any
    images: int
    run: Any
    targeted: bool = False


class Trace(Watched):
    """A model that notes of every question that fools whose it was, its number among them, and the size of the change.

    Parameters
    ----------
    model : Model
    x, y : array
        The images that are attacked, and their labels.
    ball : Ball
        Measures the sizes.
    target : array, optional
    """

    def __init__(self, model, x, y, ball, target=None):
        super().__init__(model)
        self.x, self.y, self.ball, self.target = x, y, ball, target
        self.numbers, self.found = np.zeros(len(x), int), []

    def logits(self, x, owners=None):
        """Return the logits; each row must have its owner."""
        z = super().logits(x, owners)
        number = self.numbers[owners] + place_among_equals(owners) + 1
        np.add.at(self.numbers, owners, 1)
        target = None if self.target is None else self.target[owners]
        fooled = tasks.of(self, z).is_fooled(z, self.y[owners], target)
        size = self.ball.norm(x[fooled] - self.x[owners[fooled]]) if fooled.any() else np.zeros(0)
        self.found.append(np.stack([owners[fooled], number[fooled], size]))
        return z

    def first(self, radius):
        """The query of each image that first fooled with no larger a size, infinite where none did, ``(N,)``."""
        owner, number, size = np.concatenate(self.found, axis=1)
        near, first = size <= radius * (1 + 1e-5), np.full(len(self.x), np.inf)
        np.minimum.at(first, owner[near].astype(int), number[near])
        return first

    def sizes(self, queries):
        """The smallest size that fooled within so many queries, infinite where none did, ``(Q, N)``."""
        owner, number, size = np.concatenate(self.found, axis=1)
        best = np.full((len(queries), len(self.x)), np.inf)
        for row, most in zip(best, queries, strict=True):
            np.minimum.at(row, owner[number <= most].astype(int), size[number <= most])
        return best


def place_among_equals(owners):
    """How many earlier entries are the same, ``(n,)``."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    place = np.empty(len(owners), int)
    place[order] = np.arange(len(owners)) - np.searchsorted(ordered, ordered)
    return place


def run(data="auto", eps=EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train the CNN (or take it from the cache), attack it, and write table, figures and result.

    Parameters
    ----------
    eps : float
        Radius of the ℓ∞ ball, in pixels of [0, 1].
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
    report("the CNN of `scratchadv reproduce networks` is attacked; if it is not in the cache, it is trained first\n")
    model = networks.train(loaded, plan.networks, networks.TUTORIAL_EPS, seed, cache, ["CNN"])["CNN"]
    experiment = begin(model, loaded, plan, eps, seed)
    measured = [measure(experiment, attack, report) for attack in attacks(experiment)]
    learned = [measure_substitute(experiment, step, report) for step in (0.1, -0.1)]
    rows = [row for row, _, _ in (*measured, *learned)]
    setting = describe(experiment)
    result = {"setting": setting, "attacks": rows}
    pictures = partial(figures, experiment, measured, learned)
    publish(out, began, tabulate(setting, rows), result, pictures, report)
    return result


def begin(model, data, plan, eps, seed):
    """The first test images that the model classifies rightly."""
    x, y = data.x_test[: 2 * plan.images + 20], data.y_test[: 2 * plan.images + 20]
    right = np.flatnonzero(predict(model, x) == y)[: plan.images]
    return BlackBoxes(model, data, x[right], y[right], plan, eps, seed)


def attacks(experiment):
    """The lines of the table that ask about the image itself."""
    plan, threat, free = experiment.plan, experiment.threat, float("inf")
    q, many, few = plan.queries, plan.images, plan.fewer

    def inside(name, level, attack, **options):
        def run(oracle, x, y, _, rng):
            return attack(oracle, x, y, threat, queries=q, rng=rng, **options)

        return Attack(name, level, threat.ball, many, run)

    def aimed(oracle, x, y, target, rng):
        return genattack(oracle, x, y, threat, queries=q, target=target, rng=rng)

    def smallest(name, attack, norm, radius):
        def run(oracle, x, y, _, rng):
            return attack(oracle, x, y, norm=norm, queries=q, rng=rng)

        return Attack(name, LabelOracle, Size(norm, radius), few, run)

    def pixel(oracle, x, y, _, rng):
        return one_pixel(oracle, x, y, L0(1).within(*BOX), queries=plan.pixel_queries, rng=rng)

    return [
        inside("Square", LogitOracle, square),
        inside("NES", ProbabilityOracle, nes),
        inside("SPSA", LogitOracle, spsa),
        inside("GenAttack", ProbabilityOracle, genattack),
        Attack("GenAttack, targeted", ProbabilityOracle, threat.ball, many, aimed, targeted=True),
        Attack("one pixel", ProbabilityOracle, L0(1), few, pixel),
        smallest("HopSkipJump", hopskipjump, Linf, experiment.eps),
        smallest("HopSkipJump", hopskipjump, L2, free),
        smallest("Boundary", boundary, L2, free),
    ]


@dataclass(frozen=True)
class Size:
    """A norm, and the radius that success needs; infinite where any change that fools will do."""

    ball_class: Any
    radius: float

    @property
    def name(self):
        """The norm's sign."""
        return self.ball_class.name

    def norm(self, delta):
        """The sizes."""
        return self.ball_class(1).norm(delta)


def measure(experiment, attack, report):
    """The row of an attack, its trace, and δ."""
    x, y, target = (a[: attack.images] for a in (experiment.x, experiment.y, experiment.target))
    target = target if attack.targeted else None
    trace = Trace(experiment.model, x, y, attack.ball, target)
    began = time.perf_counter()
    delta = attack.run(attack.level(trace), x, y, target, np.random.default_rng(experiment.seed))
    seconds = time.perf_counter() - began
    label, size = predict(experiment.model, x + delta), attack.ball.norm(delta)
    success = (label != y if target is None else label == target) & (size <= attack.ball.radius * (1 + 1e-5))
    first = trace.first(attack.ball.radius)
    report(f"{attack.name}, {attack.ball.name}: {100 * success.mean():.0f} % in {seconds:.0f} s")
    row = {
        "attack": attack.name,
        "sees": attack.level.shows.split(",")[0].split(" and ")[0].split(" ")[0],
        "norm": attack.ball.name,
        "radius": attack.ball.radius if np.isfinite(attack.ball.radius) else None,
        "images": len(x),
        "success": float(success.mean()),
        "median queries": float(np.median(first[success])) if success.any() else None,
        "mean queries": float(trace.numbers.mean()),
        "mean size": float(size[success].mean()) if success.any() else None,
        "seconds": round(seconds, 1),
    }
    return row, trace, delta


def measure_substitute(experiment, step, report):
    """The row of FGSM on a substitute, the substitute, and δ."""
    plan, data = experiment.plan, experiment.data
    rng = np.random.default_rng(experiment.seed)
    rest = np.arange(2 * plan.images + 20, len(data.x_test))  # none of the images that are attacked
    first = data.x_test[rng.choice(rest, min(FIRST, len(rest)), replace=False)]
    train = partial(fit, epochs=plan.epochs, optimizer=Adam(1e-3), rng=rng, progress=False)
    own = SUBSTITUTES[plan.substitute](rng=np.random.default_rng(experiment.seed + 1))
    began = time.perf_counter()
    victim = LabelOracle(experiment.model)
    learned = substitute(victim, own, first, train, rounds=plan.rounds, step=step)
    delta = fgsm(learned.model, experiment.x, experiment.y, experiment.threat)
    seconds = time.perf_counter() - began
    success = predict(experiment.model, experiment.x + delta) != experiment.y
    agreement = (predict(learned.model, experiment.x) == experiment.y).mean()
    report(f"substitute, step {step:+g}: {100 * success.mean():.0f} % in {seconds:.0f} s")
    row = {
        "attack": f"substitute, step {step:+g}",
        "sees": "labels",
        "norm": Linf.name,
        "radius": experiment.eps,
        "images": len(experiment.x),
        "success": float(success.mean()),
        "queries in all": victim.asked,
        "agreement": float(agreement),
        "mean size": float(Linf(1).norm(delta)[success].mean()) if success.any() else None,
        "seconds": round(seconds, 1),
    }
    return row, learned, delta


def describe(experiment):
    """The whole setting, for the head of the table."""
    plan, data = experiment.plan, experiment.data
    quick = " (QUICK: little data, few queries)" if plan is QUICK else ""
    return {
        "data": f"{data.source}; CNN trained on {plan.networks.train:,} images{quick}",
        "images": "the first test images that the CNN classifies rightly; 0 ≤ x + δ ≤ 1",
        "queries": f"at most {plan.queries:,} an image ({plan.pixel_queries:,} for one pixel), x itself among them; "
        "the median is of the first query that succeeds, over the successes",
        "success": "another label (or the target, a random wrong class) when predicting again, and within the radius",
        "substitute": f"{plan.substitute} from {FIRST} other test images, {plan.rounds} rounds of {plan.epochs} "
        f"epochs of Adam, step 0.001; FGSM on it with ε = {experiment.eps:g}",
        "seed": experiment.seed,
    }


def tabulate(setting, rows):
    """The table."""
    header = ["attack", "sees", "set", "images", "success", "median queries", "mean size", "seconds", "paper"]
    return markdown("Black boxes: ten digits", setting, header, [cells(row) for row in rows])


def cells(row):
    """A line of the table."""
    median = row.get("median queries")
    queries = (
        f"{row['queries in all']:,} in all" if "queries in all" in row else "–" if median is None else f"{median:,.0f}"
    )
    return [
        row["attack"] + (f" (agrees on {100 * row['agreement']:.0f} %)" if "agreement" in row else ""),
        row["sees"],
        row["norm"] + (" smallest" if row["radius"] is None else f" ≤ {row['radius']:g}"),
        str(row["images"]),
        f"{100 * row['success']:.0f} %",
        "–" if row["radius"] is None else queries,
        "–" if row["mean size"] is None else f"{row['mean size']:.3g}",
        f"{row['seconds']:.0f}",
        PAPERS.get(row["attack"], "–"),
    ]
