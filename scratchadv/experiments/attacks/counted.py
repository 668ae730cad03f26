"""What an attack costs: how often it asks its model."""

import threading
import time


class Counted:
    """A model that counts, over all images, how often it is asked for logits and for a gradient."""

    def __init__(self, model):
        self._model, self._lock, self.queries, self.gradients = model, threading.Lock(), 0, 0

    def __getattr__(self, name):
        return getattr(self._model, name)

    def logits(self, x):
        """One query an image."""
        self._count(queries=len(x))
        return self._model.logits(x)

    def vjp_x(self, x):
        """One query an image, and one gradient for each pull."""
        self._count(queries=len(x))
        z, pull = self._model.vjp_x(x)

        def counted(dz):
            self._count(gradients=len(x))
            return pull(dz)

        return z, counted

    def _count(self, queries=0, gradients=0):
        with self._lock:
            self.queries, self.gradients = self.queries + queries, self.gradients + gradients


def timed(model, x, attack):
    """Run ``attack(model)``; return δ, and what it cost: queries and gradients an image, and seconds."""
    counted = Counted(model)
    began = time.perf_counter()
    delta = attack(counted)
    seconds = time.perf_counter() - began
    return delta, {
        "queries": counted.queries / len(x),
        "gradients": counted.gradients / len(x),
        "seconds": round(seconds, 2),
    }
