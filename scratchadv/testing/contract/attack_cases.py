"""Strategies for the cases on which attacks are checked: a model, images, labels and a perturbation set."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ...losses import margin
from ...models.protocol import labels_of
from ..models import LIFT, Constant, Linear, LinearSoftmax
from ..strategies import Case, cases, picture_shapes, pictures, seeds
from .measures import margin_of


def ordinary(promise):
    """Return cases with any model, and labels that it predicts."""
    return cases(promise.threat, promise.models, classes=promise.classes)


def something_to_gain(promise):
    """Return ordinary cases in which every example can gain something inside Δ, unless Δ = {0}."""

    def leads(case):
        z, pull = case.model.vjp_x(case.x)
        return (case.threat.at(case.x).support(pull(margin.grad(z, case.y))) > 1e-6).all()

    return ordinary(promise).filter(leads) if promise.threat.radius else ordinary(promise)


def mislabelled(promise):
    """Return cases with any model, and labels that it does not predict."""
    return cases(promise.threat, promise.models, classes=promise.classes, right=False)


def linear(promise, **options):
    """Return cases with a linear model of two classes, alone or among other classes that cannot win."""
    kinds = [kind for kind in promise.models if kind != "network"]
    return cases(promise.threat, kinds, classes=promise.classes, **options) if kinds else st.nothing()


def off_the_edges(promise):
    """Return linear cases in which pixels may lie near the ends of their range, but not at them."""
    return linear(promise, places=(0.5, 0.25, 0.75, 0.0625, 0.9375))


def at_the_edges(promise):
    """Return linear cases in which every pixel lies at an end of its range."""
    return linear(promise, places=(0.0, 1.0))


def confident(promise):
    """Return linear cases with one example whose label leads by 60, so that 1 − p is far below 1e-16."""

    def scale(case):
        size = max(abs(margin_of(case, 0 * case.x)[0]), 0.05)
        return replace(case, model=scaled(case.model, 60 / size))

    return linear(promise, most=1).map(scale)


def scaled(model, factor):
    """Return the model with its logits, or those of its pair, multiplied by the factor; other classes cannot win."""
    if isinstance(model, Linear):
        return Linear(*(factor * p for p in model.params.values()))
    weight, bias = model.params.values()
    return LinearSoftmax(factor * weight, np.where(bias != 0, LIFT + factor * (bias - LIFT), -1e4))


def shifted(promise):
    """Return cases with several logits, and a constant that makes all of them negative, or larger."""
    kinds = [kind for kind in promise.models if kind != "logistic"]
    if not kinds:
        return st.nothing()
    shift = st.sampled_from([-128.0, 64.0])
    drawn = cases(promise.threat, kinds, classes=promise.classes, dtype=np.float64)
    return st.builds(lambda case, shift: replace(case, more=shift), drawn, shift)


@st.composite
def constant(draw, promise):
    """Draw a model with the same logits for every x; the label of the first example is right, the others are random."""
    shape = draw(picture_shapes(promise.threat))
    x = draw(pictures(promise.threat, shape, draw(st.integers(1, 3))))
    binary = promise.models == ("logistic",) or ("logistic" in promise.models and draw(st.booleans()))
    k = max(3, promise.classes)
    model = Linear(np.zeros(shape), 1.0) if binary else Constant(np.arange(k) % 2)
    labels = [1, -1] if binary else [*range(k)]
    y = np.array(draw(st.lists(st.sampled_from(labels), min_size=len(x), max_size=len(x))))
    y[0] = labels_of(model.logits(x))[0]
    return Case(model, x, y, promise.threat, seed=draw(seeds))


@st.composite
def with_other_mates(draw, promise):
    """Draw two batches of at least two examples for the same model; only their first examples are the same."""
    case = draw(cases(promise.threat, promise.models, classes=promise.classes, least=2))
    x = draw(pictures(promise.threat, case.x.shape[1:], len(case.x), dtype=case.x.dtype))
    x[0] = case.x[0]
    return replace(case, more=replace(case, x=x, y=labels_of(case.model.logits(x))))


@st.composite
def targets(draw, promise):
    """Draw a linear model of three or four classes, and an image with nearly equal logits, once for every target.

    The weights come from a normal distribution, so that no two components tie and the best δ is a single point.
    """
    shape = draw(picture_shapes(promise.threat))
    k = draw(st.integers(max(3, promise.classes), max(4, promise.classes)))
    x = draw(pictures(promise.threat, shape, 1)).repeat(k - 1, axis=0)
    label = draw(st.integers(0, k - 1))
    y = np.full(k - 1, label)
    target = (label + np.arange(1, k)) % k
    weight = np.random.default_rng(draw(seeds)).standard_normal((k, *shape))
    gain = promise.threat.at(x.astype(float)).support(weight[target] - weight[y]).min()
    weight *= 20 / max(gain, 1e-3)
    bias = LinearSoftmax(weight, np.zeros(k)).logits(-x[:1].astype(float))[0] + (np.arange(k) == label)
    return Case(LinearSoftmax(weight, bias), x, y, promise.threat, target, seed=draw(seeds))


def wider(promise):
    """Return linear cases, and the factor by which the radius grows."""
    return st.builds(lambda case, k: replace(case, more=k), linear(promise), st.sampled_from([2, 1.5, 4]))
