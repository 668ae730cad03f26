"""Laws of the digits that we draw."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.datasets import load, make_strokes, strokes
from scratchadv.datasets.strokes import CHUNK

seeds = st.integers(0, 2**64)
streams = st.sampled_from(["train", "test"])
few = settings(max_examples=10, deadline=None)


@pytest.fixture(scope="module")
def many():
    return make_strokes(5000, seed=1)


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@few
@given(seed=seeds, stream=streams)
def test_same_seed_same_bits(seed, stream):
    assert equal(make_strokes(30, seed, stream=stream), make_strokes(30, seed, stream=stream))


def test_same_bits_on_every_machine():
    """The pinned output; if it differs, results cannot be compared between machines."""
    images, labels = make_strokes(200, seed=0)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "4504bdcdcb8d012d1ff4cfba9a666cd7cc1c78ae14b07a9d2b4c3409211ee535"


@few
@given(seed=seeds, m=st.integers(1, 2 * CHUNK), more=st.integers(0, 2 * CHUNK))
def test_the_first_images_do_not_depend_on_how_many_are_drawn(seed, m, more):
    """strokes(m + k)[:m] = strokes(m)"""
    assert equal(make_strokes(m, seed), [part[:m] for part in make_strokes(m + more, seed)])


@few
@given(seed=seeds, stream=streams, i=st.integers(0, 2))
def test_a_chunk_does_not_depend_on_the_chunks_before_it(seed, stream, i):
    """strokes(n)[i c : (i + 1) c] = chunk i"""
    whole = make_strokes(3 * CHUNK, seed, stream=stream)
    chunk = strokes._draw_chunk(seed, stream, i)
    assert equal([part[i * CHUNK : (i + 1) * CHUNK] for part in whole], chunk)


@few
@given(seed=st.integers(0, 2**32))
def test_other_seeds_streams_and_chunks_give_other_images(seed):
    drawn = [
        strokes._draw_chunk(seed, "train", 0),
        strokes._draw_chunk(seed + 1, "train", 0),
        strokes._draw_chunk(seed, "test", 0),
        strokes._draw_chunk(seed, "train", 1),
    ]
    pixels = np.concatenate([images for images, _ in drawn])
    # Two straight 1s may be equal, but hardly anything else.
    assert len(np.unique(pixels, axis=0)) > 0.99 * len(pixels)
    assert len({labels.tobytes() for _, labels in drawn}) == 4


def test_shapes_and_types(many):
    images, labels = many
    assert (images.shape, images.dtype) == ((5000, 28, 28), np.uint8)
    assert (labels.shape, labels.dtype) == ((5000,), np.uint8)
    assert images.max() == 255


def test_labels_are_uniform(many):
    """|n_k - n / 10| < 5 standard deviations"""
    counts = np.bincount(many[1], minlength=10)
    assert len(counts) == 10
    assert abs(counts - 500).max() < 5 * np.sqrt(5000 * 0.1 * 0.9)


def test_the_outermost_pixels_are_black(many):
    images, _ = many
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()


def test_digits_fill_a_box_of_about_twenty_pixels(many):
    """As in MNIST, the longer side of the digit has 20 pixels, except for the fading edge of the stroke."""
    ink = many[0] > 0
    sides = [np.argmax(line[:, ::-1], axis=1) + np.argmax(line, axis=1) for line in (ink.any(axis=1), ink.any(axis=2))]
    longer = 28 - np.minimum(*sides)
    assert longer.min() >= 17
    assert longer.max() <= 24


def test_digits_are_centred_by_mass(many):
    """sum_i (i - 13.5) ink_i = 0 to one pixel, unless the box would leave the image"""
    images = many[0].astype(np.int64)
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        offset = (images.sum(axis=axis) @ (2 * np.arange(28) - 27)) / (2 * mass)
        assert np.mean(abs(offset) < 0.5) > 0.9
        assert abs(offset).max() < 3


def test_no_sum_can_be_rounded():
    """PIECES LEVELS^3 < 2^24, and control points and weights are multiples of powers of two"""
    assert strokes.PIECES * strokes.LEVELS**3 < 2**24
    assert strokes._brushes().max() <= strokes.LEVELS
    assert np.array_equal(strokes._brushes(), np.rint(strokes._brushes()))
    for *_, glyph in strokes._glyphs():
        weights = np.concatenate([glyph.starts, glyph.ends])
        assert len(weights) == 2 * strokes.PIECES
        assert np.array_equal(2048 * weights, np.rint(2048 * weights))
        assert np.array_equal(weights.sum(axis=1), np.ones(len(weights)))


def test_every_digit_is_always_written_in_some_way():
    """The intervals [low, high) of a digit's glyphs tile [0, 1)"""
    for digit in range(10):
        bounds = [(low, high) for d, low, high, _ in strokes._glyphs() if d == digit]
        assert bounds[0][0] == 0
        assert bounds[-1][1] == 1
        assert all(a[1] == b[0] for a, b in pairwise(bounds))


def test_nearest_neighbours_can_read_the_digits(many):
    """The digits are legible: the accuracy is far above 0.1, that of guessing"""
    x, y = many[0].reshape(-1, 784).astype(np.float32) / 255, many[1]
    train, test = x[:4000], x[4000:]
    nearest = ((train * train).sum(axis=1) - 2 * test @ train.T).argmin(axis=1)
    assert np.mean(y[nearest] == y[4000:]) > 0.9


def test_load_strokes_is_make_strokes_as_a_dataset():
    data = load("strokes", n_train=70, n_test=30, seed=5)
    train, test = make_strokes(70, 5), make_strokes(30, 5, stream="test")
    for x, y, (images, labels) in [(data.x_train, data.y_train, train), (data.x_test, data.y_test, test)]:
        np.testing.assert_array_equal(x, images[..., None] / np.float32(255), strict=True)
        np.testing.assert_array_equal(y, labels.astype(np.int64), strict=True)
    assert data.class_names == tuple("0123456789")
    assert "seed 5" in data.source


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n = 0 must be >= 1"),
        ({"n": 1, "seed": -1}, "seed = -1 must be >= 0"),
        ({"n": 1, "stream": "validation"}, "stream = 'validation'; 'train' or 'test' was expected"),
    ],
)
def test_wrong_values_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_strokes(**options)


@pytest.mark.parametrize("options", [{"n": 2.5}, {"n": 2, "seed": 0.5}, {"n": "2"}])
def test_wrong_types_are_refused(options):
    with pytest.raises(TypeError):
        make_strokes(**options)


def test_a_pipe_sees_no_progress_bar(capsys):
    make_strokes(10)
    assert capsys.readouterr() == ("", "")
