"""Pictures that several experiments draw. Each function returns a matplotlib figure; ``save`` writes it."""

import numpy as np
from matplotlib.figure import Figure

from . import files

RIGHT = "#1b7837"
WRONG = "#b2182b"


def save(figure, path):
    """Write the figure as a PNG file, completely or not at all."""
    with files.whole(path, "xb") as file:
        figure.savefig(file, format="png", dpi=150)


def figure_with_axes(rows=1, columns=1, size=(4.0, 3.0), **options):
    """Return a figure without global state, and its axes as an array of shape (rows, columns)."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show_image(axis, image, limits=(0.0, 1.0), cmap="gray"):
    """Draw one example ``(H, W, 1)`` or ``(H, W, 3)`` as a picture without ticks."""
    axis.imshow(np.clip(image, *limits), cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])


def signed_images(images, titles):
    """Draw signed values, such as weights, each scaled to its own largest magnitude with zero in the middle."""
    figure, axes = figure_with_axes(1, len(images), size=(3.2, 3.0))
    for axis, image, title in zip(axes[0], images, titles, strict=True):
        top = float(abs(image).max()) or 1.0
        show_image(axis, image, (-top, top), cmap="RdBu_r")
        axis.set_title(title, fontsize=10)
        figure.colorbar(axis.images[0], ax=axis, shrink=0.8)
    return figure


def before_and_after(rows, limits):
    """Draw examples under several conditions with the prediction above each, green if correct and red if wrong.

    Parameters
    ----------
    rows : list of (title, images, predictions, right)
        ``images`` has shape (N, H, W, C); ``predictions`` are N names, and ``right`` N booleans.
    limits : (float, float)
        The pixel values that are drawn black and white.
    """
    n = len(rows[0][1])
    figure, axes = figure_with_axes(len(rows), n, size=(1.05, 1.3))
    for line, (title, images, predictions, right) in zip(axes, rows, strict=True):
        for axis, image, prediction, ok in zip(line, images, predictions, right, strict=True):
            show_image(axis, image, limits)
            axis.set_title(prediction, fontsize=11, color=RIGHT if ok else WRONG, weight="bold")
        line[0].set_ylabel(title, fontsize=9)
    return figure


def curves(x, lines, xlabel, ylabel, mark=None):
    """Draw lines over one axis; their values are shares between 0 and 1.

    Parameters
    ----------
    x : array, shape (M,)
    lines : list of (label, values, style)
        ``style`` holds matplotlib's options for a line.
    mark : (float, str), optional
        The x of a vertical line, and its label.
    """
    figure, axes = figure_with_axes(size=(7.6, 3.8))
    axis = axes[0, 0]
    for label, values, style in lines:
        axis.plot(x, values, label=label, **style)
    if mark:
        axis.axvline(mark[0], color="0.6", lw=1, zorder=0, label=mark[1])
    axis.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(-0.02, 1.02))
    axis.grid(alpha=0.25)
    axis.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
