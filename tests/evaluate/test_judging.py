"""Laws of judging: success means that the model, asked again about x + delta inside Delta(x), is fooled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.evaluate import judge
from scratchadv.losses import cross_entropy, logistic
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L1, L2, Linf

few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1)
ORDERS = {Linf: np.inf, L2: 2, L1: 1}


class Softmax:
    """z = x W."""

    loss = cross_entropy

    def __init__(self, w):
        self.w = w

    def logits(self, x):
        return x @ self.w


def draw(seed, dtype=np.float64, n=8):
    """A model, examples in the unit box, labels, and perturbations of which some leave ball or box."""
    rng = np.random.default_rng(seed)
    model = LogisticRegression(rng.normal(size=3).astype(dtype), rng.normal())
    x, y = rng.random((n, 3)).astype(dtype), rng.choice([-1, 1], n)
    return model, x, y, rng.normal(0, 0.3, (n, 3)).astype(dtype)


@few
@given(seeds, st.sampled_from(list(ORDERS)), st.booleans(), st.booleans())
def test_success_is_another_label_inside_the_set(seed, norm, boxed, targeted):
    """success_i iff |delta_i| <= eps, l <= x_i + delta_i <= u, and the label there is not y_i (or is the target)"""
    model, x, y, delta = draw(seed)
    threat = norm(0.5).within(0, 1) if boxed else norm(0.5)
    target = np.random.default_rng(seed + 1).choice([-1, 1], len(y)) if targeted else None
    found = judge(model, x, y, delta, threat, target=target)

    size = np.linalg.norm(delta, ORDERS[norm], axis=1)
    inside = size <= 0.5
    if boxed:
        inside &= ((x + delta >= 0) & (x + delta <= 1)).all(axis=1)
    z = (x + delta) @ model.params["theta"] + model.params["theta0"]
    label = np.where(z >= 0, 1, -1)
    fooled = label == target if targeted else label != y
    np.testing.assert_array_equal(found.inside, inside)
    np.testing.assert_array_equal(found.prediction, label)
    np.testing.assert_array_equal(found.success, fooled & inside)
    np.testing.assert_allclose(found.norm, size, rtol=1e-14)
    np.testing.assert_allclose(found.loss, np.logaddexp(0, -y * z), rtol=1e-12)


def test_the_draws_meet_every_case():
    """Over some seeds, the helper above returns all four pairs of (fooled, inside)"""
    cases = set()
    for seed in range(20):
        model, x, y, delta = draw(seed)
        found = judge(model, x, y, delta, Linf(0.5).within(0, 1))
        cases |= set(zip((found.prediction != y).tolist(), found.inside.tolist(), strict=True))
    assert len(cases) == 4


MODEL = LogisticRegression(np.array([1.0, 0.0]), -0.5)  # +1 iff the first pixel is at least 1/2
X, Y = np.array([[0.75, 0.5]]), np.array([1])


@pytest.mark.parametrize(
    ("delta", "threat", "success", "inside"),
    [
        ([-0.5, 0], Linf(0.5), True, True),
        ([-0.5, 0], Linf(0.4), False, False),
        ([-0.125, 0], Linf(0.5), False, True),
        ([-0.75, 0], Linf(1).within(0, 1), True, True),
        ([-1, 0], Linf(1).within(0, 1), False, False),
        ([-1, 0], Linf(1), True, True),
        ([-0.5, 0.5], L1(1), True, True),
        ([-0.5, 0.5], L1(0.9), False, False),
        ([-0.3, 0.4], L2(0.5), True, True),
        ([-0.3, 0.4], L2(0.49), False, False),
        ([-0.5, 0], L0(1).within(0, 1), True, True),
        ([-0.5, 0.1], L0(1).within(0, 1), False, False),
    ],
)
def test_golden_judgements(delta, threat, success, inside):
    """x = (3/4, 1/2) is +1 and falls to -1 once its first pixel is below 1/2"""
    found = judge(MODEL, X, Y, np.array([delta], float), threat)
    assert found.success.tolist() == [success]
    assert found.inside.tolist() == [inside]


def test_golden_loss_norm_and_prediction():
    """x + delta = (1/4, 1): z = -1/4, so label -1, loss log(1 + e^(1/4)); the 2-norm of (-1/2, 1/2) is sqrt(1/2)"""
    found = judge(MODEL, X, Y, np.array([[-0.5, 0.5]]), L2(1))
    np.testing.assert_array_equal(found.prediction, [-1])
    np.testing.assert_allclose(found.loss, [np.log1p(np.exp(0.25))], rtol=1e-15)
    np.testing.assert_allclose(found.norm, [np.sqrt(0.5)], rtol=1e-15)


def test_an_example_that_was_wrong_already_falls_to_no_perturbation():
    """For delta = 0: success iff the clean prediction is wrong"""
    y = np.array([1, -1])
    found = judge(MODEL, np.repeat(X, 2, axis=0), y, np.zeros((2, 2)), Linf(0))
    assert found.success.tolist() == [False, True]


def test_targeted_success_is_the_target_and_no_other_wrong_label():
    """K = 3, z = x: label 0 pushed to 1 is a success for target 1, not for target 2, and a success without a target"""
    model, x, y = Softmax(np.eye(3)), np.array([[0.6, 0.5, 0.0]]), np.array([0])
    delta = np.array([[-0.2, 0.2, 0.0]])
    for target, success in ((1, True), (2, False), (0, False), (None, True)):
        goal = None if target is None else np.array([target])
        found = judge(model, x, y, delta, Linf(0.2), target=goal)
        assert found.success.tolist() == [success]
        assert found.prediction.tolist() == [1]
        np.testing.assert_allclose(found.loss, cross_entropy.value(x + delta, y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(dtype):
    """Every field is (N,); success and inside are bool, prediction whole, norm and loss in the dtype of x"""
    model, x, y, delta = draw(0, dtype)
    before = [a.copy() for a in (x, y, delta)]
    found = judge(model, x, y, delta, Linf(0.5).within(0, 1))
    assert {a.shape for a in vars(found).values()} == {(8,)}
    assert found.success.dtype == found.inside.dtype == bool
    assert found.prediction.dtype.kind == "i"
    assert found.norm.dtype == found.loss.dtype == dtype
    for a, b in zip((x, y, delta), before, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@few
@given(seeds)
def test_it_is_the_label_that_predict_gives(seed):
    """prediction = predict(model, x + delta)"""
    model, x, y, delta = draw(seed, np.float32)
    np.testing.assert_array_equal(judge(model, x, y, delta, L1(1)).prediction, predict(model, x + delta))


def test_the_loss_is_the_models_own():
    """loss = model.loss at (x + delta, y)"""
    model, x, y, delta = draw(1)
    found = judge(model, x, y, delta, Linf(1))
    np.testing.assert_array_equal(found.loss, logistic.value(model.logits(x + delta), y))


DELTA = np.zeros((1, 2))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"delta": np.zeros((1, 3))}, ValueError, r"delta has shape \(1, 3\); the shape of x, \(1, 2\)"),
        ({"delta": np.zeros((2, 2))}, ValueError, "delta has shape"),
        ({"delta": np.array([[0, np.nan]])}, ValueError, "delta holds nan"),
        ({"delta": np.zeros((1, 2), int)}, TypeError, "delta has dtype int64"),
        ({"delta": None}, TypeError, "delta must be an array"),
        ({"x": np.array([[np.inf, 0]])}, ValueError, "x holds inf"),
        ({"x": np.array([[1.5, 0]])}, ValueError, "x holds 1.5, outside the box"),
        ({"y": np.array([0])}, ValueError, "y holds 0"),
        ({"target": np.array([2])}, ValueError, "target holds 2"),
        ({"target": np.array([1, 1])}, ValueError, "target has shape"),
        ({"bits": 0}, ValueError, "bits = 0 must be >= 1"),
        ({"bits": 8.0}, TypeError, "bits must be a whole number"),
    ],
)
def test_bad_input_is_refused(wrong, error, message):
    """An invalid argument leads to an error that names it"""
    good = {"model": MODEL, "x": X, "y": Y, "delta": DELTA, "threat": Linf(0.1).within(0, 1)}
    judge(**good)
    with pytest.raises(error, match=message):
        judge(**good | wrong)


# Rounding


def levels(seed, n=8, dtype=np.float64):
    """Images of three 8-bit pixels."""
    return (np.random.default_rng(seed).integers(0, 256, (n, 3)) / 255).astype(dtype)


@few
@given(seeds, st.sampled_from([1, 4, 8]), st.sampled_from([np.float32, np.float64]))
def test_rounded_inputs_are_pictures(seed, bits, dtype):
    """prediction = f(r(x + delta)), where r rounds to multiples of 1/(2^bits - 1); norm = |r(x + delta) - r(x)|"""
    model, x, y, delta = draw(seed, dtype)
    delta = np.clip(delta, -x, 1 - x)
    found = judge(model, x, y, delta, L2(0.5).within(0, 1), bits=bits)
    steps = 2**bits - 1
    image, clean = (np.rint(a * steps).astype(int) / steps for a in (x + delta, x))
    assert abs(image - (x + delta)).max() <= 0.5 / steps + 1e-7
    np.testing.assert_array_equal(found.prediction, predict(model, image.astype(dtype)))
    np.testing.assert_allclose(found.norm, np.linalg.norm(image - clean, axis=1), atol=1e-6)
    np.testing.assert_array_equal(found.inside, judge(model, x, y, delta, L2(0.5).within(0, 1)).inside)


@few
@given(seeds, st.integers(0, 40))
def test_rounding_keeps_the_linf_ball_of_whole_levels(seed, k):
    """For x on the levels, eps = k/255 and |delta| <= eps: |r(x + delta) - x| <= eps"""
    model, _, y, _ = draw(seed)
    x, threat = levels(seed), Linf(k / 255).within(0, 1)
    delta = threat.sample(np.random.default_rng(seed), x)
    assert (judge(model, x, y, delta, threat, bits=8).norm <= k / 255 + 1e-12).all()


@pytest.mark.parametrize(("level", "bits", "success"), [(127.7, None, True), (127.7, 8, False), (127.4, 8, True)])
def test_golden_rounding_undoes_an_attack(level, bits, success):
    """+1 iff the pixel is at least 127.8/255; 127.7/255 fools, but the stored pixel is 128/255 (Foolbox issue 423)"""
    model, x = LogisticRegression(np.array([1.0]), -127.8 / 255), np.array([[128 / 255]])
    found = judge(model, x, np.array([1]), level / 255 - x, Linf(0.01).within(0, 1), bits=bits)
    assert found.success.tolist() == [success]


def test_levels_are_those_of_the_box():
    """In the box [-1, 1] one bit has the levels -1 and 1; without a box they are 0 and 1, and x must lie in [0, 1]"""
    model, y = LogisticRegression(np.array([1.0])), np.array([1, 1])
    x = np.array([[-0.2], [0.3]])
    found = judge(model, x, y, 0 * x, Linf(1).within(-1, 1), bits=1)
    np.testing.assert_allclose(found.loss, np.logaddexp(0, [1.0, -1.0]))
    found = judge(model, np.array([[0.2], [0.7]]), y, 0 * x, Linf(1), bits=1)
    np.testing.assert_allclose(found.loss, np.logaddexp(0, [0.0, -1.0]))
    with pytest.raises(ValueError, match=r"x holds -0\.2, outside the box"):
        judge(model, x, y, 0 * x, Linf(1), bits=1)


def test_the_norm_counts_changed_pixels_only():
    """For x between two levels and delta = 0, no pixel of the stored image has changed"""
    model, x, y = LogisticRegression(np.ones(3)), np.full((1, 3), 0.3), np.array([1])
    assert judge(model, x, y, 0 * x, L0(1).within(0, 1), bits=8).norm.tolist() == [0]
