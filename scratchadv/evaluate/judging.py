"""The evaluation of one perturbation: success is another prediction on the final input, with δ inside the set."""

from dataclasses import dataclass
from typing import Any

from .. import checks, tasks
from ..backend import namespace
from ..checked import checked
from ..models.protocol import logits, refuse_nan


@dataclass(frozen=True)
class Judgement:
    """The result of an attack for each example; every array has shape ``(N,)``.

    Attributes
    ----------
    success : array of bool
        Whether the final input is misclassified (or classified as its target), and δ lies in Δ(x).
    inside : array of bool
        Whether δ lies in Δ(x).
    norm : array
        The size of δ in the norm of the threat.
    loss : array
        The model's loss at the final input and the true label.
    prediction : array of int
        The label that the model predicts for the final input. Where the logits are NaN it is ``tasks.NO_LABEL``, and
        there is no success.
    """

    success: Any
    inside: Any
    norm: Any
    loss: Any
    prediction: Any


@checked(model=checks.judged)
def judge(model, x, y, delta, threat, *, target=None, bits=None):
    r"""Predict again on the final input, and return for which examples δ is a success.

    The final input is x + δ. With ``bits`` it is :math:`r(x + \delta)`, where r rounds every pixel to the nearest of
    :math:`2^{bits}` levels between the ends of the box, so that an attack which does not survive storage in an image
    file is not a success. ``inside`` still refers to δ. Rounding changes a pixel by at most half a level (1/510 for
    8 bits in [0, 1]), so that the rounded change may leave the ball by as much in each pixel; for ℓ∞ it does not leave
    it if x lies on the levels and ε is a multiple of their distance. ``norm`` is that of the change between the stored
    images, :math:`r(x + \delta) - r(x)`.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
        The true labels.
    delta : array, shape (N, *D)
    threat : Set
        The perturbation set Δ in which δ had to stay.
    target : array, shape (N,), optional
        With a target, success is the prediction ``target``; without one, any prediction other than ``y``.
    bits : int, optional
        The number of bits for each stored pixel, 8 for image files. The levels lie between the ends of the threat's
        box, or in [0, 1] if it has no box.

    Returns
    -------
    Judgement

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    """
    checks.same_shape(delta, x, "delta")
    image = x + delta
    change = delta
    if bits is not None:
        image, change = _stored(x, delta, threat, bits)
    z = logits(model, image)
    refuse_nan(model, x, z)
    delta_set = threat.at(x)
    inside = delta_set.contains(delta)
    task = tasks.of(model, z)
    success = task.is_fooled(z, y, target) & inside
    return Judgement(success, inside, delta_set.norm(change), model.loss.value(z, y), task.decode(z))


def _stored(x, delta, threat, bits):
    """Return r(x + δ) and r(x + δ) − r(x)."""
    lower, upper = (0, 1) if threat.pixels is None else (threat.pixels.lower, threat.pixels.upper)
    checks.finite_box("rounding to bits within the threat", lower, upper)
    checks.inside_box(x, lower, upper)
    image, clean = (_rounded(a, lower, upper, 2**bits - 1) for a in (x + delta, x))
    return image, image - clean


def _rounded(a, lower, upper, steps):
    xp = namespace(a)
    lower, upper = (xp.asarray(side, dtype=a.dtype) for side in (lower, upper))
    width = xp.where(upper > lower, upper - lower, 1)
    return lower + xp.rint((xp.clip(a, lower, upper) - lower) / width * steps) / steps * width
