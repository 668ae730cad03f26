"""The bug museum: bugs that users of attack libraries met, and the law that kills each of them.

Each bug is shown as a wrong variant of our own code: a function that returns the same few lines with the bug or without
it. ``EXHIBITS`` lists them, and ``scratchadv museum`` prints them. Read ``boxes.py``, ``slopes.py``, ``targets.py``,
``batches.py`` and ``conventions.py`` for attacks inside a set, ``smallest.py`` for smallest changes, and
``components.py`` for sets, losses, gradients and evaluations.
"""

from . import batches, boxes, components, conventions, slopes, smallest, targets  # noqa: F401, importing them fills the museum
from .exhibit import EXHIBITS, Exhibit, tour

__all__ = ["EXHIBITS", "Exhibit", "tour"]
