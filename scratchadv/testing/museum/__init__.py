"""The bug museum: what users of other libraries met, as wrong variants of our own code, and the law that kills each.

``EXHIBITS`` is the list, ``scratchadv museum`` prints it. Each function makes the same few lines with the bug and
without; read ``boxes.py``, ``slopes.py``, ``targets.py``, ``batches.py`` and ``conventions.py`` for attacks inside a
set, ``smallest.py`` for smallest changes, ``components.py`` for sets, losses, gradients and evaluations.
"""

from . import batches, boxes, components, conventions, slopes, smallest, targets  # noqa: F401, they fill the museum
from .exhibit import EXHIBITS, Exhibit, tour

__all__ = ["EXHIBITS", "Exhibit", "tour"]
