"""``scratchadv reproduce linear``: the slides' linear chapter, digits 0 against 1, attacked and defended exactly."""

import numpy as np

from ... import robust_logistic
from ...models.protocol import predict
from ...sets import Linf
from ...support.progress import progress
from ..experiment import Experiment, Measured
from ..table import Published, Table
from . import ABOUT
from .figures import figures
from .training import BOX, FULL, NAMES, SLIDES_EPS, attacked_error, sgd_runs, train

# The numbers of the slides, and those of public reruns of the same code (MNIST, ε = 0.2, no box).
PUBLISHED = {
    ("plain", "clean"): {"slides": Published("0.0004", "seen"), "reruns": Published("0.000473", "seen")},
    ("plain", "attacked"): {"slides": Published("0.845", "seen"), "reruns": Published("0.81 to 0.86", "seen")},
    ("robust", "objective"): {"reruns": Published("0.135 to 0.137", "seen")},
    ("robust", "clean"): {"reruns": Published("0.003783", "seen")},
    ("robust", "attacked"): {"slides": Published("0.025", "seen"), "reruns": Published("0.023641", "seen")},
}

# The quantities that are measured for each model: their names, and the format of their numbers.
QUANTITIES = {
    "clean": ("clean error", ".4f"),
    "attacked": ("error under δ*", ".4f"),
    "objective": ("robust objective", ".6f"),
}


def measure(setup, report):
    """Measure every number of the table, and the spread of SGD over seeds."""
    numbers = measure_models(setup)
    spread = spread_over_seeds(setup, range(setup.seed, setup.seed + setup.plan.seeds))
    return Measured({"numbers": numbers, "spread over seeds": spread})


def measure_models(setup):
    """Return test errors, attacked test errors and robust objectives, without and with the box, and the certificate."""
    data, ball = setup.data, setup.ball
    numbers = {}
    for key, model in setup.models.items():
        free, boxed = (errors(model, data, threat) for threat in (ball, ball.within(*BOX)))
        numbers[key] = {quantity: {"no box": free[quantity], "box": boxed[quantity]} for quantity in QUANTITIES}
        del numbers[key]["clean"]["box"]  # without an attack the box changes nothing
    radii = {
        part: robust_logistic.critical_radius(getattr(data, f"x_{part}"), getattr(data, f"y_{part}"), Linf)
        for part in ("train", "test")
    }
    certificate = {
        "gap": setup.fit.gap,
        "separable": setup.fit.separable,
        "weights": int(np.count_nonzero(setup.fit.theta)),
    }
    return {"models": numbers, "certificate": certificate, "critical radius": radii}


def errors(model, data, threat):
    """Return the clean and the attacked test error, and the robust objective on the training images."""
    theta, theta0 = model.params["theta"].astype(float), float(model.params["theta0"])
    return {
        "clean": float((predict(model, data.x_test) != data.y_test).mean()),
        "attacked": attacked_error(model, data.x_test, data.y_test, threat),
        "objective": robust_logistic.objective(theta, theta0, data.x_train, data.y_train, threat),
    }


def spread_over_seeds(setup, seeds):
    """Return the smallest and the largest value of each number of the SGD runs (no box), which shows SGD's noise."""
    runs = []
    for seed in progress(seeds, "SGD from other seeds"):
        models = sgd_runs(setup.plan, setup.data, setup.ball, seed)
        runs.append({key: errors(model, setup.data, setup.ball) for key, model in models.items()})
    return {
        key: {
            quantity: [extreme(run[key][quantity] for run in runs) for extreme in (min, max)] for quantity in QUANTITIES
        }
        for key in runs[0]
    }


def describe(setup):
    """Return the whole setting, for the head of the table."""
    data, plan, seed = setup.data, setup.plan, setup.seed
    return {
        "data": f"{data.source}; {len(data.x_train):,} training and {len(data.x_test):,} test images",
        "threat": f"{setup.ball} in pixels of [0, 1]; 'box' adds 0 ≤ x + δ ≤ 1",
        "attack": "δ* = −y ε sign(θ), clipped to the box if there is one: the exact maximum in both cases",
        "SGD": f"{plan.plain_epochs} epochs, step {plan.plain_step:g}; robust SGD: {plan.robust_epochs} epochs, "
        f"step {plan.robust_step:g}, on the loss under δ*; batches of {plan.batch_size}, float32, seed {seed} "
        f"(last column: {seed} to {seed + plan.seeds - 1})",
        "exact optimum": "of the robust objective without box, with a lower bound from its dual",
        "errors": "on the test images; objectives: on the training images",
    }


def tables(result):
    """Return the table: quantity, slides, public reruns, this run without and with the box, spread over seeds."""
    numbers = result["numbers"]
    certificate, radii = numbers["certificate"], numbers["critical radius"]
    rows = [row_of(result, key, quantity) for key in NAMES for quantity in QUANTITIES]
    if certificate["separable"]:
        rows.append(one_number("exact optimum", "robustly separable: infimum 0, not attained"))
    else:
        rows.append(one_number("exact optimum: relative gap to its lower bound", f"{certificate['gap']:.0e}"))
    rows.append(one_number("exact optimum: weights that are not zero", str(certificate["weights"])))
    rows.append(one_number("training images: robustly separable up to ε =", f"{radii['train']:.4f}"))
    rows.append(one_number("test images: robustly separable up to ε =", f"{radii['test']:.4f}"))
    return [Table("Linear models: 0 against 1", header_of(result), rows)]


def error_rows(result):
    """Return header and rows of the six test errors without the box, for the README of the repository."""
    quantity, slides, reruns, here, _, seeds = header_of(result)
    rows = []
    for key in NAMES:
        for measured in ("clean", "attacked"):
            row = row_of(result, key, measured)
            rows.append([*row[:4], row[5]])
    return [quantity, slides, reruns, here, seeds], rows


def header_of(result):
    """Return the header of the table."""
    seeds = result["plan"]["seeds"]
    return ["quantity", "slides", "public reruns", "here, no box", "here, box", f"{seeds} seeds, no box"]


def row_of(result, key, quantity):
    """Return the row of the table for one quantity of one model."""
    title, spec = QUANTITIES[quantity]
    published = PUBLISHED.get((key, quantity), {}) if comparable(result) else {}
    here = result["numbers"]["models"][key][quantity]
    ends = result["spread over seeds"].get(key, {}).get(quantity, ())
    return [
        f"{NAMES[key]}: {title}",
        *(published[source].text if source in published else "–" for source in ("slides", "reruns")),
        *(format(here[box], spec) if box in here else "–" for box in ("no box", "box")),
        " to ".join(format(end, spec) for end in ends) or "–",
    ]


def one_number(title, text):
    """Return a row with only one number, which holds without the box."""
    return [title, "–", "–", text, "–", "–"]


def comparable(result):
    """Return whether the published numbers hold for this setting."""
    return result["mnist"] and result["eps"] == SLIDES_EPS


EXPERIMENT = Experiment(ABOUT, FULL, train, measure, describe, tables, figures, published=PUBLISHED)
