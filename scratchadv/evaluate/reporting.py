"""A report on the robustness of a model: how it was attacked, and with what results."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from .. import __version__, checks, tasks
from ..attacks import pgd
from ..backend import host
from ..checked import checked, each, taking, whole
from ..models.protocol import logits, predict
from ..numerics import ndim, take
from ..support import files
from . import page
from .curves import OverEps, OverSteps, accuracy_over_eps, check_growth, over_steps
from .judging import judge
from .masking import SIGNS, signs_of_masking
from .worst import WorstCase, attacks_of, named, worst_case


@dataclass(frozen=True)
class Report:
    """The results on the page.

    Attributes
    ----------
    worst : WorstCase
    over_eps : OverEps
    over_steps : OverSteps
    signs : list of Finding
    """

    worst: WorstCase
    over_eps: OverEps
    over_steps: OverSteps
    signs: list


def radii(name, value):
    """Return the value, which must be a sequence of growing radii, as a list."""
    found = each(checks.size, least=1)(name, value)
    if sorted(set(found)) != found:
        raise ValueError(f"{name} = {checks.shown(value)} must grow: the smallest first and each once")
    return found


def names_of(name, value):
    """Return the value if it is a sequence or a dict."""
    return value if isinstance(value, dict) else checks.sequence(name, value)


@checked(
    attacks=attacks_of,
    eps=radii,
    iterated=taking("model", "x", "y", "threat", named=["callback", "steps"]),
    class_names=names_of,
    setting=checks.by_name,
    title=checks.text,
    shown=whole(1),
)
def report(
    path,
    model,
    x,
    y,
    threat,
    attacks,
    *,
    eps=None,
    iterated=pgd,
    bits=None,
    black_box=None,
    rng=None,
    class_names=None,
    setting=None,
    title="Robustness report",
    shown=8,
    progress=False,
):
    """Attack a model, and write an HTML page with the results.

    The page has the threat model, the signs of masked gradients, a table of the attacks, curves over ε and over steps,
    and examples. It is self-contained, and is written completely at the end, or not at all.

    Parameters
    ----------
    path : str or path
        The file to write; its folder must exist.
    model : Model
    x : array, shape (N, *D)
        The examples; a few hundred take little time. The page shows images ``(N, H, W, 1)`` or ``(N, H, W, 3)``.
    y : array, shape (N,)
    threat : Set
    attacks : sequence of callable, or dict of str to callable
        As for ``worst_case``.
    eps : sequence of float, optional
        The radii of the curve. Default: nine radii from 0 to twice that of the threat.
    iterated : callable
        The attack for the curve over steps and the search for masked gradients; it takes ``callback`` and ``steps``.
    bits : int, optional
        As for ``judge``; not used in the search for masked gradients.
    black_box : callable, optional
        As for ``signs_of_masking``.
    rng : numpy.random.Generator, optional
        As for ``signs_of_masking``.
    class_names : sequence of str or dict of int to str, optional
        The names of the labels, in their order or by label. For the labels +1 and −1 a sequence names +1 first, as
        ``Dataset.only`` does. Default: the labels.
    setting : dict, optional
        What else the numbers depend on, such as data and training, for the head of the page.
    title : str
    shown : int
        The number of examples that are shown, from the first on.
    progress : bool
        Whether to show bars on a terminal.

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit. It is raised before any attack.
    OSError
        If the file cannot be written. It is raised before any attack.
    """
    names = _names(class_names, tasks.of(model, logits(model, x[:1])))
    files.check_writable(path)
    threats = [threat.scaled(radius) for radius in (_radii(threat) if eps is None else eps)]
    check_growth(threats)
    worst = worst_case(model, x, y, threat, attacks, bits=bits, progress=progress)
    found = Report(
        worst,
        accuracy_over_eps(model, x, y, threats, attacks, bits=bits, progress=progress),
        over_steps(model, x, y, threat, iterated, bits=bits),
        signs_of_masking(model, x, y, threat, attack=iterated, black_box=black_box, rng=rng),
    )
    setting = {"model": _model(model)} | worst.setting() | (setting or {})
    parts = [
        _head(worst, setting),
        _signs(found.signs, black_box),
        "<h2>Attack by attack</h2>",
        page.table(*worst.cells()),
        *_curves(found, threat, named([iterated])[0][0]),
        *_examples(worst, model, *take(slice(shown), x, y, threat.at(x)), names),
        f'<p class="foot">Written by scratchadv {__version__}.</p>',
    ]
    files.write_text(path, page.page(title, *parts))
    return found


def _names(names, task):
    """Return a dict of the names of all labels of the task; refuse names that do not cover them."""
    labels = list(task.every)
    if names is None:
        return {label: label for label in labels}
    by_label = names if isinstance(names, dict) else dict(zip(labels, names, strict=False))
    if missing := [label for label in labels if label not in by_label]:
        raise ValueError(f"class_names has no name for the label {missing[0]}; the model's labels are {labels}")
    return by_label


def _radii(threat):
    """Nine radii from 0 to twice that of the threat; whole numbers from 1 where it counts components."""
    if ndim(threat.radius):
        raise ValueError(f"the curve over the radius needs one radius for all examples: pass eps for {threat}")
    if isinstance(threat.radius, int):
        return np.unique(np.rint(np.linspace(1, max(1, 2 * threat.radius), 9))).tolist()
    return np.unique(np.linspace(0, 2 * threat.radius, 9)).tolist()


def _model(model):
    count = sum(int(np.prod(a.shape)) for a in getattr(model, "params", {}).values())
    return f"{type(model).__name__}, {count:,} parameters"


def _head(worst, setting):
    clean, robust = (f"{100 * float(row.mean()):.1f} %" for row in (worst.standing[0], worst.stands))
    rows = "".join(f"<dt>{page.escape(key)}</dt><dd>{page.escape(value)}</dd>" for key, value in setting.items())
    lead = f"<b>{robust}</b> of the examples are classified correctly after every attack; {clean} when clean."
    return f'<p class="lead">{lead}</p>\n<dl>{rows}</dl>'


def _signs(signs, black_box):
    """Return the findings, and a list of the signs that were searched for."""
    notes = [f'<p class="note"><b>{page.escape(f.sign)}</b>: {page.escape(f.words)}.</p>' for f in signs]
    looked_for = ", ".join(sign for sign in SIGNS if black_box or not sign.startswith("black box"))
    verdict = "The accuracies on this page may be too high." if signs else "None was found."
    words = f"<p>Searched for: {looked_for}. {verdict}</p>"
    return "\n".join(["<h2>Signs of masked gradients</h2>", *notes, words])


def _curves(found, threat, attack):
    """Return the curves: accuracy over ε and over steps, and loss over steps."""
    steps = range(len(found.over_steps.accuracy))
    eps = found.over_eps.eps
    mark = threat.radius if threat.radius <= eps[-1] else None
    accuracy = partial(page.curve, top=1, percent=True)
    loss = found.over_steps.loss.mean(axis=1).tolist()
    figures = [
        accuracy(eps, found.over_eps.accuracy, "Accuracy over the radius, worst case", "ε", mark=mark),
        accuracy(steps, found.over_steps.accuracy, f"Accuracy over the steps of {attack}", "step"),
        page.curve(steps, loss, f"Mean loss over the steps of {attack}", "step"),
    ]
    return ["<h2>Over the radius and over steps</h2>", '<div class="curves">', *figures, "</div>"]


def _examples(worst, model, x, y, delta_set, names):
    """Return a table of the examples, clean, change and final input with predictions; nothing if x are not images."""
    if x.ndim != 4 or x.shape[3] not in (1, 3):
        return []
    delta = worst.delta[: len(x)]
    after = judge(model, x, y, delta, delta_set, bits=worst.bits).prediction
    x, y, delta, before, after = map(host, (x, y, delta, predict(model, x), after))
    times = _magnification(delta)
    lower, upper = _shown_range(delta_set, x)
    width = np.where(upper > lower, upper - lower, 1)
    clean, final = ((a - lower) / width for a in (x, x + delta))
    lines = [
        ("clean", clean, _captions(before, y, names)),
        (f"δ × {times}", 0.5 + times * delta / width, [""] * len(x)),
        ("x + δ", final, _captions(after, y, names)),
    ]
    rows = "\n".join(_row(*line) for line in lines)
    return [
        "<h2>Examples</h2>",
        f"<p>The first {len(x)}, each with the change that fooled the model; without a change if no attack fooled it "
        "or the clean image was misclassified. ✓ and ✗: the prediction is right or wrong.</p>",
        f'<div class="scroll"><table class="examples">\n{rows}\n</table></div>',
    ]


def _shown_range(threat, x):
    """Return the values that are drawn black and white: the ends of the box, or of the range of x if infinite."""
    sides = (0, 1) if threat.pixels is None else (threat.pixels.lower, threat.pixels.upper)
    lower, upper = map(host, sides)
    return np.where(np.isfinite(lower), lower, x.min()), np.where(np.isfinite(upper), upper, x.max())


def _magnification(delta):
    """Return the largest whole number by which the change may be multiplied so that it stays within half the range."""
    largest = float(abs(delta).max())
    return max(1, int(0.5 / largest + 1e-3)) if largest else 1


def _captions(labels, y, names):
    kinds = [("right", "✓") if ok else ("wrong", "✗") for ok in labels == y]
    words = [names.get(label, "no prediction") for label in labels.tolist()]  # NaN logits have no prediction
    return [f'<span class="{kind}">{page.escape(w)} {m}</span>' for w, (kind, m) in zip(words, kinds, strict=True)]


def _row(title, images, captions):
    cells = (
        page.picture(image, f"{title}, example {i}") + caption
        for i, (image, caption) in enumerate(zip(images, captions, strict=True))
    )
    return f"<tr><th>{page.escape(title)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
