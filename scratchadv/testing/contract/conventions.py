"""Laws about the conventions that every attack keeps, beginning with the simplest."""

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
    """δ is a NumPy array with the shape and the dtype of x."""
    delta = promise(case)
    if delta.dtype != case.x.dtype:
        raise Broken(f"δ has dtype {delta.dtype}, but x has dtype {case.x.dtype}", **told(case))


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
    """If ∇L = 0 everywhere, then δ is finite and inside Δ(x); a smallest-change attack returns δ = 0."""
    delta = delta_inside(promise, case)
    if promise.smallest and delta.any():
        raise Broken("no δ changes the prediction of this model, but δ is not 0", **told(case, delta))


@law(LAWS, ordinary)
def nothing_is_changed(promise, case):
    """The attack does not change x, y, the threat, the model or its parameters."""
    case = copied(case)

    def state():
        return {"x": case.x, "y": case.y, "the threat": case.threat, **_parts(case.model)}

    before = copy.deepcopy(state())
    promise.run(case)
    after = state()
    for name in sorted({*before, *after}):
        if name not in before or name not in after or not np.array_equal(before[name], after[name]):
            old, new = brief(before.get(name)), brief(after.get(name))
            raise Broken(f"the attack changed {name} from {old} to {new}", Δ=case.threat)


@law(LAWS, ordinary)
def the_model_sees_pixels_only(promise, case):
    """l <= x' <= u for every x' that the attack shows to the model."""
    pixels = case.threat.pixels
    lower, upper = (-math.inf, math.inf) if pixels is None else (pixels.lower, pixels.upper)
    watched = replace(case, model=Recorded(case.model))
    promise(watched)
    for x in watched.model.inputs:
        if not ((x >= lower - 1e-5) & (x <= upper + 1e-5)).all():
            raise Broken(f"the attack showed {brief(x)} to the model, outside [{lower}, {upper}]", **told(case))


@law(LAWS, ordinary)
def float64_nowhere_unasked(promise, case):
    """Every x' that the attack shows to the model has the dtype of x, and every dz that it pulls back that of z."""
    watched = replace(case, model=Recorded(case.model))
    promise(watched)
    for x in watched.model.inputs:
        if x.dtype != case.x.dtype:
            raise Broken(f"x has dtype {case.x.dtype}, but the attack showed {x.dtype} to the model", **told(case))
    for dz, z in watched.model.pulls:
        if dz.dtype != z.dtype:
            raise Broken(f"z has dtype {z.dtype}, but the attack pulled back {dz.dtype}", **told(case))


@law(LAWS, ordinary)
def no_examples_are_refused(promise, case):
    """attack(x of shape (0, *D)) raises a ValueError."""
    refused(promise, row_of(case, slice(0, 0)), "an empty batch")


@law(LAWS, ordinary)
def what_is_not_a_number_is_refused(promise, case):
    """attack(x with NaN or ∞) raises a ValueError."""
    for bad in (math.nan, math.inf):
        x = case.x.copy()
        x.ravel()[-1] = bad
        refused(promise, replace(case, x=x), f"{bad} in x")


def _parts(model):
    """Return everything that the model holds, by name."""
    held = {f"the model's {name}": part for name, part in vars(model).items() if name != "params"}
    return held | {f"the model's {name}": part for name, part in model.params.items()}
