r"""3 × 3 convolution of stride 1 with 16 products where the sum over the window takes 36.

Two by two outputs see a tile d of 4 × 4 inputs, and

.. math:: Z = A^T \bigl[ (G\, w\, G^T) \odot (B^T d\, B) \bigr] A

with the small matrices of F(2 × 2, 3 × 3). With the 16 entries of a tile as a vector, :math:`B^T d B` is one product
with the Kronecker square of :math:`B^T`, and so for G and A; summed over channels, ⊙ is 16 matrix products. Rounding is
as good as that of the plain sum.

Source: Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", section 4.1.
"""

import math

import numpy as np

from .windows import scratch, windows

B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # Bᵀ of the paper
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # Aᵀ of the paper
BB, GG, AA = np.kron(B, B), np.kron(G, G), np.kron(A, A)


def fits(z, kernel, stride):
    """Whether tiles fit the outputs, and enough channels share the work of turning them; kernel is a shape."""
    in_tiles = kernel[:2] == (3, 3) and stride == 1 and z.shape[1] % 2 == z.shape[2] % 2 == 0
    return in_tiles and min(kernel[2:]) >= 16 and isinstance(z, np.ndarray)


def turned(w):
    """G w Gᵀ, ``(16, C, F)``."""
    return (GG.astype(w.dtype) @ w.reshape(9, -1)).reshape(16, *w.shape[2:])


def turned_back(u):
    """The adjoint of ``turned``: ``(3, 3, C, F)``."""
    return (GG.T.astype(u.dtype) @ u.reshape(16, -1)).reshape(3, 3, *u.shape[1:])


def conv(x, u, out):
    """The convolution of padded images with the turned kernel, written to ``out``."""
    v = _turned_tiles(x)
    m = np.matmul(v, u, out=scratch("products", (16, v.shape[1], u.shape[2]), x)).reshape(16, -1)
    z = np.matmul(AA.astype(x.dtype), m, out=scratch("tiles", (4, m.shape[1]), x))
    into = windows(out, (2, 2), 2).transpose(3, 4, 0, 1, 2, 5)
    into[...] = z.reshape(into.shape)


def kernel_gradient(x, dz):
    """The gradient by the turned kernel, ``(16, C, F)``."""
    v, f = _turned_tiles(x), dz.shape[3]
    d = windows(dz, (2, 2), 2).transpose(3, 4, 0, 1, 2, 5)
    tiles = scratch("tiles", d.shape, x)
    tiles[...] = d
    dm = scratch("products", (16, v.shape[1] * f), x)
    np.matmul(AA.T.astype(x.dtype), tiles.reshape(4, -1), out=dm)
    return v.swapaxes(1, 2) @ dm.reshape(16, -1, f)


def _turned_tiles(x):
    """Bᵀ d B for all tiles d, ``(16, N th tw, C)``, in a buffer."""
    d = windows(x, (4, 4), 2).transpose(3, 4, 0, 1, 2, 5)
    tiles = scratch("tiles", (16, math.prod(d.shape[2:])), x)
    tiles.reshape(d.shape)[...] = d
    return np.matmul(BB.astype(x.dtype), tiles, out=scratch("patches", tiles.shape, x)).reshape(16, -1, d.shape[5])
