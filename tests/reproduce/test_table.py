"""Laws of tables: every cell and every setting is there, and files are whole or not there."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv import files
from scratchadv.files import write_text
from scratchadv.reproduce.table import markdown, write_json

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
