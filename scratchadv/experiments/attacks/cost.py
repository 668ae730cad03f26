"""What an attack costs: how often it asks its model."""

import time

from ...models.watched import Watched


def timed(model, x, attack):
    """Run ``attack(model)``; return δ, and what it cost: queries and gradients an image, and seconds."""
    counted = Watched(model)
    began = time.perf_counter()
    delta = attack(counted)
    seconds = time.perf_counter() - began
    return delta, {
        "queries": counted.asked / len(x),
        "gradients": counted.pulled / len(x),
        "seconds": round(seconds, 2),
    }
