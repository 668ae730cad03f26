"""Sliding windows over images, and the buffers that their copies are written to."""

import math
import threading

from ..backend import namespace

_local = threading.local()


def output_size(size, kernel, stride, padding):
    """How many windows fit: ⌊(size + 2 padding − kernel) / stride⌋ + 1."""
    return (size + 2 * padding - kernel) // stride + 1


def pad(x, above, below, left, right):
    """``(N, H, W, C)`` with rows and columns of zeros around each image."""
    if not (above or below or left or right):
        return x
    xp = namespace(x)
    n, h, w, c = x.shape
    padded = xp.zeros((n, h + above + below, w + left + right, c), dtype=x.dtype)
    padded[:, above : above + h, left : left + w] = x
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
    view = namespace(x).lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return view[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)


def patches(x, kernel, stride):
    """The windows as rows of a matrix, ``(N Ho Wo, kh kw C)``, in a buffer of this thread (im2col).

    The next call overwrites it: use the result at once. A row of a window is kw·C contiguous numbers, which is why
    the layout is NHWC.
    """
    view = windows(x, kernel, stride)
    buffer = scratch("patches", view.shape, x)
    buffer[...] = view
    return buffer.reshape(math.prod(view.shape[:3]), -1)


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
