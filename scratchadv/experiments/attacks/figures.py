"""The figures of ``scratchadv reproduce attacks``."""

from functools import partial

import numpy as np

from ...attacks import carlini_wagner, deepfool, fgsm, jsma, pgd, saliency_map
from ...models.protocol import predict
from ...sets import L0, L2, Linf
from ...support import plots
from ..networks.images import one_of_each


def figures(setup, measured):
    """Draw the figures, and return them by file name."""
    x, y = one_of_each(setup.models["CNN"], setup.data.x_test[:1000], setup.data.y_test[:1000])
    cw = partial(carlini_wagner, steps=setup.plan.descent)
    return {
        "class_to_class": draw_class_to_class(setup, x, y, cw, "Carlini–Wagner ℓ2"),
        "jsma": draw_class_to_class(setup, x, y, jsma, "JSMA"),
        "saliency_maps": draw_saliency_maps(setup.models["CNN"], x, y, setup.data.class_names),
        "every_attack": draw_every_attack(setup, x, y),
    }


def draw_class_to_class(setup, x, y, attack, name):
    """Draw an image of each class (rows), attacked towards each class (columns); the diagonal is the image itself."""
    model = setup.models["CNN"]
    names = setup.data.class_names
    source, target = (a.ravel() for a in np.meshgrid(np.arange(10), np.arange(10), indexing="ij"))
    off = source != target
    images = x[source].copy()
    images[off] += attack(model, x[source[off]], y[source[off]], target=target[off])
    reached = predict(model, images) == target
    figure, axes = plots.figure_with_axes(10, 10, size=(0.72, 0.74))
    for i, axis in enumerate(axes.ravel()):
        plots.show_image(axis, images[i])
        color = "0.5" if not off[i] else plots.RIGHT if reached[i] else plots.WRONG
        for side in axis.spines.values():
            side.set(color=color, linewidth=1.5)
    for k in range(10):
        axes[0, k].set_title(f"to {names[k]}", fontsize=9)
        axes[k, 0].set_ylabel(f"{names[k]}", fontsize=10, rotation=0, ha="right", va="center")
    share = reached[off].mean()
    title = f"{name}: from each class to each, {100 * share:.0f} % reached (green frame)"
    figure.suptitle(title, fontsize=10)
    return figure


def draw_saliency_maps(model, x, y, names, digit=4):
    """Draw the saliency maps of one digit for each target: which pixels to increase, and which to decrease."""
    image = np.repeat(x[digit : digit + 1], 10, axis=0)
    up = saliency_map(model, image, np.arange(10), theta=1.0)
    down = saliency_map(model, image, np.arange(10), theta=-1.0)
    figure, axes = plots.figure_with_axes(2, 10, size=(1.0, 1.15))
    for line, maps, cmap in ((axes[0], up, "Reds"), (axes[1], down, "Blues")):
        for k, axis in enumerate(line):
            top = float(maps[k].max()) or 1.0
            plots.show_image(axis, maps[k], (0, top), cmap=cmap)
            axis.contour(x[digit, :, :, 0], levels=[0.5], colors="0.4", linewidths=0.6)
            axis.set_title(f"to {names[k]}" if k != y[digit] else f"it is {names[k]}", fontsize=9)
    axes[0, 0].set_ylabel("increase", fontsize=9)
    axes[1, 0].set_ylabel("decrease", fontsize=9)
    figure.suptitle(f"saliency maps of a {names[y[digit]]} (outline in grey), each scaled to its largest", fontsize=10)
    return figure


def draw_every_attack(setup, x, y):
    """Draw the same digits under several attacks, with the CNN's predictions and the median size of the change."""
    model = setup.models["CNN"]
    names = setup.data.class_names
    threat = Linf(setup.eps).within(0, 1)
    target = (y + 1) % 10
    found = [
        ("FGSM", Linf, fgsm(model, x, y, threat)),
        ("PGD", Linf, pgd(model, x, y, threat)),
        ("DeepFool", L2, deepfool(model, x, y)),
        ("Carlini–\nWagner", L2, carlini_wagner(model, x, y, steps=setup.plan.descent)),
        ("JSMA\nto y + 1", L0, jsma(model, x, y, target=target)),
    ]
    rows = [("clean", x, [names[k] for k in y], [True] * len(y))]
    for name, norm, delta in found:
        label = predict(model, x + delta)
        size = np.median(norm.norm(delta))
        rows.append((f"{name}\n{norm.name} {size:.2g}", x + delta, [names[k] for k in label], label == y))
    figure = plots.before_and_after(rows, (0, 1))
    figure.suptitle(f"one digit of each class; FGSM and PGD with ε = {setup.eps:g}; median sizes", fontsize=10)
    return figure
