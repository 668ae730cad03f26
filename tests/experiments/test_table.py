"""Laws of tables: every cell and every setting is there, and files are whole or not there."""

import json
import os
import re
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.experiments.table import markdown, prepare, publish, write_json
from scratchadv.support import files
from scratchadv.support.files import write_text
from scratchadv.support.tables import escape

few = settings(max_examples=30, deadline=None)
cells = st.text("abcö≤‖δ 0.19–", max_size=8).map(str.strip)


def read(table):
    """The cells of a Markdown table, header first, without the rule."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


def test_golden_table():
    """A table of two columns and two rows, as it is typed by hand"""
    found = markdown("Title", {"data": "digits", "seed": 3}, ["what", "here"], [["error", "0.1"], ["a", "–"]])
    assert found == (
        "# Title\n\n- data: digits\n- seed: 3\n\n"
        "| what  | here |\n|-------|------|\n| error | 0.1  |\n| a     | –    |\n"
    )


@few
@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(cells, min_size=k, max_size=k), min_size=1, max_size=4)))
def test_every_cell_is_in_its_place_and_columns_are_straight(rows):
    """read(markdown(rows)) = rows, and all lines are equally long"""
    table = markdown("T", {}, rows[0], rows[1:])
    assert read(table) == rows
    assert len({len(line) for line in table.splitlines() if line.startswith("|")}) == 1


def rendered(table):
    """The title, the settings and the rows of cells that a reader of the page sees, by a parser of Markdown."""
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


# what borders of cells, ends of lines, HTML, entities and escapes are made of
hostile = st.lists(st.sampled_from([*"|\\<>&;#/!?ab1‖", "&lt;", "<b>", "\n", " "]), max_size=9).map("".join)
one_space = re.compile(r"[ \n]*\n[ \n]*|[ ]+")


def plain(text):
    """The text without the white space that no reader sees: at its ends, and more than one of its kind."""
    return one_space.sub(lambda found: "\n" if "\n" in found[0] else " ", text).strip()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3).flatmap(lambda k: st.lists(st.lists(hostile, min_size=k, max_size=k), min_size=1, max_size=3)))
def test_a_reader_of_the_page_sees_every_cell_as_it_was(rows):
    """rendered(markdown(rows)) = rows, whatever borders, ends of lines, HTML and backslashes are in them"""
    _, _, found = rendered(markdown("T", {}, rows[0], rows[1:]))
    assert [[plain(cell) for cell in row] for row in found] == [[plain(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_a_line_is_a_line_break_of_the_cell(end):
    """A cell of two lines stays one cell, wherever its text was typed"""
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
    """Everywhere in the table, names of attacks and models are text"""
    title, setting, rows = rendered(markdown(text, {text: 1, "is": text}, ["a", text], [[text, "b"]]))
    assert title == [text]
    assert setting == [f"{text}: 1", f"is: {text}"]
    assert rows == [["a", text], [text, "b"]]


@pytest.mark.parametrize("text", ["‖δ‖∞ ≤ 0.2", "x < 3", "A & B", "0.19 – 0.2", "fgsm_random_start", "> 90 %", "1 <2"])
def test_what_markdown_shows_as_it_is_stays_readable_in_a_terminal(text):
    """Nothing is escaped that need not be"""
    assert escape(text) == text


def test_a_row_of_another_length_is_refused():
    """Each row has as many cells as the header"""
    with pytest.raises((ValueError, IndexError)):
        markdown("T", {}, ["a", "b"], [["1"]])
    with pytest.raises(ValueError, match="zip"):
        markdown("T", {}, ["a", "b"], [["1", "2", "3"]])


def test_text_reads_back_in_utf_8(tmp_path):
    """The bytes are the text's in UTF-8, and no other file is left"""
    path = tmp_path / "table.md"
    for text in ("‖δ‖∞ ≤ 0.2\n", "shorter\n"):
        write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert list(tmp_path.iterdir()) == [path]


def test_json_reads_back(tmp_path):
    """json.loads(file) is the result, floats to the last bit, letters as they are"""
    result = {"ε": 0.1 + 0.2, "n": [1, 2.5e-17], "separable": False, "s": "‖δ‖"}
    write_json(tmp_path / "result.json", result)
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text) == result
    assert "‖δ‖" in text


@pytest.mark.parametrize("old", [None, "the old text"])
def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(old, tmp_path, monkeypatch):
    """The file is the whole new text, or what it was before"""
    path = tmp_path / "table.md"
    if old:
        path.write_text(old)

    def break_off(number):
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", break_off)
    with pytest.raises(OSError, match="no space left"):
        write_text(path, "the new text")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == ([("table.md", old)] if old else [])


def test_a_result_that_is_no_json_leaves_no_file(tmp_path):
    """What JSON cannot say is an error before any file is opened"""
    with pytest.raises(TypeError):
        write_json(tmp_path / "result.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


# Before the work, and after it

RESULT = {"numbers": [1, 2]}


def published(out, report, table="| the table |\n", result=RESULT, figures=dict):
    publish(out, time.perf_counter(), table, result, figures, report)


def test_a_folder_is_made_and_left_empty(tmp_path):
    """prepare gives the folder, ε and the seed in Python's numbers; the folder is there, with nothing in it"""
    out, eps, seed = prepare(str(tmp_path / "a" / "b"), np.float32(0.5), np.int64(3))
    assert out == tmp_path / "a" / "b"
    assert list(out.iterdir()) == []
    assert (eps, seed) == (0.5, 3)
    assert (type(eps), type(seed)) == (float, int)
    assert prepare(out, 0.5, 3)[0] == out


@pytest.mark.parametrize("name", ["table.md", "result.json"])
def test_a_folder_whose_files_cannot_be_written_is_refused(name, tmp_path):
    """A folder in the place of a file is found before any work"""
    (tmp_path / name).mkdir()
    with pytest.raises(OSError, match=rf"{name} cannot be written: it is a folder"):
        prepare(tmp_path, 0.1, 0)


@pytest.mark.parametrize(("eps", "seed"), [(-1, 0), (float("nan"), 0), ("0.1", 0), (0.1, -1), (0.1, 0.5)])
def test_arguments_that_do_not_fit_are_refused_before_the_folder_is_made(eps, seed, tmp_path):
    """ε or the seed is named, and there is no folder"""
    with pytest.raises((ValueError, TypeError), match=r"eps|seed"):
        prepare(tmp_path / "new", eps, seed)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_written_is_reported_all_the_same(tmp_path, monkeypatch):
    """The disk is full, the folder has gone, the result is no JSON: the numbers are told, then the error is raised"""

    def full(number):
        raise OSError("no space left on device")

    cases = [(OSError, tmp_path, RESULT, full), (OSError, tmp_path / "gone", RESULT, None)]
    cases.append((TypeError, tmp_path, {"a": object()}, None))
    for error, out, result, fsync in cases:
        told = []
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync or os.fsync)
            with pytest.raises(error):
                published(out, told.append, result=result)
        assert told == ["| the table |\n"]


def test_a_table_that_cannot_be_reported_is_written_all_the_same(tmp_path):
    """The reader of the output has gone: table and numbers are in the folder"""

    def gone(line):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        published(tmp_path, gone)
    assert (tmp_path / "table.md").read_text() == "| the table |\n"
    assert json.loads((tmp_path / "result.json").read_text()) == RESULT
