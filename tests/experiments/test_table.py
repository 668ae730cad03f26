"""Laws of tables: every cell and every setting is visible to a reader of the page."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.experiments.table import MARKS, Published, Table, markdown, page
from scratchadv.support.tables import escape

few = settings(max_examples=30, deadline=None)
cells = st.text("abcö≤‖δ 0.19–", max_size=8).map(str.strip)


def read(table):
    """The cells of a Markdown table, header first, without the line of dashes."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def test_golden_table():
    """A table of two columns and two rows, as if typed by hand"""
    rows, notes = [["error", "0.1"], ["a", "–"]], {"data": "digits", "seed": 3}
    found = markdown(Table("Title", ["what", "here"], rows, notes))
    assert found == (
        "# Title\n\n- data: digits\n- seed: 3\n\n"
        "| what  | here |\n|-------|------|\n| error | 0.1  |\n| a     | –    |\n"
    )


@few
@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(cells, min_size=k, max_size=k), min_size=1, max_size=4)))
def test_every_cell_is_in_its_place_and_columns_are_straight(rows):
    """read(markdown(rows)) = rows, and all lines are equally long"""
    table = markdown(Table("T", rows[0], rows[1:]))
    assert read(table) == rows
    assert len({len(line) for line in table.splitlines() if line.startswith("|")}) == 1


def rendered(table):
    """The title, the settings and the rows of cells that a reader of the page sees, found by a parser of Markdown."""
    markdown_it = pytest.importorskip("markdown_it", reason="no parser of Markdown here")
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(table)
    seen, within = {"title": [], "setting": [], "row": []}, []
    for before, token in pairwise(tokens):
        if token.type == "tr_open":
            within.append([])
        if token.type == "inline":
            kind = {"heading_open": "title", "paragraph_open": "setting"}.get(before.type)
            (seen[kind] if kind else within[-1]).append(shown(token))
    assert not [token for token in tokens if token.type == "html_block"]
    return seen["title"], seen["setting"], within


def shown(token):
    """The text of one cell; its line breaks are the only HTML in it."""
    html = [child.content for child in token.children if child.type == "html_inline"]
    assert set(html) <= {"<br>"}
    return "".join({"html_inline": "\n", "softbreak": "\n"}.get(c.type, c.content) for c in token.children).strip()


# the characters of borders, line ends, HTML, entities and escapes
hostile = st.lists(st.sampled_from([*"|\\<>&;#/!?ab1‖", "&lt;", "<b>", "\n", " "]), max_size=9).map("".join)
one_space = re.compile(r"[ \n]*\n[ \n]*|[ ]+")


def plain(text):
    """The text without white space that no reader sees: at its ends, and repeated."""
    return one_space.sub(lambda found: "\n" if "\n" in found[0] else " ", text).strip()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3).flatmap(lambda k: st.lists(st.lists(hostile, min_size=k, max_size=k), min_size=1, max_size=3)))
def test_a_reader_of_the_page_sees_every_cell_as_it_was(rows):
    """rendered(markdown(rows)) = rows, even with borders, line ends, HTML and backslashes in the cells"""
    _, _, found = rendered(markdown(Table("T", rows[0], rows[1:])))
    assert [[plain(cell) for cell in row] for row in found] == [[plain(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_a_line_is_a_line_break_of_the_cell(end):
    """A cell with two lines stays one cell, wherever its text came from"""
    assert escape(f"a{end}b{end}{end}c") == "a<br>b<br><br>c"


EVIL = [
    "a | b",
    "<script>alert(1)</script>",
    "<b>&lt;</b>",
    "line\nline",
    "C:\\|x",
    "&copy; &#60; &",
    "x < 3 and y<z",
    "<!-- no comment -->",
    "\\",
]


@pytest.mark.parametrize("text", EVIL)
def test_title_setting_header_and_cells_are_shown_as_they_are(text):
    """Names of attacks and models are plain text everywhere in the table"""
    title, setting, rows = rendered(markdown(Table(text, ["a", text], [[text, "b"]], {text: 1, "is": text})))
    assert title == [text]
    assert setting == [f"{text}: 1", f"is: {text}"]
    assert rows == [["a", text], [text, "b"]]


@pytest.mark.parametrize("text", ["‖δ‖∞ ≤ 0.2", "x < 3", "A & B", "0.19 – 0.2", "fgsm_random_start", "> 90 %", "1 <2"])
def test_what_markdown_shows_as_it_is_stays_readable_in_a_terminal(text):
    """Nothing is escaped without need"""
    assert escape(text) == text


def test_a_row_of_another_length_is_refused():
    """Each row has as many cells as the header"""
    with pytest.raises((ValueError, IndexError)):
        markdown(Table("T", ["a", "b"], [["1"]]))
    with pytest.raises(ValueError, match="zip"):
        markdown(Table("T", ["a", "b"], [["1", "2", "3"]]))


def test_the_setting_stands_above_the_first_table_only():
    """page = the tables one after the other, with the setting and their notes above the first, and notes below"""
    first, second = Table("A", ["x"], [["1"]], {"note": "n"}), Table("B", ["y"], [["2"]], {"more": "m"})
    found = page({"data": "digits"}, [first, second], level=3)
    assert found == (
        "### A\n\n- data: digits\n- note: n\n\n| x |\n|---|\n| 1 |\n\n### B\n\n- more: m\n\n| y |\n|---|\n| 2 |\n"
    )
    assert first.notes == {"note": "n"}


def test_a_published_number_says_how_it_is_known():
    """The mark stands in brackets; there are four marks"""
    assert [Published("97 %", mark).marked for mark in MARKS] == [f"97 % ({mark})" for mark in MARKS]
    assert MARKS == ("seen", "abstract", "quoted", "recalled")
