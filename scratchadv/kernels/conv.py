r"""Convolution (cross-correlation, as all deep-learning libraries say) with any kernel, stride and padding.

.. math:: z_{n,o,p,f} = \sum_{i,j,c} x_{n,\, so+i-q,\, sp+j-q,\, c}\; w_{i,j,c,f}

with stride s and padding q; x is zero outside the image. The two gradients are the adjoints of this map in x and in
w, so the three functions are each other's derivatives.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from ..backend import namespace
from . import winograd
from .windows import large, output_size, pad, patches, scratch

BLOCK = 400_000  # how many entries of windows and products fit into a core's own cache


def conv(x, w, stride=1, padding=0, out=None):
    """Return the convolution of the images x with the kernel w.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    w : array, shape (kh, kw, C, F)
    stride, padding : int
        In pixels.
    out : array, shape (N, Ho, Wo, F), optional
        Where to write z; it may be a view.

    Returns
    -------
    z : array, shape (N, Ho, Wo, F)
        Ho = ⌊(H + 2 padding − kh) / stride⌋ + 1, and Wo likewise.
    """
    n, h, wide, _ = x.shape
    ho = output_size(h, w.shape[0], stride, padding)
    wo = output_size(wide, w.shape[1], stride, padding)
    z = namespace(x).empty((n, ho, wo, w.shape[3]), dtype=x.dtype) if out is None else out
    in_tiles = winograd.fits(z, w.shape, stride)
    product, w = (winograd.conv, winograd.turned(w)) if in_tiles else (partial(by_windows, stride), w)
    for i in _blocks(z, w.shape, in_tiles):
        product(x[i], w, padding, z[i])
    return z


def _blocks(z, kernel, in_tiles):
    """Cut the images into slices that fit into a core's own cache; on a device there is one slice."""
    n, ho, wo, f = z.shape
    entries = 2 * (kernel[-2] + f) if in_tiles else math.prod(kernel[:-1]) + f  # per output pixel
    block = max(1, BLOCK // max(1, ho * wo * entries) if isinstance(z, np.ndarray) else n)
    return [slice(i, i + block) for i in range(0, n, block)]


def by_windows(stride, x, w, padding, out):
    """Write the convolution to ``out``: the windows as rows, times the kernel as a matrix.

    Parameters
    ----------
    stride : int
    x : array, shape (n, H, W, C)
    w : array, shape (kh, kw, C, F)
    padding : int
        Zeros around each image.
    out : array, shape (n, Ho, Wo, F)
    """
    x = pad(x, (padding, padding), (padding, padding))
    rows = patches(x, w.shape[:2], stride)
    w = w.reshape(-1, w.shape[3])
    if out.flags.c_contiguous:
        namespace(x).matmul(rows, w, out=out.reshape(-1, w.shape[1]))
    else:
        product = scratch("products", (len(rows), w.shape[1]), x)
        out[...] = namespace(x).matmul(rows, w, out=product).reshape(out.shape)


def conv_kernel_gradient(x, dz, kernel, stride=1, padding=0):
    r"""Return the gradient in w, :math:`\sum_{n,o,p} x_{n,\, so+i-q,\, sp+j-q,\, c}\; dz_{n,o,p,f}`.

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    dz : array, shape (N, Ho, Wo, F)
    kernel : (int, int)
        The height kh and the width kw.
    stride, padding : int
        In pixels.

    Returns
    -------
    dw : array, shape (kh, kw, C, F)
    """
    w_shape = *kernel, x.shape[3], dz.shape[3]
    in_tiles = winograd.fits(dz, w_shape, stride)
    product = winograd.kernel_gradient if in_tiles else partial(kernel_gradient_by_windows, kernel, stride)
    dw = sum(product(x[i], dz[i], padding) for i in _blocks(dz, w_shape, in_tiles))
    return winograd.turned_back(dw) if in_tiles else dw.reshape(w_shape)


def kernel_gradient_by_windows(kernel, stride, x, dz, padding):
    """Return the gradient by the kernel as a matrix: the windows as columns, times dz as rows.

    Parameters
    ----------
    kernel : (int, int)
        kh and kw.
    stride : int
    x : array, shape (n, H, W, C)
    dz : array, shape (n, Ho, Wo, F)
    padding : int
        Zeros around each image.

    Returns
    -------
    array, shape (kh * kw * C, F)
    """
    x = pad(x, (padding, padding), (padding, padding))
    return patches(x, kernel, stride).T @ dz.reshape(-1, dz.shape[3])


def conv_input_gradient(dz, w, size, stride=1, padding=0):
    r"""Return the gradient in x: every pixel collects dz from the windows that contain it.

    With stride s the pixels fall into s · s classes by their position modulo s, and a class meets only every s-th
    entry of the kernel: each class is a convolution of dz with stride 1 and that part of the kernel, turned by 180°.
    No zeros are multiplied, except on a device.

    Parameters
    ----------
    dz : array, shape (N, Ho, Wo, F)
    w : array, shape (kh, kw, C, F)
    size : (int, int)
        The height H and the width W.
    stride, padding : int
        In pixels.

    Returns
    -------
    dx : array, shape (N, H, W, C)
    """
    kh, kw = w.shape[:2]
    if w.shape[2] < 8:
        return _by_taps(dz, w, size, stride, padding)
    if stride == 1 and kh == kw > padding:  # a single class
        return conv(dz, w[::-1, ::-1].swapaxes(2, 3), padding=kh - 1 - padding)
    if not isinstance(dz, np.ndarray):
        return _classes_at_once(dz, w, size, stride, padding)
    n, ho, wo, _ = dz.shape
    xp = namespace(dz)
    all_reached = min(kh, kw) >= stride
    dx = (xp.empty if all_reached else xp.zeros)((n, *size, w.shape[2]), dtype=dz.dtype)
    rows = _classes(size[0], kh, stride, padding)
    columns = _classes(size[1], kw, stride, padding)
    above = _margin(rows, ho)
    left = _margin(columns, wo)
    dz = pad(dz, above, left)
    for r in rows:
        for c in columns:
            part = w[r.taps, c.taps].swapaxes(2, 3)
            conv(dz[:, r.windows(above), c.windows(left)], part, out=dx[:, r.pixels, c.pixels])
    return dx


def _classes_at_once(dz, w, size, stride, padding):
    """Return the same gradient by one convolution whose outputs are the pixels of all classes, for a device.

    There, starting s · s products takes longer than multiplying the zeros that fill the kernel up to a multiple of s.
    """
    xp, s = namespace(dz), stride
    kh, kw, c, f = w.shape
    front = -padding % s  # zeros before the first tap, so that pixel 0 belongs to the first class
    taps = [-(-(k + front) // s) for k in (kh, kw)]
    filled = xp.zeros((s * taps[0], s * taps[1], c, f), dtype=w.dtype)
    filled[front : front + kh, front : front + kw] = w
    turned = filled.reshape(taps[0], s, taps[1], s, c, f)[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)
    first = (padding + front) // s
    count = [-(-side // s) for side in size]
    (rows, above), (columns, left) = (
        _reach(first - t + 1, first + m, o) for t, m, o in zip(taps, count, dz.shape[1:3], strict=True)
    )
    z = conv(pad(dz[:, rows, columns], above, left), turned.reshape(*taps, f, s * s * c))
    pixels = large(z.reshape(len(z), *count, s, s, c)).swapaxes(2, 3)
    dx = xp.ascontiguousarray(pixels).view(dz.dtype).reshape(len(z), s * count[0], s * count[1], c)
    return xp.ascontiguousarray(dx[:, : size[0], : size[1]])


def _reach(first, last, n):
    """Return which of n entries lie in ``range(first, last)``, and how many are missing before and after them."""
    missing = max(-first, 0), max(last - max(n, first), 0)
    return slice(max(first, 0), max(min(last, n), 0)), missing


def _by_taps(dz, w, size, stride, padding):
    """Return the same gradient by one product and a shifted sum for each entry of the kernel: faster if C is small."""
    n, ho, wo, f = dz.shape
    kh, kw, c, _ = w.shape
    xp = namespace(dz)
    taps = dz.reshape(-1, f) @ w.reshape(kh * kw * c, f).T
    taps = xp.ascontiguousarray(taps.T).reshape(kh, kw, c, n, ho, wo)  # the numbers of a tap lie together, for the sums
    dx = xp.zeros((c, n, size[0] + 2 * padding, size[1] + 2 * padding), dtype=dz.dtype)
    for i in range(kh):
        for j in range(kw):
            dx[:, :, i : i + stride * ho : stride, j : j + stride * wo : stride] += taps[i, j]
    inside = dx[:, :, padding : padding + size[0], padding : padding + size[1]]
    return xp.ascontiguousarray(inside.transpose(1, 2, 3, 0))


class _Class(NamedTuple):
    """The pixels with one position modulo the stride along one axis, and the windows and taps that reach them.

    The windows ``first`` to ``last`` reach the pixels through ``taps``; windows that do not exist count as zeros.
    """

    pixels: slice
    taps: slice
    first: int
    last: int

    def windows(self, margin):
        """Return the places of these windows after ``margin[0]`` zeros were added before the first one."""
        return slice(self.first + margin[0], self.last + 1 + margin[0])


def _classes(size, kernel, stride, padding):
    """Return the classes: pixel h = s v + r − q gets dz[v − m] through tap r + s m; the pixels with one r form one."""
    classes = []
    for r in range(min(stride, kernel)):
        taps = (kernel - r + stride - 1) // stride
        v_first = -((r - padding) // stride)
        v_last = (padding + size - 1 - r) // stride
        if v_first <= v_last:
            pixels = slice(stride * v_first + r - padding, None, stride)
            turned = slice(r + stride * (taps - 1), None, -stride)
            classes.append(_Class(pixels, turned, v_first - taps + 1, v_last))
    return classes


def _margin(classes, outputs):
    """Return how many windows the classes need before the first and after the last existing one."""
    before = max((-c.first for c in classes), default=0)
    after = max((c.last + 1 - outputs for c in classes), default=0)
    return max(before, 0), max(after, 0)
