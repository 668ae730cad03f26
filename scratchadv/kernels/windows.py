"""Sliding windows over images, and the buffers into which they are copied."""

import math
import threading

import numpy as np

from ..backend import namespace

_local = threading.local()


def output_size(size, kernel, stride, padding):
    """Return how many windows fit along one axis: ⌊(size + 2 padding − kernel) / stride⌋ + 1."""
    return (size + 2 * padding - kernel) // stride + 1


def pad(x, rows, columns):
    """Surround each image with zeros, in a buffer of this thread that the next call overwrites.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    rows, columns : (int, int)
        How many rows and columns of zeros are added before and after the image.

    Returns
    -------
    array, shape (N, H + sum(rows), W + sum(columns), C)
        x itself if there is nothing to add.
    """
    if not (any(rows) or any(columns)):
        return x
    n, h, w, c = x.shape
    padded = scratch("padded", (n, h + sum(rows), w + sum(columns), c), x)
    padded[...] = 0
    numbers = large(x)
    inside = padded if numbers is x else large(padded)
    inside[:, rows[0] : rows[0] + h, columns[0] : columns[0] + w] = numbers
    return padded


def large(x):
    """View 16 bytes of the channels as one complex128 number, since a GPU copies number by number.

    On the host, and where the channels cannot be grouped, the images are returned as they are.
    """
    fits = x.flags.c_contiguous and x.shape[-1] * x.itemsize % 16 == 0
    return x if isinstance(x, np.ndarray) or not fits else x.view("complex128")


def windows(x, kernel, stride):
    """Return a view of all windows of the images, ``(N, Ho, Wo, kh, kw, C)``; nothing is copied.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
        Images that are already padded.
    kernel : (int, int)
        The height kh and the width kw of a window.
    stride : int
        In pixels.

    Returns
    -------
    array, shape (N, Ho, Wo, kh, kw, C)
    """
    n, h, w, c = x.shape
    kh, kw = kernel
    sn, sh, sw, sc = x.strides
    shape = n, output_size(h, kh, stride, 0), output_size(w, kw, stride, 0), kh, kw, c
    strides = sn, stride * sh, stride * sw, sh, sw, sc
    return namespace(x).lib.stride_tricks.as_strided(x, shape, strides)


def patches(x, kernel, stride):
    """Return the windows as rows of a matrix, ``(N Ho Wo, kh kw C)``, in a buffer of this thread (im2col).

    The next call overwrites the buffer, so use the result at once. A row of a window consists of kw·C contiguous
    numbers, which is why the layout is NHWC. If these are only a few, the matrix is written column by column instead.
    """
    few = kernel[1] * x.shape[3] < 16
    view = windows(x if few else large(x), kernel, stride)
    n, ho, wo, kh, kw, c = view.shape
    if few:
        buffer = scratch("patches", (kh, kw, c, n, ho, wo), x)
        buffer[...] = view.transpose(3, 4, 5, 0, 1, 2)
        return buffer.reshape(kh * kw * c, n * ho * wo).T
    buffer = scratch("patches", view.shape, view)
    buffer[...] = view
    return buffer.view(x.dtype).reshape(n * ho * wo, kh * kw * x.shape[3])


def scratch(name, shape, x):
    """Return an uninitialised array of this thread with the dtype of x; the next call with that name overwrites it.

    One buffer is used again and again, so it stays in the cache and its memory is allocated once. CuPy has its own
    pool for this.
    """
    if not isinstance(x, np.ndarray):
        return namespace(x).empty(shape, dtype=x.dtype)
    buffers = _local.__dict__
    key = name, x.dtype
    size = math.prod(shape)
    if key not in buffers or buffers[key].size < size:
        buffers[key] = np.empty(size, dtype=x.dtype)
    return buffers[key][:size].reshape(shape)
