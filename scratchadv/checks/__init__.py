"""Bad input is refused here, before any work, in words that name the value and what was expected.

Each check of a value takes its name first and returns the value as the library computes with it: a Python number, a
NumPy or CuPy array, a generator. Arrays from elsewhere (lists, pandas, read-only or memory-mapped, in Fortran's order,
in another byte order) are converted in :func:`array`, and nowhere else. ``checked.py`` applies the checks to the
arguments of a public function; labels are checked by the task of the model (``tasks.py``).

Read ``numbers.py`` and ``values.py`` for single values, ``arrays.py`` for images, ``ranges.py`` for what bounds δ,
and ``models.py`` for models and their logits.
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
