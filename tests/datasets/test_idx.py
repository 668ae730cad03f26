"""Laws of reading IDX files."""

import gzip
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scratchadv.datasets.idx import read_idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path, data):
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


@given(array=hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, min_side=0, max_side=6)))
def test_reading_undoes_writing(folder, array):
    """read(write(a)) = a"""
    read = read_idx(write(folder / "round-trip.gz", idx_bytes(array)), array.ndim)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@pytest.mark.parametrize("keep", range(len(gzip.compress(idx_bytes(IMAGES), mtime=0))))
def test_every_truncation_of_the_file_is_refused(tmp_path, keep):
    path = write(tmp_path / "cut.gz", idx_bytes(IMAGES))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cut\.gz"):
        read_idx(path, 3)


@pytest.mark.parametrize("keep", range(len(idx_bytes(IMAGES))))
def test_every_truncation_of_the_content_is_refused(tmp_path, keep):
    with pytest.raises(ValueError, match=r"short\.gz"):
        read_idx(write(tmp_path / "short.gz", idx_bytes(IMAGES)[:keep]), 3)


@given(place=st.integers(0, 15), bit=st.integers(0, 7))
def test_every_flipped_bit_of_the_header_is_refused(folder, place, bit):
    data = bytearray(idx_bytes(IMAGES))
    data[place] ^= 1 << bit
    with pytest.raises(ValueError, match=r"flip\.gz: (expected|the header)"):
        read_idx(write(folder / "flip.gz", bytes(data)), 3)


def test_surplus_bytes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=f"{math.prod(IMAGES.shape)} bytes, found {IMAGES.size + 1}"):
        read_idx(write(tmp_path / "long.gz", idx_bytes(IMAGES) + b"\0"), 3)


def test_another_number_of_axes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"images\.gz: expected an IDX file of bytes with 1 axes"):
        read_idx(write(tmp_path / "images.gz", idx_bytes(IMAGES)), 1)


def test_a_file_that_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "plain"
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(ValueError, match="plain: expected an undamaged gzip file"):
        read_idx(path, 3)
