"""Checks of the logits that a model gives, and of labels against them."""

import numpy as np

from ..backend import namespace
from ..support.blas import one_blas_thread
from .arrays import array, one_side


def signs(y, n, name="y"):
    """Return ``n`` labels −1/+1 as int64; refuse anything else."""
    y = _labels(y, n, name)
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item():g}; the labels of a binary model are -1 and +1")
    return y.astype(np.int64, copy=False)


def classes(y, n, k, name="y"):
    """Return ``n`` integer labels in 0 to k − 1 as int64; refuse anything else."""
    y = _labels(y, n, name)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {y.dtype}; integer labels in 0..{k - 1} were expected")
    wrong = y[(y < 0) | (y >= k)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item()}; labels in 0..{k - 1} were expected")
    return y.astype(np.int64, copy=False)


def whole_labels(y, n, name="y"):
    """Return ``n`` labels, integers as int64, where the number of classes is not known: 0, 1, …, or −1 and +1."""
    y = _labels(y, n, name)
    with np.errstate(invalid="ignore"):  # of infinite labels, which are refused
        wrong = y[(y % 1 != 0) | (y < -1) | (y.astype(float) >= 2.0**63)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item():g}; labels are 0, 1, …, or -1 and +1")
    return y.astype(np.int64, copy=False) if y.dtype.kind in "iu" else y


def labels(y, z, name="y"):
    """Return labels that fit the logits, as int64: −1/+1 for ``(N,)``, 0 to K − 1 for ``(N, K)``."""
    return signs(y, len(z), name) if z.ndim == 1 else classes(y, len(z), z.shape[1], name)


def logits(z, what="x"):
    """Refuse logits with NaN, and a single column, which may be meant either way; return the others.

    Parameters
    ----------
    z : array, shape (N,) or (N, K)
    what : str
        What the model was asked about.
    """
    if getattr(z, "ndim", 0) not in (1, 2) or z.shape[1:] == (1,):
        raise ValueError(
            f"the logits of the model have shape {getattr(z, 'shape', None)}; (N,) for a binary model, or (N, K) with "
            "K > 1 classes was expected"
        )
    wrong = namespace(z).isnan(z.reshape(len(z), -1)).any(axis=1)
    if wrong.any():
        raise ValueError(f"the logits of the model are NaN for {int(wrong.sum())} of {len(z)} examples of {what}")
    return z


def first_logits(model, x):
    """Return the logits of the first example, shape (1,) or (1, K), which say what labels a model has."""
    with one_blas_thread():
        return logits(model.logits(x[:1]), "x[:1]")


def fitting(model, x, y, name):
    """Return the labels y of the images x, which have been checked, for this model; costs the logits of one example."""
    return labels_like(first_logits(model, x), x, y, name)


def labels_like(z, x, y, name):
    """Return the labels y of the images x for a model that gives one example the logits z."""
    one_side(x, y)
    return labels(y, namespace(z).broadcast_to(z, (len(x), *z.shape[1:])), name)


def _labels(y, n, name):
    """The labels as an array of shape ``(n,)`` in a dtype whose comparisons are exact."""
    y = array(name, y, f"of {n} labels")
    if y.shape != (n,):
        raise ValueError(f"{name} has shape {y.shape}; one label for each example of x, ({n},), was expected")
    if y.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {y.dtype}; integer labels were expected")
    return y
