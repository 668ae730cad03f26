"""The figures of ``scratchadv reproduce transformation``."""

import numpy as np

from ...models.protocol import predict
from ...sets import L2
from ...support import plots
from ..networks.images import one_of_each
from .training import BETA, BETAS, TITLES, VICTIM, trained


def figures(setup, measured):
    """Draw the figures, and return them by file name."""
    model = setup.models[VICTIM]
    names = setup.data.class_names
    x, y = one_of_each(model, setup.data.x_test[:1000], setup.data.y_test[:1000])
    by_form = {(TITLES[kind], beta): trained(setup, kind, beta=beta)[0] for kind in TITLES for beta in BETAS}
    return {
        "before_and_after": draw_before_and_after(model, names, by_form, x, y),
        **{
            f"to_each_target_{title}": draw_to_each_target(model, names, by_form[title, BETA], x, y, title, BETA)
            for title in TITLES.values()
        },
    }


def draw_before_and_after(model, names, atns, x, y):
    """Draw clean images, and x' for each kind and β, with the label after the true one as the target."""
    t = (y + 1) % 10
    lines = [("clean", x, y)]
    for (title, beta), atn in atns.items():
        images = atn(x, t)
        size = np.median(L2.norm(images - x))
        lines.append((f"{title}\nβ = {beta:g}\n{L2.name} {size:.2g}", images, predict(model, images)))
    rows = [(title, images, [names[k] for k in found], found == y) for title, images, found in lines]
    figure = plots.before_and_after(rows, (0, 1))
    figure.suptitle(
        "ATNs against the CNN, each digit towards the next one; above: the CNN's prediction (red: wrong)", fontsize=10
    )
    return figure


def draw_to_each_target(model, names, atn, x, y, title, beta):
    """Draw the results of one network for all targets: an image of each class (rows) towards each label (columns)."""
    source, target = (a.ravel() for a in np.meshgrid(np.arange(10), np.arange(10), indexing="ij"))
    images = atn(x[source], target)
    reached = predict(model, images) == target
    figure, axes = plots.figure_with_axes(10, 10, size=(0.72, 0.74))
    for axis, image, hit, own in zip(axes.ravel(), images, reached, y[source] == target, strict=True):
        plots.show_image(axis, image)
        for side in axis.spines.values():
            side.set(color="0.5" if own else plots.RIGHT if hit else plots.WRONG, linewidth=1.5)
    for k in range(10):
        axes[0, k].set_title(f"to {names[k]}", fontsize=9)
        axes[k, 0].set_ylabel(names[k], fontsize=10, rotation=0, ha="right", va="center")
    share = reached[y[source] != target].mean()
    text = f"{title}, one network for all targets, β = {beta:g}: {100 * share:.0f} % reached"
    figure.suptitle(f"{text} (green frame; grey: own label)", fontsize=10)
    return figure
