"""The figures of ``scratchadv reproduce black_box``."""

import numpy as np

from ...attacks import fab, fgsm
from ...attacks.black_box.queries import LabelOracle, LogitOracle, ProbabilityOracle
from ...models.protocol import predict
from ...sets import L2, Linf
from ...support import plots

LINES = {LogitOracle: "-", ProbabilityOracle: "--", LabelOracle: ":"}  # the line style shows what an attack sees


def figures(setup, measured):
    """Draw the figures, and return them by file name."""
    traced, learned = measured.kept
    return {
        "success_over_queries": draw_success(setup, traced),
        "size_over_queries": draw_sizes(setup, traced),
        "substitute": draw_substitute(setup, learned),
        "pictures": draw_pictures(setup, [*traced, learned[-1]]),
    }


def grid_of(setup):
    """Return numbers of queries that are evenly spaced on a logarithmic axis."""
    return np.unique(np.geomspace(1, setup.plan.queries, 200).astype(int))


def draw_success(setup, traced):
    """Draw the share of images that have fallen within the ℓ∞ ball, over the number of queries."""
    queries = grid_of(setup)
    lines = []
    for one in traced:
        attack = one.attack
        if attack.norm is Linf:
            first = one.trace.first(setup.eps)
            style = {"ls": LINES[attack.level], "lw": 2, "drawstyle": "steps-post"}
            lines.append((f"{attack.name} ({attack.sees})", [(first <= q).mean() for q in queries], style))
    figure = plots.curves(queries, lines, "queries", "share of images that have fallen")
    figure.axes[0].set(xscale="log", title=f"‖δ‖∞ ≤ {setup.eps:g}, 0 ≤ x + δ ≤ 1, the tutorial's CNN")
    return figure


def draw_sizes(setup, traced):
    """Draw the median ℓ2 size of the smallest change over the number of queries, and that of a white-box attack."""
    queries = grid_of(setup)
    few = setup.plan.fewer
    x, y = setup.x[:few], setup.y[:few]
    figure, axes = plots.figure_with_axes(size=(6.4, 3.8))
    axis = axes[0, 0]
    for one in traced:
        if one.attack.norm is L2:
            median = np.median(one.trace.sizes(queries), axis=1)
            label = f"{one.attack.name} ({one.attack.sees})"
            axis.plot(queries, np.where(np.isfinite(median), median, np.nan), lw=2, label=label)
    known = np.median(L2.norm(fab(setup.model, x, y, steps=50)))
    axis.axhline(known, color="0.4", ls="--", label="FAB, 50 steps (white box)")
    axis.set(xscale="log", xlabel="queries", ylabel="median ‖δ‖₂ of the smallest change", xlim=(1, queries[-1]))
    axis.set_ylim(bottom=0)
    axis.set_title(f"smallest change, 0 ≤ x + δ ≤ 1, {few} images, the tutorial's CNN", fontsize=10)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=9, frameon=False)
    return figure


def draw_substitute(setup, learned):
    """Draw the error of the CNN over ε: under FGSM on the substitutes and on itself, and under noise of that size."""
    x, y = setup.x, setup.y
    eps = np.linspace(0, max(0.4, setup.eps), 17)
    noise = np.sign(np.random.default_rng(setup.seed).standard_normal(x.shape)).astype(x.dtype)

    def errors(change):
        return [(predict(setup.model, x + change(Linf(float(e)).within(0, 1))) != y).mean() for e in eps]

    lines = [("FGSM on the CNN itself", errors(lambda t: fgsm(setup.model, x, y, t)), {"color": "k"})]
    for one in learned:
        style = {"lw": 2}
        lines.append((one.row["attack"], errors(lambda t, m=one.model: fgsm(m, x, y, t)), style))
    lines.append(("random signs", errors(lambda t: t.at(x).linear_max(noise)), {"color": "0.6", "ls": ":"}))
    figure = plots.curves(eps, lines, "ε", "error of the CNN", (setup.eps, f"ε = {setup.eps:g}"))
    asked = learned[0].row["queries in all"]
    figure.axes[0].set_title(f"FGSM on a substitute that asked for {asked:,} labels; box [0, 1]", fontsize=10)
    return figure


def draw_pictures(setup, found):
    """Draw the same images after each attack, with the CNN's predictions."""
    names = setup.data.class_names
    n = min(8, setup.plan.fewer)
    x, y = setup.x[:n], setup.y[:n]
    rows = [("clean", x, [names[k] for k in y], [True] * n)]
    for one in found:
        image = x + one.delta[:n]
        label = predict(setup.model, image)
        title = one.row["attack"].replace(", ", "\n")  # the labels of the rows are narrow
        rows.append((f"{title}\n{one.row['norm']}", image, [names[k] for k in label], label == y))
    figure = plots.before_and_after(rows, (0, 1))
    figure.suptitle(f"after each attack (ℓ∞: ε = {setup.eps:g}); red: the CNN is wrong", fontsize=10)
    return figure
