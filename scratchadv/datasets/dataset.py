"""The class of data sets: images and labels for training and for testing."""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from .. import checks
from ..checked import check_fields, each
from ..tasks import whole_labels

DIGITS = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training and for testing.

    Parameters
    ----------
    x_train, x_test : ndarray, (N, H, W, C), float32 in [0, 1]
        Images.
    y_train, y_test : ndarray, (N,), int64
        Labels: indices into `class_names`, or -1 and +1 after `only`.
    class_names : tuple of str
        Names of the classes.
    source : str
        Where the data came from.

    Raises
    ------
    TypeError, ValueError
        If a field does not fit, for example if there are not as many labels as images.
    """

    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    class_names: tuple[str, ...]
    source: str

    def __post_init__(self):
        check_fields(self, x_train=_images, x_test=_images, source=checks.text)
        check_fields(self, y_train=_labels_of(self.x_train, "x_train"), y_test=_labels_of(self.x_test, "x_test"))
        check_fields(self, class_names=each(checks.text))
        object.__setattr__(self, "class_names", tuple(self.class_names))

    def only(self, a, b):
        """Keep two classes, in their present order, with the slides' labels: +1 for `a` and -1 for `b`.

        Parameters
        ----------
        a, b : int
            Classes, as in `y_train`.

        Returns
        -------
        Dataset
            Its labels are +1 and -1; its class names are those of `a` and `b`.

        Raises
        ------
        ValueError
            If `a` or `b` is not a class of this data set or has no examples, or if they are the same.
        """
        a = self._class("a", a)
        b = self._class("b", b)
        if a == b:
            raise ValueError(f"a = {a} and b = {b} are the same class; two different ones were expected")
        train, test = (np.isin(y, (a, b)) for y in (self.y_train, self.y_test))
        return Dataset(
            x_train=self.x_train[train],
            y_train=np.where(self.y_train[train] == a, 1, -1).astype(np.int64),
            x_test=self.x_test[test],
            y_test=np.where(self.y_test[test] == a, 1, -1).astype(np.int64),
            class_names=(self.class_names[a], self.class_names[b]),
            source=f"{self.source}; only {self.class_names[a]} (+1) and {self.class_names[b]} (-1)",
        )

    def _class(self, name, label):
        """Return the class as an int; refuse it if it does not exist or has no examples."""
        n = len(self.class_names)
        if not isinstance(label, Integral) or isinstance(label, bool) or label not in range(n):
            raise ValueError(f"{name} = {checks.shown(label)} is not a class: classes are the integers 0 to {n - 1}")
        for part, y in [("training", self.y_train), ("test", self.y_test)]:
            if label not in y:
                raise ValueError(f"{name} = {label}: the class has no {part} examples")
        return int(label)


def _images(name, value):
    return checks.images(value, name)


def _labels_of(x, images):
    """Return the check of the labels of the images x."""

    def check(name, value):
        if hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0 and len(value) != len(x):
            raise ValueError(f"{images} has {len(x)} images, but {name} has {len(value)} labels")
        return whole_labels(value, len(x), name)

    return check


def as_images(pixels):
    """Return grey values from 0 to 255 as one-channel images in [0, 1].

    Parameters
    ----------
    pixels : ndarray, (N, H, W), uint8

    Returns
    -------
    ndarray, (N, H, W, 1), float32
    """
    images = pixels[..., None].astype(np.float32)
    images /= 255
    return images
