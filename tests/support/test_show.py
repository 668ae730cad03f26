"""What a lecture shows in a plain script: source that runs, tables, and pictures as files."""

import ast

from scratchadv.attacks import fgsm
from scratchadv.sets import L2, Linf
from scratchadv.support import plots, show


def test_shown_source_is_python(capsys):
    """Functions and methods are shown with their common indentation removed."""
    show.source(fgsm, Linf.project, L2)
    shown = capsys.readouterr().out
    assert [node.name for node in ast.parse(shown).body] == ["fgsm", "project", "L2"]
    assert "Parameters" not in shown
    assert "Examples" not in shown
    assert "Source:" in shown
    assert "return" in shown


def test_a_table_is_markdown(capsys):
    """A table has a header, a rule and one line for each row; numbers are printed as they are."""
    show.table(["a", "b"], [["x", 1]])
    assert capsys.readouterr().out.split() == ["|", "a", "|", "b", "|", "|---|---|", "|", "x", "|", "1", "|"]


def test_a_figure_is_written_and_described(tmp_path, monkeypatch, capsys):
    """A figure is written to results/lectures/NAME.png below the folder where the script runs."""
    monkeypatch.chdir(tmp_path)
    figure, _ = plots.figure_with_axes()
    show.figure(figure, "name", "an empty frame")
    assert (tmp_path / "results/lectures/name.png").read_bytes().startswith(b"\x89PNG")
    assert "an empty frame" in capsys.readouterr().out
