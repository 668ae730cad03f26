"""Bugs of attacks that look for the smallest change."""

import numpy as np

from ...attacks import fgsm
from ...checked import check_attack
from ...losses import margin
from ...models.protocol import labels_of
from ...numerics import per_row, rows
from ...sets import L0, L2
from .exhibit import attack, exhibit

LINEAR = {"models": ("logistic", "softmax")}
ON_LINES = attack(L2(0.75), smallest=True, reach=0.9, **LINEAR)


def boundary(model, x, y):
    """Return the margin and its gradient, all that one step of DeepFool needs on a linear model."""
    z, pull = model.vjp_x(x)
    return margin.value(z, y), pull(margin.grad(z, y))


def step_to(f, g, standing):
    """Return δ = −f g / ‖g‖², which leads to the boundary f + <g, δ> = 0, for examples still standing, else 0."""
    square = (rows(g) ** 2).sum(axis=1)
    going = standing & (square > 0)
    return per_row(np.where(going, -f / np.where(square > 0, square, 1), 0), g) * g


def kept(delta, threat):
    """Return δ where it lies in Δ, else 0."""
    return np.where(per_row(threat.contains(delta), delta), delta, 0)


@exhibit(13, "ART #219", "success is predicting again", ON_LINES)
def a_view_for_a_copy(bug):
    """A view is used instead of a copy, so DeepFool's overshoot is lost."""

    def run(model, x, y, threat):
        x, y, _ = check_attack(model, x, y, threat)
        f, g = boundary(model, x, y)
        image = x.copy()
        start = image if bug else image.copy()
        image += step_to(f, g, f < 0)
        image = image + 0.02 * (image - start)
        return kept(image - x, threat)

    return run


@exhibit(14, "torchattacks #116, #153", "the closed form", ON_LINES)
def wrong_class_index(bug):
    """DeepFool's class index comes from a list that leaves out the label."""

    def run(model, x, y, threat):
        x, y, _ = check_attack(model, x, y, threat)
        z, pull = model.vjp_x(x)
        if z.ndim == 1:
            f, g = boundary(model, x, y)
            return kept(1.02 * step_to(f, g, f < 0), threat)
        n, k = z.shape
        others = np.array([[c for c in range(k) if c != label] for label in y])
        units = np.eye(k, dtype=z.dtype)
        gaps = np.take_along_axis(z, others, axis=1) - z[np.arange(n), y][:, None]
        nearest = gaps.argmax(axis=1)
        rival = nearest if bug else others[np.arange(n), nearest]
        g = pull(units[rival] - units[y])
        return kept(1.02 * step_to(gaps.max(axis=1), g, gaps.max(axis=1) < 0), threat)

    return run


@exhibit(15, "torchattacks #51", "misclassified inputs", ON_LINES)
def misclassified_is_attacked(bug):
    """An input that is already misclassified is attacked."""

    def run(model, x, y, threat):
        x, y, _ = check_attack(model, x, y, threat)
        f, g = boundary(model, x, y)
        return kept(1.02 * step_to(-abs(f), g, np.full(len(x), True) if bug else f < 0), threat)

    return run


def greedy(x, y, threat, model, bug_in_budget=False, bug_in_map=False):
    """Run JSMA: move one pixel after the other to the end of its range, the best first, until the model is fooled."""
    delta = np.zeros_like(x)
    spent = np.zeros(len(x), int)
    n = np.arange(len(x))
    for _ in range(100):
        _, g = boundary(model, x + delta, y)
        low, high = (rows(side) for side in threat.at(x).shifted(delta).bounds())
        end = np.where(rows(g) > 0, high, low)
        gain = rows(g) * end * (rows(delta) == 0)
        best = gain.argmax(axis=1)
        going = (labels_of(model.logits(x + delta)) == y) & (spent < threat.radius)
        if not bug_in_map:
            going &= gain.max(axis=1) > 0
        if not going.any():
            return np.where(per_row(labels_of(model.logits(x + delta)) != y, x), delta, 0)
        rows(delta)[n[going], best[going]] += end[n[going], best[going]]
        if bug_in_budget:
            spent[going][:] += 1
        else:
            spent[going] = (rows(delta)[going] != 0).sum(axis=1)
    raise RuntimeError("still going after 100 rounds")


ONE_PIXEL = attack(L0(1).within(0, 1), smallest=True)


@exhibit(16, "ART #196", "inside the set", ONE_PIXEL)
def budget_is_ignored(bug):
    """JSMA's budget is ignored, because the pixels are counted in a copy made by fancy indexing."""

    def run(model, x, y, threat):
        x, y, _ = check_attack(model, x, y, threat)
        return greedy(x, y, threat, model, bug_in_budget=bug)

    return run


@exhibit(18, "CleverHans #221", "a constant model", ONE_PIXEL)
def all_zero_map(bug):
    """A saliency map of zeros makes JSMA choose pixel 0 for ever."""

    def run(model, x, y, threat):
        x, y, _ = check_attack(model, x, y, threat)
        return greedy(x, y, threat, model, bug_in_map=bug)

    return run


@exhibit(26, "Foolbox #674", "success is predicting again", attack(L2(0.75), smallest=True))
def last_tried_for_last_found(bug):
    """The success that is reported belongs to another image than the one that is returned."""

    def run(model, x, y, threat):
        full = fgsm(model, x, y, threat)

        def fools(scale):
            return labels_of(model.logits(x + per_row(scale, x) * full)) != y

        low, high = np.zeros(len(x), x.dtype), np.ones(len(x), x.dtype)
        for _ in range(6):
            middle = (low + high) / 2
            fooled = fools(middle)
            low = np.where(fooled, low, middle)
            high = np.where(fooled, middle, high)
        found = fools(np.ones_like(high)) & (labels_of(model.logits(x)) == y)
        return per_row(np.where(found, middle if bug else high, 0), x) * full

    return run
