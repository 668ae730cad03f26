"""The cases that the laws of attacks are drawn from: a model, images, labels and a set of perturbations."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from ...losses import margin
from ...models.protocol import labels_of
from ..models import LIFT, Constant, Linear, LinearSoftmax
from ..strategies import Case, cases, picture_shapes, pictures, seeds
from .measures import margin_of


def ordinary(promise):
    """Any model, labels that it gives."""
    return cases(promise.threat, promise.models, classes=promise.classes)


def something_to_gain(promise):
    """Any model, labels that it gives, and a gradient that leads somewhere in Δ (unless it is {0}) for each example."""

    def leads(case):
        z, pull = case.model.vjp_x(case.x)
        return (case.threat.at(case.x).support(pull(margin.grad(z, case.y))) > 1e-6).all()

    return ordinary(promise).filter(leads) if promise.threat.radius else ordinary(promise)


def mislabelled(promise):
    """Any model, labels that it does not give."""
    return cases(promise.threat, promise.models, classes=promise.classes, right=False)


def linear(promise, **options):
    """A linear model of two classes, alone or among others out of reach."""
    kinds = [kind for kind in promise.models if kind != "network"]
    return cases(promise.threat, kinds, classes=promise.classes, **options) if kinds else st.nothing()


def off_the_edges(promise):
    """Linear, and pixels lie near the ends of their range, but not at them."""
    return linear(promise, places=(0.5, 0.25, 0.75, 0.0625, 0.9375))


def at_the_edges(promise):
    """Linear, and every pixel lies at an end of its range."""
    return linear(promise, places=(0.0, 1.0))


def confident(promise):
    """Linear, one example, and the model scaled until its label leads by 60: in float32, 1 − p is far below 1e-16."""

    def scale(case):
        size = max(abs(margin_of(case, 0 * case.x)[0]), 0.05)
        return replace(case, model=scaled(case.model, 60 / size))

    return linear(promise, most=1).map(scale)


def scaled(model, factor):
    """The linear model with its logits, or those of the pair, times the factor and the others out of reach."""
    if isinstance(model, Linear):
        return Linear(*(factor * p for p in model.params.values()))
    weight, bias = model.params.values()
    return LinearSoftmax(factor * weight, np.where(bias != 0, LIFT + factor * (bias - LIFT), -1e4))


def shifted(promise):
    """Several logits, all of them made negative, or larger."""
    kinds = [kind for kind in promise.models if kind != "logistic"]
    if not kinds:
        return st.nothing()
    shift = st.sampled_from([-128.0, 64.0])
    drawn = cases(promise.threat, kinds, classes=promise.classes, dtype=np.float64)
    return st.builds(lambda case, shift: replace(case, more=shift), drawn, shift)


@st.composite
def constant(draw, promise):
    """A model that gives the same logits to all; the label of the first example is right, the others are any."""
    shape = draw(picture_shapes(promise.threat))
    x = draw(pictures(promise.threat, shape, draw(st.integers(1, 3))))
    binary = promise.models == ("logistic",) or ("logistic" in promise.models and draw(st.booleans()))
    k = max(3, promise.classes)
    model, labels = (Linear(np.zeros(shape), 1.0), [1, -1]) if binary else (Constant(np.arange(k) % 2), [*range(k)])
    y = np.array(draw(st.lists(st.sampled_from(labels), min_size=len(x), max_size=len(x))))
    y[0] = labels_of(model.logits(x))[0]
    return Case(model, x, y, promise.threat, seed=draw(seeds))


@st.composite
def with_other_mates(draw, promise):
    """Two batches of the same model that have one example in common: at least two examples, the first is the same."""
    case = draw(cases(promise.threat, promise.models, classes=promise.classes, least=2))
    x = draw(pictures(promise.threat, case.x.shape[1:], len(case.x), dtype=case.x.dtype))
    x[0] = case.x[0]
    return replace(case, more=replace(case, x=x, y=labels_of(case.model.logits(x))))


@st.composite
def targets(draw, promise):
    """Three or four classes that all count; one image, once for every target; its logits nearly equal.

    The weights are drawn, not chosen, so that no two components tie and the best δ is one point.
    """
    shape = draw(picture_shapes(promise.threat))
    k = draw(st.integers(max(3, promise.classes), max(4, promise.classes)))
    x = draw(pictures(promise.threat, shape, 1)).repeat(k - 1, axis=0)
    label = draw(st.integers(0, k - 1))
    y, target = np.full(k - 1, label), (label + np.arange(1, k)) % k
    weight = np.random.default_rng(draw(seeds)).standard_normal((k, *shape))
    gain = promise.threat.at(x.astype(float)).support(weight[target] - weight[y]).min()
    weight *= 20 / max(gain, 1e-3)
    bias = LinearSoftmax(weight, np.zeros(k)).logits(-x[:1].astype(float))[0] + (np.arange(k) == label)
    return Case(LinearSoftmax(weight, bias), x, y, promise.threat, target, seed=draw(seeds))


def wider(promise):
    """Linear, and how many times larger the radius becomes."""
    return st.builds(lambda case, k: replace(case, more=k), linear(promise), st.sampled_from([2, 1.5, 4]))
