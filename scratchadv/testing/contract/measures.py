"""What laws measure: the loss and the margin at x + δ, the closed form, and the error that rounding may cause."""

import numpy as np

from ...losses import margin
from ..models import short
from .hold import Broken
from .promise import row_of, told


def value(promise, case, delta):
    """Return the loss that the attack maximises at x + δ, in float64, ``(N,)``."""
    return (promise.loss or case.model.loss).value(logits_at(case.model, case.x, delta), case.y)


def margin_of(case, delta):
    """Return the margin at x + δ (positive where the label y loses), in float64, ``(N,)``."""
    return margin.value(logits_at(case.model, case.x, delta), case.y)


def best_margin(case, share=1.0):
    """Return margin(x) + max over Δ of <∇ margin, δ>, ``(N,)``: the closed form, at ``share`` times the radius."""
    x = case.x.astype(float)
    z, pull = case.model.vjp_x(x)
    threat = case.threat if share == 1 else case.threat.scaled(share * case.threat.radius)
    return margin.value(z, case.y) + threat.at(x).support(pull(margin.grad(z, case.y)))


def slack(case, size=1.0):
    """Return the error that rounding may cause in a number of this size."""
    return (1e-4 if case.x.dtype == np.float32 else 1e-9) * (1 + abs(size))


def some(bad):
    """Return the first row that is bad, as a slice, or None."""
    return slice(int(bad.argmax()), int(bad.argmax()) + 1) if bad.any() else None


def logits_at(model, x, delta):
    """Return the logits at x + δ, computed in float64."""
    return model.logits(x.astype(float) + delta.astype(float))


def delta_inside(promise, case):
    """Return the δ of the attack; raise ``Broken`` if it is not inside Δ(x)."""
    delta = promise(case)
    if not case.threat.at(case.x).contains(delta).all():
        raise Broken(how_far_out(case, delta), **told(case, delta))
    return delta


def how_far_out(case, delta):
    """Return a sentence that says how far δ is out of the set."""
    low, high = (case.x + delta).min(), (case.x + delta).max()
    return f"δ is not in Δ(x): its norm is {case.threat.norm(delta).max():.4g}, x + δ lies in [{low:.4g}, {high:.4g}]"


def not_worse(promise, case, delta):
    """Raise ``Broken`` if the loss is lower at x + δ than at x, or if a success at δ = 0 is lost."""
    before, after = value(promise, case, 0 * case.x), value(promise, case, delta)
    worse = some(~(after >= before - slack(case, before)) & ~now_fooled(case, 0 * case.x, delta))
    if worse:
        at = told(row_of(case, worse), delta[worse])
        raise Broken(f"the loss falls from {brief(before[worse])} to {brief(after[worse])}", **at)
    lost = some((margin_of(case, 0 * case.x) > slack(case)) & (margin_of(case, delta) < -slack(case)))
    if lost:
        raise Broken("x is misclassified already, but x + δ is not", **told(row_of(case, lost), delta[lost]))


def now_fooled(case, before, after):
    """Return whether the model errs with the second δ but not with the first, ``(N,)``."""
    return (margin_of(case, after) > 0) & (margin_of(case, before) <= 0)


def alike(a, b, case):
    """Return whether two δ are equal up to rounding."""
    return np.allclose(a, b, rtol=0, atol=1e-4 if case.x.dtype == np.float32 else 1e-8)


def brief(a):
    """Return the value as a short text."""
    return short(a) if isinstance(a, np.ndarray) else str(a)
