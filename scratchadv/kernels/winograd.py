r"""3 × 3 convolution of stride 1 that needs 16 products for four outputs, where the sum over the windows needs 36.

A block Z of 2 × 2 outputs depends on a tile d of 4 × 4 inputs:

.. math:: Z = A^T \bigl[ (G\, w\, G^T) \odot (B^T d\, B) \bigr] A

with the small matrices of F(2 × 2, 3 × 3). If the entries of a tile form a vector, :math:`G\, w\, G^T` is one product
with the Kronecker square of G, and likewise for A; B only adds and subtracts. Summed over channels, ⊙ becomes 16
matrix products. The rounding error is as small as that of the plain sum.

Source: Lavin and Gray (2016), "Fast algorithms for convolutional neural networks", section 4.1.
"""

import numpy as np

from .windows import scratch, windows

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])  # Aᵀ in the paper
GG = np.kron(G, G)
AA = np.kron(A, A)


def fits(z, kernel, stride):
    """Whether tiles fit the outputs z and there are enough channels for tiles to pay; ``kernel`` is a shape."""
    in_tiles = kernel[:2] == (3, 3) and stride == 1 and z.shape[1] % 2 == z.shape[2] % 2 == 0
    return in_tiles and min(kernel[2:]) >= 16 and isinstance(z, np.ndarray)


def turned(w):
    """Return G w Gᵀ, ``(16, C, F)``."""
    return (GG.astype(w.dtype) @ w.reshape(9, -1)).reshape(16, *w.shape[2:])


def turned_back(u):
    """Return the adjoint of ``turned`` at u, ``(3, 3, C, F)``."""
    return (GG.T.astype(u.dtype) @ u.reshape(16, -1)).reshape(3, 3, *u.shape[1:])


def conv(x, u, padding, out):
    """Write the convolution of the images with the turned kernel u to ``out``."""
    v = _turned_tiles(x, padding)
    m = np.matmul(v, u, out=scratch("products", (16, v.shape[1], u.shape[2]), x)).reshape(16, -1)
    z = np.matmul(AA.astype(x.dtype), m, out=scratch("tiles", (4, m.shape[1]), x))
    into = _tiles_of(out)
    into[...] = z.reshape(into.shape)


def kernel_gradient(x, dz, padding):
    """Return the gradient in the turned kernel, ``(16, C, F)``."""
    v = _turned_tiles(x, padding)
    d = _tiles_of(dz)
    f = dz.shape[3]
    tiles = scratch("tiles", d.shape, x)
    tiles[...] = d
    dm = scratch("products", (16, v.shape[1] * f), x)
    np.matmul(AA.T.astype(x.dtype), tiles.reshape(4, -1), out=dm)
    return v.swapaxes(1, 2) @ dm.reshape(16, -1, f)


def _tiles_of(z):
    """Return a view of the outputs as tiles of 2 × 2, ``(2, 2, th, tw, N, F)``."""
    return windows(z, (2, 2), 2).transpose(3, 4, 1, 2, 0, 5)


def _turned_tiles(x, padding):
    """Return Bᵀ d B for all tiles d, ``(16, th tw N, C)``, in a buffer: first down the columns, then along the rows."""
    halves = _halves(x, padding)
    _, height, half, n, c = halves.shape
    th, tw = height // 2 - 1, half - 1
    down = scratch("tiles", (4, 2, th, half, n, c), x)
    _turn([halves[:, i : i + 2 * th : 2] for i in range(4)], down)
    even, odd = down[:, 0], down[:, 1]
    tiles = scratch("patches", (4, 4, th, tw, n, c), x)
    _turn([even[:, :, :-1], odd[:, :, :-1], even[:, :, 1:], odd[:, :, 1:]], tiles.swapaxes(0, 1))
    return tiles.reshape(16, -1, c)


def _turn(d, out):
    """Write Bᵀ d to ``out``, where d consists of four arrays."""
    np.subtract(d[0], d[2], out=out[0])
    np.add(d[1], d[2], out=out[1])
    np.subtract(d[2], d[1], out=out[2])
    np.subtract(d[1], d[3], out=out[3])


def _halves(x, padding):
    """Return the even and odd columns of the padded images, ``(2, H, W / 2, N, C)``: sums then run over long rows."""
    n, h, w, c = x.shape
    halves = scratch("halves", (2, h + 2 * padding, w // 2 + padding, n, c), x)
    halves[...] = 0
    for first in range(2):
        column, parity = divmod(first + padding, 2)
        part = x[:, :, first::2].transpose(1, 2, 0, 3)
        halves[parity, padding : padding + h, column : column + part.shape[1]] = part
    return halves
