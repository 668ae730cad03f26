"""Tools to test models and attacks with, for this library's own tests and for anyone's.

``check_gradients`` holds gradients written by hand against the engine's and against differences; ``device`` pretends to
be a GPU, to find what would leak from one to NumPy; ``strategies`` are for property tests (needs ``hypothesis``).
"""

from .gradients import check_gradients

__all__ = ["check_gradients"]
