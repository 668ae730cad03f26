"""``scratchadv reproduce universal``: one perturbation for a class, for several, for all, on images it never saw."""

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ... import datasets
from ...attacks.one_for_all.mean_gradient import universal_gradient
from ...attacks.one_for_all.perturbation import applied, fooling_rate, universal
from ...models.protocol import predict
from ...sets import Linf
from ...support.console import say
from ..networks import experiment as networks
from ..table import markdown, prepare, publish
from .figures import figures

BOX = (0, 1)
EPS = 0.3
NETWORKS = {"2-layer": "MLP 784-200-10", "CNN": "CNN", "robust CNN": "robust CNN"}
LEVELS = (1, 2, 5, 10)  # classes that one δ is for
METHODS = ("gradient", "gradient, targeted", "DeepFool", "random signs")

PAPERS = (
    "Moosavi-Dezfooli et al.: 77.8 to 93.7 % of unseen ImageNet images fooled, six networks, ℓ∞, ξ = 10 of 255, no box "
    "(recalled); Vadillo and Santana, speech: effectiveness falls as universality rises (abstract)"
)


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    networks : networks.Plan
        How the models are trained.
    train, test : int
        Images that the perturbations are made on, and unseen ones.
    passes : int
        Of the paper's algorithm.
    curve : tuple of float
        The radii of the curve over ε.
    """

    networks: networks.Plan
    train: int
    test: int
    passes: int
    curve: tuple


FULL = Plan(networks.FULL, train=2000, test=2000, passes=2, curve=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4))
QUICK = Plan(networks.QUICK, train=400, test=400, passes=1, curve=(0.1, 0.2, 0.3, 0.4))


@dataclass(frozen=True)
class Universal:
    """The models by name, the images, and the perturbations that were found, by network, method and level."""

    models: dict
    data: Any
    plan: Plan
    eps: float
    seed: int
    found: dict = field(default_factory=dict)

    def seen(self):
        """The images that perturbations are made on, and their labels."""
        return self.data.x_train[: self.plan.train], self.data.y_train[: self.plan.train]

    def unseen(self):
        """Test images and their labels."""
        return self.data.x_test[: self.plan.test], self.data.y_test[: self.plan.test]


def run(data="auto", eps=EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train (or take from the cache), perturb, and write table, figures and result.

    Parameters
    ----------
    eps : float
        Radius of the ℓ∞ ball that holds every perturbation, in pixels of [0, 1].
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
    models = networks.train(loaded, plan.networks, networks.TUTORIAL_EPS, seed, cache, NETWORKS)
    experiment = Universal(models, loaded, plan, eps, seed)
    rows, curve = measure_levels(experiment, report), measure_curve(experiment)
    setting = describe(experiment)
    result = {"setting": setting, "levels": rows, "curve": curve}
    publish(out, began, tabulate(setting, rows), result, partial(figures, experiment, rows, curve), report)
    return result


def perturb(experiment, method, classes, model, x, y, threat, target):
    """One δ for the examples, by one of the ``METHODS``; as many steps for few classes as for all."""
    plan, rng = experiment.plan, np.random.default_rng(experiment.seed)
    if method == "random signs":
        return threat.ball.linear_max(rng.standard_normal(x[:1].shape, dtype=x.dtype))
    if method == "DeepFool":
        return universal(model, x, threat, passes=plan.passes, batch_size=5 * classes, candidates=4, rng=rng)
    return universal_gradient(model, x, y, threat, batch_size=10 * classes, target=target, rng=rng)


def groups_of(classes, seed):
    """The ten classes in random groups of so many, each class in one of them.

    Returns
    -------
    list of tuple of int
    """
    return [tuple(group) for group in np.random.default_rng(seed).permutation(10).reshape(-1, classes).tolist()]


def perturbations(experiment, model, method, classes, eps):
    """One δ for each group of classes, made on training images: (group, target or None, δ)."""
    x, y = experiment.seen()
    found, threat = [], Linf(eps).within(*BOX)
    target = groups_of(1, experiment.seed)[0][0] if "targeted" in method else None
    for group in groups_of(classes, experiment.seed):
        rows = members(y, group, target)
        if rows.any():
            aims = None if target is None else np.full(rows.sum(), target)
            delta = perturb(experiment, method, classes, model, x[rows], y[rows], threat, aims)
            found.append((group, target, delta))
    return found


def members(y, group, target):
    """Which examples are of the group; those of the target itself are left out."""
    return np.isin(y, group) & (y != target)


def under(found, x, y):
    """The change of each example by the δ of its group, its target (−1: none), and whether it has any."""
    change, targets, has = np.zeros_like(x), np.full(len(y), -1), np.zeros(len(y), bool)
    for group, target, delta in found:
        rows = members(y, group, target)
        change[rows], has[rows] = applied(delta, x[rows], BOX), True
        targets[rows] = -1 if target is None else target
    return change, targets, has


def success(model, found, x, y):
    """The fooling rate, or with targets the share that reaches them; and the error."""
    change, targets, has = under(found, x, y)
    x, y, change, targets = x[has], y[has], change[has], targets[has]
    predicted = predict(model, x + change)
    reached = fooling_rate(model, x, change, BOX) if (targets < 0).all() else float((predicted == targets).mean())
    return reached, float((predicted != y).mean())


def measure_levels(experiment, report):
    """Rows: network, method, classes of one δ, success on the images seen and on unseen ones, error, seconds."""
    rows = []
    for key, model in experiment.models.items():
        for method in METHODS:
            for classes in LEVELS:
                began = time.perf_counter()
                found = perturbations(experiment, model, method, classes, experiment.eps)
                seconds = round(time.perf_counter() - began, 2)
                experiment.found[key, method, classes] = found
                (seen, _), (unseen, error) = (
                    success(model, found, *part) for part in (experiment.seen(), experiment.unseen())
                )
                row = {"network": key, "method": method, "classes": classes, "seen": seen, "unseen": unseen}
                rows.append({**row, "error": error, "seconds": seconds})
        report(f"perturbations for {NETWORKS[key]}: done")
    return rows


def measure_curve(experiment):
    """The fooling rate of the CNN on unseen images over ε: for single classes, for all, and by random signs."""
    model, (x, y) = experiment.models["CNN"], experiment.unseen()
    lines = {"for one class": ("gradient", 1), "for all ten": ("gradient", 10), "random signs": ("random signs", 10)}
    curve = {"eps": list(experiment.plan.curve)}
    for name, (method, classes) in lines.items():
        at = [perturbations(experiment, model, method, classes, eps) for eps in experiment.plan.curve]
        curve[name] = [success(model, found, x, y)[0] for found in at]
    return curve


def describe(experiment):
    """The whole setting, for the head of the table."""
    plan, data = experiment.plan, experiment.data
    quick = " (QUICK: little data)" if plan is QUICK else ""
    return {
        "data": f"{data.source}; networks trained on {plan.networks.train:,} images{quick}",
        "threat": f"{Linf(experiment.eps)} for the one δ, in pixels of [0, 1]; x + δ is cut off at [0, 1]",
        "images": f"δ made on the first {plan.train:,} training images; unseen: the first {plan.test:,} test images",
        "levels": "the ten classes in random groups of 1, 2, 5 and 10, a δ for each group; shares are over all images",
        "gradient": "5 epochs in batches of 10 images a class, sign steps of 10 ε / steps, cross-entropy",
        "DeepFool": f"the paper's algorithm until 80 % are fooled, passes: {plan.passes}; batches of 5 images a class "
        "(the paper: 1 image); DeepFool of 10 steps among 4 classes",
        "success": "the prediction changes; targeted: it is the target, one random class for all groups, whose own "
        "images are left out",
        "published": PAPERS,
        "seed": experiment.seed,
    }


def tabulate(setting, rows):
    """A line for each network and method: unseen (seen) at each level, then error and seconds for all ten."""
    lines = []
    for key, title in NETWORKS.items():
        for method in METHODS:
            levels = [row for row in rows if (row["network"], row["method"]) == (key, method)]
            shares = [f"{100 * row['unseen']:.1f} % ({100 * row['seen']:.1f} %)" for row in levels]
            last = levels[-1]
            lines.append([title, method, *shares, f"{100 * last['error']:.1f} %", f"{last['seconds']:.1f}"])
    header = ["network", "δ by", *(f"for {n} class{'es' * (n > 1)}" for n in LEVELS), "error, all ten", "seconds"]
    return markdown("Universal perturbations: success on unseen images (on those seen)", setting, header, lines)
