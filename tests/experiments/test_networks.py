"""The networks experiment on a handful of drawn digits."""

import json
import re
from dataclasses import replace

import pytest

from scratchadv import datasets
from scratchadv.experiments.experiment import run
from scratchadv.experiments.networks import experiment as networks
from scratchadv.experiments.networks.training import Plan

TINY = Plan(train=200, test=6, epochs=1, restarts=2, curve=4, note=networks.QUICK.note)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("networks")]  # one whole small run, in one worker


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One tiny run: its folder, its result and its report."""
    out, report = tmp_path_factory.mktemp("networks"), []
    with pytest.MonkeyPatch.context() as patch:
        digits = datasets.load("strokes", n_train=200, n_test=20)
        patch.setattr(datasets, "load", lambda name: digits)
        options = {"quick": True, "out": out / "results", "cache": out / "cache", "report": report.append}
        tiny = replace(networks.EXPERIMENT, quick=TINY)
        result = run(tiny, "strokes", **options)
        trained = sorted(file.name for file in (out / "cache").iterdir())
        again = run(replace(tiny, figures=lambda *given: {}), "strokes", **options)  # drawn already
    return out / "results", result, again, report, trained


def test_all_is_written(written):
    """A table, a result and the five figures, and none of them is empty"""
    out, result, _, report, _ = written
    names = {"digits", "loss_over_steps", "steps_in_the_ball", "loss_surface", "accuracy_over_eps"}
    assert {file.name for file in out.iterdir()} == {"table.md", "result.json"} | {f"{name}.png" for name in names}
    assert all(file.stat().st_size > 0 for file in out.iterdir())
    assert json.loads((out / "result.json").read_text()) == result
    assert (out / "table.md").read_text() in report


def test_the_time_is_said_ahead(written):
    """The first line of the report says about how many minutes the run will take"""
    assert re.match(r"about \d+ minutes", written[3][0])


def test_the_head_says_that_it_was_quick(written):
    """If there is less data than in the tutorial, the table says so, with the numbers of images"""
    head = (written[0] / "table.md").read_text().split("|")[0]
    assert "200 training and 6 test images (QUICK" in head
    assert "seed 0" in head


def test_published_numbers_stand_beside_mnist_only(written):
    """On drawn digits the tutorial's numbers are not comparable, so there are dashes"""
    rows = [
        line.split("|") for line in (written[0] / "table.md").read_text().splitlines() if "PGD" in line and "|" in line
    ]
    assert rows
    assert all(row[2].strip() == row[3].strip() == "–" for row in rows)
    (comparable,) = networks.tables(written[1] | {"mnist": True})
    assert ["0.964", "0.956"] in [row[1:3] for row in comparable.rows]
    (other,) = networks.tables(written[1] | {"mnist": True, "eps": 0.2})
    assert {cell for row in other.rows for cell in row[1:3]} == {"–"}


def test_nothing_is_trained_twice(written):
    """The second run takes all four models from the cache and finds the same numbers"""
    _, first, again, _, trained = written
    assert len(trained) == 4
    assert first == again


def test_errors_are_shares_and_attacks_do_not_help_the_model(written):
    """0 <= clean error <= error under PGD-40 <= 1, and restarts are not weaker"""
    numbers = written[1]["numbers"]
    assert set(numbers) == set(networks.NAMES)
    shares = [share for attacks in numbers.values() for boxes in attacks.values() for share in boxes.values()]
    assert all(0 <= share <= 1 for share in shares)
    for attacks in numbers.values():
        for box in ("no box", "box"):
            assert attacks["PGD"][box] >= attacks["clean"]["no box"]
    assert numbers["CNN"]["restarts"]["box"] >= numbers["CNN"]["PGD"]["box"]
    assert [name for name, attacks in numbers.items() if "restarts" in attacks] == ["CNN"]
