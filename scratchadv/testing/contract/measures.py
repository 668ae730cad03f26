"""What a law measures of δ: the loss, the margin and its closed form, and what rounding may do to them."""

import numpy as np

from ...losses import margin
from ..models import short
from .hold import Broken
from .promise import row_of, told


def value(promise, case, delta):
    """Return the loss that the attack climbs, at x + δ, in float64, ``(N,)``."""
    return (promise.loss or case.model.loss).value(logits_at(case.model, case.x, delta), case.y)


def margin_of(case, delta):
    """Return the margin by which the true label loses at x + δ, in float64, ``(N,)``."""
    return margin.value(logits_at(case.model, case.x, delta), case.y)


def best_margin(case, share=1.0):
    """Return margin(x) + max over Δ of <∇ margin, δ>, ``(N,)``: the closed form of linear models, for a share of ε."""
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
    """Return δ of the attack; break the law where δ is not inside Δ(x)."""
    delta = promise(case)
    if not case.threat.at(case.x).contains(delta).all():
        raise Broken(how_far_out(case, delta), **told(case, delta))
    return delta


def how_far_out(case, delta):
    """Say by how much δ leaves the set."""
    low, high = (case.x + delta).min(), (case.x + delta).max()
    return f"δ is not in Δ(x): its norm is {case.threat.norm(delta).max():.4g}, x + δ lies in [{low:.4g}, {high:.4g}]"


def not_worse(promise, case, delta):
    """Break the law where the loss is lower at x + δ than at x, or a success at δ = 0 is lost."""
    before, after = value(promise, case, 0 * case.x), value(promise, case, delta)
    worse = some(~(after >= before - slack(case, before)) & ~now_fooled(case, 0 * case.x, delta))
    if worse:
        at = told(row_of(case, worse), delta[worse])
        raise Broken(f"the loss falls from {brief(before[worse])} to {brief(after[worse])}", **at)
    lost = some((margin_of(case, 0 * case.x) > slack(case)) & (margin_of(case, delta) < -slack(case)))
    if lost:
        raise Broken("x is misclassified already, and x + δ is not", **told(row_of(case, lost), delta[lost]))


def now_fooled(case, before, after):
    """Return whether the model errs at the second δ but not at the first, ``(N,)``."""
    return (margin_of(case, after) > 0) & (margin_of(case, before) <= 0)


def alike(a, b, case):
    """Return whether two δ are equal up to rounding."""
    return np.allclose(a, b, rtol=0, atol=1e-4 if case.x.dtype == np.float32 else 1e-8)


def brief(a):
    """Return the value in words, shortened."""
    return short(a) if isinstance(a, np.ndarray) else str(a)
