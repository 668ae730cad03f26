"""The cost of an attack: queries, gradients and seconds."""

import time

from ...models.watched import Watched


def timed(model, x, attack):
    """Run ``attack(model)``, and return δ and its cost: queries and gradients per image, and seconds."""
    counted = Watched(model)
    began = time.perf_counter()
    delta = attack(counted)
    seconds = time.perf_counter() - began
    return delta, {
        "queries": counted.asked / len(x),
        "gradients": counted.pulled / len(x),
        "seconds": round(seconds, 2),
    }
