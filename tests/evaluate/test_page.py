"""Laws of the page: it is complete, needs no other file, and draws the numbers that it is given."""

import re
from html.parser import HTMLParser
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import image

from scratchadv.evaluate import page

VOID = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Return the tags of a page, its text, and whether every opened element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def fetched(text):
    """Return what a browser would fetch from elsewhere for the page."""
    named = [
        value for _, attrs in Reader(text).tags for key, value in attrs.items() if key in ("src", "href", "srcset")
    ]
    return [a for a in named if not a.startswith("data:")] + re.findall(r"url\(|@import|https?:|<script|<link", text)


def test_the_helper_finds_what_is_fetched():
    """An image, a style sheet, a font, a script and an address are found; data in the page is not"""
    for part in ('<img src="a.png">', "<style>@import 'a.css'</style>", "<style>a { src: url(b) }</style>"):
        assert fetched(part)
    assert fetched("<p>https://example.org</p>")
    assert fetched("<script></script>")
    assert fetched('<img src="data:image/png;base64,AA==">') == []


def test_a_page_is_whole_and_alone():
    """Every element is closed, nothing is fetched, there are colours for light and dark, text is escaped"""
    parts = page.table(["a", "b<c"], [["1", "x & y"]]), page.curve([0, 1], [0.5, 1], "up", "x")
    text = page.page("<Title>", *parts, page.picture(np.zeros((2, 2, 1)), '"quoted"'))
    found = Reader(text)
    assert fetched(text) == []
    assert text.startswith("<!DOCTYPE html>")
    assert "prefers-color-scheme: dark" in text
    assert [t for t in found.text if "<" in t or "&" in t] == ["<Title>", "<Title>", "b<c", "x & y"]
    assert dict(found.tags)["img"]["alt"] == '"quoted"'


@pytest.mark.parametrize("shape", [(5, 3, 1), (4, 7, 3), (1, 1, 1)])
def test_a_picture_reads_back(shape):
    """png(image) = image clipped to [0, 1], in 255 steps"""
    pixels = np.random.default_rng(0).uniform(-0.2, 1.2, shape)
    read = image.imread(BytesIO(page.png(pixels)), format="png")
    expected = np.rint(np.clip(pixels, 0, 1) * 255) / 255
    np.testing.assert_allclose(read[..., :3], np.broadcast_to(expected, (*shape[:2], 3)), atol=1e-6)


def drawn(figure):
    """The drawing of a curve as a tree."""
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", figure, re.DOTALL)[0])


def test_a_curve_passes_through_its_points():
    """Positions are linear in the numbers, from the axis at 0 to the highest tick; each point shows its numbers"""
    x, y = [0.0, 0.1, 0.3], [1.0, 0.5, 0.25]
    tree = drawn(page.curve(x, y, "accuracy", "eps", top=1, percent=True, mark=0.1))
    points = np.array([[float(c.get("cx")), float(c.get("cy"))] for c in tree.iter("circle")])
    left, right = page.LEFT, page.WIDTH - page.RIGHT
    low, high = page.HEIGHT - page.BOTTOM, page.TOP
    np.testing.assert_allclose(points[:, 0], left + (right - left) * np.array(x) / 0.3, atol=0.01)
    np.testing.assert_allclose(points[:, 1], low + (high - low) * np.array(y), atol=0.01)
    assert [c.findtext("title") for c in tree.iter("circle")] == ["0: 100.00%", "0.1: 50.00%", "0.3: 25.00%"]
    line = [[float(v) for v in pair.split(",")] for pair in tree.find("polyline").get("points").split()]
    np.testing.assert_array_equal(line, points)
    (mark,) = [float(e.get("x1")) for e in tree.iter("line") if e.get("class") == "mark"]
    assert mark == points[1, 0]
    words = [e.text for e in tree.iter("text")]
    assert {"0%", "100%", "0.1", "eps", "eps = 0.1"} <= set(words)


def test_points_that_are_not_finite_are_left_out():
    """Losses of NaN or infinity do not spoil the drawing; a curve with one point or none is drawn, too"""
    tree = drawn(page.curve([0, 1, 2, 3], [1.0, np.nan, np.inf, 2.0], "loss", "step"))
    assert len(tree.findall("circle")) == 2
    assert "nan" not in ElementTree.tostring(tree, encoding="unicode")
    assert len(drawn(page.curve([0], [0.5], "one", "x")).findall("circle")) == 1
    assert len(drawn(page.curve([0, 1], [np.nan, np.nan], "none", "x")).findall("circle")) == 0


@given(st.floats(1e-6, 1e6))
def test_ticks_are_few_and_cover_the_axis(top):
    """0 = first, last >= top > last but one, and 3 to 6 ticks at equal distances"""
    ticks = page.ticks(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top * (1 - 1e-6)
    assert ticks[-2] < top
    assert 3 <= len(ticks) <= 6
    np.testing.assert_allclose(np.diff(ticks), ticks[1], rtol=1e-6)


@pytest.mark.parametrize(("top", "ticks"), [(1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (40, [0, 10, 20, 30, 40]), (0, [0, 1])])
def test_golden_ticks(top, ticks):
    """Fifths, tens, and an axis without values"""
    assert page.ticks(top) == ticks
