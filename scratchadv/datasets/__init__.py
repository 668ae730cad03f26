"""Data sets: MNIST, and strokes, synthetic digits for when MNIST is not available.

>>> data = load("strokes", n_train=1000, n_test=200)
>>> data.x_train.shape
(1000, 28, 28, 1)
>>> zeros_and_ones = data.only(0, 1)
"""

import warnings

from ..checked import checked, one_of
from .dataset import Dataset
from .mnist import DatasetUnavailableError, load_mnist
from .strokes import load_strokes, make_strokes

__all__ = ["Dataset", "DatasetFallbackWarning", "DatasetUnavailableError", "load", "make_strokes"]


class DatasetFallbackWarning(UserWarning):
    """Warns that the preferred data set is replaced by another one."""


@checked(name=one_of("mnist", "strokes", "auto"))
def load(name, **options):
    """Load a data set by its name.

    Parameters
    ----------
    name : {"mnist", "strokes", "auto"}
        "auto" is MNIST if it is available, else strokes with a warning.
    **options
        For "strokes": `n_train`, `n_test` and `seed`.

    Returns
    -------
    Dataset
        Images (N, 28, 28, 1), float32 in [0, 1]; labels (N,), int64.

    Raises
    ------
    ValueError
        If there is no data set of that name, or its files are damaged.
    DatasetUnavailableError
        If the data set is not on this machine and cannot be downloaded.
    """
    return _LOADERS[name](**options)


def _load_auto():
    try:
        return load_mnist()
    except DatasetUnavailableError as error:
        # A damaged file is not a reason to fall back: its ValueError passes through.
        message = f"STROKES INSTEAD OF MNIST: the numbers cannot be compared with those on the slides. {error}"
        warnings.warn(message, DatasetFallbackWarning, stacklevel=4)
        return load_strokes()


_LOADERS = {"mnist": load_mnist, "strokes": load_strokes, "auto": _load_auto}
