"""The figures of ``scratchadv reproduce universal``."""

import numpy as np

from ...attacks.one_for_all.perturbation import applied
from ...models.protocol import predict
from ...support import plots
from ..networks.images import one_of_each

BOX = (0, 1)
STYLES = {
    "gradient": ("gradient", {"color": "#b2182b", "marker": "o"}),
    "deepfool": ("DeepFool", {"color": "#2166ac", "marker": "s"}),
    "targeted": ("gradient, targeted", {"color": "#e08214", "marker": "^"}),
    "signs": ("random signs", {"color": "0.55", "marker": "x"}),
}


def figures(setup, measured):
    """Draw the figures, and return them by file name."""
    found = measured.kept
    return {
        "perturbations": draw_perturbations(setup, found),
        "one_of_each": draw_one_of_each(setup, found),
        "levels": draw_levels(setup, measured.numbers["levels"]),
        "over_eps": draw_over_eps(setup, measured.numbers["curve"]),
    }


def single_and_all(found, key, method="gradient"):
    """Return the δ of each class in order, and last the δ for all ten classes."""
    single = {group[0]: delta for group, _, delta in found[key, method, 1]}
    return [*(single[k] for k in range(10)), found[key, method, 10][0][2]]


def draw_perturbations(setup, found):
    """Draw δ for each class and for all classes, with a row for each network and method."""
    names = setup.data.class_names
    eps = setup.eps
    lines = [(key, method) for key in setup.models for method in ("gradient", "deepfool")]
    figure, axes = plots.figure_with_axes(len(lines), 11, size=(1.0, 1.1))
    for line, (key, method) in zip(axes, lines, strict=True):
        for axis, delta in zip(line, single_and_all(found, key, method), strict=True):
            plots.show_image(axis, delta[0], (-eps, eps), cmap="RdBu_r")
        line[0].set_ylabel(f"{key}\n{STYLES[method][0]}", fontsize=9)
    for axis, title in zip(axes[0], [*(f"for {name}" for name in names), "for all"], strict=True):
        axis.set_title(title, fontsize=10)
    figure.suptitle(f"universal perturbations, ‖δ‖∞ ≤ {eps:g}: red is up, blue is down", fontsize=11)
    return figure


def draw_one_of_each(setup, found, key="CNN"):
    """Draw an unseen image of each class: clean, with the δ of its class, with the δ for all, with random signs."""
    model = setup.models[key]
    names = setup.data.class_names
    x, y = one_of_each(model, *setup.unseen())
    *single, for_all = single_and_all(found, key)
    noise = found[key, "signs", 10][0][2]
    changes = {
        "clean": np.zeros_like(x),
        "δ of its class": applied(np.concatenate(single), x, BOX),
        "δ for all": applied(for_all, x, BOX),
        "random signs": applied(noise, x, BOX),
    }
    rows = []
    for title, change in changes.items():
        label = predict(model, x + change)
        rows.append((title, x + change, [names[k] for k in label], label == y))
    figure = plots.before_and_after(rows, (0, 1))
    figure.suptitle(f"unseen images and the predictions of the {key}, ε = {setup.eps:g}", fontsize=10)
    return figure


def draw_levels(setup, rows):
    """Draw the success over the number of classes that share one δ, for each network."""
    figure, axes = plots.figure_with_axes(1, len(setup.models), size=(4.2, 3.4), sharey=True)
    for axis, key in zip(axes[0], setup.models, strict=True):
        for method, (name, style) in STYLES.items():
            levels = [row for row in rows if (row["network"], row["method"]) == (key, method)]
            places = range(len(levels))
            axis.plot(places, [row["unseen"] for row in levels], label=f"{name}, unseen", **style)
            if method == "gradient":
                seen = [row["seen"] for row in levels]
                axis.plot(places, seen, ls=":", color=style["color"], label=f"{name}, seen")
        axis.set_xticks(places, [row["classes"] for row in levels])
        axis.set(title=key, xlabel="classes that share one δ", ylim=(-0.02, 1.02))
        axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("fooling rate (targeted: reached)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    figure.suptitle(f"effectiveness over universality, ‖δ‖∞ ≤ {setup.eps:g}", fontsize=11)
    return figure


def draw_over_eps(setup, curve):
    """Draw the fooling rate of the CNN over ε."""
    colors = {"for one class": "#e08214", "for all ten": "#b2182b", "random signs": "0.55"}
    lines = [(name, curve[name], {"color": color, "marker": "o", "ms": 4}) for name, color in colors.items()]
    figure = plots.curves(curve["eps"], lines, "ε", "fooling rate on unseen images", (setup.eps, "ε of the table"))
    figure.axes[0].set_title("CNN, δ by gradient, clipped to [0, 1]", fontsize=10)
    return figure
