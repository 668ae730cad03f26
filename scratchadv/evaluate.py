"""Judging attacks: by predicting again, never by the attack's own word."""

from dataclasses import dataclass
from typing import Any

from . import checks
from .models.protocol import labels_of


@dataclass(frozen=True)
class Judgement:
    """What became of each example, all of shape ``(N,)``.

    Attributes
    ----------
    success : array of bool
        The final input is fooled (or hits its target), and δ lies in Δ(x).
    inside : array of bool
        Whether δ lies in Δ(x).
    norm : array
        The size of δ in the norm of the threat.
    loss : array
        The model's loss at x + δ and the true label.
    prediction : array of int
        The label of x + δ.
    """

    success: Any
    inside: Any
    norm: Any
    loss: Any
    prediction: Any


def judge(model, x, y, delta, threat, *, target=None):
    """Predict again on x + δ and say which examples have fallen.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
        The true labels.
    delta : array, shape (N, *D)
    threat : Ball or Boxed
        The perturbation set Δ that δ had to keep to.
    target : array, shape (N,), optional
        Success is then the prediction ``target``; without it any prediction but ``y``.

    Returns
    -------
    Judgement

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    """
    checks.attack(model, x, y, threat, target)
    checks.images(delta, "delta")
    checks.same_shape(delta, x, "delta")
    z = model.logits(x + delta)
    prediction = labels_of(z)
    delta_set = threat.at(x)
    inside = delta_set.contains(delta)
    fooled = prediction != y if target is None else prediction == target
    return Judgement(fooled & inside, inside, delta_set.norm(delta), model.loss.value(z, y), prediction)
