"""The record that attacks pass to their ``callback``."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Iterate:
    """One iterate of an attack on all examples: the argument of ``callback(iterate)``.

    Attributes
    ----------
    restart : int
        The number of the run, counted from 0; always 0 if the attack has no restarts.
    step : int
        The number of steps taken so far; 0 is the start. For an attack with one δ for all examples, a step is a whole
        pass through the examples, and the first record is that of step 1.
    delta : array, shape (N, *D), or (1, *D) if one δ is for all examples
        The perturbation δ, inside the perturbation set.
    loss : array, shape (N,), or float
        The loss of each example at δ, or the mean loss if one δ is for all examples. None if the attack has no loss.
    step_size : array, shape (N,), optional
        The step size η of each example, for attacks that adapt it.
    fooling_rate : float, optional
        The share of examples whose prediction δ changes, for attacks that measure it.

    Examples
    --------
    >>> model, x, y = LogisticRegression(np.array([2.0, -1.0])), np.array([[1.0, 0.5]]), np.array([1])
    >>> seen = []
    >>> delta = pgd(model, x, y, Linf(0.5), steps=2, alpha=0.25, callback=lambda iterate: seen.append(iterate))
    >>> [(iterate.step, iterate.loss.round(2).item()) for iterate in seen]
    [(0, 0.2), (1, 0.39), (2, 0.69)]
    """

    restart: int
    step: int
    delta: Any
    loss: Any
    step_size: Any = None
    fooling_rate: float | None = None
