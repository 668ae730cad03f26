"""Laws of the losses: gradients, convexity, invariance, precision, and one value for each example."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.losses import (
    DLR,
    Targeted,
    cross_entropy,
    dlr,
    logistic,
    logit_difference,
    margin,
    objective,
    target_margin,
    target_minus_rest,
    targeted_dlr,
)
from scratchadv.models.protocol import labels_of
from scratchadv.testing.gradients import check_gradients

few = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([np.float32, np.float64])
losses = pytest.mark.parametrize(
    ("loss", "binary"),
    [(logistic, True), (margin, True), (cross_entropy, False), (margin, False)],
    ids=["logistic", "margin, binary", "cross-entropy", "margin"],
)


def draw(seed, binary, dtype=np.float64, n=4, scale=3.0):
    """Logits without ties, and labels for them."""
    rng = np.random.default_rng(seed)
    if binary:
        return rng.normal(0, scale, n).astype(dtype), rng.choice([-1, 1], n)
    k = rng.integers(2, 6)
    return rng.normal(0, scale, (n, k)).astype(dtype), rng.integers(0, k, n)


def central_differences(value, z, h=1e-5):
    """d value_i / d z_ij; the value of an example depends on its own logits only."""
    flat = z.reshape(len(z), -1)
    g = np.empty_like(flat)
    for j in range(flat.shape[1]):
        step = np.zeros_like(flat)
        step[:, j] = h
        g[:, j] = (value((flat + step).reshape(z.shape)) - value((flat - step).reshape(z.shape))) / (2 * h)
    return g.reshape(z.shape)


def test_central_differences_of_a_cubic():
    """d z^3 = 3 z^2 + O(h^2)"""
    z = np.array([[1.0, -2.0], [0.5, 3.0]])
    np.testing.assert_allclose(central_differences(lambda z: (z**3).sum(axis=1), z), 3 * z**2, rtol=1e-8)


@losses
@few
@given(seed=seeds)
def test_gradient_is_the_derivative_of_the_value(loss, binary, seed):
    """grad(z, y) = d value(z, y) / d z"""
    z, y = draw(seed, binary)
    if loss is margin and not binary:  # it is smooth away from ties, which the grid of thirds avoids
        z = np.round(3 * z) / 3 + np.arange(z.shape[1]) / 30
    np.testing.assert_allclose(
        loss.grad(z, y), central_differences(lambda z: loss.value(z, y), z), rtol=1e-7, atol=1e-9
    )


@losses
@few
@given(seed=seeds, share=st.floats(0, 1))
def test_losses_are_convex_in_z(loss, binary, seed, share):
    """L(s a + (1 - s) b) <= s L(a) + (1 - s) L(b)"""
    a, y = draw(seed, binary)
    b = a + np.random.default_rng(seed + 1).normal(0, 3, a.shape)
    chord = share * loss.value(a, y) + (1 - share) * loss.value(b, y)
    assert (loss.value(share * a + (1 - share) * b, y) <= chord + 1e-13).all()


@losses
@few
@given(seed=seeds)
def test_the_gradient_is_a_subgradient(loss, binary, seed):
    """L(b) >= L(a) + <grad L(a), b - a>, also at ties"""
    a, y = draw(seed, binary)
    a = np.round(a)  # ties
    b = a + np.random.default_rng(seed + 1).normal(0, 3, a.shape)
    slope = (loss.grad(a, y) * (b - a)).reshape(len(a), -1).sum(axis=1)
    assert (loss.value(b, y) >= loss.value(a, y) + slope - 1e-13).all()


@pytest.mark.parametrize("loss", [cross_entropy, margin])
@few
@given(seed=seeds, dtype=dtypes, c=st.integers(-4096, 4096))
def test_a_shift_of_all_logits_changes_nothing(loss, seed, dtype, c):
    """L(z + c) = L(z), and the gradients are equal too, to the last bit where z + c is exact"""
    z, y = draw(seed, binary=False)
    z = (np.round(8 * z) / 8).astype(dtype)
    np.testing.assert_array_equal(loss.value(z + c, y), loss.value(z, y), strict=True)
    np.testing.assert_array_equal(loss.grad(z + c, y), loss.grad(z, y), strict=True)


@few
@given(seed=seeds)
def test_cross_entropy_of_two_classes_is_logistic(seed):
    """For K = 2, L(k, z) = Psi(y (z_1 - z_0)) with y = -1, +1 for k = 0, 1"""
    rng = np.random.default_rng(seed)
    z, k = rng.normal(0, 5, (6, 2)), rng.integers(0, 2, 6)
    m, y = z[:, 1] - z[:, 0], 2 * k - 1
    np.testing.assert_allclose(cross_entropy.value(z, k), logistic.value(m, y), rtol=1e-14)
    expected = logistic.grad(m, y)
    np.testing.assert_allclose(cross_entropy.grad(z, k), np.stack([-expected, expected], axis=1), rtol=1e-13)


@few
@given(seed=seeds, dtype=dtypes, shift=st.sampled_from([0, -1000, 1000]))
def test_margin_is_positive_exactly_where_the_model_errs(seed, dtype, shift):
    """margin(z, y) > 0 iff argmax z is not y, also if all logits are negative (torchattacks issue 184)"""
    z, y = draw(seed, binary=False, dtype=dtype, n=20)
    z += dtype(shift)
    z += np.arange(z.shape[1], dtype=dtype) / 8  # no ties after rounding either
    np.testing.assert_array_equal(margin.value(z, y) > 0, z.argmax(axis=1) != y)


@few
@given(seed=seeds, dtype=dtypes)
def test_binary_margin_is_positive_exactly_where_the_model_errs(seed, dtype):
    """-y z > 0 iff the label of z is not y"""
    z, y = draw(seed, binary=True, dtype=dtype, n=20)
    np.testing.assert_array_equal(margin.value(z, y) > 0, labels_of(z) != y)


@few
@given(seed=seeds, dtype=dtypes, scale=st.sampled_from([1, 10, 40]))
def test_cross_entropy_gradient_is_softmax_minus_one_hot(seed, dtype, scale):
    """g_k = p_k to relative precision for k != y, g_y in [-1, 0], sum_k g_k = 0"""
    z, y = draw(seed, binary=False, dtype=dtype, scale=scale)
    g, eps = cross_entropy.grad(z, y), np.finfo(dtype).eps
    label = np.arange(z.shape[1]) == y[:, None]
    assert (abs(g.sum(axis=1)) <= 4 * eps * abs(g).max(axis=1)).all()
    assert (g[~label] >= 0).all()
    assert (g[label] <= 0).all()
    assert (g[label] >= -1 - 4 * eps).all()
    wide = z.astype(np.longdouble)
    p = np.exp(wide - wide.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        g[~label], p[~label].astype(dtype), rtol=4e-5 if dtype is np.float32 else 1e-12, atol=1e-37
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [20, 40, 80])
@pytest.mark.parametrize("shift", [0, 1000])
def test_cross_entropy_keeps_relative_precision_on_confident_examples(dtype, m, shift):
    """For z = (m, 0) the value is log(1 + e^-m) = tau(-m) + ..., and the gradient (-1, 1) tau(-m), not 0"""
    z, y = np.array([[m, 0]], dtype) + dtype(shift), np.array([0])
    tau = math.exp(-m) / (1 + math.exp(-m))
    rtol = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(cross_entropy.value(z, y), [math.log1p(math.exp(-m))], rtol=rtol)
    np.testing.assert_allclose(cross_entropy.grad(z, y), [[-tau, tau]], rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m", [20, 40, 80])
def test_logistic_keeps_relative_precision_on_confident_examples(dtype, m):
    """For m = y z the value is log(1 + e^-m), and the gradient -y tau(-m), not 0"""
    z, y = np.array([m, -m], dtype), np.array([1, -1])
    tau = math.exp(-m) / (1 + math.exp(-m))
    rtol = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(logistic.value(z, y), 2 * [math.log1p(math.exp(-m))], rtol=rtol)
    np.testing.assert_allclose(logistic.grad(z, y), [-tau, tau], rtol=rtol)


@losses
def test_huge_logits_neither_overflow_nor_become_nan(loss, binary):
    """For |z| = 10^4 the value of a correctly classified example is 0 (its margin -2 10^4), else the distance"""
    z = np.array([1e4, -1e4], np.float32) if binary else np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    right, wrong = (np.array([1, -1]), np.array([-1, 1])) if binary else (np.array([0, 1]), np.array([1, 0]))
    gap = 1e4 if binary else 2e4
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        np.testing.assert_array_equal(loss.value(z, right), [-gap, -gap] if loss is margin else [0, 0])
        np.testing.assert_array_equal(loss.value(z, wrong), [gap, gap])
        assert np.isfinite(loss.grad(z, right)).all()
        assert (abs(loss.grad(z, wrong)) == 1).all()


LABELS = {True: [np.int64, np.int8, np.float32, np.float64], False: [np.int64, np.int8, np.uint8]}


@losses
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_shape_and_input_are_kept(loss, binary, dtype):
    """value is (N,) and grad is shaped like z, both in the dtype of z, for any dtype of y; z and y do not change"""
    z, y = draw(3, binary, dtype)
    for label_dtype in LABELS[binary]:
        labels = y.astype(label_dtype)
        z_before, y_before = z.copy(), labels.copy()
        for some, its in ((loss, labels), objective(loss, labels, labels)):
            assert some.value(z, its).dtype == some.grad(z, its).dtype == dtype
            assert some.value(z, its).shape == (len(z),)
            assert some.grad(z, its).shape == z.shape
        np.testing.assert_array_equal(loss.grad(z, labels), loss.grad(z, y))
        np.testing.assert_array_equal(z, z_before, strict=True)
        np.testing.assert_array_equal(labels, y_before, strict=True)


@losses
@few
@given(seed=seeds, dtype=dtypes)
def test_examples_do_not_see_each_other(loss, binary, seed, dtype):
    """value(z, y)_i = value(z_i, y_i), and likewise the gradient: there is no mean or sum over the batch"""
    z, y = draw(seed, binary, dtype, n=7)
    alone = [(loss.value(z[i : i + 1], y[i : i + 1]), loss.grad(z[i : i + 1], y[i : i + 1])) for i in range(7)]
    rtol = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(loss.value(z, y), np.concatenate([value for value, _ in alone]), rtol=rtol)
    np.testing.assert_allclose(loss.grad(z, y), np.concatenate([g for _, g in alone]), rtol=rtol)


@losses
@few
@given(seed=seeds)
def test_targeted_is_the_difference(loss, binary, seed):
    """objective(L, y, t)(z) = L(z, y) - L(z, t), value and gradient; zero for t = y; L itself without t"""
    z, y = draw(seed, binary)
    target = -y if binary else (y + 1) % z.shape[1]
    targeted, both = objective(loss, y, target)
    np.testing.assert_array_equal(targeted.value(z, both), loss.value(z, y) - loss.value(z, target))
    np.testing.assert_array_equal(targeted.grad(z, both), loss.grad(z, y) - loss.grad(z, target))
    targeted, both = objective(loss, y, y)
    assert not targeted.value(z, both).any()
    assert not targeted.grad(z, both).any()
    assert objective(loss, y, None)[0] is loss
    assert objective(loss, y, None)[1] is y


@few
@given(seed=seeds)
def test_targeted_cross_entropy_is_a_difference_of_logits(seed):
    """L(y) - L(t) = z_t - z_y"""
    z, y = draw(seed, binary=False)
    t = (y + 1) % z.shape[1]
    i = np.arange(len(z))
    targeted, both = objective(cross_entropy, y, t)
    np.testing.assert_allclose(targeted.value(z, both), z[i, t] - z[i, y], atol=1e-14)


def test_golden_logistic():
    """Psi(0) = log 2 with slope -1/2; Psi(log 3) = log(4/3) with slope -1/4"""
    z, y = np.array([0, math.log(3), -math.log(3)]), np.array([1, 1, -1])
    np.testing.assert_allclose(logistic.value(z, y), np.log([2, 4 / 3, 4 / 3]), rtol=1e-15)
    np.testing.assert_allclose(logistic.grad(z, y), [-0.5, -0.25, 0.25], rtol=1e-15)


def test_golden_cross_entropy():
    """For z = log(1, 2, 5), p = (1, 2, 5) / 8; for y = 2 the value is log(8/5), the gradient (1, 2, -3) / 8"""
    z = np.log([[1.0, 2.0, 5.0]])
    np.testing.assert_allclose(cross_entropy.value(z, np.array([2])), [math.log(8 / 5)], rtol=1e-15)
    np.testing.assert_allclose(cross_entropy.grad(z, np.array([2])), [[1 / 8, 2 / 8, -3 / 8]], rtol=1e-14)


def test_golden_margin():
    """For z = (-3, -1, -2) label 0 loses to class 1 by 2, and label 1 beats class 2 by 1"""
    z = np.array([[-3.0, -1.0, -2.0], [-3.0, -1.0, -2.0]])
    np.testing.assert_array_equal(margin.value(z, np.array([0, 1])), [2, -1])
    np.testing.assert_array_equal(margin.grad(z, np.array([0, 1])), [[-1, 1, 0], [0, -1, 1]])
    np.testing.assert_array_equal(margin.value(np.array([2.0, -0.5]), np.array([1, 1])), [-2, 0.5])
    np.testing.assert_array_equal(margin.grad(np.array([2.0, -0.5]), np.array([1, -1])), [-1, 1])


# The logit objectives of targeted attacks and the difference of logits ratio


NEW = [logit_difference, target_minus_rest, target_margin, dlr, targeted_dlr]
ratios = pytest.mark.parametrize("loss", [dlr, targeted_dlr], ids=["dlr", "targeted dlr"])


def name(loss):
    return type(loss).__name__


def drawn(seed, dtype=np.float64, n=6):
    """Logits of 4 to 7 classes that are at least 0.1 apart, labels, and other classes as targets."""
    rng = np.random.default_rng(seed)
    k = rng.integers(4, 8)
    z = 3 * rng.random((n, k)).argsort(axis=1) + 2.9 * rng.random((n, k)) - 7
    y = rng.integers(0, k, n)
    return z.astype(dtype), y, (y + rng.integers(1, k, n)) % k


def labels_for(loss, y, t):
    return np.stack([y, t], axis=1) if getattr(loss, "of_pairs", False) else y


@pytest.mark.parametrize("loss", NEW, ids=name)
@few
@given(seed=seeds)
def test_three_gradients_of_the_formula_are_one(loss, seed):
    """Values and gradients by hand, by the engine from the formula of the paper, and by central differences agree"""
    z, y, t = drawn(seed)
    assert check_gradients(loss, z, labels_for(loss, y, t), tol=1e-5).compared > 10


@pytest.mark.parametrize("loss", NEW[:3], ids=name)
@few
@given(seed=seeds, same=st.booleans())
def test_three_gradients_of_the_binary_formula_are_one(loss, seed, same):
    """One logit z counts as the two logits 0 and z for -1 and +1, or as -z / 2 and z / 2"""
    z, y = draw(seed, binary=True)
    t = y if same else -y
    check_gradients(loss, z, labels_for(loss, y, t))


@ratios
@few
@given(seed=seeds, scale=st.sampled_from([2.0**-40, 0.5, 4.0, 2.0**60]), shift=st.integers(-64, 64))
def test_dlr_does_not_change_with_shift_and_scale(loss, seed, scale, shift):
    """L(a z + c) = L(z) and a grad L(a z + c) = grad L(z) for a > 0, to the last bit where a z + c is exact"""
    z, y, t = drawn(seed)
    z, labels = np.round(8 * z) / 8, labels_for(loss, y, t)
    other = scale * (z + shift)
    np.testing.assert_array_equal(loss.value(other, labels), loss.value(z, labels))
    np.testing.assert_array_equal(scale * loss.grad(other, labels), loss.grad(z, labels))


@few
@given(seed=seeds, dtype=dtypes)
def test_dlr_is_between_minus_one_and_zero_exactly_where_the_model_is_right(seed, dtype):
    """argmax z = y iff -1 <= L <= 0"""
    z, y, _ = drawn(seed, dtype, n=20)
    value = dlr.value(z, y)
    np.testing.assert_array_equal(value > 0, z.argmax(axis=1) != y)
    assert (value >= -1).all()


@pytest.mark.parametrize("loss", NEW, ids=name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_losses_keep_dtype_shape_and_input_and_do_not_mix_examples(loss, dtype):
    """float32 stays float32, z and y do not change, and value(z, y)_i = value(z_i, y_i)"""
    z, y, t = drawn(5, dtype)
    labels = labels_for(loss, y, t)
    before, labels_before = z.copy(), labels.copy()
    value, g = loss.value(z, labels), loss.grad(z, labels)
    assert (value.dtype, g.dtype, value.shape, g.shape) == (dtype, dtype, (6,), z.shape)
    np.testing.assert_array_equal(z, before)
    np.testing.assert_array_equal(labels, labels_before)
    for i in range(6):
        np.testing.assert_array_equal(loss.value(z[i : i + 1], labels[i : i + 1]), value[i : i + 1])
        np.testing.assert_array_equal(loss.grad(z[i : i + 1], labels[i : i + 1]), g[i : i + 1])


def test_golden_ratios():
    """z = (1, 5, 3, 2) gives (3 - 5) / (5 - 2) for y = 1, and from 1 towards 0 (1 - 5) / (5 - (2 + 1) / 2) = -8 / 7"""
    z = np.array([[1.0, 5.0, 3.0, 2.0]])
    np.testing.assert_allclose(dlr.value(z, np.array([1])), [-2 / 3], rtol=1e-15)
    # n = z_2 - z_1, d = z_1 - z_3: (dn - L dd) / 3 = (0, -1 + 2/3, 1, -2/3) / 3
    np.testing.assert_allclose(dlr.grad(z, np.array([1])), [[0, -1 / 9, 1 / 3, -2 / 9]], rtol=1e-15)
    np.testing.assert_allclose(dlr.value(z, np.array([0])), [4 / 3], rtol=1e-15)
    pair = np.array([[1, 0]])
    np.testing.assert_allclose(targeted_dlr.value(z, pair), [-8 / 7], rtol=1e-15)
    # d = z_1 - (z_3 + z_0) / 2 = 7/2: (1 - 4/7, -1 + 8/7, 0, -4/7) / (7/2)
    np.testing.assert_allclose(targeted_dlr.grad(z, pair), [[6 / 49, 2 / 49, 0, -8 / 49]], rtol=1e-14)


def test_golden_targets():
    """z = (1, 5, 3) gives 3 - 5, 3 - (1 + 5) and 3 - 5 from 1 to 2, and 0, 5 - 4 and 5 - 3 from 1 to 1"""
    z, pairs = np.array([[1.0, 5.0, 3.0]] * 2), np.array([[1, 2], [1, 1]])
    np.testing.assert_array_equal(logit_difference.value(z, pairs), [-2, 0])
    np.testing.assert_array_equal(logit_difference.grad(z, pairs), [[0, -1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(target_minus_rest.value(z, pairs), [-3, 1])
    np.testing.assert_array_equal(target_minus_rest.grad(z, pairs), [[-1, -1, 1], [-1, 1, -1]])
    np.testing.assert_array_equal(target_margin.value(z, pairs), [-2, 2])
    np.testing.assert_array_equal(target_margin.grad(z, pairs), [[0, -1, 1], [0, 1, -1]])


@ratios
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_at_the_top_leave_dlr_finite(loss, dtype):
    """If all logits are equal, the ratio is 0; if the denominator is 0 and the label lower, it is 10^6, not infinity"""
    z = np.array([[1, 1, 1, 1, 1], [2, 2, 2, 2, 1]], dtype)
    labels = labels_for(loss, np.array([0, 4]), np.array([1, 0]))
    with np.errstate(all="raise"):
        np.testing.assert_allclose(loss.value(z, labels), [0, 1e6], rtol=1e-6)
        assert np.isfinite(loss.grad(z, labels)).all()


@pytest.mark.parametrize("z", [np.zeros(2), np.zeros((2, 2))], ids=["one logit", "2 classes"])
def test_dlr_refuses_too_few_classes(z):
    """The error says which loss to use instead"""
    y, have = np.array([1, 1]), "one logit" if z.ndim == 1 else "2 classes"
    for f in (dlr.value, dlr.grad):
        with pytest.raises(ValueError, match=f"needs 3 classes, not {have}: use margin"):
            f(z, y)
    with pytest.raises(ValueError, match="needs 4 classes, not 3 classes"):
        targeted_dlr.value(np.zeros((2, 3)), np.array([[0, 1], [0, 1]]))


@few
@given(seed=seeds)
def test_a_target_turns_each_loss_into_the_one_of_pairs(seed):
    """dlr becomes its targeted form, losses of pairs stay, others become L(y) - L(t); without t pairs are refused"""
    z, y, t = drawn(seed)
    pairs = np.stack([y, t], axis=1)
    for loss, expected in ((dlr, targeted_dlr), (DLR(), targeted_dlr), (margin, Targeted(margin))):
        np.testing.assert_array_equal(objective(loss, y, t)[0].value(z, pairs), expected.value(z, pairs))
    for loss in (targeted_dlr, logit_difference, target_minus_rest, target_margin, Targeted(margin)):
        found, labels = objective(loss, y, t)
        assert found is loss
        np.testing.assert_array_equal(labels, pairs)
        with pytest.raises(ValueError, match=f"the loss {name(loss)} needs the labels to reach: pass target"):
            objective(loss, y, None)


@few
@given(seed=seeds)
def test_the_logit_difference_is_targeted_cross_entropy(seed):
    """z_t - z_y = L(y) - L(t), also for one logit with the logistic loss"""
    z, y, t = drawn(seed)
    pairs = np.stack([y, t], axis=1)
    np.testing.assert_allclose(logit_difference.value(z, pairs), Targeted(cross_entropy).value(z, pairs), atol=1e-13)
    z, y = draw(seed, binary=True)
    for t in (y, -y):
        pairs = np.stack([y, t], axis=1)
        np.testing.assert_allclose(logit_difference.value(z, pairs), Targeted(logistic).value(z, pairs), atol=1e-13)


@few
@given(seed=seeds, binary=st.booleans())
def test_the_target_margin_is_positive_exactly_where_the_target_is_predicted(seed, binary):
    """L > 0 iff the label of z is t"""
    z, y = draw(seed, binary, n=20)
    t = -y if binary else (y + 1) % z.shape[1]
    np.testing.assert_array_equal(target_margin.value(z, np.stack([y, t], axis=1)) > 0, labels_of(z) == t)


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.int8, np.int32])
def test_any_integer_type_of_labels_gives_the_same_loss(kind):
    """L(y, z) does not depend on the dtype of y; unsigned labels do not wrap around and index nothing as floats"""
    z, y = draw(0, binary=False, n=20)
    for loss in (cross_entropy, margin):
        np.testing.assert_array_equal(loss.value(z, y.astype(kind)), loss.value(z, y))
        np.testing.assert_array_equal(loss.grad(z, y.astype(kind)), loss.grad(z, y))
    z, y = draw(0, binary=True, n=20)
    right = y == 1
    for loss in (logistic, margin):
        np.testing.assert_array_equal(loss.value(z[right], y[right].astype(kind)), loss.value(z[right], y[right]))
        np.testing.assert_array_equal(loss.grad(z[right], y[right].astype(kind)), loss.grad(z[right], y[right]))
