"""Laws of Dataset and of loading a data set by its name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchadv import datasets
from scratchadv.datasets import Dataset, DatasetFallbackWarning, DatasetUnavailableError, load
from scratchadv.datasets.dataset import as_images

NAMES = ("ant", "bee", "cat", "dog")


def make_dataset(y_train, y_test):
    """Each image has one pixel, whose value is its place in the data set."""
    x_train, x_test = (np.arange(len(y), dtype=np.float32).reshape(-1, 1, 1, 1) for y in (y_train, y_test))
    return Dataset(x_train, np.array(y_train, np.int64), x_test, np.array(y_test, np.int64), NAMES, "made up")


classes = st.integers(0, len(NAMES) - 1)
pairs = st.permutations(range(len(NAMES))).map(lambda order: order[:2])


@st.composite
def labels(draw):
    """Every class occurs at least once, in any order."""
    return draw(st.permutations([*range(len(NAMES)), *draw(st.lists(classes, max_size=20))]))


@given(y_train=labels(), y_test=labels(), pair=pairs)
def test_only_keeps_both_classes_in_order_and_labels_them_plus_and_minus_one(y_train, y_test, pair):
    """{(x, y) in only(a, b)} = {(x, +1 if y = a else -1): y in {a, b}}, in the same order"""
    a, b = pair
    data = make_dataset(y_train, y_test).only(a, b)
    for x, y, all_y in [(data.x_train, data.y_train, y_train), (data.x_test, data.y_test, y_test)]:
        assert y.dtype == np.int64
        kept = [(i, {a: 1, b: -1}[label]) for i, label in enumerate(all_y) if label in (a, b)]
        assert list(zip(x.ravel(), y, strict=True)) == kept
    assert data.class_names == (NAMES[a], NAMES[b])


@given(y=labels(), pair=pairs)
def test_swapping_the_classes_negates_the_labels(y, pair):
    """y of only(b, a) = -y of only(a, b)"""
    there, back = make_dataset(y, y).only(*pair), make_dataset(y, y).only(*reversed(pair))
    np.testing.assert_array_equal(back.y_train, -there.y_train)
    np.testing.assert_array_equal(back.x_train, there.x_train)
    assert back.class_names == there.class_names[::-1]


@pytest.mark.parametrize("wrong", [-1, 4, 1.5, "bee", None])
def test_only_refuses_a_class_that_is_none(wrong):
    data = make_dataset([0, 1, 2, 3], [0, 1, 2, 3])
    for pair in [(wrong, 0), (0, wrong)]:
        with pytest.raises(ValueError, match=f"{wrong!r} is not a class: classes are the integers 0 to 3"):
            data.only(*pair)


def test_only_refuses_the_same_class_twice():
    with pytest.raises(ValueError, match="a = 2 and b = 2 are the same class"):
        make_dataset([0, 1, 2, 3], [0, 1, 2, 3]).only(2, 2)


def test_only_refuses_a_class_without_examples():
    with pytest.raises(ValueError, match="b = 3: the class has no training examples"):
        make_dataset([0, 1], [0, 3]).only(0, 3)
    with pytest.raises(ValueError, match="b = 1: the class has no test examples"):
        make_dataset([0, 1], [0, 3]).only(0, 1)


def test_as_many_labels_as_images():
    with pytest.raises(ValueError, match="x_test has 3 images, but y_test has 2 labels"):
        Dataset(np.zeros((1, 1, 1, 1)), np.zeros(1), np.zeros((3, 1, 1, 1)), np.zeros(2), NAMES, "made up")


def test_images_are_grey_values_over_255():
    """x = pixel / 255, rounded once"""
    pixels = np.arange(256, dtype=np.uint8).reshape(-1, 4, 2)
    x = as_images(pixels)
    assert x.shape == (32, 4, 2, 1)
    np.testing.assert_array_equal(x.ravel(), np.arange(256, dtype=np.float32) / np.float32(255), strict=True)


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="name = 'emnist'; 'mnist' or 'strokes' or 'auto' was expected"):
        load("emnist")


def test_auto_falls_back_to_strokes_and_says_so(monkeypatch):
    def gone():
        raise DatasetUnavailableError("the mirrors are asleep")

    monkeypatch.setattr(datasets, "load_mnist", gone)
    monkeypatch.setattr(datasets, "load_strokes", lambda: "strokes")
    with pytest.warns(DatasetFallbackWarning, match=r"cannot be compared with those on the slides.*asleep") as caught:
        assert load("auto") == "strokes"
    assert caught[0].filename == __file__


def test_auto_is_mnist_where_it_can_be_had(monkeypatch):
    monkeypatch.setattr(datasets, "load_mnist", lambda: "mnist")
    assert load("auto") == "mnist"


@pytest.mark.parametrize("error", [ValueError("damaged"), FileNotFoundError("one of four is missing")])
def test_auto_does_not_fall_back_from_damaged_files(monkeypatch, error):
    def damaged():
        raise error

    monkeypatch.setattr(datasets, "load_mnist", damaged)
    with pytest.raises(type(error), match=str(error)):
        load("auto")
