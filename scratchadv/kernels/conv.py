r"""Convolution (cross-correlation, as all deep-learning libraries say) with any kernel, stride and padding.

.. math:: z_{n,o,p,f} = \sum_{i,j,c} x_{n,\, so+i-q,\, sp+j-q,\, c}\; w_{i,j,c,f}

with stride s and padding q; x counts as zero outside. The two gradients are the adjoints of this map in x and in
w, so the three functions are each other's derivatives.
"""

from typing import NamedTuple

from ..backend import namespace
from .windows import output_size, pad, patches


def conv(x, w, stride=1, padding=0):
    """The convolution.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    w : array, shape (kh, kw, C, F)
    stride, padding : int

    Returns
    -------
    z : array, shape (N, Ho, Wo, F)
        With Ho = ⌊(H + 2 padding − kh) / stride⌋ + 1.
    """
    n, h, wide, _ = x.shape
    kh, kw, c, f = w.shape
    rows = patches(pad(x, padding, padding, padding, padding), (kh, kw), stride)
    z = rows @ w.reshape(kh * kw * c, f)
    return z.reshape(n, output_size(h, kh, stride, padding), output_size(wide, kw, stride, padding), f)


def conv_kernel_gradient(x, dz, kernel, stride=1, padding=0):
    r"""The gradient by w: :math:`\sum_{n,o,p} x_{n,\, so+i-q,\, sp+j-q,\, c}\; dz_{n,o,p,f}`.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    dz : array, shape (N, Ho, Wo, F)
    kernel : (int, int)
        kh and kw.

    Returns
    -------
    dw : array, shape (kh, kw, C, F)
    """
    ho, wo, f = dz.shape[1:]
    rows = patches(pad(x, padding, padding, padding, padding), kernel, stride)
    return (rows.T @ dz.reshape(-1, f)).reshape(*kernel, x.shape[3], f)


def conv_input_gradient(dz, w, size, stride=1, padding=0):
    r"""The gradient by x: every pixel collects dz from the windows that it lies in.

    With stride s the pixels fall into s · s classes by their place modulo s, and a class meets only every s-th
    entry of the kernel: each class is a convolution of dz with stride 1 and that part of the kernel, turned round.
    No zeros are multiplied.

    Parameters
    ----------
    dz : array, shape (N, Ho, Wo, F)
    w : array, shape (kh, kw, C, F)
    size : (int, int)
        H and W.

    Returns
    -------
    dx : array, shape (N, H, W, C)
    """
    n, ho, wo, _ = dz.shape
    dx = namespace(dz).zeros((n, *size, w.shape[2]), dtype=dz.dtype)
    for rows in _classes(size[0], w.shape[0], ho, stride, padding):
        for columns in _classes(size[1], w.shape[1], wo, stride, padding):
            part = w[rows.taps][:, columns.taps].transpose(0, 1, 3, 2)
            around = pad(dz[:, rows.windows, columns.windows], *rows.zeros, *columns.zeros)
            dx[:, rows.pixels, columns.pixels] = conv(around, part)
    return dx


class _Class(NamedTuple):
    """The pixels of one place modulo the stride, along one axis, and what reaches them."""

    pixels: slice
    taps: slice
    windows: slice
    zeros: tuple[int, int]


def _classes(size, kernel, outputs, stride, padding):
    """Pixel h = s v + r − q gets dz[v − m] through tap r + s m; a class is all pixels with one r."""
    for r in range(min(stride, kernel)):
        taps = (kernel - r + stride - 1) // stride
        v_first, v_last = -((r - padding) // stride), (padding + size - 1 - r) // stride
        first, last = v_first - taps + 1, v_last
        if v_last < v_first:
            continue
        windows = slice(min(max(first, 0), outputs), min(max(last + 1, 0), outputs))
        before = max(-first, 0)
        after = last - first + 1 - before - (windows.stop - windows.start)
        pixels = slice(stride * v_first + r - padding, None, stride)
        yield _Class(pixels, slice(r + stride * (taps - 1), None, -stride), windows, (before, after))
