"""Judging attacks: by predicting again, never by the attack's own word."""

from dataclasses import dataclass
from typing import Any

from . import checks
from .backend import namespace
from .models.protocol import labels_of, logits, predict


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
    z = logits(model, x + delta)
    prediction = labels_of(z)
    delta_set = threat.at(x)
    inside = delta_set.contains(delta)
    fooled = prediction != y if target is None else prediction == target
    return Judgement(fooled & inside, inside, delta_set.norm(delta), model.loss.value(z, y), prediction)


def stands(model, x, y, threat, attacks):
    """Which examples are classified rightly, clean and after every attack, ``(N,)``.

    Each attack is tried only on the examples that stood against those before it: only the worst case counts.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    threat : Ball or Boxed
    attacks : sequence of callable
        ``attack(model, x, y, threat)`` that returns δ; for restarts, the same one again with other randomness.

    Returns
    -------
    array of bool, shape (N,)
    """
    checks.attack(model, x, y, threat)
    standing = predict(model, x) == y
    for attack in attacks:
        left = namespace(x).flatnonzero(standing)
        if len(left):
            delta = attack(model, x[left], y[left], threat)
            standing[left] = ~judge(model, x[left], y[left], delta, threat).success
    return standing


def robust_accuracy(model, x, y, threat, attacks):
    """The share of examples that are classified rightly, clean and after every attack.

    Parameters
    ----------
    model, x, y, threat, attacks
        As for :func:`stands`.

    Returns
    -------
    float
    """
    return float(stands(model, x, y, threat, attacks).mean())
