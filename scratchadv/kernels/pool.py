"""Max and average pooling on NHWC arrays. There is no padding: windows that do not fit are left out."""

from ..backend import namespace
from .windows import windows


def max_pool(x, size, stride):
    r"""Return the largest entry of each window, separately for each channel, and its place.

    .. math:: z_{n,o,p,c} = \max_{i,j} x_{n,\, so+i,\, sp+j,\, c}

    Parameters
    ----------
    x : array, shape (N, H, W, C)
    size, stride : int
        In pixels.

    Returns
    -------
    z : array, shape (N, Ho, Wo, C)
    winner : array of int, shape (N, Ho, Wo, C)
        The number i · size + j of the largest entry in its window; among equal entries, the first.
    """
    xp = namespace(x)
    view = windows(x, (size, size), stride)
    flat = view.reshape(*view.shape[:3], size * size, view.shape[5])
    winner = flat.argmax(axis=3)
    return xp.take_along_axis(flat, winner[:, :, :, None], axis=3)[:, :, :, 0], winner


def max_pool_gather(v, winner, size, stride):
    """Return the entries of v at the maxima of x, shaped like ``winner``: the derivative of z in the direction v."""
    picked = namespace(v).zeros(winner.shape, dtype=v.dtype)
    for tap, part in _taps(v, winner.shape, size, stride):
        picked += part * (winner == tap)
    return picked


def max_pool_input_gradient(dz, winner, shape, size, stride):
    """Return dz added up at the places of the maxima, ``(N, H, W, C)``: the adjoint of :func:`max_pool_gather`."""
    dx = namespace(dz).zeros(shape, dtype=dz.dtype)
    for tap, part in _taps(dx, dz.shape, size, stride):
        part += dz * (winner == tap)
    return dx


def average_pool(x, size, stride):
    r"""Return the mean of each window: :math:`z_{n,o,p,c} = \frac{1}{k^2} \sum_{i,j} x_{n,\, so+i,\, sp+j,\, c}`."""
    return windows(x, (size, size), stride).mean(axis=(3, 4))


def average_pool_input_gradient(dz, shape, size, stride):
    """Return each dz divided equally among its window, ``(N, H, W, C)``: the adjoint of :func:`average_pool`."""
    dx = namespace(dz).zeros(shape, dtype=dz.dtype)
    share = dz / (size * size)
    for _, part in _taps(dx, dz.shape, size, stride):
        part += share
    return dx


def _taps(x, z_shape, size, stride):
    """Yield, for each place in a window, its number and the view of x that all windows see at this place."""
    ho, wo = z_shape[1:3]
    for i in range(size):
        for j in range(size):
            yield i * size + j, x[:, i : i + stride * ho : stride, j : j + stride * wo : stride][:, :ho, :wo]
