"""``scratchadv reproduce linear``: the slides' linear chapter, digits 0 against 1, attacked and defended exactly."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import datasets, robust_logistic
from ...attacks import exact
from ...evaluate import judge
from ...models import LogisticRegression
from ...models.protocol import predict
from ...numerics import softplus
from ...sets import Linf
from ...support import plots
from ...support.console import say
from ...support.progress import progress
from ...training import fit
from ...training.optim import SGD
from ..table import markdown, prepare, publish

SEEDS = 5
BATCH = 100
PLAIN = {"epochs": 10, "lr": 1.0}
ROBUST = {"epochs": 20, "lr": 0.1}
BOX = (0, 1)
SLIDES_EPS = 0.2

# What the slides say, and what public reruns of the same runs printed (MNIST, ε = 0.2, no box).
PUBLISHED = {
    "plain clean": ("0.0004", "0.000473"),
    "plain attacked": ("0.845", "0.81 to 0.86"),
    "robust objective": ("", "0.135 to 0.137"),
    "robust clean": ("", "0.003783"),
    "robust attacked": ("0.025", "0.023641"),
}
NAMES = {"plain": "SGD", "robust": "robust SGD", "optimum": "exact optimum"}


@dataclass(frozen=True)
class Linear:
    """The experiment's models on their data.

    Attributes
    ----------
    data : Dataset
        Two classes, labels +1 (digit 0) and −1 (digit 1).
    eps : float
    plain, robust, optimum : LogisticRegression
        SGD on the clean loss, SGD on the attacked loss, the exact minimiser of the attacked loss.
    fit : RobustLogisticFit
        The certificate of ``optimum``.
    """

    data: Any
    eps: float
    plain: LogisticRegression
    robust: LogisticRegression
    optimum: LogisticRegression
    fit: robust_logistic.RobustLogisticFit

    @property
    def models(self):
        """The three models by their names."""
        return {"plain": self.plain, "robust": self.robust, "optimum": self.optimum}


def run(data="auto", eps=SLIDES_EPS, seed=0, *, out, report=say):
    """Train, attack, solve, and write table, figures and result.

    Parameters
    ----------
    data : {"auto", "mnist", "strokes"}
    eps : float
        Radius of the ℓ∞ ball, in pixels of [0, 1].
    seed : int
    out : pathlib.Path
        The folder for ``table.md``, ``result.json`` and the figures.
    report : callable
        Takes each line of the report.

    Returns
    -------
    dict
        What ``result.json`` holds.
    """
    began = time.perf_counter()
    out, eps, seed = prepare(out, eps, seed)
    ball = Linf(eps)
    experiment = train(datasets.load(data).only(0, 1), ball, seed)
    numbers = measure(experiment)
    spread = spread_over_seeds(experiment, range(seed, seed + SEEDS))
    setting = describe(experiment, seed)
    table = markdown("Linear models: 0 against 1", setting, *tabulate(numbers, spread, comparable(experiment)))
    result = {"setting": setting, "numbers": numbers, "spread over seeds": spread}
    publish(out, began, table, result, partial(figures, experiment), report)
    return result


def train(data, ball, seed):
    """The slides' two SGD runs and the exact optimum."""
    solution = robust_logistic.fit(data.x_train, data.y_train, ball)
    optimum = LogisticRegression(solution.theta.astype(data.x_train.dtype), solution.theta0)
    return Linear(data, ball.eps, *sgd_runs(data, ball, seed), optimum, solution)


def sgd_runs(data, ball, seed):
    """The plain and the robust model, both from the tutorial's random start and from the same seed."""

    def sgd(attack, epochs, lr):
        rng = np.random.default_rng(seed)
        model = LogisticRegression.initial(data.x_train.shape[1:], rng)
        settings = {"epochs": epochs, "optimizer": SGD(lr), "rng": rng, "batch_size": BATCH, "attack": attack}
        fit(model, data.x_train, data.y_train, **settings)
        return model

    return sgd(None, **PLAIN), sgd(partial(exact, threat=ball), **ROBUST)


def measure(experiment):
    """Every number of the table: test errors, attacked test errors and robust objectives, without and with the box."""
    data, ball = experiment.data, Linf(experiment.eps)
    numbers = {}
    for name, model in experiment.models.items():
        for box, threat in (("no box", ball), ("box", ball.within(*BOX))):
            numbers |= errors(name, model, data, threat, box)
    numbers["gap"] = experiment.fit.gap
    numbers["separable"] = experiment.fit.separable
    numbers["weights"] = int(np.count_nonzero(experiment.fit.theta))
    for part in ("train", "test"):
        x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        numbers[f"critical radius, {part}"] = robust_logistic.critical_radius(x, y, Linf)
    return numbers


def errors(name, model, data, threat, box):
    """Clean and attacked test error and the robust objective on the training images."""
    theta, theta0 = model.params["theta"].astype(float), float(model.params["theta0"])
    return {
        f"{name} clean": float((predict(model, data.x_test) != data.y_test).mean()),
        f"{name} attacked, {box}": attacked_error(model, data.x_test, data.y_test, threat),
        f"{name} objective, {box}": robust_logistic.objective(theta, theta0, data.x_train, data.y_train, threat),
    }


def spread_over_seeds(experiment, seeds):
    """The least and the largest value of each number of the SGD runs (no box): SGD's own noise."""
    data, ball = experiment.data, Linf(experiment.eps)
    runs = []
    for seed in progress(seeds, "SGD from other seeds"):
        plain, robust = sgd_runs(data, ball, seed)
        runs.append(errors("plain", plain, data, ball, "no box") | errors("robust", robust, data, ball, "no box"))
    return {key: [min(run[key] for run in runs), max(run[key] for run in runs)] for key in runs[0]}


def attacked_error(model, x, y, threat):
    """The share of examples that the exact attack fools, predicted again."""
    return float(judge(model, x, y, exact(model, x, y, threat), threat).success.mean())


def describe(experiment, seed):
    """The whole setting, for the head of the table."""
    data = experiment.data
    return {
        "data": f"{data.source}; {len(data.x_train):,} training and {len(data.x_test):,} test images",
        "threat": f"{Linf(experiment.eps)} in pixels of [0, 1]; 'box' adds 0 ≤ x + δ ≤ 1",
        "attack": "δ* = −y ε sign(θ), cut off at the box where there is one: the exact maximum in both",
        "SGD": f"{PLAIN['epochs']} epochs, step {PLAIN['lr']:g}; robust SGD: {ROBUST['epochs']} epochs, "
        f"step {ROBUST['lr']:g}, on the loss under δ*; batches of {BATCH}, float32, seed {seed} "
        f"(last column: {seed} to {seed + SEEDS - 1})",
        "exact optimum": "of the robust objective without box, with a lower bound from its dual",
        "errors": "on the test images; objectives on the training images",
    }


def comparable(experiment):
    """Whether the published numbers are about this setting."""
    return experiment.data.source.startswith("MNIST") and experiment.eps == SLIDES_EPS


def tabulate(numbers, spread, with_published):
    """Header and rows: quantity, slides, public reruns, here without and with the box, SGD's spread."""

    def row(text, key, spec, published=""):
        slides, reruns = PUBLISHED.get(published, ("", "")) if with_published else ("", "")
        free = key if key in numbers else f"{key}, no box"
        values = (numbers[free], numbers.get(f"{key}, box"))
        range_ = " to ".join(format(v, spec) for v in spread.get(free, ()))
        return [
            text,
            slides or "–",
            reruns or "–",
            *("–" if v is None else format(v, spec) for v in values),
            range_ or "–",
        ]

    rows = []
    for key, name in NAMES.items():
        rows.append(row(f"{name}: clean error", f"{key} clean", ".4f", f"{key} clean"))
        rows.append(row(f"{name}: error under δ*", f"{key} attacked", ".4f", f"{key} attacked"))
        rows.append(row(f"{name}: robust objective", f"{key} objective", ".6f", f"{key} objective"))
    if numbers["separable"]:
        rows.append(["exact optimum", "–", "–", "robustly separable: infimum 0, not attained", "–", "–"])
    else:
        rows.append(row("exact optimum: relative gap to its lower bound", "gap", ".0e"))
    rows.append(row("exact optimum: weights that are not zero", "weights", "d"))
    rows.append(row("training images: robustly separable up to ε =", "critical radius, train", ".4f"))
    rows.append(row("test images: robustly separable up to ε =", "critical radius, test", ".4f"))
    return ["quantity", "slides", "public reruns", "here, no box", "here, box", f"{SEEDS} seeds, no box"], rows


def figures(experiment):
    """The chapter's figures by file name."""
    theta = experiment.plain.params["theta"]
    return {
        "psi": draw_psi(experiment),
        "delta_star": draw_delta_star(theta, experiment.eps),
        "weights": plots.signed_images(
            [model.params["theta"] for model in experiment.models.values()],
            [f"θ, {name}" for name in NAMES.values()],
        ),
        "digits": draw_digits(experiment),
        "error_over_eps": draw_error_over_eps(experiment),
    }


def draw_psi(experiment):
    """Ψ, and where the attack moves the test margins of the plain model (slide "Linear Models")."""
    data, model = experiment.data, experiment.plain
    theta, theta0 = model.params["theta"], model.params["theta0"]
    figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 3.4))
    m = np.linspace(-4, 4, 200)
    axes[0, 0].plot(m, softplus(-m), color="#2166ac", lw=2)
    axes[0, 0].set(xlabel="m = y (θᵀx + θ0)", title="Ψ(m) = log(1 + exp(−m)) decreases", ylim=(0, None), xlim=(-4, 4))
    shifts = {"clean": (0.0, plots.RIGHT), f"under δ*, ε = {experiment.eps:g}": (experiment.eps, plots.WRONG)}
    for label, (eps, color) in shifts.items():
        margins = robust_logistic.worst_margin(theta, theta0, data.x_test, data.y_test, Linf(eps))
        axes[0, 1].hist(margins, bins=60, color=color, alpha=0.6, label=label)
    axes[0, 1].axvline(0, color="0.4", lw=1)
    axes[0, 1].set(xlabel="margin m of the test images (SGD)", title="the attack moves every margin by −ε‖θ‖₁")
    axes[0, 1].legend(fontsize=9, frameon=False)
    for axis in axes[0]:
        axis.grid(alpha=0.25)
    return figure


def draw_delta_star(theta, eps):
    """The optimal perturbation for each class, amplified (slide "MNIST Example")."""
    figure, axes = plots.figure_with_axes(1, 2, size=(3.0, 3.2))
    for axis, y, digit in zip(axes[0], (1, -1), (0, 1), strict=True):
        plots.show_image(axis, -y * eps * np.sign(theta), (-eps, eps))
        axis.set_title(f"δ* = −y ε sign(θ) for images of {digit}", fontsize=10)
    figure.suptitle(f"white adds {eps:g} of ink, black takes it away (contrast amplified)", fontsize=9)
    return figure


def draw_digits(experiment, n=8):
    """The first test digits before and after the attack, with each model's prediction."""
    data, ball = experiment.data, Linf(experiment.eps)
    x, y = data.x_test[:n], data.y_test[:n]

    def line(title, model, delta):
        label = predict(model, x + delta)
        return title, x + delta, [data.class_names[0 if k > 0 else 1] for k in label], label == y

    plain, optimum, boxed = experiment.plain, experiment.optimum, ball.within(*BOX)
    rows = [
        line("SGD\nclean", plain, 0 * x),
        line("SGD\nunder δ*", plain, exact(plain, x, y, ball)),
        line("SGD\nδ* in the box", plain, exact(plain, x, y, boxed)),
        line("exact robust\nunder δ*", optimum, exact(optimum, x, y, ball)),
    ]
    figure = plots.before_and_after(rows, (-experiment.eps, 1 + experiment.eps))
    figure.suptitle(f"the first {n} test images and what the model sees in them, ε = {experiment.eps:g}", fontsize=10)
    return figure


def draw_error_over_eps(experiment):
    """Attacked test error over ε for the three models, without (solid) and with the box (dashed)."""
    data = experiment.data
    grid = np.linspace(0, max(0.5, 1.25 * experiment.eps), 51)
    colors = {"plain": plots.WRONG, "robust": "#2166ac", "optimum": plots.RIGHT}
    lines = []
    for key, box in progress([(key, box) for key in NAMES for box in ("", ", box")], "attacks over ε"):
        balls = (Linf(eps).within(*BOX) if box else Linf(eps) for eps in grid)
        errors = [attacked_error(experiment.models[key], data.x_test, data.y_test, ball) for ball in balls]
        lines.append((NAMES[key] + box, errors, {"color": colors[key], "ls": "--" if box else "-"}))
    return plots.curves(
        grid, lines, "ε (ℓ∞)", "test error under δ*", (experiment.eps, f"trained at ε = {experiment.eps:g}")
    )
