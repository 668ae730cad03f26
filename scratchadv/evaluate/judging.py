"""Success is another prediction on the final input, inside the set."""

from dataclasses import dataclass
from typing import Any

from .. import checks, tasks
from ..backend import namespace
from ..checked import checked
from ..models.protocol import logits, refuse_nan


@dataclass(frozen=True)
class Judgement:
    """What became of each example, all of shape ``(N,)``.

    Attributes
    ----------
    success : array of bool
        The model is fooled by the final input (or predicts its target there), and δ lies in Δ(x).
    inside : array of bool
        Whether δ lies in Δ(x).
    norm : array
        The size of δ in the norm of the threat.
    loss : array
        The model's loss at x + δ and the true label.
    prediction : array of int
        The label of x + δ. Where the logits are NaN there is none, and no success.
    """

    success: Any
    inside: Any
    norm: Any
    loss: Any
    prediction: Any


@checked(model=checks.judged)
def judge(model, x, y, delta, threat, *, target=None, bits=None):
    r"""Predict again on x + δ, stored in so many bits where asked, and say which examples have fallen.

    With ``bits`` the final input is :math:`r(x + \delta)`, where r rounds every pixel to the nearest of
    :math:`2^{bits}` levels between the ends of the box: an attack that a picture file undoes is no success. ``inside``
    is still judged on δ. Rounding moves a pixel by at most half a level (1/510 for 8 bits in [0, 1]), so the ball is
    kept up to half a level a pixel; for ℓ∞ it is kept exactly if x lies on the levels and ε is a whole number of them.
    ``norm`` is that of the change between the pictures, :math:`r(x + \delta) - r(x)`.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
        The true labels.
    delta : array, shape (N, *D)
    threat : Set
        The perturbation set Δ that δ had to keep to.
    target : array, shape (N,), optional
        Success is then the prediction ``target``; without it any prediction but ``y``.
    bits : int, optional
        8 for picture files. The levels are those of the threat's box, or of [0, 1] where it has none.

    Returns
    -------
    Judgement

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    """
    checks.same_shape(delta, x, "delta")
    image, change = x + delta, delta
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
    """r(x + δ), and how far it is from r(x)."""
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
