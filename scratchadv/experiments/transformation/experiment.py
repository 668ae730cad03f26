"""``scratchadv reproduce transformation``: networks that learn to attack the slides' networks."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import datasets
from ...attacks import pgd
from ...attacks.one_for_all.transformation import KINDS, train_atn
from ...layers import Conv
from ...models import CNN
from ...models.protocol import labels_of, logits, predict
from ...sets import L2, Linf
from ...support.console import say
from ...training import fit
from ...training.optim import Adam, cosine
from ..attacks.experiment import targets_of
from ..networks import experiment as networks
from ..table import markdown, prepare, publish
from .figures import figures

BOX = (0, 1)
BETAS = (0.01, 0.005, 0.001)
BETA = 0.005
STEPS = 40
TITLES = {"perturbation": "P-ATN", "autoencoding": "AAE"}
NETWORKS = {"2-layer": "MLP 784-200-10", "4-layer": "4-layer MLP", "CNN": "CNN", "robust CNN": "robust CNN"}
VICTIM = "CNN"

PAPER = {0.01: "69 %", 0.005: "84 %", 0.001: "96 %"}  # MNIST, the share that reaches its target; recalled


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    networks : networks.Plan
        How the victims are trained.
    train, single, large : int
        Images that a network for all targets is trained on, one for one target, and the one that is timed.
    epochs, batch_size : int
    test, pgd : int
        Test images to judge on, and those of them that PGD attacks.
    targets : tuple of int
        The labels that get a network each.
    """

    networks: networks.Plan
    train: int
    single: int
    large: int
    epochs: int
    batch_size: int
    test: int
    pgd: int
    targets: tuple


FULL = Plan(
    networks.FULL,
    train=20_000,
    single=10_000,
    large=60_000,
    epochs=5,
    batch_size=100,
    test=10_000,
    pgd=1_000,
    targets=tuple(range(10)),
)
QUICK = Plan(
    networks.QUICK,
    train=2_500,
    single=2_000,
    large=5_000,
    epochs=5,
    batch_size=50,
    test=500,
    pgd=50,
    targets=(0, 1, 2),
)


@dataclass(frozen=True)
class Transformation:
    """The models by name, and the images; ``trained`` collects the ATNs by (kind, target, β, victims)."""

    models: dict
    data: Any
    plan: Plan
    eps: float
    seed: int
    trained: dict


def run(data="auto", eps=networks.TUTORIAL_EPS, seed=0, quick=False, *, out, cache=None, report=say):
    """Train the victims (or take them from the cache) and the ATNs, attack, and write tables, figures and result.

    Parameters
    ----------
    eps : float
        Radius of the ℓ∞ ball of the PGD that is compared with, in pixels of [0, 1]. ATNs have no ε.
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
    models = networks.train(loaded, plan.networks, networks.TUTORIAL_EPS, seed, cache)
    experiment = Transformation(models, loaded, plan, eps, seed, {})
    parts = {
        "over beta": measure_betas,
        "by target": measure_targets,
        "transfer": measure_transfer,
        "cost": measure_cost,
    }
    result = {"setting": describe(experiment)}
    for name, measure in parts.items():
        result[name] = measure(experiment)
        report(f"{name}: done after {time.perf_counter() - began:.0f} s")
    publish(out, began, tabulate(result, plan), result, partial(figures, experiment, BETAS, TITLES), report)
    return result


def trained(experiment, kind=KINDS[0], target="all", beta=BETA, victims=(VICTIM,), images=None, models=None):
    """The ATN with these settings, and the wall and processor seconds of its training; each is trained once."""
    plan, rng = experiment.plan, np.random.default_rng(experiment.seed)
    images = images or (plan.train if target in ("all", None) else plan.single)
    key = kind, target, beta, tuple(victims), images
    if key not in experiment.trained:
        began = time.perf_counter(), time.process_time()
        atn = train_atn(
            [(models or experiment.models)[name] for name in victims],
            experiment.data.x_train[:images],
            target=target,
            kind=kind,
            beta=beta,
            epochs=plan.epochs,
            batch_size=plan.batch_size,
            schedule=cosine(plan.epochs),
            rng=rng,
        )
        ended = time.perf_counter(), time.process_time()
        experiment.trained[key] = atn, [round(e - b, 1) for b, e in zip(began, ended, strict=True)]
    return experiment.trained[key]


def judged(experiment, atn, target, names=(VICTIM,)):
    """Success on each network, and the size of the change; with one target only images of other labels count."""
    x, y = (a[: experiment.plan.test] for a in (experiment.data.x_test, experiment.data.y_test))
    if isinstance(target, int):
        x, y = x[y != target], y[y != target]
    aims = {"all": targets_of(y, experiment.seed), None: y}.get(target, np.full(len(y), target))
    images = atn(x, aims if target == "all" else None)
    delta = images - x
    sizes = {ball.name: float(np.median(ball(1).norm(delta))) for ball in (L2, Linf)}
    success, second = {}, {}
    for name in names:
        z = logits(experiment.models[name], images)
        hit = (labels_of(z) == aims) if target is not None else (labels_of(z) != y)
        was = predict(experiment.models[name], x)
        success[name] = float(hit.mean())
        second[name] = float((z.argsort(axis=1)[:, -2] == was)[hit].mean()) if hit.any() else None
    return {"success": success, "original second": second, "size": sizes}


def measure_betas(experiment):
    """Rows: form, target, β, success, size, seconds; on the CNN."""
    rows = []
    for kind in KINDS:
        for target, betas in (("all", BETAS), (None, (BETA,))):
            for beta in betas:
                atn, seconds = trained(experiment, kind, target, beta)
                found = judged(experiment, atn, target)
                rows.append({"kind": kind, "target": target, "beta": beta, **found, "seconds": seconds})
    return rows


def measure_targets(experiment):
    """Rows: target, success, size, for a P-ATN each."""
    rows = []
    for target in experiment.plan.targets:
        atn, seconds = trained(experiment, target=target)
        rows.append({"target": target, **judged(experiment, atn, target), "seconds": seconds})
    return rows


def measure_transfer(experiment):
    """Rows: what the P-ATN was trained on, success on each network; and noise of the same size."""
    substitute = train_substitute(experiment)
    models = experiment.models | {"substitute": substitute}
    rows = []
    for victims in (("CNN",), ("2-layer",), ("CNN", "2-layer"), ("substitute",)):
        atn, seconds = trained(experiment, victims=victims, models=models)
        rows.append({"victims": victims, **judged(experiment, atn, "all", NETWORKS), "seconds": seconds})
    noise = noise_like(trained(experiment)[0], np.random.default_rng(experiment.seed))
    rows.append({"victims": (), **judged(experiment, noise, "all", NETWORKS), "seconds": None})
    return rows


def train_substitute(experiment):
    """A small CNN, trained on the labels that the victim gives to images: the victim's ``predict`` is all it sees."""
    x, rng = experiment.data.x_train[-experiment.plan.train :], np.random.default_rng(experiment.seed)
    model = CNN(convs=(Conv(16, stride=2), Conv(32, stride=2)), rng=rng)
    epochs = experiment.plan.networks.epochs
    fit(model, x, predict(experiment.models[VICTIM], x), epochs=epochs, optimizer=Adam(1e-3), rng=rng)
    return model


def noise_like(atn, rng):
    """Images with Gaussian noise, each of the ℓ2 size of what the ATN does to it (before it is cut off at the box)."""

    def changed(x, target):
        size = L2(1).norm(atn(x, target) - x)
        noise = L2(1).linear_max(rng.standard_normal(x.shape).astype(x.dtype))
        return np.clip(x + size[:, None, None, None] * noise, *BOX)

    return changed


def measure_cost(experiment):
    """The large ATN beside PGD towards the same targets, in balls as large as its change: success, seconds an image."""
    atn, seconds = trained(experiment, images=min(experiment.plan.large, len(experiment.data.x_train)))
    x, y = (a[: experiment.plan.pgd] for a in (experiment.data.x_test, experiment.data.y_test))
    target, model = targets_of(y, experiment.seed), experiment.models[VICTIM]
    radius = float(np.median(L2(1).norm(atn(x, target) - x)))
    attacks = {"P-ATN": lambda: atn(x, target) - x}
    for ball in (L2(radius), Linf(experiment.eps)):
        attacks[f"PGD-{STEPS}, {ball.name} ≤ {ball.radius:.3g}"] = partial(
            pgd, model, x, y, ball.within(*BOX), steps=STEPS, target=target
        )
    rows = []
    for name, attack in attacks.items():
        began = time.perf_counter()
        delta = attack()
        each = (time.perf_counter() - began) / len(x)
        size = {ball.name: float(np.median(ball(1).norm(delta))) for ball in (L2, Linf)}
        hit = float((predict(model, x + delta) == target).mean())
        rows.append({"attack": name, "success": hit, "size": size, "seconds an image": each})
    found = judged(experiment, atn, "all")
    return {"rows": rows, "training": seconds, "images": experiment.plan.large, **found}


def describe(experiment):
    """The whole setting, for the head of the tables."""
    plan, data = experiment.plan, experiment.data
    quick = " (QUICK: little data)" if plan.networks is networks.QUICK else ""
    return {
        "data": f"{data.source}; victims trained on {plan.networks.train:,} images, judged on the first {plan.test:,} "
        f"test images{quick}",
        "ATN": "MLP with one hidden layer of 400; x' = max(tanh(x + G(x)), 0) (P-ATN) or sigmoid(G(x)) (AAE), pixels "
        "in [0, 1]",
        "loss": "β ‖x' − x‖₂² + ‖f(x') − r_α(f(x), t)‖₂², sums over pixels and classes, f probabilities, α = 1.5",
        "training": f"Adam, step 0.001 falling to 0 (cosine), batches of {plan.batch_size}, {plan.epochs} epochs; "
        f"{plan.train:,} images (all targets, untargeted), {plan.single:,} (one target); no labels; white-box unless "
        "said otherwise",
        "success": "the prediction of x' is t (untargeted: not y); t a random wrong label for each image, or the one "
        "label for all images of other labels",
        "seed": experiment.seed,
    }


def tabulate(result, plan):
    """The four tables under one head."""
    return "\n".join(
        [
            markdown("Adversarial transformation networks", result["setting"], *table_of_betas(result["over beta"])),
            markdown(
                f"One P-ATN for each target, β = {BETA:g}, on the CNN", {}, *table_of_targets(result["by target"])
            ),
            markdown(
                f"Trained on, tested on: P-ATN, all targets, β = {BETA:g}", {}, *table_of_transfer(result["transfer"])
            ),
            markdown("The cost of an image", cost_of(result["cost"]), *table_of_costs(result["cost"])),
        ]
    )


def cells(row, name=VICTIM):
    """Success, second place, sizes."""
    second, size = row["original second"][name], row["size"]
    return [
        percent(row["success"][name]),
        "–" if second is None else percent(second),
        *(f"{size[ball.name]:.2f}" for ball in (L2, Linf)),
    ]


def percent(share):
    """With one decimal."""
    return f"{100 * share:.1f} %"


SIZES = ["median ℓ2", "median ℓ∞"]


def table_of_betas(rows):
    """Header and rows."""
    header = [
        "ATN",
        "target",
        "β",
        "success",
        "paper (one t a network)",
        "of these, old label second",
        *SIZES,
        "training s (CPU s)",
    ]
    lines = []
    for row in rows:
        success, *rest = cells(row)
        target, paper = ("any, as input", PAPER[row["beta"]]) if row["target"] == "all" else ("none", "–")
        wall, cpu = row["seconds"]
        lines.append(
            [TITLES[row["kind"]], target, f"{row['beta']:g}", success, paper, *rest, f"{wall:.0f} ({cpu:.0f})"]
        )
    return header, lines


def table_of_targets(rows):
    """Header and rows, the mean last."""
    lines = [[str(row["target"]), *cells(row)] for row in rows]
    lines.append(["mean", percent(np.mean([row["success"][VICTIM] for row in rows])), "", "", ""])
    return ["target", "success", "of these, old label second", *SIZES], lines


def table_of_transfer(rows):
    """Header and rows; what the ATN has seen is marked."""
    lines = []
    for row in rows:
        marked = [f"{percent(row['success'][name])}{' *' * (name in row['victims'])}" for name in NETWORKS]
        title = " and ".join(NETWORKS.get(name, f"a {name} of the CNN (black box)") for name in row["victims"])
        lines.append([title or "noise of the first row's size, then cut off", *marked, f"{row['size'][L2.name]:.2f}"])
    return ["trained on (*: seen)", *NETWORKS.values(), "median ℓ2"], lines


def table_of_costs(cost):
    """Header and rows."""
    lines = [
        [row["attack"], percent(row["success"]), *(f"{row['size'][ball.name]:.2f}" for ball in (L2, Linf)), ms(row)]
        for row in cost["rows"]
    ]
    return ["attack", "success", *SIZES, "ms an image"], lines


def ms(row):
    """Milliseconds an image."""
    return f"{1000 * row['seconds an image']:.3g}"


def cost_of(cost):
    """How long the training took, and after how many images it has paid."""
    wall, cpu = cost["training"]
    each = [row["seconds an image"] for row in cost["rows"]]
    pays = f"{wall / (each[1] - each[0]):,.0f} images" if each[1] > each[0] else "never"
    return {
        "P-ATN": f"all targets, β = {BETA:g}, trained on {cost['images']:,} images in {wall:.0f} s ({cpu:.0f} s of the "
        f"processor); on all test images {percent(cost['success'][VICTIM])}",
        "pays": f"training has cost as much as PGD-{STEPS} in ℓ2 for {pays}",
    }
