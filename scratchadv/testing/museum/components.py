"""Bugs of balls, losses, models and evaluations."""

from functools import partial
from types import SimpleNamespace

import numpy as np

from ... import checks
from ...layers import Layer
from ...losses import Margin
from ...models.protocol import labels_of
from ...numerics import per_row, rows
from ...sets import L1, L2, Intersection, Linf
from ...tasks import task_of
from ..contract import ContractError, assert_ball_contract, assert_evaluation_contract, assert_loss_contract
from ..gradients import check_gradients
from .exhibit import exhibit


class Rescaled(L2):
    """The ℓ2 ball with a "projection" that moves every δ to the sphere."""

    def project(self, delta):
        """Return ε δ / ‖δ‖₂."""
        return self.linear_max(delta)


@exhibit(6, "CleverHans #381", "what lies inside stays", assert_ball_contract)
def rescaling_what_is_inside(bug):
    """The ℓ2 "projection" rescales points that are already inside the ball."""
    return Rescaled(0.5) if bug else L2(0.5)


class Radial(L1):
    """The ℓ1 ball with a "projection" that shortens δ, as the projection onto the ℓ2 ball does."""

    def project(self, delta):
        """Return δ min(1, ε / ‖δ‖₁)."""
        return delta * per_row(self.eps / np.maximum(self.norm(delta), self.eps), delta).astype(delta.dtype)


@exhibit(7, "ART PR #2382, Foolbox", "the projection is the nearest point", assert_ball_contract)
def radial_projection(bug):
    """The ℓ1 projection is radial, not Euclidean."""
    return Radial(0.5) if bug else L1(0.5)


class Masked(Margin):
    """The margin, except that the logit of the true class is multiplied by zero instead of left out."""

    def value(self, z, y):
        """Return the largest product minus the logit of the label."""
        task = task_of(z)
        return rows(z * task.rest(z, y)).max(axis=1) - rows(z * task.unit(z, y)).sum(axis=1)


@exhibit(11, "torchattacks #184", "shifted logits give the same loss", assert_loss_contract)
def masked_by_multiplication(bug):
    """The margin masks the true class by multiplication, which is wrong for negative logits."""
    return Masked() if bug else Margin()


class InnerProduct(Margin):
    """The margin computed as <grad, z>, which is right where all logits are finite."""

    def value(self, z, y):
        """Return <grad, z>."""
        return rows(self.grad(z, y) * z).sum(axis=1)


@exhibit(37, "scratchadv 0.1.0", "a masked class does not count", assert_loss_contract)
def zero_times_minus_infinity(bug):
    """A class that is masked out makes the margin NaN, because it is computed as 0 · (−∞)."""
    return InnerProduct() if bug else Margin()


class InfiniteCaps(Intersection):
    """A ball ∩ box that treats infinite sides of the box like any others."""

    def project(self, delta):
        """Return the projection with infinite caps, for which the search runs between knots at infinity."""
        a = rows(abs(delta))
        with np.errstate(invalid="ignore"):
            capped = self.ball.project_capped(a, np.full_like(a, np.inf))
        return np.sign(delta) * capped.reshape(delta.shape)


class Unbounded(L2):
    """The ℓ2 ball, whose intersections with boxes are of the kind above."""

    def __and__(self, other):
        """Return the ball ∩ box."""
        return InfiniteCaps((self, other))


@exhibit(39, "scratchadv 0.1.0", "an infinite side is no bound", assert_ball_contract)
def infinite_caps(bug):
    """A box with an infinite side makes the projection NaN."""
    return Unbounded(0.5) if bug else L2(0.5)


class Normalised(Layer):
    """A layer that normalises the input of a network: z = 4 (x − 1/2)."""

    def forward(self, params, x):
        """Return 4 (x − 1/2)."""
        return 4 * (x - 0.5), None

    def input_gradient(self, params, saved, dz):
        """Return 4 dz."""
        return 4 * dz


class LeftOut(Normalised):
    """The same layer, with the gradient in its output instead of in x."""

    def input_gradient(self, params, saved, dz):
        """Return dz, as if there were no such layer."""
        return dz


def gradients(layer, **_):
    """Check a layer with ``check_gradients``, as if it were a contract."""
    try:
        check_gradients(layer, np.array([[0.5, 0.25]]))
    except AssertionError as error:
        raise ContractError("check_gradients", str(error)) from error


@exhibit(30, "ART #289", "check_gradients", gradients)
def left_out_of_the_backward_pass(bug):
    """The transformation of the input is left out of the backward pass."""
    return LeftOut() if bug else Normalised()


def judging(bug_in_rounding=False, bug_in_worst_case=False, bug_in_nan=False):
    """Return a judge and a robust accuracy of a few lines, with or without their bugs."""

    def judge(model, x, y, delta, threat, *, target=None, bits=None):
        checks.images(delta, "delta")
        image = x + delta
        label = labels_of(model.logits(image))
        if bits is not None:
            image = rounded(image, bits)
            if not bug_in_rounding:
                label = labels_of(model.logits(image))
        fooled = label != y if target is None else label == target
        return SimpleNamespace(success=fooled & threat.at(x).contains(delta))

    def robust_accuracy(model, x, y, threat, attacks):
        if not bug_in_nan:
            checks.logits(model.logits(x))
        clean = labels_of(model.logits(x)) == y
        fallen = [judge(model, x, y, attack(model, x, y, threat), threat).success for attack in attacks]
        standing = ~np.stack(fallen) if bug_in_worst_case else ~np.any(fallen, axis=0)
        return (clean & standing).mean()

    return SimpleNamespace(judge=judge, robust_accuracy=robust_accuracy)


def rounded(image, bits):
    """Return the image as it is stored in a file with this many bits for each pixel; pixels are in [0, 1]."""
    levels = 2**bits - 1
    return (np.rint(np.clip(image, 0, 1) * levels) / levels).astype(image.dtype)


JUDGED = partial(assert_evaluation_contract, threat=Linf(0.25).within(0, 1))


@exhibit(29, "nn_robust_attacks #3, Foolbox #423, auto-attack #44", "rounding comes before the judgement", JUDGED)
def rounded_after_the_judgement(bug):
    """Rounding to 8 bits undoes the attack, but success is judged before rounding."""
    return judging(bug_in_rounding=bug)


@exhibit(38, "scratchadv 0.1.0", "logits that are nan have no accuracy", JUDGED)
def nan_is_class_zero(bug):
    """Logits that are NaN count as a prediction of class 0, so even a broken model has an accuracy."""
    return judging(bug_in_nan=bug)


@exhibit(31, "DEEPSEC #13", "robust accuracy is the worst case", JUDGED)
def averages_for_minima(bug):
    """The accuracy is averaged over the attacks, although the worst case is meant."""
    return judging(bug_in_worst_case=bug)
