"""Checks that refuse bad input before any work, with messages that name the argument, its value and what was expected.

A check takes the name of the argument and its value. It returns the value in the form in which the library computes
with it: a Python number, a NumPy or CuPy array, or a random generator. Only :func:`array` converts arrays from other
sources: lists, pandas tables, arrays that are read-only, memory-mapped, in Fortran order or in another byte order.
``checked.py`` applies the checks to the arguments of public functions; the task of the model checks labels
(``tasks.py``).

Single values are checked in ``numbers.py`` and ``values.py``, images in ``arrays.py``, boxes and other bounds of δ in
``ranges.py``, and models and their logits in ``models.py``.
"""

from .arrays import array, dtype, example, images, on_host, one_side, parameter, same_shape, seeds, shape
from .models import (
    black_box,
    classifier,
    features,
    judged,
    layer,
    logits,
    loss,
    model,
    optimizer,
    threat,
    trainable,
)
from .numbers import below_one, count, counts, is_number, number, positive, rng, seed, share, signed, size, sizes
from .ranges import bounds, box, broadcasts, finite_box, inside_bounds, inside_box, mask, pixel_range
from .values import by_name, flag, function, has, no_class, path, sequence, shown, text

__all__ = [
    "array",
    "below_one",
    "black_box",
    "bounds",
    "box",
    "broadcasts",
    "by_name",
    "classifier",
    "count",
    "counts",
    "dtype",
    "example",
    "features",
    "finite_box",
    "flag",
    "function",
    "has",
    "images",
    "inside_bounds",
    "inside_box",
    "is_number",
    "judged",
    "layer",
    "logits",
    "loss",
    "mask",
    "model",
    "no_class",
    "number",
    "on_host",
    "one_side",
    "optimizer",
    "parameter",
    "path",
    "pixel_range",
    "positive",
    "rng",
    "same_shape",
    "seed",
    "seeds",
    "sequence",
    "shape",
    "share",
    "shown",
    "signed",
    "size",
    "sizes",
    "text",
    "threat",
    "trainable",
]
