"""Laws of reading IDX files."""

import gzip
import math
import os
import struct
import tracemalloc

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


def test_no_more_is_decompressed_than_the_header_promises(tmp_path):
    """A short array followed by 100 MB of zeros is refused with little memory"""
    path = write(tmp_path / "bomb.gz", idx_bytes(IMAGES) + bytes(100 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb\.gz: .* 24 bytes, found 25 or more"):
        read_idx(path, 3)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (1000, 1000, 1000), (2**30 + 1, 1, 1)])
def test_a_header_that_promises_more_than_gzip_can_hold_is_refused(shape, tmp_path):
    """The file is refused before memory is allocated"""
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape) + bytes(100)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"huge\.gz: the header promises shape .*; at most"):
        read_idx(write(tmp_path / "huge.gz", content), 3)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_or_a_folder_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.gz")
    for path in (tmp_path / "pipe.gz", tmp_path):
        with pytest.raises(OSError, match="is not a regular file"):
            read_idx(path, 3)


def test_zeros_as_dense_as_gzip_makes_them_are_read(tmp_path):
    """Ten million black pixels, the densest honest file, are read"""
    array = np.zeros((10, 1000, 1000), np.uint8)
    np.testing.assert_array_equal(read_idx(write(tmp_path / "black.gz", idx_bytes(array)), 3), array)


def test_another_number_of_axes_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"images\.gz: expected an IDX file of bytes with 1 axes"):
        read_idx(write(tmp_path / "images.gz", idx_bytes(IMAGES)), 1)


def test_a_file_that_is_not_gzip_is_refused(tmp_path):
    path = tmp_path / "plain"
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(ValueError, match="plain: expected an undamaged gzip file"):
        read_idx(path, 3)
