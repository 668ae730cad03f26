"""IDX, the file format of MNIST: a big-endian header, then one byte for each pixel or label."""

import gzip
import math
import struct
import zlib
from io import BytesIO

import numpy as np

from ..support.files import read_bytes

UINT8 = 0x08  # the code of IDX for the type of its entries
MOST = 1 << 30  # bytes of an array; the largest file of this kind, that of EMNIST, has half as many
RATIO = 1032  # the largest number of bytes that one byte of a gzip file can stand for


def read_idx(path, ndim):
    """Read a gzip-compressed IDX file of bytes, and decompress no more of it than its header promises.

    Parameters
    ----------
    path : path-like
    ndim : int
        The number of axes that the array must have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray, uint8, with `ndim` axes

    Raises
    ------
    OSError
        If there is no such file, it is not a regular file, or it cannot be read.
    ValueError
        If the file is not gzip, not IDX, cut short or longer than a GiB, or its array does not have `ndim` axes.

    References
    ----------
    "The IDX file format", http://yann.lecun.com/exdb/mnist/
    """
    content = read_bytes(path)
    try:
        with gzip.open(BytesIO(content)) as file:
            return _read(file, path, ndim, min(MOST, RATIO * len(content)))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: expected an undamaged gzip file, found: {error}") from error


def _read(file, path, ndim, most):
    """Return the array in the decompressed file, which may have at most ``most`` bytes."""
    start = 4 + 4 * ndim
    header = file.read(start)
    magic = header[:4]
    expected = bytes([0, 0, UINT8, ndim])
    if magic != expected:
        raise ValueError(
            f"{path}: expected an IDX file of bytes with {ndim} axes, "
            f"magic number {expected.hex()}, found {magic.hex() or 'nothing'}"
        )
    if len(header) < start:
        raise ValueError(f"{path}: the IDX header is cut short: expected {start} bytes, found {len(header)}")
    shape = struct.unpack(f">{ndim}I", header[4:])
    promised = math.prod(shape)
    if promised > most:
        raise ValueError(f"{path}: the header promises shape {shape}, {promised} bytes; at most {most} were expected")
    data = file.read(promised + 1)  # one byte more, to see whether the file ends there
    if len(data) != promised:
        more = " or more" if len(data) > promised else ""
        raise ValueError(f"{path}: the header promises shape {shape}, {promised} bytes, found {len(data)}{more}")
    return np.frombuffer(data, np.uint8).reshape(shape)
