"""Bad input is refused here, before any work, in words that name the value and what was expected.

Each check of a value takes its name first and returns the value as the library computes with it: a Python number, a
NumPy or CuPy array, a generator. Arrays from elsewhere (lists, pandas, read-only or memory-mapped, in Fortran's order,
in another byte order) are converted in :func:`images` and :func:`labels`, and nowhere else. ``checked.py`` applies the
checks to the arguments of a public function.

Read ``numbers.py`` and ``values.py`` for single values, ``arrays.py`` for images, ``ranges.py`` for the pixel range,
``outputs.py`` for logits and labels, ``models.py`` for models and what an attack is given.
"""

from .arrays import array, dtype, example, images, on_host, one_side, parameter, same_shape, seeds, shape
from .models import (
    attack,
    black_box,
    classifier,
    examples,
    features,
    judged,
    layer,
    loss,
    loss_of,
    model,
    optimizer,
    smallest_change,
    threat,
    trainable,
)
from .numbers import below_one, count, is_number, number, positive, rng, seed, share, signed, size
from .outputs import classes, first_logits, fitting, labels, labels_like, logits, signs, whole_labels
from .ranges import box, finite_box, inside_box, pixel_range
from .values import by_name, flag, function, has, no_class, path, sequence, shown, text

__all__ = [
    "array",
    "attack",
    "below_one",
    "black_box",
    "box",
    "by_name",
    "classes",
    "classifier",
    "count",
    "dtype",
    "example",
    "examples",
    "features",
    "finite_box",
    "first_logits",
    "fitting",
    "flag",
    "function",
    "has",
    "images",
    "inside_box",
    "is_number",
    "judged",
    "labels",
    "labels_like",
    "layer",
    "logits",
    "loss",
    "loss_of",
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
    "signs",
    "size",
    "smallest_change",
    "text",
    "threat",
    "trainable",
    "whole_labels",
]
