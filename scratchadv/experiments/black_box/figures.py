"""The pictures of ``scratchadv reproduce black_box``."""

import numpy as np

from ...attacks import fab, fgsm
from ...models.protocol import predict
from ...sets import L2, Linf
from ...support import plots


def figures(experiment, measured, learned):
    """The figures by file name."""
    return {
        "success_over_queries": draw_success(experiment, measured),
        "size_over_queries": draw_sizes(experiment, measured),
        "substitute": draw_substitute(experiment, learned),
        "pictures": draw_pictures(experiment, [*measured, learned[-1]]),
    }


def grid_of(experiment):
    """Numbers of queries, evenly spaced on a logarithmic axis."""
    return np.unique(np.geomspace(1, experiment.plan.queries, 200).astype(int))


def draw_success(experiment, measured):
    """The share of images that has fallen inside the ℓ∞ ball after so many queries."""
    queries, lines = grid_of(experiment), []
    for row, trace, _ in measured:
        if row["norm"] == Linf.name:
            first = trace.first(experiment.eps)
            style = {
                "ls": {"logits": "-", "probabilities": "--", "labels": ":"}[row["sees"]],
                "lw": 2,
                "drawstyle": "steps-post",
            }
            lines.append((f"{row['attack']} ({row['sees']})", [(first <= q).mean() for q in queries], style))
    figure = plots.curves(queries, lines, "queries", "share of images that has fallen")
    figure.axes[0].set(xscale="log", title=f"‖δ‖∞ ≤ {experiment.eps:g}, 0 ≤ x + δ ≤ 1, the tutorial's CNN")
    return figure


def draw_sizes(experiment, measured):
    """The median ℓ2 size of the best so far after so many queries, beside a white-box attack."""
    queries, few = grid_of(experiment), experiment.plan.fewer
    x, y = experiment.x[:few], experiment.y[:few]
    figure, axes = plots.figure_with_axes(size=(6.4, 3.8))
    axis = axes[0, 0]
    for row, trace, _ in measured:
        if row["norm"] == L2.name:
            median = np.median(trace.sizes(queries), axis=1)
            axis.plot(queries, np.where(np.isfinite(median), median, np.nan), lw=2, label=f"{row['attack']} (labels)")
    known = np.median(L2(1).norm(fab(experiment.model, x, y, steps=50)))
    axis.axhline(known, color="0.4", ls="--", label="FAB, 50 steps (white box)")
    axis.set(xscale="log", xlabel="queries", ylabel="median ‖δ‖₂ of what fools", xlim=(1, queries[-1]))
    axis.set_ylim(bottom=0)
    axis.set_title(f"smallest change, 0 ≤ x + δ ≤ 1, {few} images, the tutorial's CNN", fontsize=10)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=9, frameon=False)
    return figure


def draw_substitute(experiment, learned):
    """How the CNN errs over ε under FGSM on the substitutes, on itself, and under noise of the same size."""
    x, y, eps = experiment.x, experiment.y, np.linspace(0, max(0.4, experiment.eps), 17)
    noise = np.sign(np.random.default_rng(experiment.seed).standard_normal(x.shape)).astype(x.dtype)

    def errors(change):
        return [(predict(experiment.model, x + change(Linf(float(e)).within(0, 1))) != y).mean() for e in eps]

    lines = [("FGSM on the CNN itself", errors(lambda t: fgsm(experiment.model, x, y, t)), {"color": "k"})]
    for row, model, _ in learned:
        style = {"lw": 2}
        lines.append((row["attack"], errors(lambda t, m=model.model: fgsm(m, x, y, t)), style))
    lines.append(("random signs", errors(lambda t: t.at(x).linear_max(noise)), {"color": "0.6", "ls": ":"}))
    figure = plots.curves(eps, lines, "ε", "error of the CNN", (experiment.eps, f"ε = {experiment.eps:g}"))
    asked = learned[0][0]["queries in all"]
    figure.axes[0].set_title(f"FGSM on a substitute that asked for {asked:,} labels; box [0, 1]", fontsize=10)
    return figure


def draw_pictures(experiment, measured):
    """The same images after each attack, and what the CNN says."""
    names, n = experiment.data.class_names, min(8, experiment.plan.fewer)
    x, y = experiment.x[:n], experiment.y[:n]
    rows = [("clean", x, [names[k] for k in y], [True] * n)]
    for row, _, delta in measured:
        label = predict(experiment.model, x + delta[:n])
        title = row["attack"].replace(", ", "\n")
        rows.append((f"{title}\n{row['norm']}", x + delta[:n], [names[k] for k in label], label == y))
    figure = plots.before_and_after(rows, (0, 1))
    figure.suptitle(f"after each attack (ℓ∞: ε = {experiment.eps:g}); red: the CNN is wrong", fontsize=10)
    return figure
