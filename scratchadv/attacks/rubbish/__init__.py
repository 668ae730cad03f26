"""Images that mean nothing to us and everything to the model: no image to start from, no distance to keep."""

from .encodings import CPPN, Direct
from .gradient_ascent import gradient_ascent
from .map_elites import Elites, map_elites

__all__ = ["CPPN", "Direct", "Elites", "gradient_ascent", "map_elites"]
