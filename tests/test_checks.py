"""Every refusal: the kind of error, the value and the expected value in its message, before any work is done."""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest

from scratchadv import checks
from scratchadv.checked import check_attack
from scratchadv.sets import L2, Linf
from scratchadv.tasks import Binary, Classes

X = np.full((3, 2), 0.5)
SIGNS, CLASSES = np.array([1, -1, 1]), np.array([0, 2, 1])


@dataclass
class Recorder:
    """A model with K logits or one that counts the examples that it evaluates."""

    k: int = 0
    asked: list = field(default_factory=list)

    def logits(self, x):
        self.asked.append(len(x))
        return np.zeros((len(x), self.k) if self.k else len(x))

    def vjp_x(self, x):
        raise AssertionError("work was done")

    vjp_theta = vjp_x


class Untouchable:
    """A model that must not be called at all."""

    def logits(self, x):
        raise AssertionError("the model was asked before its input was checked")

    vjp_x = vjp_theta = logits


def refused(error, *words):
    """Expect this error, with all these words in its message."""
    return pytest.raises(error, match="".join(f"(?=.*{re.escape(word)})" for word in words))


def test_refused_asks_for_every_word():
    """The helper fails if a word is missing or the error is another one"""
    with refused(ValueError, "b", "a"):
        raise ValueError("a and b")
    with pytest.raises(AssertionError), refused(ValueError, "a", "c"):
        raise ValueError("a and b")
    with pytest.raises(TypeError), refused(ValueError, "a"):
        raise TypeError("a")


@pytest.mark.parametrize("value", [0, 0.0, 1, 2.5, np.float32(0.5), np.int64(3), np.float64(1e-300)])
def test_size_is_a_python_float(value):
    """size(v) = v, a float"""
    found = checks.size("eps", value)
    assert type(found) is float
    assert found == value


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (-0.1, ValueError, ["eps = -0.1", "finite and >= 0"]),
        (-1, ValueError, ["eps = -1"]),
        (np.float32(-2), ValueError, ["eps = -2"]),
        (float("nan"), ValueError, ["eps = nan", "finite"]),
        (float("inf"), ValueError, ["eps = inf", "finite"]),
        (-float("inf"), ValueError, ["eps = -inf"]),
        (True, TypeError, ["eps", "a number", "True"]),
        (np.True_, TypeError, ["eps", "a number", "True"]),
        ("0.1", TypeError, ["eps", "a number", "'0.1'"]),
        (None, TypeError, ["eps", "None"]),
        (1j, TypeError, ["eps", "1j"]),
        (np.array([0.1]), TypeError, ["eps", "array([0.1])"]),
    ],
)
def test_size_refuses_what_is_no_finite_number_from_zero(value, error, words):
    """size(v) is an error unless 0 <= v < inf; so is a ball of size v, except that an array has a radius per example"""
    with refused(error, *words):
        checks.size("eps", value)
    if not isinstance(value, np.ndarray):
        with refused(error, *words):
            Linf(value)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.array([0.1, -0.1]), ValueError, ["eps", "-0.1", "finite and >= 0"]),
        (np.array([np.inf]), ValueError, ["eps", "finite"]),
        (np.array([[0.1]]), TypeError, ["eps", "shape (N,)"]),
        (np.array([True]), TypeError, ["eps", "True"]),
    ],
)
def test_sizes_of_each_example_are_finite_numbers_from_zero(value, error, words):
    """sizes(v) is an error unless all entries of v are finite and >= 0; so is a ball of these sizes"""
    for refusing in (lambda: checks.sizes("eps", value), lambda: Linf(value)):
        with refused(error, *words):
            refusing()


@pytest.mark.parametrize(("value", "least"), [(0, 0), (1, 1), (7, 1), (np.int64(3), 0), (np.uint8(3), 3)])
def test_count_is_a_python_int(value, least):
    """count(n) = n, an int"""
    found = checks.count("steps", value, least)
    assert type(found) is int
    assert found == value


@pytest.mark.parametrize(
    ("value", "least", "error", "words"),
    [
        (0, 1, ValueError, ["steps = 0", ">= 1"]),
        (-1, 0, ValueError, ["steps = -1", ">= 0"]),
        (1.0, 0, TypeError, ["steps", "a whole number", "1.0"]),
        (np.float64(2), 0, TypeError, ["steps", "a whole number", "2.0"]),
        (True, 0, TypeError, ["steps", "True"]),
        ("3", 0, TypeError, ["steps", "'3'"]),
        (None, 0, TypeError, ["steps", "None"]),
    ],
)
def test_count_refuses_what_is_no_whole_number(value, least, error, words):
    """count(n) is an error unless n is whole and n >= least"""
    with refused(error, *words):
        checks.count("steps", value, least)


NAN = float("nan")


@pytest.mark.parametrize(("lower", "upper"), [(1, 0), (0, NAN), (NAN, 1), (np.array([0.0, 2.0]), 1.0)])
def test_an_empty_box_is_refused(lower, upper):
    """box(l, u) is an error unless l <= u everywhere"""
    with refused(ValueError, f"[{lower}, {upper}]", "lower <= upper"):
        checks.box(lower, upper)


@pytest.mark.parametrize(("lower", "upper"), [(0, 1), (0, 0), (-np.inf, np.inf), (np.zeros(2), np.ones(2))])
def test_a_box_that_is_none_is_accepted(lower, upper):
    """box(l, u) accepts l <= u"""
    checks.box(lower, upper)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [-0.25, 1.25, -1e-4, 1.0001, 255])
def test_x_outside_the_box_is_refused_by_its_value(value, dtype):
    """inside_box(x, l, u) is an error where x < l or x > u, and says which x"""
    x = np.full((2, 3), 0.5, dtype)
    x[1, 2] = value
    with refused(ValueError, f"x holds {x[1, 2]:g}", "outside the box [0, 1]", "hint"):
        checks.inside_box(x, 0, 1, "; hint")
    with refused(ValueError, "outside the box"):
        Linf(0.1).within(0, 1).at(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_at_the_border_is_forgiven(dtype):
    """inside_box allows one unit in the last place on either side"""
    one, eps = dtype(1), np.finfo(dtype).eps
    checks.inside_box(np.array([[0, 1, one + eps, -eps / 2, 0.5]], dtype), 0, 1)


def test_a_box_may_differ_from_pixel_to_pixel():
    """inside_box compares each pixel with its own bounds"""
    checks.inside_box(np.array([[0.5, 3.0]]), np.array([0.0, 2.0]), np.array([1.0, 4.0]))
    with refused(ValueError, "x holds 0.5"):
        checks.inside_box(np.array([[0.5, 0.5]]), np.array([0.0, 2.0]), np.array([1.0, 4.0]))


def with_value(value, dtype=float):
    x = X.astype(dtype)
    x[1, 0] = value
    return x


BAD_IMAGES = {
    "nan": (with_value(NAN), ValueError, ["x holds nan", "finite"]),
    "inf": (with_value(np.inf, np.float32), ValueError, ["x holds inf", "finite"]),
    "minus inf": (with_value(-np.inf), ValueError, ["x holds -inf", "finite"]),
    "8 bit": (np.zeros((3, 2), np.uint8), TypeError, ["uint8", "float32 or float64", "divide by 255"]),
    "whole": (np.zeros((3, 2), int), TypeError, ["int64", "float32 or float64"]),
    "half": (np.zeros((3, 2), np.float16), TypeError, ["float16"]),
    "bool": (np.zeros((3, 2), bool), TypeError, ["bool"]),
    "complex": (np.zeros((3, 2), complex), TypeError, ["complex128"]),
    "no example": (np.zeros((0, 2)), ValueError, ["(0, 2)", "at least one example"]),
    "no pixel": (np.zeros((3, 0)), ValueError, ["(3, 0)"]),
    "one image, no batch": (np.zeros(3), ValueError, ["(3,)", "(N, *D)"]),
    "a number": (np.float64(1), ValueError, ["()"]),
    "a ragged list": ([[0.5, 0.5], [0.5]], ValueError, ["an array of shape (N, *D)"]),
    "words": ([["a", "b"]], TypeError, ["an array", "holds numbers", "<U1"]),
    "a masked array": (np.ma.masked_equal([[0.5, 1.0]], 1.0), TypeError, ["masked array"]),
    "nothing": (None, TypeError, ["an array", "NoneType"]),
}


@pytest.mark.parametrize(("x", "error", "words"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images_are_refused_before_the_model_is_asked(x, error, words):
    """images(x) is an error that names the value; attack(...) raises it before any call of the model"""
    with refused(error, *words):
        checks.images(x)
    with refused(error, *words):
        check_attack(Untouchable(), x, SIGNS, Linf(0.1))
    with refused(error, "delta"):
        checks.images(x, "delta")


@pytest.mark.parametrize("x", [X, X.astype(np.float32), np.zeros((1, 2, 3, 1)), np.zeros((1, 1), np.float32)])
def test_good_images_are_accepted(x):
    """images(x) accepts finite floats of shape (N, *D)"""
    checks.images(x)


BAD_SHAPES = {
    "one-hot": (np.eye(3, dtype=int), ValueError, ["y has shape (3, 3)", "(3,)"]),
    "column": (SIGNS[:, None], ValueError, ["y has shape (3, 1)", "(3,)"]),
    "too few": (SIGNS[:2], ValueError, ["y has shape (2,)", "(3,)"]),
    "one": (np.int64(1), ValueError, ["y has shape ()"]),
    "words": (["a", "b", "c"], TypeError, ["y", "an array of 3 labels", "holds numbers"]),
    "nothing": (None, TypeError, ["y", "NoneType"]),
}
BAD_SIGNS = BAD_SHAPES | {
    "0 and 1": (np.array([1, 0, 1]), ValueError, ["y holds 0", "-1 and +1"]),
    "a class": (np.array([1, -1, 2]), ValueError, ["y holds 2", "-1 and +1"]),
    "a half": (np.array([1, -0.5, 1]), ValueError, ["y holds -0.5"]),
    "nan": (np.array([1, NAN, 1]), ValueError, ["y holds nan"]),
    "unsigned -1": (np.array([1, 255, 1], np.uint8), ValueError, ["y holds 255"]),
}
BAD_CLASSES = BAD_SHAPES | {
    "too large": (np.array([0, 1, 3]), ValueError, ["y holds 3", "0..2"]),
    "negative": (np.array([0, -1, 2]), ValueError, ["y holds -1", "0..2"]),
    "floats": (np.array([0.0, 1.0, 2.0]), TypeError, ["float64", "integer labels in 0..2"]),
    "bool": (np.array([True, False, True]), TypeError, ["bool", "integer labels"]),
}


@pytest.mark.parametrize(("y", "error", "words"), BAD_SIGNS.values(), ids=BAD_SIGNS)
def test_labels_of_a_binary_model_are_minus_one_and_one(y, error, words):
    """labels(y, z of shape (N,)) is an error unless each y is -1 or +1; it evaluates the model on one example"""
    with refused(error, *words):
        Binary().check_labels(y, 3)
    model = Recorder()
    with refused(error, *words):
        check_attack(model, X, y, Linf(0.1))
    assert model.asked == [1]


@pytest.mark.parametrize(("y", "error", "words"), BAD_CLASSES.values(), ids=BAD_CLASSES)
def test_labels_of_other_models_are_integers_below_k(y, error, words):
    """labels(y, z of shape (N, K)) is an error unless each y is an integer in 0..K - 1"""
    with refused(error, *words):
        Classes(3).check_labels(y, 3)
    model = Recorder(k=3)
    with refused(error, *words):
        check_attack(model, X, y, Linf(0.1))
    assert model.asked == [1]


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float32, np.float64])
def test_good_signs_are_accepted(dtype):
    """labels(y, z) accepts -1/+1 of any dtype"""
    Binary().check_labels(SIGNS.astype(dtype), 3)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.uint64])
def test_good_classes_are_accepted(dtype):
    """labels(y, z) accepts 0..K - 1 of any integer dtype"""
    Classes(3).check_labels(CLASSES.astype(dtype), 3)


def test_the_target_is_checked_like_the_labels_and_named():
    """attack(..., target) refuses targets like labels, under the name target"""
    for target, words in [(np.array([0, 1, 3]), ["target holds 3", "0..2"]), (CLASSES[:2], ["target has shape (2,)"])]:
        with refused(ValueError, *words):
            check_attack(Recorder(k=3), X, CLASSES, Linf(0.1), target)
    with refused(ValueError, "target holds 0"):
        check_attack(Recorder(), X, SIGNS, Linf(0.1), np.array([0, 1, 1]))


def test_the_threat_is_asked_whether_x_is_in_its_box():
    """attack(..., ball in a box) refuses x outside the box"""
    with refused(ValueError, "x holds 2", "[0, 1]"):
        check_attack(Recorder(), with_value(2.0), SIGNS, L2(0.1).within(0, 1))


def test_good_input_costs_the_logits_of_one_example():
    """The checks of attack(...) evaluate the model on x[:1] and nothing else"""
    for model, y in [(Recorder(), SIGNS), (Recorder(k=3), CLASSES)]:
        check_attack(model, X, y, Linf(0.1).within(0, 1))
        assert model.asked == [1]


def test_another_shape_than_that_of_x_is_refused():
    """same_shape(a, x) is an error unless the shapes are equal: broadcasting is not allowed"""
    checks.same_shape(X, X, "delta")
    for a in (X[:1], X[0], X[..., None], X.T):
        with refused(ValueError, f"delta has shape {a.shape}", "(3, 2)"):
            checks.same_shape(a, X, "delta")
