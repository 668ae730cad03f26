"""Which of its iterates an attack returns: a δ that fools the model if there is one, then the δ of the higher loss.

The loss alone is the wrong order. Cross-entropy can be higher at a δ where the model is still correct than at a δ that
fools it, for example when three classes share the probability. An attack that kept the δ of the highest loss could
therefore lose a success that it had found, and the robust accuracy would be overestimated.
"""

import math
from typing import Any, NamedTuple

from ... import tasks
from ...backend import namespace
from ...checked import one_of
from ...numerics import per_row

KEEP = one_of("success", "loss")


class Best(NamedTuple):
    """The best δ of each example so far, ``(N, *D)``, whether it fools the model, and its loss, both ``(N,)``."""

    delta: Any
    fooled: Any
    value: Any

    def or_better(self, delta, fooled, value):
        """Return the better of the two perturbations, example by example; a δ whose loss is NaN is never better."""
        xp = namespace(delta)
        better = (fooled & ~self.fooled) | ((fooled == self.fooled) & (value > self.value))
        return Best(
            delta if better.all() else xp.where(per_row(better, delta), delta, self.delta),
            xp.where(better, fooled, self.fooled),
            xp.where(better, value, self.value).astype(self.value.dtype),
        )


def nothing_found(x):
    """Return δ = 0 as the best so far, marked as no success and with the loss −∞, so that any other δ is better."""
    xp = namespace(x)
    return Best(xp.zeros_like(x), xp.zeros(len(x), dtype=bool), xp.full(len(x), -math.inf, dtype=x.dtype))


def counted(model, z, y, target, keep):
    """Return whether each prediction counts as a success, ``(N,)``: never if ``keep`` is "loss"."""
    return tasks.of(model, z).is_fooled(z, y, target) if keep == "success" else namespace(z).zeros(len(z), dtype=bool)
