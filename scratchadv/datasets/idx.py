"""IDX, the file format of MNIST: a big-endian header, then one byte a pixel or label."""

import gzip
import math
import struct
import zlib

import numpy as np

UINT8 = 0x08  # how IDX calls the type of its entries


def read_idx(path, ndim):
    """Read a gzip-compressed IDX file of bytes.

    Parameters
    ----------
    path : path-like
    ndim : int
        How many axes the array must have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray, uint8, with `ndim` axes

    Raises
    ------
    ValueError
        If the file is not gzip, not IDX, cut short, or its array has other axes than expected.

    References
    ----------
    "The IDX file format", http://yann.lecun.com/exdb/mnist/
    """
    data = _decompress(path)
    start = 4 + 4 * ndim
    magic, expected = data[:4], bytes([0, 0, UINT8, ndim])
    if magic != expected:
        raise ValueError(
            f"{path}: expected an IDX file of bytes with {ndim} axes, "
            f"magic number {expected.hex()}, found {magic.hex() or 'nothing'}"
        )
    if len(data) < start:
        raise ValueError(f"{path}: the IDX header is cut short: expected {start} bytes, found {len(data)}")
    shape = struct.unpack(f">{ndim}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise ValueError(
            f"{path}: the header promises shape {shape}, {math.prod(shape)} bytes, found {len(data) - start}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _decompress(path):
    try:
        with gzip.open(path) as file:
            return file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: expected an undamaged gzip file, found: {error}") from error
