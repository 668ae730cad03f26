"""What an attack tells its ``callback``: the same record for all attacks that take one."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Iterate:
    """One iterate of an attack, on all examples at once: what ``callback(iterate)`` is called with.

    Attributes
    ----------
    restart : int
        The number of the run, from 0; always 0 where an attack has no restarts.
    step : int
        How many steps lie behind it: 0 is the start. A step of an attack that makes one δ for all is a pass or an epoch
        through the examples; it is told after each of them, from 1.
    delta : array, shape (N, *D), or (1, *D) where one δ is for all
        The change itself, inside the perturbation set.
    loss : array, shape (N,), or float
        The loss of each example at δ; its mean where one δ is for all. None if the attack has no loss.
    step_size : array, shape (N,), optional
        The step size η of each example, for attacks that choose their own.
    fooling_rate : float, optional
        The share of examples whose prediction δ changes, for attacks that count it.

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
