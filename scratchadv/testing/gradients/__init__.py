r"""Gradients in three ways: by hand, by the engine and by central differences, all in float64.

A model, a layer or a loss is a map z = f(x, θ) with pullbacks written by hand. For a random dz each pullback must
return the gradient of the number

.. math:: S(x, \theta) = \langle dz, f(x, \theta) \rangle

A random dz finds more than a loss does: the gradient of the cross-entropy sums to zero over the classes, so it hides
an error that is the same for all classes.

Read ``subjects.py`` for what is checked, ``references.py`` for the same maps on the engine, ``differences.py`` for
central differences, and ``check.py`` for the comparison.
"""

from .check import check_gradients
from .differences import Checked
from .references import LAYERS, LOSSES

__all__ = ["LAYERS", "LOSSES", "Checked", "check_gradients"]
