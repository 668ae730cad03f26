"""``scratchadv reproduce universal``: one perturbation for one class, for several or for all, on unseen images."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...attacks.one_for_all.mean_gradient import universal_gradient
from ...attacks.one_for_all.perturbation import applied, fooling_rate, universal
from ...models.protocol import predict
from ...sets import Linf
from ..experiment import Experiment, Measured, Setup
from ..networks import training as networks
from ..table import Published, Table
from . import ABOUT
from .figures import figures

BOX = (0, 1)
NETWORKS = {"2-layer": "MLP 784-200-10", "CNN": "CNN", "robust CNN": "robust CNN"}
LEVELS = (1, 2, 5, 10)  # the number of classes that share one δ

# The names of the methods that make one δ, by their keys.
METHODS = {
    "gradient": "gradient",
    "targeted": "gradient, targeted",
    "deepfool": "DeepFool",
    "signs": "random signs",
}

PUBLISHED = {
    "Moosavi-Dezfooli et al.": Published(
        "77.8 to 93.7 % of unseen ImageNet images fooled, six networks, ℓ∞, ξ = 10 of 255, no box", "recalled"
    ),
    "Vadillo and Santana, speech": Published("effectiveness falls as universality rises", "abstract"),
}


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Attributes
    ----------
    networks : networks.Plan
        How the networks are trained.
    train, test : int
        The number of images on which perturbations are made, and of unseen images.
    passes : int
        The passes of the paper's algorithm.
    curve : tuple of float
        The radii of the curve over ε.
    note : str
        Marks a plan that is smaller than the full one, in the head of the table.
    """

    networks: Any
    train: int
    test: int
    passes: int
    curve: tuple
    note: str = ""


FULL = Plan(networks.FULL, train=2000, test=2000, passes=2, curve=(0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4))
QUICK = Plan(networks.QUICK, train=400, test=400, passes=1, curve=(0.1, 0.2, 0.3, 0.4), note=" (QUICK: little data)")


@dataclass(frozen=True)
class Universal(Setup):
    """The networks, and the images on which perturbations are made and evaluated."""

    def seen(self):
        """Return the training images on which perturbations are made, and their labels."""
        return self.data.x_train[: self.plan.train], self.data.y_train[: self.plan.train]

    def unseen(self):
        """Return the unseen test images, and their labels."""
        return self.data.x_test[: self.plan.test], self.data.y_test[: self.plan.test]


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the networks in the tutorial's ball, or take them from the cache."""
    models = networks.train_networks(plan.networks, data, networks.TUTORIAL_EPS, seed, cache, tuple(NETWORKS))
    return Universal(models, data, plan, eps, seed)


def measure(setup, report):
    """Measure success at each level of universality and over ε, and keep the perturbations."""
    levels, found = measure_levels(setup, report)
    return Measured({"levels": levels, "curve": measure_curve(setup)}, kept=found)


def perturb(setup, method, classes, model, x, y, threat, target):
    """Return one δ for the examples by one of the ``METHODS``, with as many steps for few classes as for all."""
    rng = np.random.default_rng(setup.seed)
    if method == "signs":
        return threat.ball.linear_max(rng.standard_normal(x[:1].shape, dtype=x.dtype))
    if method == "deepfool":
        options = {"passes": setup.plan.passes, "batch_size": 5 * classes, "candidates": 4}
        return universal(model, x, threat, rng=rng, **options)
    return universal_gradient(model, x, y, threat, batch_size=10 * classes, target=target, rng=rng)


def groups_of(classes, seed):
    """Return random groups of ``classes`` classes each, which together are the ten classes.

    Returns
    -------
    list of tuple of int
    """
    return [tuple(group) for group in np.random.default_rng(seed).permutation(10).reshape(-1, classes).tolist()]


def perturbations(setup, model, method, classes, eps):
    """Return (group, target or None, δ) for each group of classes, with δ made on training images."""
    x, y = setup.seen()
    found = []
    threat = Linf(eps).within(*BOX)
    target = groups_of(1, setup.seed)[0][0] if method == "targeted" else None
    for group in groups_of(classes, setup.seed):
        rows = members(y, group, target)
        if rows.any():
            aims = None if target is None else np.full(rows.sum(), target)
            delta = perturb(setup, method, classes, model, x[rows], y[rows], threat, aims)
            found.append((group, target, delta))
    return found


def members(y, group, target):
    """Return which examples belong to the group and not to the target's own class."""
    return np.isin(y, group) & (y != target)


def under(found, x, y):
    """Return the change of each example by the δ of its group, its target (−1 for none), and whether it has a δ."""
    change, targets, has = np.zeros_like(x), np.full(len(y), -1), np.zeros(len(y), bool)
    for group, target, delta in found:
        rows = members(y, group, target)
        change[rows] = applied(delta, x[rows], BOX)
        has[rows] = True
        targets[rows] = -1 if target is None else target
    return change, targets, has


def success(model, found, x, y):
    """Return the fooling rate, or with targets the share of examples that reach them, and the error."""
    change, targets, has = under(found, x, y)
    x, y, change, targets = x[has], y[has], change[has], targets[has]
    predicted = predict(model, x + change)
    reached = fooling_rate(model, x, change, BOX) if (targets < 0).all() else float((predicted == targets).mean())
    return reached, float((predicted != y).mean())


def measure_levels(setup, report):
    """Return rows (network, method, classes per δ, success on seen and unseen images, error, seconds), and every δ."""
    rows = []
    found = {}
    for network, model in setup.models.items():
        for method in METHODS:
            for classes in LEVELS:
                began = time.perf_counter()
                made = perturbations(setup, model, method, classes, setup.eps)
                seconds = round(time.perf_counter() - began, 2)
                found[network, method, classes] = made
                seen, _ = success(model, made, *setup.seen())
                unseen, error = success(model, made, *setup.unseen())
                row = {"network": network, "method": method, "classes": classes, "seen": seen, "unseen": unseen}
                rows.append({**row, "error": error, "seconds": seconds})
        report(f"perturbations for {NETWORKS[network]}: done")
    return rows, found


def measure_curve(setup):
    """Return the fooling rate of the CNN on unseen images over ε: δ for one class, for all, and random signs."""
    model = setup.models["CNN"]
    x, y = setup.unseen()
    lines = {"for one class": ("gradient", 1), "for all ten": ("gradient", 10), "random signs": ("signs", 10)}
    curve = {"eps": list(setup.plan.curve)}
    for name, (method, classes) in lines.items():
        at = [perturbations(setup, model, method, classes, eps) for eps in setup.plan.curve]
        curve[name] = [success(model, found, x, y)[0] for found in at]
    return curve


def describe(setup):
    """Return the whole setting, for the head of the table."""
    plan, data = setup.plan, setup.data
    return {
        "data": f"{data.source}; networks trained on {plan.networks.train:,} images{plan.note}",
        "threat": f"{Linf(setup.eps)} for the common δ, in pixels of [0, 1]; x + δ is clipped to [0, 1]",
        "images": f"δ made on the first {plan.train:,} training images; unseen: the first {plan.test:,} test images",
        "levels": "the ten classes in random groups of 1, 2, 5 and 10, one δ for each group; shares are over all "
        "images",
        "gradient": "5 epochs in batches of 10 images per class, sign steps of 10 ε / steps, cross-entropy",
        "DeepFool": f"the paper's algorithm until 80 % are fooled, passes: {plan.passes}; batches of 5 images per "
        "class (the paper: 1 image); DeepFool of 10 steps among 4 classes",
        "success": "the prediction changes; targeted: it is the target, which is one random class for all groups, and "
        "whose own images are left out",
        "published": "; ".join(f"{who}: {published.marked}" for who, published in PUBLISHED.items()),
        "seed": setup.seed,
    }


def tables(result):
    """Return the table: success on unseen (and seen) images at each level, then error and seconds for all classes."""
    lines = []
    for network, title in NETWORKS.items():
        for method, name in METHODS.items():
            levels = [row for row in result["levels"] if (row["network"], row["method"]) == (network, method)]
            shares = [f"{100 * row['unseen']:.1f} % ({100 * row['seen']:.1f} %)" for row in levels]
            last = levels[-1]
            lines.append([title, name, *shares, f"{100 * last['error']:.1f} %", f"{last['seconds']:.1f}"])
    header = ["network", "δ by", *(f"for {n} class{'es' * (n > 1)}" for n in LEVELS), "error, all ten", "seconds"]
    return [Table("Universal perturbations: success on unseen images (on those seen)", header, lines)]


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
