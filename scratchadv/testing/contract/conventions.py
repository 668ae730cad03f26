"""Laws about the conventions that every attack keeps, from the plainest on."""

import copy
import math
from dataclasses import replace

import numpy as np

from ..models import Recorded
from .attack_cases import constant, ordinary, something_to_gain
from .hold import Broken, law
from .measures import brief, delta_inside, how_far_out, some
from .promise import LAWS, copied, refused, row_of, told


@law(LAWS, something_to_gain)
def an_array_like_x(promise, case):
    """δ is a NumPy array, shape δ = shape x, dtype δ = dtype x."""
    delta = promise(case)
    if delta.dtype != case.x.dtype:
        raise Broken(f"δ has dtype {delta.dtype}, x has {case.x.dtype}", **told(case))


@law(LAWS, something_to_gain)
def inside_the_set(promise, case):
    """δ ∈ Δ(x): ‖δ‖ <= ε and l <= x + δ <= u, up to rounding."""
    delta = promise(case)
    outside = some(~case.threat.at(case.x).contains(delta))
    if outside:
        one = row_of(case, outside)
        raise Broken(how_far_out(one, delta[outside]), **told(one, delta[outside]))


@law(LAWS, constant)
def a_constant_model(promise, case):
    """∇L = 0 everywhere: δ is finite and inside Δ(x); a smallest-change attack gives δ = 0."""
    delta = delta_inside(promise, case)
    if promise.smallest and delta.any():
        raise Broken("nothing fools this model, and δ is not 0", **told(case, delta))


@law(LAWS, ordinary)
def nothing_is_changed(promise, case):
    """x, y, the model and its parameters are after the attack what they were before."""

    case = copied(case)

    def state():
        return {"x": case.x, "y": case.y, "the threat": case.threat, **_parts(case.model)}

    before = copy.deepcopy(state())
    promise.run(case)
    after = state()
    for name in sorted({*before, *after}):
        if name not in before or name not in after or not np.array_equal(before[name], after[name]):
            raise Broken(f"{name} was {brief(before.get(name))}, and is {brief(after.get(name))}", Δ=case.threat)


@law(LAWS, ordinary)
def the_model_sees_pixels_only(promise, case):
    """l <= x' <= u for every x' that the attack asks the model about."""
    pixels = case.threat.pixels
    lower, upper = (-math.inf, math.inf) if pixels is None else (pixels.lower, pixels.upper)
    watched = replace(case, model=Recorded(case.model))
    promise(watched)
    for x in watched.model.inputs:
        if not ((x >= lower - 1e-5) & (x <= upper + 1e-5)).all():
            raise Broken(f"the model was asked about {brief(x)}, outside [{lower}, {upper}]", **told(case))


@law(LAWS, ordinary)
def float64_nowhere_unasked(promise, case):
    """Dtype x' = dtype x for every x' the model is asked about; dtype dz = dtype z for every pullback."""
    watched = replace(case, model=Recorded(case.model))
    promise(watched)
    for x in watched.model.inputs:
        if x.dtype != case.x.dtype:
            raise Broken(f"x has dtype {case.x.dtype}, the model was asked about {x.dtype}", **told(case))
    for dz, z in watched.model.pulls:
        if dz.dtype != z.dtype:
            raise Broken(f"z has dtype {z.dtype}, {dz.dtype} was pulled back", **told(case))


@law(LAWS, ordinary)
def no_examples_are_refused(promise, case):
    """attack(x of shape (0, *D)) raises a ValueError."""
    refused(promise, row_of(case, slice(0, 0)), "no examples")


@law(LAWS, ordinary)
def what_is_not_a_number_is_refused(promise, case):
    """attack(x with NaN or ∞) raises a ValueError."""
    for bad in (math.nan, math.inf):
        x = case.x.copy()
        x.ravel()[-1] = bad
        refused(promise, replace(case, x=x), f"{bad} in x")


def _parts(model):
    """Whatever the model holds, by name."""
    held = {f"the model's {name}": part for name, part in vars(model).items() if name != "params"}
    return held | {f"the model's {name}": part for name, part in model.params.items()}
