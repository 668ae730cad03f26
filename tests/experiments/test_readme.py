"""Laws of the READMEs: between their markers they show what the stored results say."""

import pytest

from scratchadv import experiments
from scratchadv.experiments import readme
from scratchadv.experiments.results import write_json

STORED = [name for name in experiments.NAMES if readme.stored(name)]


def text_of(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_experiment_has_a_readme_with_its_command_and_a_result(name):
    """A title, the command, and something between the markers"""
    text = text_of(readme.HERE / name / "README.md")
    assert text.startswith("# ")
    assert f"`scratchadv reproduce {name}" in text
    assert (readme.shown(text, name) or "").strip()
    assert text.count(": begin -->") == text.count(": end -->") == 1


@pytest.mark.parametrize("name", STORED)
def test_the_table_in_the_readme_is_that_of_the_stored_result(name):
    """shown(README) = the tables of result.json; otherwise run ``python -m scratchadv.experiments.readme``"""
    result = readme.stored(name)
    assert result["experiment"] == name
    assert readme.shown(text_of(readme.HERE / name / "README.md"), name) == readme.block(name, result)


def test_the_linear_result_is_stored():
    """The tables that the front page shows"""
    assert "linear" in STORED


@pytest.mark.skipif(readme.shown(text_of(readme.FRONT), "linear") is None, reason="no markers on the front page")
def test_the_front_page_shows_six_rows_of_the_stored_linear_result():
    """shown(README) = the six errors of result.json"""
    assert readme.shown(text_of(readme.FRONT), "linear") == readme.front_block(readme.stored("linear"))


PAGE = "# T\n\n<!-- scratchadv reproduce linear: begin -->\nold\n<!-- scratchadv reproduce linear: end -->\n\nmore\n"


def test_only_what_is_between_the_markers_is_changed():
    """filled(text) keeps the text around the tables, filling twice is filling once, and shown returns the new tables"""
    new = readme.filled(PAGE, "linear", "| a |\n")
    assert new == PAGE.replace("old\n", "| a |\n")
    assert readme.filled(new, "linear", "| a |\n") == new
    assert readme.shown(new, "linear") == "| a |\n"


def test_a_page_without_markers_is_refused():
    """Markers of another experiment are not enough, and neither is one marker alone"""
    for text in ("", PAGE, "<!-- scratchadv reproduce networks: begin -->\n"):
        assert readme.shown(text, "networks") is None
        with pytest.raises(ValueError, match="no markers"):
            readme.filled(text, "networks", "x")


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Empty pages of all experiments, and a front page, in a separate folder."""
    for name in experiments.NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(PAGE.replace("linear", name))
    (tmp_path / "README.md").write_text(PAGE)
    monkeypatch.setattr(readme, "FRONT", tmp_path / "README.md")
    stored, here = readme.stored("linear"), readme.HERE
    monkeypatch.setattr(readme, "HERE", tmp_path)
    write_json(tmp_path / "result.json", stored)
    return tmp_path, here


def test_a_run_is_stored_and_shown_in_both_pages(house):
    """store and show write what the repository contains; pages without a stored result stay as they are"""
    folder, here = house
    readme.store("linear", folder)
    readme.show()
    shown = readme.shown(text_of(folder / "linear" / "README.md"), "linear")
    assert shown == readme.shown(text_of(here / "linear" / "README.md"), "linear")
    assert readme.shown(text_of(folder / "README.md"), "linear").count("\n|") == 7
    assert readme.shown(text_of(folder / "networks" / "README.md"), "networks") == "old\n"


def test_a_result_of_another_experiment_is_not_stored(house):
    """The message names it, and nothing is written"""
    folder, _ = house
    with pytest.raises(ValueError, match="result of 'linear', not of 'networks'"):
        readme.store("networks", folder)
    assert not (folder / "networks" / "result.json").exists()
