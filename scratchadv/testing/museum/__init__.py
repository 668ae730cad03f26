"""The bug museum: what users of other libraries met, as wrong variants of our own code, and the law that kills each.

``EXHIBITS`` is the list, ``scratchadv museum`` prints it. Read ``inside.py``, ``smallest.py`` and ``components.py``:
each function makes the same few lines with the bug and without.
"""

from . import components, inside, smallest  # noqa: F401, they fill the museum
from .exhibit import EXHIBITS, Exhibit, tour

__all__ = ["EXHIBITS", "Exhibit", "tour"]
