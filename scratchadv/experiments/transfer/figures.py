"""The figures of ``scratchadv reproduce transfer``."""

import numpy as np

from ...evaluate.transfer import over_seeds
from ...support import plots


def figures(setup, measured):
    """Draw heat maps for each part and attack, and return them by file name.

    A figure shows the matrix at both radii, and the control at the larger radius.
    """
    found = {}
    for one in measured.kept:
        found.setdefault((one.part, one.attack), []).append(one)
    return {
        f"{part}_{attack}": heat_maps(
            {f"ε = {one.eps:g}": one.transfers for one in several}, f"Between {part}: {several[0].title}"
        )
        for (part, attack), several in found.items()
    }


def heat_maps(transfers, title):
    """Draw matrices side by side, and the last of them once more with noise in the place of δ.

    Parameters
    ----------
    transfers : dict of str to list of Transfer
        For the title of each panel, the matrices of all seeds.
    title : str
    """
    *_, (last, control) = transfers.items()
    figure, axes = plots.figure_with_axes(1, len(transfers) + 1, size=_size(control[0]))
    for axis, (name, several) in zip(axes[0], transfers.items(), strict=False):
        draw_matrix(axis, several, "success", name)
    draw_matrix(axes[0, -1], control, "control", f"noise as large, {last}")
    for axis in axes[0, 1:]:
        axis.set_yticks([])
    axes[0, 0].set_ylabel("made on")
    figure.supxlabel("tested on", fontsize=10)
    figure.colorbar(axes[0, 0].images[0], ax=axes, shrink=0.8, label="share fooled")
    figure.suptitle(title, fontsize=12)
    return figure


def draw_matrix(axis, transfers, of, title):
    """Draw a matrix in colours and per cent with deviations over seeds; the column "itself" is set apart."""
    first = transfers[0]
    mean, deviation = over_seeds(transfers, of)
    columns = list(first.targets)
    if of == "success":
        own, own_deviation = over_seeds(transfers, "itself")
        mean = np.column_stack([own, mean])
        deviation = np.column_stack([own_deviation, deviation])
        columns = ["itself", *columns]
        axis.axvline(0.5, color="white", lw=3)
    axis.imshow(mean, cmap="YlOrRd", vmin=0, vmax=1, aspect="auto")
    for (i, j), share in np.ndenumerate(mean):
        several = f"\n± {100 * deviation[i, j]:.1f}" if np.isfinite(deviation[i, j]) else ""
        color = "white" if share > 0.6 else "black"
        axis.text(j, i, f"{100 * share:.1f}{several}", ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(columns)), [_wrapped(name) for name in columns], fontsize=8)
    axis.set_yticks(range(len(first.sources)), [_wrapped(name) for name in first.sources], fontsize=9)
    axis.set_title(title, fontsize=10)


def _size(transfer):
    return 1.0 + 0.72 * (len(transfer.targets) + 1), 1.2 + 0.62 * len(transfer.sources)


def _wrapped(name):
    return name.replace(" ", "\n")
