"""Laws of the folder of results: it is checked before any work, and its files are complete or missing."""

import json
import os
import time

import numpy as np
import pytest

from scratchadv.experiments.results import prepare, publish, read_json, write_json
from scratchadv.support import files
from scratchadv.support.files import write_text


def test_text_reads_back_in_utf_8(tmp_path):
    """The bytes are those of the text in UTF-8, and no other file is left"""
    path = tmp_path / "table.md"
    for text in ("‖δ‖∞ ≤ 0.2\n", "shorter\n"):
        write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert list(tmp_path.iterdir()) == [path]


def test_json_reads_back(tmp_path):
    """json.loads(file) is the result, with floats exact to the last bit and letters unchanged"""
    result = {"ε": 0.1 + 0.2, "n": [1, 2.5e-17], "separable": False, "s": "‖δ‖"}
    write_json(tmp_path / "result.json", result)
    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text) == read_json(tmp_path / "result.json") == result
    assert "‖δ‖" in text


@pytest.mark.parametrize("old", [None, "the old text"])
def test_a_write_that_breaks_off_leaves_the_old_file_and_no_other(old, tmp_path, monkeypatch):
    """The file contains the whole new text, or what it contained before"""
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
    """What JSON cannot express is an error before any file is opened"""
    with pytest.raises(TypeError):
        write_json(tmp_path / "result.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


# Before the work and after it

RESULT = {"numbers": [1, 2]}


def published(out, report, table="| the table |\n", result=RESULT, figures=dict):
    publish(out, time.perf_counter(), table, result, figures, report)


def test_a_folder_is_made_and_left_empty(tmp_path):
    """prepare returns the folder, ε and the seed as Python's numbers; the folder exists and is empty"""
    out, eps, seed = prepare(str(tmp_path / "a" / "b"), np.float32(0.5), np.int64(3))
    assert out == tmp_path / "a" / "b"
    assert list(out.iterdir()) == []
    assert (eps, seed) == (0.5, 3)
    assert (type(eps), type(seed)) == (float, int)
    assert prepare(out, 0.5, 3)[0] == out


@pytest.mark.parametrize("name", ["table.md", "result.json"])
def test_a_folder_whose_files_cannot_be_written_is_refused(name, tmp_path):
    """A folder with the name of a file is found before any work"""
    (tmp_path / name).mkdir()
    with pytest.raises(OSError, match=rf"{name} cannot be written: it is a folder"):
        prepare(tmp_path, 0.1, 0)


@pytest.mark.parametrize(("eps", "seed"), [(-1, 0), (float("nan"), 0), ("0.1", 0), (0.1, -1), (0.1, 0.5)])
def test_arguments_that_do_not_fit_are_refused_before_the_folder_is_made(eps, seed, tmp_path):
    """The message names ε or the seed, and no folder is made"""
    with pytest.raises((ValueError, TypeError), match=r"eps|seed"):
        prepare(tmp_path / "new", eps, seed)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_written_is_reported_all_the_same(tmp_path, monkeypatch):
    """If the disk is full, the folder gone or the result not JSON, the numbers are reported and the error is raised"""

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
    """If nobody reads the output any more, table and numbers are in the folder all the same"""

    def gone(line):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        published(tmp_path, gone)
    assert (tmp_path / "table.md").read_text() == "| the table |\n"
    assert json.loads((tmp_path / "result.json").read_text()) == RESULT
