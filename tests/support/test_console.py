"""Laws of text output: whatever the encoding of the output, only single letters are lost."""

import io
import os
import subprocess
import sys
from functools import cache

import pytest

from scratchadv.support import console, show

TEXT = "‖δ‖∞ ≤ ε, ℓ₂, “Carlini–Wagner”, ✓ é \udcff"
ENCODINGS = ["ascii", "cp1252", "latin-1", "cp437", "shift_jis", "utf-8", "utf-16"]


def printed(encoding, monkeypatch, write):
    """What a strict output with this encoding receives, decoded."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    write()
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_an_encoding_has_is_printed_and_the_rest_is_a_question_mark(encoding, monkeypatch):
    """say(text) prints the text with ? for each letter that cannot be encoded"""
    expected = TEXT.encode(encoding, "replace").decode(encoding)
    assert printed(encoding, monkeypatch, lambda: console.say(TEXT)) == expected + "\n"
    assert ("δ" in expected) == encoding.startswith("utf") or encoding in ("cp437", "shift_jis")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stream_is_made_to_replace_and_keeps_its_encoding(encoding, monkeypatch):
    """After replace_what_cannot_be_written, print does what say does"""

    def write():
        console.replace_what_cannot_be_written(sys.stdout)
        assert sys.stdout.encoding == encoding
        print(TEXT)

    found = printed(encoding, monkeypatch, write)
    assert found == printed(encoding, monkeypatch, lambda: console.say(TEXT))


def test_streams_that_have_no_encoding_are_left_alone(monkeypatch, capsys):
    """A notebook's stream, a StringIO or no stream at all is treated as by print"""
    for stream in (io.StringIO(), None):
        console.replace_what_cannot_be_written(stream)
        monkeypatch.setattr(sys, "stdout", stream)
        console.say("δ")
        assert stream is None or stream.getvalue() == "δ\n"


def test_what_a_lecture_shows_is_shown_in_any_encoding(monkeypatch):
    """Tables and sources with Greek letters in a script whose output is ASCII"""
    table = printed("ascii", monkeypatch, lambda: show.table(["ε", "error"], [["0.1", "‖δ‖"]]))
    assert [line.count("|") for line in table.splitlines() if line] == [3, 3, 3]
    source = printed("ascii", monkeypatch, lambda: show.source(test_streams_that_have_no_encoding_are_left_alone))
    assert 'console.say("?")' in source


COMMANDS = {
    "help": ("--help",),
    "help of an experiment": ("reproduce", "transformation", "--help"),
    "an error": ("reproduce", "linear", "--eps", "-1"),
    "an error in Greek": ("reproduce", "linear", "--data", "ε"),
}


@cache
def run(command, encoding):
    """Run the command in its own process, whose streams have this encoding."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "100"}
    return subprocess.run([sys.executable, "-m", "scratchadv", *command], capture_output=True, env=environment)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_command_ends_the_same_in_any_encoding(command, encoding):
    """The exit status is the same, the text too except for replaced letters, and there is no traceback"""
    found, expected = run(command, encoding), run(command, "utf-8")
    assert found.returncode == expected.returncode
    assert b"Traceback" not in found.stderr
    assert found.stdout.decode(encoding) == expected.stdout.decode().encode(encoding, "replace").decode(encoding)
