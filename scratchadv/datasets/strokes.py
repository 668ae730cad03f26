"""Strokes: handwritten-like digits, drawn from a seed, the same bits on every machine.

A glyph is a few strokes; a stroke is a list of points the pen aims at. It runs as a chain of parabolas
(a quadratic B-spline): halfway to one point it turns towards the next, and a point written twice is a corner.
To write a digit is to move the points a little, to stretch, slant, turn and bend the whole, to run the pen,
and to fit what it drew into MNIST's 20 x 20 box, centred by mass.

The bits are the same everywhere because

- the only randomness is PCG64's uniform numbers;
- floats meet only in ``+ - * / sqrt``, element by element: IEEE rounds these exactly, while exp, sin and sums
  of floats depend on the machine;
- every sum, those inside matrix products too, is one of integers, or of multiples of a power of two, small
  enough that floats hold it exactly in any order.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .. import checks
from ..checked import checked, one_of, whole
from ..support.progress import progress
from .dataset import DIGITS, Dataset, as_images

SIZE = 28  # pixels, of an image
BOX = 20  # pixels, of the box a digit is fitted into
MARGIN = 2.5  # pixels the box may move when a digit is centred by its mass: the outermost pixels stay black
PIECES = 64  # straight pieces a glyph is drawn with
LEVELS = 63  # of a brush, and of the ink of a piece: PIECES * LEVELS**3 < 2**24, exact in float32
INK = 60  # levels of ink a pixel of way: all but the thinnest pens draw a white line
FULL = 1024  # products of levels to one grey value: a power of two
CHUNK = 500  # images drawn from one generator
STREAMS = {"train": 0, "test": 1}

RADII = 1.6 + np.arange(24) / 10  # of the brushes, in pixels; ink fades out towards the radius
STEPS = 16  # places of a brush to a pixel
TURN = 32  # steps in which a parabola is traced
GRID = 256  # control points lie on this fraction of a unit
MIDDLE = (6, 10)  # of the glyphs below

# For each digit the ways to write it: (how often it is met, its strokes).
# x runs to the right, y down; about 20 units high.
GLYPHS = (
    (  # 0
        (4, [[(8, 0), (0, -1), (0, 20), (13, 21), (13, 0), (6, 0)]]),
        (2, [[(6, 1), (1, 2), (-1, 20), (10, 21), (16, 11), (12, -1), (5, 0), (3, 3)]]),
        (2, [[(12, 2), (4, -3), (-3, 6), (1, 21), (13, 20), (16, 4), (8, -1), (5, 3)]]),
    ),
    (  # 1
        (16, [[(6, 0), (6, 20)]]),
        (3, [[(6, 0), (6, 10), (6, 20)]]),
        (1, [[(3, 6), (8, 0), (8, 0), (8, 20)]]),
        (1, [[(2, 6), (8, 0), (8, 0), (8, 20)], [(1, 20), (8, 20), (15, 20)]]),
    ),
    (  # 2
        (3, [[(1, 5), (1, 0), (13, -2), (13, 8), (7, 14), (0, 20), (0, 20), (7, 19), (14, 20)]]),
        (3, [[(1, 4), (5, -1), (14, 0), (12, 9), (8, 20), (0, 21), (-1, 15), (5, 15), (9, 20), (15, 19)]]),
        (1, [[(0, 2), (9, -2), (15, 3), (8, 13), (0, 20), (0, 20), (15, 18)]]),
    ),
    (  # 3
        (3, [[(1, 2), (5, -1), (13, 0), (12, 8), (5, 9), (5, 9), (14, 9), (14, 20), (5, 21), (0, 18)]]),
        (2, [[(0, 3), (7, -2), (14, 3), (8, 9), (4, 9), (10, 9), (15, 14), (9, 21), (0, 19)]]),
        (1, [[(0, 1), (12, 0), (12, 0), (6, 8), (6, 8), (14, 9), (13, 20), (4, 21), (0, 18)]]),
    ),
    (  # 4
        (3, [[(2, 0), (0, 6), (0, 11), (7, 11), (13, 10)], [(12, 0), (11, 10), (10, 20)]]),
        (2, [[(9, 0), (5, 6), (0, 13), (0, 13), (14, 13)], [(9, 0), (9, 10), (9, 20)]]),
        (2, [[(1, 1), (-1, 12), (8, 11), (12, 6), (12, 0), (12, 0), (11, 10), (11, 20)]]),
    ),
    (  # 5
        (3, [[(13, 0), (3, 0), (3, 0), (2, 8), (2, 8), (10, 6), (15, 13), (11, 21), (4, 21), (0, 18)]]),
        (2, [[(3, 1), (2, 8), (2, 8), (12, 7), (14, 15), (10, 21), (0, 19)], [(3, 1), (8, 1), (14, 0)]]),
        (2, [[(14, 0), (6, 0), (2, 3), (3, 8), (12, 10), (12, 19), (4, 21), (0, 19)]]),
    ),
    (  # 6
        (3, [[(10, 0), (3, 4), (-2, 15), (3, 21), (12, 20), (12, 11), (4, 10), (1, 16)]]),
        (2, [[(6, 0), (1, 8), (0, 18), (5, 21), (11, 19), (10, 13), (4, 13), (1, 17)]]),
        (1, [[(12, 1), (4, 1), (-1, 12), (2, 22), (13, 20), (12, 9), (3, 10), (2, 15)]]),
    ),
    (  # 7
        (4, [[(0, 2), (6, 1), (13, 0), (13, 0), (8, 10), (5, 20)]]),
        (2, [[(0, 4), (1, 0), (1, 0), (14, 1), (14, 1), (7, 10), (6, 20)]]),
        (1, [[(0, 1), (13, 0), (13, 0), (8, 10), (5, 20)], [(4, 11), (8, 11), (13, 10)]]),
    ),
    (  # 8
        (3, [[(12, 2), (7, -2), (0, 1), (1, 7), (13, 12), (12, 21), (0, 21), (0, 13), (12, 7), (12, 1)]]),
        (
            2,
            [
                [(7, 0), (0, 0), (0, 9), (12, 9), (12, 0), (7, 0)],
                [(7, 9), (-2, 9), (-1, 20), (14, 21), (14, 9), (7, 9)],
            ],
        ),
    ),
    (  # 9
        (3, [[(12, 3), (9, -1), (0, 0), (-1, 10), (8, 11), (12, 2), (12, 2), (11, 11), (11, 20)]]),
        (2, [[(11, 2), (5, -2), (-1, 4), (3, 12), (12, 8), (12, 1), (12, 1), (14, 15), (9, 22), (2, 19)]]),
        (2, [[(12, 1), (5, 0), (0, 5), (5, 10), (12, 6), (12, 1), (12, 1), (9, 12), (6, 20)]]),
    ),
)


class _Glyph(NamedTuple):
    """One way to write a digit: points (K, 2), and both ends of the pieces as weights of them (PIECES, K)."""

    points: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class _Hand(NamedTuple):
    """How each of n images is written; wobble is (n, 2, K), the others are (n, 1)."""

    wobble: np.ndarray
    wide: np.ndarray
    slant: np.ndarray
    turn: np.ndarray
    bend_x: np.ndarray
    bend_y: np.ndarray
    pen: np.ndarray


@checked(n_train=whole(1), n_test=whole(1), seed=checks.seed)
def load_strokes(n_train=60_000, n_test=10_000, seed=0):
    """Draw digits for training and, independently of them, for testing.

    Parameters
    ----------
    n_train, n_test : int
        Numbers of images.
    seed : int, at least 0

    Returns
    -------
    Dataset
        Images (N, 28, 28, 1), classes 0 to 9.

    Raises
    ------
    ValueError
        As `make_strokes`.
    """
    x_train, y_train = make_strokes(n_train, seed)
    x_test, y_test = make_strokes(n_test, seed, stream="test")
    return Dataset(
        x_train=as_images(x_train),
        y_train=y_train.astype(np.int64),
        x_test=as_images(x_test),
        y_test=y_test.astype(np.int64),
        class_names=DIGITS,
        source=f"strokes, seed {seed}, {n_train} + {n_test} digits drawn by scratchadv (not MNIST)",
    )


@checked(n=whole(1), seed=checks.seed, stream=one_of(*STREAMS))
def make_strokes(n, seed=0, *, stream="train"):
    """Draw n digits; the first m of them do not depend on n.

    Parameters
    ----------
    n : int, at least 1
        Number of images.
    seed : int, at least 0
    stream : {"train", "test"}
        Which of the two independent streams of images of that seed.

    Returns
    -------
    images : ndarray, (n, 28, 28), uint8
        White digits on black.
    labels : ndarray, (n,), uint8
        0 to 9, drawn uniformly.

    Raises
    ------
    ValueError
        If `n` or `seed` is too small, or there is no such stream.
    TypeError
        If `n` or `seed` is not an integer.
    """
    images, labels = np.empty((n, SIZE, SIZE), np.uint8), np.empty(n, np.uint8)
    for start in progress(range(0, n, CHUNK), "drawing digits"):
        chunk = slice(start, min(start + CHUNK, n))
        x, y = _draw_chunk(seed, stream, start // CHUNK)
        images[chunk], labels[chunk] = x[: n - start], y[: n - start]
    return images, labels


def _draw_chunk(seed, stream, i):
    """The i-th CHUNK of images and labels, from a generator of its own: it depends on no other chunk."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(STREAMS[stream], i))))
    labels = (10 * rng.random(CHUNK)).astype(np.uint8)
    ways = rng.random(CHUNK)
    hand = _draw_hand(rng, CHUNK)
    images = np.empty((CHUNK, SIZE, SIZE), np.uint8)
    for digit, low, high, glyph in _glyphs():
        which = np.flatnonzero((labels == digit) & (low <= ways) & (ways < high))
        images[which] = _render(*_fit(*_write(glyph, _Hand(*(part[which] for part in hand)))))
    return images, labels


def _draw_hand(rng, n):
    # Tuned by eye, and so that 0 against 1 is about as hard for a linear model as on MNIST: easy without an
    # attack, lost under an l-infinity attack of eps = 0.2, and nearly but not quite won by robust training.
    wide, slant, turn, bend_x, bend_y = _bell(rng, 5, n, 1)
    return _Hand(
        wobble=2.5 * _bell(rng, n, 2, max(len(glyph.points) for *_, glyph in _glyphs())),
        wide=1 + 0.32 * wide,
        slant=0.25 + 0.48 * slant,
        turn=0.3 * turn,
        bend_x=0.04 * bend_x,
        bend_y=0.04 * bend_y,
        pen=1.85 + 2.15 * rng.random((n, 1)),
    )


def _bell(rng, *shape):
    """Bell-shaped in [-2, 2], of variance 1/3: four uniform numbers, added in this order."""
    a, b, c, d = rng.random((4, *shape))
    return a + b + c + d - 2


def _write(glyph, hand):
    """Both ends of the pieces, each (2, n, PIECES), and the pen's radius (n, 1), in the glyph's units."""
    x, y = np.moveaxis(glyph.points.T + hand.wobble[:, :, : len(glyph.points)], 1, 0)
    points = np.stack([hand.wide * x - hand.slant * y + hand.bend_x * y * y, y + hand.turn * x + hand.bend_y * x * x])
    points = np.rint(points * GRID) / GRID  # so that no product below is ever rounded
    # A narrow digit is written with a finer pen, else its loops fill.
    return points @ glyph.starts.T, points @ glyph.ends.T, hand.pen * np.minimum(hand.wide, 1)


def _fit(starts, ends, pen):
    """Places of the pieces (2, n, PIECES), STEPS to a pixel, their ink (n, PIECES), and the brush (n, 1)."""
    low = np.minimum(starts, ends).min(axis=2, keepdims=True)
    high = np.maximum(starts, ends).max(axis=2, keepdims=True)
    scale = BOX / (np.maximum(*(high - low)) + 1.5 * pen)  # about 3/4 of the radius can be seen, on either side
    brush = np.rint((pen * scale - RADII[0]) * 10).clip(0, len(RADII) - 1).astype(np.int64)
    dx, dy = (ends - starts) * scale
    ink = np.minimum(np.rint(np.sqrt(dx * dx + dy * dy) * INK), LEVELS)
    places = np.rint((starts + ends - (low + high)) * scale * (STEPS / 2))
    mass = np.rint((places * ink).sum(axis=2, keepdims=True) / ink.sum(axis=1, keepdims=True))
    places += SIZE * STEPS // 2 - mass.clip(-MARGIN * STEPS, MARGIN * STEPS)
    return places.astype(np.int64), ink.astype(np.float32), brush


def _render(places, ink, brush):
    """Images (n, 28, 28): around its place, a piece leaves ink times the brush along x times that along y."""
    x, y = _brushes()[brush, places]
    pixels = (y * ink[:, :, None]).transpose(0, 2, 1) @ x
    return np.minimum(pixels / FULL, 255).astype(np.uint8)


@cache
def _brushes():
    """What a brush leaves in a row of pixels: levels 0 to LEVELS, (brush, its place, SIZE)."""
    places, pixels = np.arange(SIZE * STEPS)[:, None] / STEPS, np.arange(SIZE) + 0.5
    d = (pixels - places) / RADII[:, None, None]
    bump = np.maximum(1 - d * d, 0)
    bump = bump * bump
    return np.rint(LEVELS * bump * bump).astype(np.float32)


@cache
def _glyphs():
    """All glyphs as (digit, low, high, glyph): it is used where a uniform number falls into [low, high)."""
    glyphs = []
    for digit, ways in enumerate(GLYPHS):
        bounds = np.cumsum([0] + [share for share, _ in ways]) / sum(share for share, _ in ways)
        glyphs += [(digit, *bounds[i : i + 2], _glyph(strokes)) for i, (_, strokes) in enumerate(ways)]
    return glyphs


def _glyph(strokes):
    # Points written alike are one point, so that corners stay sharp and joints stay joined.
    names = sorted({point for stroke in strokes for point in stroke})
    points = np.array(names, dtype=np.float64) - MIDDLE
    traces = [_trace([names.index(point) for point in stroke], len(names)) for stroke in strokes]
    ways = [_way(trace @ points) for trace in traces]
    counts = [PIECES * int(way[-1]) // sum(int(way[-1]) for way in ways) for way in ways]
    counts[0] += PIECES - sum(counts)
    cuts = [
        trace[np.searchsorted(way, way[-1] * np.arange(count + 1) // count)]
        for trace, way, count in zip(traces, ways, counts, strict=True)
    ]
    return _Glyph(points, np.concatenate([cut[:-1] for cut in cuts]), np.concatenate([cut[1:] for cut in cuts]))


def _trace(stroke, n_points):
    """Where the pen is, as weights (steps, n_points) of the control points: exact multiples of 1/2048."""
    stroke = [stroke[0], *stroke, stroke[-1]]
    t = np.arange(TURN + 1) / TURN
    weights = np.stack([(1 - t) * (1 - t) / 2, 0.5 + t * (1 - t), t * t / 2], axis=1)
    return np.concatenate([weights @ np.eye(n_points)[stroke[i : i + 3]] for i in range(len(stroke) - 2)])


def _way(trace):
    """How far the pen has come at each step (steps,), in whole thousandths, so that they add up exactly."""
    dx, dy = np.diff(trace, axis=0).T
    return np.concatenate([[0], np.cumsum(np.rint(1000 * np.sqrt(dx * dx + dy * dy)).astype(np.int64))])
