"""Laws of one step of an optimiser."""

import numpy as np
import pytest

from scratchadv.optim import SGD


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_worked_by_hand(dtype):
    """theta - alpha g: (1, 2) - 1/2 (4, -2) = (-1, 3), and 1/4 - 1/2 * 1 = -1/4"""
    params = {"theta": np.array([1, 2], dtype), "theta0": np.array(0.25, dtype)}
    grads = {"theta": np.array([4, -2], dtype), "theta0": dtype(1)}
    new = SGD(0.5).step(params, grads)
    assert list(new) == ["theta", "theta0"]
    np.testing.assert_array_equal(new["theta"], np.array([-1, 3], dtype), strict=True)
    assert new["theta0"] == -0.25
    assert new["theta0"].dtype == dtype


def test_the_old_parameters_stay_as_they_are():
    """params and grads are not written to, and the new ones share no memory with them"""
    params, grads = {"a": np.array([1.0, 2.0])}, {"a": np.array([4.0, -2.0])}
    for lr in (0.5, 0.0):
        new = SGD(lr).step(params, grads)
        assert not np.shares_memory(new["a"], params["a"])
        new["a"][:] = 9
    np.testing.assert_array_equal(params["a"], [1, 2])
    np.testing.assert_array_equal(grads["a"], [4, -2])


@pytest.mark.parametrize("lr", [0.1, np.float32(0.1), np.float64(0.1), 1, np.int64(1)])
def test_a_numpy_step_size_does_not_widen_the_parameters(lr):
    """float32 - alpha float32 is float32 for every kind of alpha"""
    new = SGD(lr).step({"a": np.ones(2, np.float32)}, {"a": np.ones(2, np.float32)})
    np.testing.assert_array_equal(new["a"], np.full(2, np.float32(1) - np.float32(lr)), strict=True)


@pytest.mark.parametrize(
    ("lr", "error"), [(-0.1, ValueError), (np.nan, ValueError), ("1", TypeError), (None, TypeError)]
)
def test_a_bad_step_size_is_refused(lr, error):
    """alpha is a finite number >= 0"""
    with pytest.raises(error, match="lr"):
        SGD(lr)
