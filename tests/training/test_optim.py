"""Laws of one step of an optimiser and of schedules."""

import math

import numpy as np
import pytest

from scratchadv.training.optim import SGD, Adam, constant, cosine, steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_worked_by_hand(dtype):
    """theta - alpha g: (1, 2) - 1/2 (4, -2) = (-1, 3), and 1/4 - 1/2 * 1 = -1/4"""
    params = {"theta": np.array([1, 2], dtype), "theta0": np.array(0.25, dtype)}
    grads = {"theta": np.array([4, -2], dtype), "theta0": dtype(1)}
    new, state = SGD(0.5).step(params, grads, {})
    assert state == {}
    assert list(new) == ["theta", "theta0"]
    np.testing.assert_array_equal(new["theta"], np.array([-1, 3], dtype), strict=True)
    assert new["theta0"] == -0.25
    assert new["theta0"].dtype == dtype


def test_the_old_parameters_stay_as_they_are():
    """params and grads do not change, and the new parameters share no memory with them"""
    params, grads = {"a": np.array([1.0, 2.0])}, {"a": np.array([4.0, -2.0])}
    for lr in (0.5, 0.0):
        new, _ = SGD(lr).step(params, grads, {})
        assert not np.shares_memory(new["a"], params["a"])
        new["a"][:] = 9
    np.testing.assert_array_equal(params["a"], [1, 2])
    np.testing.assert_array_equal(grads["a"], [4, -2])


@pytest.mark.parametrize("lr", [0.1, np.float32(0.1), np.float64(0.1), 1, np.int64(1)])
def test_a_numpy_step_size_does_not_widen_the_parameters(lr):
    """float32 - alpha float32 is float32 for every kind of alpha"""
    new, _ = SGD(lr).step({"a": np.ones(2, np.float32)}, {"a": np.ones(2, np.float32)}, {})
    np.testing.assert_array_equal(new["a"], np.full(2, np.float32(1) - np.float32(lr)), strict=True)


@pytest.mark.parametrize(
    ("lr", "error"), [(-0.1, ValueError), (np.nan, ValueError), ("1", TypeError), (None, TypeError)]
)
def test_a_bad_step_size_is_refused(lr, error):
    """A step size that is not a finite number >= 0 is refused"""
    with pytest.raises(error, match="lr"):
        SGD(lr)


def run(optimizer, theta, gradients, scales=None):
    """The single parameter after each step."""
    params, found = {"a": np.array([theta])}, []
    state = optimizer.start(params)
    for g, scale in zip(gradients, scales or [1.0] * len(gradients), strict=True):
        params, state = optimizer.step(params, {"a": np.array([g])}, state, scale)
        found.append(params["a"].item())
    return found


def test_momentum_worked_by_hand():
    """v = 4, 1/2 * 4 - 2 = 0, 0 + 1 = 1; theta = 1 - 4/4 = 0, 0, -1/4"""
    assert run(SGD(0.25, momentum=0.5), 1.0, [4.0, -2.0, 1.0]) == [0, 0, -0.25]


def test_weight_decay_worked_by_hand():
    """With g + theta / 2: 1 + 1 = 2, theta = 2 - 2/4 = 3/2; 1/4 + 3/4 = 1, theta = 5/4"""
    assert run(SGD(0.25, weight_decay=0.5), 2.0, [1.0, 0.25]) == [1.5, 1.25]


def test_weight_decay_goes_into_the_velocity():
    """v = 1 + 1 = 2, theta = 2 - 1/2 = 3/2; v = 2/2 + 1/4 + 3/4 = 2, theta = 1"""
    assert run(SGD(0.25, momentum=0.5, weight_decay=0.5), 2.0, [1.0, 0.25]) == [1.5, 1]


def test_the_schedule_scales_the_step_and_not_the_velocity():
    """For scale 1, then 1/2: v = 4, 3; theta = 1 - 1 = 0, 0 - 3/8; without momentum the step size is alpha scale"""
    assert run(SGD(0.25, momentum=0.5), 1.0, [4.0, 1.0], [1.0, 0.5]) == [0, -0.375]
    assert run(SGD(0.5), 1.0, [4.0], [0.25]) == run(SGD(0.125), 1.0, [4.0])


def test_adam_worked_by_hand():
    """beta = 1/2, 3/4, eps = 1; g = 2: m = 1, v = 1, m^ = 2, v^ = 4, theta = 1 - 3/8 * 2/3; g = -4, then as below"""
    first, second = run(Adam(0.375, 0.5, 0.75, 1.0), 1.0, [2.0, -4.0])
    assert first == 1 - 0.375 * 2 / (2 + 1)
    m, v = 0.5 * 1 + 0.5 * -4, 0.75 * 1 + 0.25 * 16
    assert second == pytest.approx(first - 0.375 * (m / 0.75) / (math.sqrt(v / (7 / 16)) + 1), rel=1e-15)


def test_adams_first_step_is_alpha_times_the_sign():
    """At t = 1, m^ = g and v^ = g^2, so theta becomes theta - alpha g / (|g| + eps)"""
    for g in (1e-3, -5.0, 1e6):
        assert run(Adam(0.5, epsilon=0), 0.0, [g]) == pytest.approx([-0.5 * np.sign(g)])


def test_adams_weight_decay_is_part_of_the_gradient():
    """Adam with lambda on g is Adam without lambda on g + lambda theta, step by step"""
    decayed = run(Adam(0.5, weight_decay=0.25), 4.0, [1.0, -3.0, 2.0])
    gradients = [g + 0.25 * theta for g, theta in zip([1.0, -3.0, 2.0], [4.0, *decayed], strict=False)]
    assert run(Adam(0.5), 4.0, gradients) == decayed


OPTIMIZERS = [SGD(0.1), SGD(0.1, 0.9, 0.01), Adam(), Adam(0.1, weight_decay=0.1)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_nothing_is_written_to_and_dtypes_are_kept(optimizer, dtype):
    """Parameters, gradients and state do not change; float32 stays float32, whatever the dtype of the gradients"""
    params = {"w": np.array([[1, 2]], dtype), "b": np.array(3, dtype)}
    state = optimizer.start(params)
    for grad_dtype in (np.float32, np.float64):
        grads = {"w": np.array([[1, -1]], grad_dtype), "b": grad_dtype(2)}
        old = [a for arrays in (params, grads, state) for a in arrays.values()]
        before = [a.copy() for a in old]
        params, state = optimizer.step(params, grads, state, 0.5)
        for a, b in zip(old, before, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
        assert [(p.shape, p.dtype) for p in params.values()] == [((1, 2), dtype), ((), dtype)]
        assert {s.dtype for name, s in state.items() if name != "t"} <= {np.dtype(dtype)}
        assert set(state) == set(optimizer.start(params))


def test_every_parameter_has_its_own_state():
    """A step on two parameters is a step on each of them"""
    for optimizer in OPTIMIZERS:
        params, grads = {"a": np.array([1.0]), "b": np.array([2.0])}, {"a": np.array([3.0]), "b": np.array([-1.0])}
        state = optimizer.start(params)
        for _ in range(3):
            params, state = optimizer.step(params, grads, state)
        assert params["a"].item() == run(optimizer, 1.0, [3.0] * 3)[-1]
        assert params["b"].item() == run(optimizer, 2.0, [-1.0] * 3)[-1]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(0.1, momentum=1), ValueError, r"momentum = 1\.0 must be < 1"),
        (lambda: SGD(0.1, momentum=-0.1), ValueError, "momentum"),
        (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay"),
        (lambda: SGD(0.1, weight_decay="1"), TypeError, "weight_decay"),
        (lambda: Adam(np.inf), ValueError, "lr"),
        (lambda: Adam(beta1=1), ValueError, r"beta1 = 1\.0 must be < 1"),
        (lambda: Adam(beta2=1.5), ValueError, "beta2"),
        (lambda: Adam(epsilon=None), TypeError, "epsilon"),
        (lambda: steps({-1: 0.1}), ValueError, "an epoch of factors = -1"),
        (lambda: steps({5: -0.1}), ValueError, "factor"),
        (lambda: cosine(0), ValueError, "epochs = 0"),
    ],
)
def test_bad_settings_are_refused(make, error, message):
    """Step sizes that are not finite and >= 0, and factors that are not below 1, are refused"""
    with pytest.raises(error, match=message):
        make()


def test_steps_jump_at_their_epochs():
    """The factor is that of the last epoch reached, in whatever order the epochs are written, and 1 before the first"""
    schedule = steps({7: 0.01, 5: 0.1})
    assert [schedule(epoch) for epoch in range(9)] == [1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]
    assert [steps({})(epoch) for epoch in range(3)] == [constant(epoch) for epoch in range(3)] == [1, 1, 1]


def test_cosine_falls_from_one_to_zero():
    """The factor is 1 in epoch 0, 1/2 halfway, 0 from E on, and symmetric about the middle"""
    schedule = cosine(8)
    assert schedule(0) == 1
    assert schedule(4) == pytest.approx(0.5)
    assert [schedule(epoch) for epoch in (8, 9)] == [0, 0]
    for epoch in range(9):
        assert schedule(epoch) + schedule(8 - epoch) == pytest.approx(1)
        assert schedule(epoch + 1) <= schedule(epoch)
