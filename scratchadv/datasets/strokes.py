"""Strokes: digits that look handwritten, drawn from a seed, with the same bits on every machine.

A glyph consists of a few strokes, and a stroke is a list of points at which the pen aims. The pen follows a chain of
parabolas (a quadratic B-spline): halfway to one point it turns towards the next, and a point written twice makes a
corner. To write a digit, we move the points a little, stretch, slant, turn and bend the glyph, run the pen along it,
and fit the drawing into the 20 x 20 box of MNIST, centred by mass.

The bits are the same everywhere because

- all randomness comes from the uniform numbers of PCG64;
- floats are combined only by elementwise ``+ - * / sqrt``, which IEEE rounds exactly, whereas exp, sin and sums of
  floats depend on the machine;
- every sum, also inside a matrix product, is a sum of integers or of multiples of a power of two, small enough to be
  exact in any order.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .. import checks
from ..checked import checked, one_of, whole
from ..support.progress import progress
from .dataset import DIGITS, Dataset, as_images

SIZE = 28  # the side of an image, in pixels
BOX = 20  # the side of the box that a digit is fitted into, in pixels
MARGIN = 2.5  # how far centring by mass may move the box, in pixels: the outermost pixels stay black
PIECES = 64  # the number of straight pieces of which a glyph is drawn
LEVELS = 63  # the most levels of a brush, and of the ink of a piece: PIECES * LEVELS**3 < 2**24, exact in float32
INK = 60  # levels of ink per pixel of the pen's path: all but the thinnest pens draw a white line
FULL = 1024  # how many products of levels make one grey value: a power of two
CHUNK = 500  # the number of images drawn from one generator
STREAMS = {"train": 0, "test": 1}

RADII = 1.6 + np.arange(24) / 10  # the radii of the brushes, in pixels; the ink fades out towards the radius
STEPS = 16  # positions of a brush per pixel
TURN = 32  # steps in which a parabola is traced
GRID = 256  # control points are multiples of 1 / GRID units
MIDDLE = (6, 10)  # the centre of the glyphs below

# For each digit the ways to write it: (relative frequency, strokes).
# x runs to the right and y downwards; a glyph is about 20 units high.
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
    """One way to write a digit: the points (K, 2), and the ends of each piece as weights of the points (PIECES, K)."""

    points: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class _Hand(NamedTuple):
    """How each of n images is written: ``wobble`` has shape (n, 2, K), all other fields (n, 1)."""

    wobble: np.ndarray
    wide: np.ndarray
    slant: np.ndarray
    turn: np.ndarray
    bend_x: np.ndarray
    bend_y: np.ndarray
    pen: np.ndarray


@checked(n_train=whole(1), n_test=whole(1), seed=checks.seed)
def load_strokes(n_train=60_000, n_test=10_000, seed=0):
    """Draw digits for training and, independently, for testing.

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
        If a number of images or the seed is too small.
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
    """Draw n digits; the first m digits are the same for every n ≥ m.

    Parameters
    ----------
    n : int, at least 1
        Number of images.
    seed : int, at least 0
    stream : {"train", "test"}
        Which of the two independent streams of images the seed starts.

    Returns
    -------
    images : ndarray, (n, 28, 28), uint8
        White digits on black.
    labels : ndarray, (n,), uint8
        The digits 0 to 9, drawn uniformly.

    Raises
    ------
    ValueError
        If `n` or `seed` is too small, or there is no such stream.
    TypeError
        If `n` or `seed` is not an integer.
    """
    images = np.empty((n, SIZE, SIZE), np.uint8)
    labels = np.empty(n, np.uint8)
    for start in progress(range(0, n, CHUNK), "drawing digits"):
        chunk = slice(start, min(start + CHUNK, n))
        x, y = _draw_chunk(seed, stream, start // CHUNK)
        images[chunk] = x[: n - start]
        labels[chunk] = y[: n - start]
    return images, labels


def _draw_chunk(seed, stream, i):
    """Draw the i-th CHUNK of images and labels from its own generator, independently of the other chunks."""
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
    # Tuned by eye, and so that telling 0 from 1 is about as hard for a linear model as on MNIST: easy without an
    # attack, hopeless under an l-infinity attack with eps = 0.2, and nearly, but not quite, solved by robust training.
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
    """Draw numbers in [-2, 2] with a bell-shaped density and variance 1/3: four uniform ones added in this order."""
    a, b, c, d = rng.random((4, *shape))
    return a + b + c + d - 2


def _write(glyph, hand):
    """Return both ends of the pieces, each (2, n, PIECES), and the radius of the pen (n, 1), in the glyph's units."""
    x, y = np.moveaxis(glyph.points.T + hand.wobble[:, :, : len(glyph.points)], 1, 0)
    points = np.stack([hand.wide * x - hand.slant * y + hand.bend_x * y * y, y + hand.turn * x + hand.bend_y * x * x])
    points = np.rint(points * GRID) / GRID  # so that no product below is ever rounded
    # A narrow digit is written with a finer pen, or else its loops would fill.
    return points @ glyph.starts.T, points @ glyph.ends.T, hand.pen * np.minimum(hand.wide, 1)


def _fit(starts, ends, pen):
    """Return the places of the pieces (2, n, PIECES) in 1/STEPS pixels, their ink (n, PIECES) and the brush (n, 1)."""
    low = np.minimum(starts, ends).min(axis=2, keepdims=True)
    high = np.maximum(starts, ends).max(axis=2, keepdims=True)
    scale = BOX / (np.maximum(*(high - low)) + 1.5 * pen)  # about 3/4 of the radius is visible on either side
    brush = np.rint((pen * scale - RADII[0]) * 10).clip(0, len(RADII) - 1).astype(np.int64)
    dx, dy = (ends - starts) * scale
    ink = np.minimum(np.rint(np.sqrt(dx * dx + dy * dy) * INK), LEVELS)
    places = np.rint((starts + ends - (low + high)) * scale * (STEPS / 2))
    mass = np.rint((places * ink).sum(axis=2, keepdims=True) / ink.sum(axis=1, keepdims=True))
    places += SIZE * STEPS // 2 - mass.clip(-MARGIN * STEPS, MARGIN * STEPS)
    return places.astype(np.int64), ink.astype(np.float32), brush


def _render(places, ink, brush):
    """Return images (n, 28, 28), in which a piece leaves its ink times the brush along x times the brush along y."""
    x, y = _brushes()[brush, places]
    pixels = (y * ink[:, :, None]).transpose(0, 2, 1) @ x
    return np.minimum(pixels / FULL, 255).astype(np.uint8)


@cache
def _brushes():
    """Return the levels 0 to LEVELS that a brush leaves in a row of pixels, (brushes, places of the brush, SIZE)."""
    places = np.arange(SIZE * STEPS)[:, None] / STEPS
    pixels = np.arange(SIZE) + 0.5
    d = (pixels - places) / RADII[:, None, None]
    bump = np.maximum(1 - d * d, 0)
    bump = bump * bump
    return np.rint(LEVELS * bump * bump).astype(np.float32)


@cache
def _glyphs():
    """Return all glyphs as (digit, low, high, glyph), used where a uniform number falls into [low, high)."""
    glyphs = []
    for digit, ways in enumerate(GLYPHS):
        bounds = np.cumsum([0] + [share for share, _ in ways]) / sum(share for share, _ in ways)
        glyphs += [(digit, *bounds[i : i + 2], _glyph(strokes)) for i, (_, strokes) in enumerate(ways)]
    return glyphs


def _glyph(strokes):
    # Equal points are one point, so that corners stay sharp and joints stay joined.
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
    """Return the path of the pen as weights (steps, n_points) of the control points: exact multiples of 1/2048."""
    stroke = [stroke[0], *stroke, stroke[-1]]
    t = np.arange(TURN + 1) / TURN
    weights = np.stack([(1 - t) * (1 - t) / 2, 0.5 + t * (1 - t), t * t / 2], axis=1)
    return np.concatenate([weights @ np.eye(n_points)[stroke[i : i + 3]] for i in range(len(stroke) - 2)])


def _way(trace):
    """Return the distance travelled at each step (steps,), in whole thousandths, so that sums are exact."""
    dx, dy = np.diff(trace, axis=0).T
    return np.concatenate([[0], np.cumsum(np.rint(1000 * np.sqrt(dx * dx + dy * dy)).astype(np.int64))])
