"""RESULTS.md shows what the benchmarks stored."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import race  # noqa: E402
import record  # noqa: E402

PAGE = (BENCHMARKS / "RESULTS.md").read_text(encoding="utf-8")
STORED = sorted((BENCHMARKS / "measured").glob("*.json"))


def test_races_are_stored():
    """There is something to compare"""
    assert STORED


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_table_is_what_its_stored_result_says(path):
    """The block between the markers of a race = the block of its JSON"""
    block = PAGE.partition(f"<!-- {path.stem}: begin -->\n")[2].partition(f"\n<!-- {path.stem}: end -->")[0]
    assert block == record.block(json.loads(path.read_text(encoding="utf-8")))


def test_a_recorded_race_is_shown_between_its_markers_and_the_rest_stays(tmp_path, monkeypatch, capsys):
    """Race.close writes the JSON and the block; without the record flag it only prints"""
    monkeypatch.setattr(record, "HERE", tmp_path)
    (tmp_path / "measured").mkdir()
    page = tmp_path / "RESULTS.md"
    page.write_text("before\n<!-- hare: begin -->\nold\n<!-- hare: end -->\nafter\n", encoding="utf-8")
    for asked in (False, True):
        run = record.Race("hare", asked)
        run.add("A title", ["who", "seconds"], [["hare", 2], ["a | b", 3]])
        run.close()
        assert "A title" in capsys.readouterr().out
        assert ("old" in page.read_text(encoding="utf-8")) != asked
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- hare: begin -->\n`python benchmarks/")
    assert text.endswith("<!-- hare: end -->\nafter\n")
    assert json.loads((tmp_path / "measured" / "hare.json").read_text(encoding="utf-8"))["tables"][0]["rows"][0] == [
        "hare",
        "2",
    ]


def test_a_race_without_markers_is_refused(tmp_path):
    """Nothing is shown in a page that has no place for it"""
    (tmp_path / "measured").mkdir()
    result = {"command": "c", "setting": {}, "tables": []}
    (tmp_path / "measured" / "hare.json").write_text(json.dumps(result), encoding="utf-8")
    (tmp_path / "RESULTS.md").write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="no markers <!-- hare: begin -->"):
        record.show(tmp_path)


def test_ratios_are_those_of_the_same_round():
    """Seconds (1, 2, 4) and (2, 3, 16) have the medians 2 and 3, and the ratios 2, 1.5 and 4"""
    rows = race.timings({"we": [1.0, 2.0, 4.0], "they": [2.0, 3.0, 16.0]}, "we")
    assert rows[0] == ["we", "2.000", "1.000 to 4.000", "1.00", "1.00 to 1.00"]
    assert rows[1] == ["they", "3.000", "2.000 to 16.000", "2.00", "1.50 to 4.00"]


def test_everybody_runs_once_before_the_rounds_that_count():
    """rounds + 1 runs each, in turn"""
    order = []
    seconds = race.race({name: (lambda name=name: order.append(name)) for name in ("a", "b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}
