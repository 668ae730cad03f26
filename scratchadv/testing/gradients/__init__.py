r"""Gradients three ways: by hand, by the engine, by central differences, all in float64.

Whatever is checked, a model, a layer or a loss, is a map z = f(x, θ) with pullbacks written by hand. For a random dz
each of them must be the gradient of the number

.. math:: S(x, \theta) = \langle dz, f(x, \theta) \rangle

A random dz sees more than a loss does: the gradient of cross-entropy sums to zero over the classes, so it hides
whatever is wrong for all of them alike.

Read ``subjects.py`` for what is checked, ``references.py`` for the same maps on the engine, ``differences.py`` for the
third way, ``check.py`` for the comparison.
"""

from .check import check_gradients
from .differences import Checked
from .references import LAYERS, LOSSES

__all__ = ["LAYERS", "LOSSES", "Checked", "check_gradients"]
