"""Laws about the strength of an attack: no worse than no attack, and as good as the closed form on linear models."""

from dataclasses import replace

from ...losses import margin
from ...models.protocol import labels_of
from ..models import Shifted
from .attack_cases import at_the_edges, confident, linear, mislabelled, off_the_edges, ordinary, shifted, targets, wider
from .hold import Broken, law
from .measures import best_margin, brief, delta_inside, logits_at, margin_of, not_worse, slack, some, value
from .promise import LAWS, row_of, told


@law(LAWS, mislabelled)
def misclassified_inputs(promise, case):
    """If label(x) ≠ y, δ ∈ Δ(x); δ is no worse than 0 if the best iterate is kept; δ = 0 for smallest changes."""
    delta = delta_inside(promise, case)
    if promise.smallest and delta.any():
        raise Broken("x is misclassified already, but δ is not 0", **told(case, delta))
    if promise.keeps_best:
        not_worse(promise, case, delta)


@law(LAWS, linear)
def no_worse_than_no_attack_on_linear_models(promise, case):
    """L(x + δ) >= L(x) on linear models, unless x + δ fools the model and x does not."""
    not_worse(promise, case, promise(case))


@law(LAWS, ordinary, "keeps_best")
def no_worse_than_no_attack(promise, case):
    """L(x + δ) >= L(x) on every model, unless x + δ fools it and x does not; no success at δ = 0 is lost."""
    not_worse(promise, case, promise(case))


@law(LAWS, ordinary, "smallest")
def success_is_predicting_again(promise, case):
    """δ = 0 or label(x + δ) ≠ y, where the sum is taken in the dtype of x."""
    delta = promise(case)
    moved = delta.reshape(len(delta), -1).any(axis=1)
    failed = some(moved & (labels_of(case.model.logits(case.x + delta)) == case.y))
    if failed:
        raise Broken("δ is not 0, but x + δ still has the label y", **told(row_of(case, failed), delta[failed]))


@law(LAWS, off_the_edges, "exact", "iterated", "reach")
def the_closed_form(promise, case):
    """margin(x + δ) = margin(x) + max over Δ(x) of <∇ margin, v> on linear models, for every ball and ball ∩ box.

    It holds up to rounding for exact attacks, and up to the tolerance for iterated ones. With ``reach``, an attack
    only has to fool every example that the closed form fools with that fraction of the radius.
    """
    _reaches_the_closed_form(promise, case)


@law(LAWS, at_the_edges, "exact", "iterated", "reach")
def pixels_at_the_edges_move(promise, case):
    """The closed form is reached even if every pixel lies exactly at an end of its range."""
    _reaches_the_closed_form(promise, case)


@law(LAWS, confident, "exact", "iterated", "reach")
def confident_logits(promise, case):
    """The closed form is reached even if 1 − p rounds to 0 and the squares of the gradient underflow."""
    _reaches_the_closed_form(promise, case)


@law(LAWS, shifted)
def shifted_logits(promise, case):
    """attack(model + c) is as strong as attack(model) for a constant c, added to all logits."""
    plain, moved = (promise(replace(case, model=Shifted(case.model, shift))) for shift in (0.0, case.more))
    before, after = value(promise, case, plain), value(promise, case, moved)
    worse = some(abs(after - before) > 1e-6 * (1 + abs(before)))
    if worse:
        raise Broken(
            f"the loss is {brief(before[worse])}, but {brief(after[worse])} after an attack on the same model with "
            f"all logits shifted by {case.more:g}",
            **told(row_of(case, worse), moved[worse]),
        )


@law(LAWS, wider, "exact", "keeps_best", "smallest")
def a_larger_radius_is_not_weaker(promise, case):
    """If ε' > ε, then margin(x + δ') >= margin(x + δ) on linear models."""
    wide = replace(case, threat=case.threat.scaled(case.more * case.threat.radius))
    delta, more = promise(case), promise(wide)
    before, after = margin_of(case, delta), margin_of(wide, more)
    left = promise.tolerance * abs(after - margin_of(case, 0 * case.x)) if promise.iterated else 0
    worse = some(after < before - slack(case, before) - left)
    if worse:
        raise Broken(
            f"the margin is {brief(before[worse])}, but only {brief(after[worse])} with {case.more:g} times the radius",
            **told(row_of(wide, worse), more[worse]),
        )


@law(LAWS, targets, "targeted")
def targets_are_respected(promise, case):
    """label(x + δ) = target wherever argmax <w_target − w_y, v> over Δ(x) clearly reaches the target."""
    delta = delta_inside(promise, case)
    if not (promise.exact or promise.iterated or promise.reach):
        return
    closed = _best_for_target(case, 1 if promise.reach is None else promise.reach)
    lead = -margin.value(logits_at(case.model, case.x, closed), case.target)
    missed = some((lead > 2) & (labels_of(case.model.logits(case.x + delta)) != case.target))
    if missed:
        one = row_of(case, missed)
        label = labels_of(case.model.logits(one.x + delta[missed]))
        raise Broken(
            f"the label of x + δ is {label[0]}, but the closed form reaches the target by {lead[missed][0]:.3g}",
            **told(one, delta[missed]),
        )


def _reaches_the_closed_form(promise, case):
    delta = delta_inside(promise, case)
    found = margin_of(case, delta)
    best = best_margin(case)
    clean = margin_of(case, 0 * case.x)
    if promise.exact or promise.iterated:
        left = 0 if promise.exact else promise.tolerance * (best - clean)
        short_of = some(~(found >= best - slack(case, best - clean) - slack(case, best) - left))
    else:
        short_of = some((best_margin(case, promise.reach) > slack(case, best)) & (found < 0))
    if short_of:
        one = row_of(case, short_of)
        raise Broken(
            f"the margin by which the label loses is {brief(found[short_of])}, but the closed form's is "
            f"{brief(best[short_of])}",
            **told(one, delta[short_of]),
        )


def _best_for_target(case, share):
    """Return the best δ in Δ(x) for z_target − z_y, at ``share`` times the radius."""
    x = case.x.astype(float)
    weight = case.model.params["weight"]
    return case.threat.scaled(share * case.threat.radius).at(x).linear_max(weight[case.target] - weight[case.y])
