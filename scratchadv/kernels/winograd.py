r"""3 × 3 convolution of stride 1 with 16 products where the sum over the window takes 36.

Two by two outputs see a tile d of 4 × 4 inputs, and

.. math:: Z = A^T \bigl[ (G\, w\, G^T) \odot (B^T d\, B) \bigr] A

with the small matrices of F(2 × 2, 3 × 3): :math:`B^T` and :math:`A^T` only add and subtract. Summed over channels, the
16 entries of ⊙ are 16 matrix products. Rounding is as good as that of the plain sum.

Source: Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", section 4.1.
"""

import numpy as np

from .windows import scratch, windows

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
GG = np.kron(G, G)  # G w Gᵀ as one product


def fits(x, w, stride):
    """Whether the tiles fit and enough channels share the work of turning them."""
    even = x.shape[1] % 2 == x.shape[2] % 2 == 0
    return stride == 1 and w.shape[:2] == (3, 3) and min(w.shape[2:]) >= 16 and even and isinstance(x, np.ndarray)


def conv(x, w):
    """The convolution of padded images ``(N, H, W, C)``, H and W even, to ``(N, H − 2, W − 2, F)``."""
    n, h, wide, c = x.shape
    f, th, tw = w.shape[3], h // 2 - 1, wide // 2 - 1
    tiles = windows(x, (4, 4), 2).transpose(3, 4, 0, 1, 2, 5)
    d, v = scratch("patches", tiles.shape, x), scratch("turned", tiles.shape, x)
    d[...] = tiles
    _turn_input(d, out=v)
    _turn_input(v.swapaxes(0, 1), out=d.swapaxes(0, 1))
    u = GG.astype(x.dtype) @ w.reshape(9, c * f)
    m = scratch("products", (16, n * th * tw, f), x)
    np.matmul(d.reshape(16, -1, c), u.reshape(16, c, f), out=m)
    m = m.reshape(4, 4, n, th, tw, f)
    half, z = scratch("turned", (2, *m.shape[1:]), x), scratch("patches", (2, 2, *m.shape[2:]), x)
    _turn_output(m, out=half)
    _turn_output(half.swapaxes(0, 1), out=z.swapaxes(0, 1))
    return z.transpose(2, 3, 0, 4, 1, 5).copy().reshape(n, h - 2, wide - 2, f)  # out of the buffer, of one tile too


def _turn_input(d, out):
    """Bᵀ d along the first axis: d0 − d2, d1 + d2, d2 − d1, d1 − d3."""
    np.subtract(d[0], d[2], out=out[0])
    np.add(d[1], d[2], out=out[1])
    np.subtract(d[2], d[1], out=out[2])
    np.subtract(d[1], d[3], out=out[3])


def _turn_output(m, out):
    """Aᵀ m along the first axis: m0 + m1 + m2, m1 − m2 − m3."""
    np.add(m[1], m[2], out=out[0])
    out[0] += m[0]
    np.subtract(m[1], m[2], out=out[1])
    out[1] -= m[3]
