"""Laws of the choice between NumPy and CuPy by the array."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from scratchadv.backend import like, namespace


class DeviceArray:
    """A stand-in for a CuPy array that namespace() may look at but NumPy must not touch."""

    def __init__(self, *shape):
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype("float32")

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion of a device array to NumPy")


@pytest.fixture
def cupy(monkeypatch):
    def asarray(a, dtype):
        return "on the device", np.asarray(a).tolist(), np.dtype(dtype)

    fake = SimpleNamespace(ndarray=DeviceArray, asarray=asarray)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


HOST = [np.zeros(3), np.zeros((2, 1), np.float32), np.float32(1), np.array(1.0), 2.5, 3]


@pytest.mark.parametrize("a", HOST)
def test_host_arrays_and_numbers_are_numpy_without_cupy(a, monkeypatch):
    """namespace(a) is numpy"""
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert namespace(a) is np
    assert namespace(np.ones(2), a) is np
    assert "cupy" not in sys.modules


@pytest.mark.parametrize("a", HOST)
def test_host_arrays_and_numbers_are_numpy_beside_cupy(a, cupy):
    """namespace(a) is numpy although the module cupy is loaded"""
    assert namespace(a) is np
    assert namespace(np.ones(2), a) is np


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_device_arrays_of_any_rank_are_cupy(shape, cupy):
    """namespace(device array) is cupy, also for a device scalar"""
    assert namespace(DeviceArray(*shape)) is cupy
    assert namespace(DeviceArray(*shape), DeviceArray(2)) is cupy


@pytest.mark.parametrize("number", [2.5, 3, np.float32(1), np.array(1.0)])
def test_numbers_go_with_device_arrays(number, cupy):
    """namespace(number, device array) = namespace(device array, number) = cupy"""
    assert namespace(number, DeviceArray(2)) is cupy
    assert namespace(DeviceArray(2), number) is cupy


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_mix_is_refused_in_any_order(shape, cupy):
    """namespace(host array, device array) is a TypeError"""
    for arrays in [(np.ones(2), DeviceArray(*shape)), (DeviceArray(*shape), 1.0, np.ones((2, 2)))]:
        with pytest.raises(TypeError, match="NumPy and CuPy arrays are mixed"):
            namespace(*arrays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_like_takes_the_dtype_of_x_and_keeps_the_values(dtype):
    """like(a, x) = a with the dtype of x"""
    np.testing.assert_array_equal(
        like(np.array([0.5, -2]), np.zeros(7, dtype)), np.array([0.5, -2], dtype), strict=True
    )


def test_like_moves_to_the_device_of_x(cupy):
    """like(a, device array) is made by cupy"""
    assert like(np.array([0.5]), DeviceArray(2)) == ("on the device", [0.5], np.float32)


def test_a_cupy_that_could_not_be_imported_is_no_cupy(monkeypatch):
    """sys.modules["cupy"] = None, as a failed import may leave it, means numpy"""
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert namespace(np.ones(2)) is np
