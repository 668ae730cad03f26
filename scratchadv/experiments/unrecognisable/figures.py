"""The figures of ``scratchadv reproduce unrecognisable``."""

import numpy as np

from ...attacks.black_box.queries import oracle
from ...attacks.unrecognisable.map_elites import log_probabilities
from ...support import plots

COLORS = {"direct": "#2166ac", "CPPN": "#b35806"}


def figures(setup, measured):
    """Draw the figures, and return them by file name."""
    found = measured.kept
    pictures = {f"gallery_{network.replace(' ', '_')}": draw_gallery(setup, found, network) for network in setup.models}
    return {**pictures, "confidence": draw_confidence(found)}


def draw_gallery(setup, found, network):
    """Draw the images of the first run, with the confidence above and the other network's prediction below."""
    other = next(name for name in setup.models if name != network)
    names = setup.data.class_names
    ways = [way for made_for, way in found if made_for == network]
    figure, axes = plots.figure_with_axes(len(ways), len(names), size=(0.98, 1.42))
    for line, way in zip(axes, ways, strict=True):
        result = found[network, way]
        answer = np.exp(log_probabilities(oracle(setup.models[other]), result.x[0]))
        confidence = 100 * np.exp(result.log_p[0, -1])
        white = float(result.x[0].max())
        for k, axis in enumerate(line):
            plots.show_image(axis, result.x[0, k], (0, white))
            axis.set_title(f"{names[k]}: {np.floor(100 * confidence[k]) / 100:.2f} %", fontsize=8)
            said = int(answer[k].argmax())
            color = plots.WRONG if said == k else plots.RIGHT
            axis.set_xlabel(f"{names[said]}: {100 * answer[k, said]:.0f} %", fontsize=8, color=color)
        line[0].set_ylabel(way if white > 0.99 else f"{way}, white: {white:.2f}", fontsize=9)
    title = f"made for the {network} (above: class and its confidence); below: the {other}, red where it agrees"
    figure.suptitle(title, fontsize=10)
    return figure


def draw_confidence(found):
    """Draw 1 − confidence over the generations: median, minimum and maximum over classes and runs."""
    evolved = {key: result for key, result in found.items() if key[1] in COLORS}
    made_for = list(dict.fromkeys(network for network, _ in evolved))
    figure, axes = plots.figure_with_axes(1, len(made_for), size=(5.2, 3.8), sharey=True)
    for axis, network in zip(axes[0], made_for, strict=True):
        for way, color in COLORS.items():
            log_p = evolved[network, way].log_p.astype(float).swapaxes(1, 2)
            doubt = (-np.expm1(log_p.reshape(-1, log_p.shape[-1]))).clip(1e-12)
            t = np.arange(doubt.shape[1])
            axis.fill_between(t, doubt.min(axis=0), doubt.max(axis=0), color=color, alpha=0.15, lw=0)
            axis.plot(t, np.median(doubt, axis=0), color=color, label=f"{way}: median, minimum to maximum")
        for level, text in ((1e-2, "99 %"), (1e-4, "99.99 %")):
            axis.axhline(level, color="0.5", lw=0.8, ls="--")
            axis.text(t[-1], level, text, fontsize=8, ha="right", va="bottom", color="0.3")
        axis.set(xlabel="generation", title=f"made for the {network}", yscale="log", xlim=(0, t[-1]), ylim=(1e-10, 1.5))
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.17))
    axes[0, 0].set_ylabel("1 − confidence")
    return figure
