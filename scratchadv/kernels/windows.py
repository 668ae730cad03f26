"""Sliding windows over images, and the buffers that their copies are written to."""

import math
import threading

from ..backend import namespace

_local = threading.local()


def output_size(size, kernel, stride, padding):
    """How many windows fit: ⌊(size + 2 padding − kernel) / stride⌋ + 1."""
    return (size + 2 * padding - kernel) // stride + 1


def pad(x, rows, columns):
    """Zeros around each image, in a buffer of this thread that the next call overwrites.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    rows, columns : (int, int)
        How many before and after.

    Returns
    -------
    array, shape (N, H + sum(rows), W + sum(columns), C)
        x itself where there is nothing to add.
    """
    if not (any(rows) or any(columns)):
        return x
    n, h, w, c = x.shape
    padded = scratch("padded", (n, h + sum(rows), w + sum(columns), c), x)
    padded[...] = 0
    padded[:, rows[0] : rows[0] + h, columns[0] : columns[0] + w] = x
    return padded


def windows(x, kernel, stride):
    """A view of all windows of the images, nothing copied: ``(N, Ho, Wo, kh, kw, C)``.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
        Padded already.
    kernel : (int, int)
        Height and width of a window.
    stride : int
    """
    (n, h, w, c), (kh, kw), (sn, sh, sw, sc) = x.shape, kernel, x.strides
    shape = n, output_size(h, kh, stride, 0), output_size(w, kw, stride, 0), kh, kw, c
    strides = sn, stride * sh, stride * sw, sh, sw, sc
    return namespace(x).lib.stride_tricks.as_strided(x, shape, strides)


def patches(x, kernel, stride):
    """The windows as rows of a matrix, ``(N Ho Wo, kh kw C)``, in a buffer of this thread (im2col).

    The next call overwrites it: use the result at once. A row of a window is kw·C contiguous numbers, which is why
    the layout is NHWC; where that is but a few, the matrix is written column by column instead.
    """
    view = windows(x, kernel, stride)
    n, ho, wo, kh, kw, c = view.shape
    if kw * c < 16:
        buffer = scratch("patches", (kh, kw, c, n, ho, wo), x)
        buffer[...] = view.transpose(3, 4, 5, 0, 1, 2)
        return buffer.reshape(kh * kw * c, n * ho * wo).T
    buffer = scratch("patches", view.shape, x)
    buffer[...] = view
    return buffer.reshape(n * ho * wo, kh * kw * c)


def scratch(name, shape, x):
    """An uninitialised array of this thread with the dtype of x; the next call with that name overwrites it.

    One buffer is used again and again, so it stays in the cache and its memory is asked for once.
    """
    xp, size = namespace(x), math.prod(shape)
    buffers = _local.__dict__
    key = xp, name, x.dtype
    if key not in buffers or buffers[key].size < size:
        buffers[key] = xp.empty(size, dtype=x.dtype)
    return buffers[key][:size].reshape(shape)
