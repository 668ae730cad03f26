"""``scratchadv reproduce transformation``: networks that learn to attack the slides' networks."""

import time

import numpy as np

from ...attacks import pgd
from ...attacks.one_for_all.transformation import KINDS
from ...models.protocol import predict
from ...sets import L2, Linf
from ..experiment import Experiment, Measured
from ..networks import training as networks
from ..networks.images import targets_of
from ..table import Published, Table
from . import ABOUT
from .figures import figures
from .training import (
    BETA,
    BETAS,
    BOX,
    FULL,
    NETWORKS,
    NORMS,
    QUICK,
    TITLES,
    VICTIM,
    judged,
    noise_like,
    sizes_of,
    train,
    train_substitute,
    trained,
)

STEPS = 40  # the steps of PGD
SUBSTITUTE = "substitute"

# By β: on MNIST, the share of images that reach their target, with one network for each target.
PUBLISHED = {
    0.01: Published("69 %", "recalled"),
    0.005: Published("84 %", "recalled"),
    0.001: Published("96 %", "recalled"),
}


def measure(setup, report):
    """Measure the four parts, one after the other."""
    began = time.perf_counter()
    numbers = {}
    parts = {
        "over beta": measure_betas,
        "by target": measure_targets,
        "transfer": measure_transfer,
        "cost": measure_cost,
    }
    for name, part in parts.items():
        numbers[name] = part(setup)
        report(f"{name}: done after {time.perf_counter() - began:.0f} s")
    return Measured(numbers)


def measure_betas(setup):
    """Return rows for the CNN: kind of ATN, target, β, success, size, seconds."""
    rows = []
    for kind in KINDS:
        for target, betas in (("all", BETAS), (None, (BETA,))):
            for beta in betas:
                atn, seconds = trained(setup, kind, target, beta)
                found = judged(setup, atn, target)
                rows.append({"kind": kind, "target": target, "beta": beta, **found, "seconds": seconds})
    return rows


def measure_targets(setup):
    """Return rows, each for one P-ATN: target, success, size, seconds."""
    rows = []
    for target in setup.plan.targets:
        atn, seconds = trained(setup, target=target)
        rows.append({"target": target, **judged(setup, atn, target), "seconds": seconds})
    return rows


def measure_transfer(setup):
    """Return rows: the networks that the P-ATN was trained on, success on each network; last for noise of that size."""
    models = setup.models | {SUBSTITUTE: train_substitute(setup)}
    rows = []
    for victims in (["CNN"], ["2-layer"], ["CNN", "2-layer"], [SUBSTITUTE]):
        atn, seconds = trained(setup, victims=victims, models=models)
        rows.append({"victims": victims, **judged(setup, atn, "all", NETWORKS), "seconds": seconds})
    noise = noise_like(trained(setup)[0], np.random.default_rng(setup.seed))
    rows.append({"victims": [], **judged(setup, noise, "all", NETWORKS), "seconds": None})
    return rows


def measure_cost(setup):
    """Compare success and seconds of the large ATN with those of PGD, towards the same targets.

    The radius of PGD in ℓ2 is the median size of the changes by the ATN.
    """
    atn, seconds = trained(setup, images=min(setup.plan.large, len(setup.data.x_train)))
    x, y = (a[: setup.plan.pgd] for a in (setup.data.x_test, setup.data.y_test))
    target = targets_of(y, setup.seed)
    model = setup.models[VICTIM]
    radius = float(np.median(L2.norm(atn(x, target) - x)))

    def row(attack, make):
        began = time.perf_counter()
        delta = make()
        each = (time.perf_counter() - began) / len(x)
        hit = float((predict(model, x + delta) == target).mean())
        return {"attack": attack, "success": hit, "size": sizes_of(delta), "seconds an image": each}

    def descended(ball):
        name = f"PGD-{STEPS}, {ball.name} ≤ {ball.radius:.3g}"
        return row(name, lambda: pgd(model, x, y, ball.within(*BOX), steps=STEPS, target=target))

    rows = {
        "atn": row("P-ATN", lambda: atn(x, target) - x),
        "pgd, L2": descended(L2(radius)),
        "pgd, Linf": descended(Linf(setup.eps)),
    }
    return {"rows": rows, "training": seconds, "images": setup.plan.large, **judged(setup, atn, "all")}


def describe(setup):
    """Return the whole setting, for the head of the tables."""
    plan, data = setup.plan, setup.data
    return {
        "data": f"{data.source}; victims trained on {plan.networks.train:,} images; success is measured on the first "
        f"{plan.test:,} test images{plan.note}",
        "ATN": "MLP with one hidden layer of 400; x' = max(tanh(x + G(x)), 0) (P-ATN) or sigmoid(G(x)) (AAE), pixels "
        "in [0, 1]",
        "loss": "β ‖x' − x‖₂² + ‖f(x') − r_α(f(x), t)‖₂², summed over pixels and classes; f are probabilities; α = 1.5",
        "training": f"Adam, step 0.001 falling to 0 (cosine), batches of {plan.batch_size}, {plan.epochs} epochs; "
        f"{plan.train:,} images (all targets, untargeted), {plan.single:,} (one target); no labels; white-box unless "
        "said otherwise",
        "success": "the prediction of x' is t (untargeted: not y), where t is a random wrong label for each image, or "
        "one label for all images of other classes",
        "seed": setup.seed,
    }


def tables(result):
    """Return the four tables."""
    return [
        table_of_betas(result["over beta"]),
        table_of_targets(result["by target"]),
        table_of_transfer(result["transfer"]),
        table_of_costs(result["cost"]),
    ]


def cells(row):
    """Return as text the success on the victim, how often the old label is second, and the sizes."""
    second = row["original second"][VICTIM]
    return [percent(row["success"][VICTIM]), "–" if second is None else percent(second), *sizes(row)]


def sizes(row):
    """Return the sizes as text."""
    return [f"{row['size'][name]:.2f}" for name in NORMS]


def percent(share):
    """Return a share as text, with one decimal."""
    return f"{100 * share:.1f} %"


SIZES = [f"median {short}" for short in ("ℓ2", "ℓ∞")]


def table_of_betas(rows):
    """Return the table of success over β."""
    lines = []
    for row in rows:
        success, *rest = cells(row)
        aimed = row["target"] == "all"
        target = "any, as input" if aimed else "none"
        paper = PUBLISHED[row["beta"]].marked if aimed else "–"
        wall, cpu = row["seconds"]
        seconds = f"{wall:.0f} ({cpu:.0f})"
        lines.append([TITLES[row["kind"]], target, f"{row['beta']:g}", success, paper, *rest, seconds])
    header = ["ATN", "target", "β", "success", "paper (one t a network)", "of these, old label second"]
    return Table("Adversarial transformation networks", [*header, *SIZES, "training s (CPU s)"], lines)


def table_of_targets(rows):
    """Return the table of success for each target, with the mean in the last row."""
    lines = [[str(row["target"]), *cells(row)] for row in rows]
    lines.append(["mean", percent(np.mean([row["success"][VICTIM] for row in rows])), "", "", ""])
    header = ["target", "success", "of these, old label second", *SIZES]
    return Table(f"One P-ATN for each target, β = {BETA:g}, on the CNN", header, lines)


def table_of_transfer(rows):
    """Return the table of transfer; networks on which the ATN was trained are marked."""
    titles = {**NETWORKS, SUBSTITUTE: "a substitute of the CNN (black box)"}
    lines = []
    for row in rows:
        marked = [f"{percent(row['success'][name])}{' *' * (name in row['victims'])}" for name in NETWORKS]
        title = " and ".join(titles[name] for name in row["victims"])
        l2, _ = sizes(row)
        lines.append([title or "noise of the first row's size, then clipped", *marked, l2])
    header = ["trained on (*: seen)", *NETWORKS.values(), "median ℓ2"]
    return Table(f"Trained on, tested on: P-ATN, all targets, β = {BETA:g}", header, lines)


def table_of_costs(cost):
    """Return the table of costs; the notes say how long the training took, and after how many images it pays off."""
    rows = cost["rows"]
    lines = [
        [row["attack"], percent(row["success"]), *sizes(row), f"{1000 * row['seconds an image']:.3g}"]
        for row in rows.values()
    ]
    wall, cpu = cost["training"]
    saved = rows["pgd, L2"]["seconds an image"] - rows["atn"]["seconds an image"]
    pays = f"after {wall / saved:,.0f} images" if saved > 0 else "never"
    notes = {
        "P-ATN": f"all targets, β = {BETA:g}, trained on {cost['images']:,} images in {wall:.0f} s ({cpu:.0f} s of the "
        f"processor); success on all test images: {percent(cost['success'][VICTIM])}",
        "training pays off": f"{pays}, compared with PGD-{STEPS} in ℓ2",
    }
    return Table("The cost of an image", ["attack", "success", *SIZES, "ms per image"], lines, notes)


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
