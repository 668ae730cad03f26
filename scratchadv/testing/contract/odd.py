"""Laws of attacks in odd cases: gradients with holes, classes that are masked out, NaN, unusual labels.

An attack that breaks one of them silently gives a wrong number, mostly a robust accuracy that is too high.
"""

import math
from dataclasses import replace

import numpy as np

from ... import tasks
from ...losses import margin
from ...support.optional import needed_by
from ..models import Holed, LinearSoftmax, MaskedOut, NotANumber
from ..strategies import Case, cases, picture_shapes, pictures, seeds
from .attack_cases import ordinary
from .hold import Broken, law
from .measures import margin_of, slack, some, value
from .promise import LAWS, refused, told

with needed_by("scratchadv.testing.contract", "hypothesis", "test"):
    from hypothesis import strategies as st


@st.composite
def success_or_loss(draw, promise):
    """Draw three classes along one direction of Δ: at one end the model errs, at the other the loss is higher.

    The probabilities of the label and its two rivals are 0.45, 0.55 and 0 at one end, and 0.40, 0.30 and 0.30 at the
    other. The direction is random, so that each end is a single point of Δ.
    """
    shape = draw(picture_shapes(promise.threat))
    x = draw(pictures(promise.threat, shape, draw(st.integers(1, 3)), places=(0.5,)))
    k = max(3, promise.classes)
    ends = np.full((2, k), -30.0)
    ends[0, :3] = np.log([0.45, 0.5499, 0.0001])
    ends[1, :3] = np.log([0.40, 0.30, 0.30])
    direction = np.random.default_rng(draw(seeds)).standard_normal(shape)
    reach = float(promise.threat.at(x.astype(float)).support(np.broadcast_to(direction, x.shape)).min())
    weight = np.multiply.outer((ends[1] - ends[0]) / 2, direction / max(reach, 1e-6))
    at_x = LinearSoftmax(weight, np.zeros(k)).logits(x[:1].astype(float))[0]
    model = LinearSoftmax(weight, (ends[0] + ends[1]) / 2 - at_x)
    return Case(model, x[:1].repeat(len(x), axis=0), np.zeros(len(x), int), promise.threat, seed=draw(seeds))


def ends_apart(promise):
    """Return the cases of ``success_or_loss`` for attacks on several logits by the model's own loss, unless Δ = {0}."""
    if not promise.threat.radius or not {"softmax", "network"} & set(promise.models) or promise.loss is not None:
        return st.nothing()
    return success_or_loss(promise)


def with_hole(promise):
    """Return ordinary cases in which the first component of the gradient is NaN or infinite."""
    hole = st.sampled_from([math.nan, math.inf, -math.inf])
    return st.builds(lambda case, hole: replace(case, model=Holed(case.model, hole)), ordinary(promise), hole)


def of_several(promise):
    """Return cases with several logits."""
    kinds = [kind for kind in promise.models if kind != "logistic"]
    return cases(promise.threat, kinds, classes=promise.classes) if kinds else st.nothing()


def fooled_by(case, delta):
    """Return whether the model errs at x + δ, computed in float64, ``(N,)``."""
    z = case.model.logits(case.x.astype(float) + delta.astype(float))
    return tasks.of(case.model, z).is_fooled(z, case.y)


@law(LAWS, ends_apart, "restarts")
def more_restarts_lose_no_success(promise, case):
    """If label(x + δ) ≠ y for one start, then also for three starts of which the first is the same."""
    one, three = promise(case, restarts=1), promise(case, restarts=3)
    lost = some(fooled_by(case, one) & ~fooled_by(case, three))
    if lost:
        losses = [value(promise, case, delta)[lost][0] for delta in (one, three)]
        raise Broken(
            f"one start gives a δ that fools the model, with the loss {losses[0]:.4g}, but three starts give one that "
            f"does not, with the loss {losses[1]:.4g}",
            **told(case, three),
        )


@law(LAWS, with_hole)
def a_hole_in_the_gradient(promise, case):
    """If (∇L)₁ is NaN or ±∞, δ is finite and inside Δ(x); with NaN it is as good as with 0 on linear models."""
    delta = promise(case)
    if not np.isfinite(delta).all() or not case.threat.at(case.x).contains(delta).all():
        raise Broken("δ is not finite, or not in Δ(x)", **told(case, delta))
    if promise.random or not (promise.exact or promise.iterated) or not math.isnan(case.model.hole):
        return
    if not isinstance(case.model.model, LinearSoftmax) and not getattr(case.model, "linear", False):
        return
    found, closed = margin_of(case, delta), best_without_first(case)
    left = 0 if promise.exact else promise.tolerance * (closed - margin_of(case, 0 * case.x))
    short = some(found < closed - slack(case) - left)
    if short:
        why = f"the margin is {found[short][0]:.4g}, but it is {closed[short][0]:.4g} with 0 in place of NaN"
        raise Broken(why, **told(case, delta))


def best_without_first(case):
    """Return the margin at the best δ for the gradient with 0 as its first component, ``(N,)``."""
    x = case.x.astype(float)
    z, pull = case.model.model.vjp_x(x)
    g = pull(margin.grad(z, case.y))
    g.reshape(len(g), -1)[:, 0] = 0
    return margin.value(case.model.logits(x + case.threat.at(x).linear_max(g)), case.y)


@law(LAWS, of_several)
def a_masked_class_changes_nothing(promise, case):
    """attack(model with one more class, whose logit is −∞) is as strong as attack(model)."""
    masked = replace(case, model=MaskedOut(case.model))
    plain, found = promise(case), promise(masked)
    before, after = margin_of(case, plain), margin_of(case, found)
    worse = some(~(abs(after - before) <= 1e-4 * (1 + abs(before))))
    if worse:
        raise Broken(
            f"the margin is {before[worse][0]:.4g}, but {after[worse][0]:.4g} after an attack on the same model with "
            "one more class, whose logit is −∞",
            **told(case, found),
        )


@law(LAWS, ordinary)
def a_model_that_gives_nan_is_refused(promise, case):
    """attack(model whose logits are NaN) raises a ValueError."""
    refused(promise, replace(case, model=NotANumber(case.model)), "a model whose logits are NaN")


@law(LAWS, ordinary)
def any_integer_type_of_labels(promise, case):
    """attack(y as int8) = attack(y as uint64) = attack(y as int64), if y fits the type."""
    expected = promise(case)
    for dtype in (np.int8, np.uint64):
        if (case.y < 0).any() and np.dtype(dtype).kind == "u":
            continue
        found = promise(replace(case, y=case.y.astype(dtype)))
        if not np.allclose(found, expected, rtol=0, atol=slack(case)):
            raise Broken(f"labels of dtype {np.dtype(dtype)} give another δ than those of int64", **told(case, found))
