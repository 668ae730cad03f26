"""Laws of all experiments: refusals come before any work, files are complete or missing, tables use stored numbers."""

import json
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from scratchadv import datasets, experiments
from scratchadv.experiments.about import About
from scratchadv.experiments.experiment import Experiment, Measured, Setup, result_of, run
from scratchadv.experiments.table import MARKS, Published, Table

DIGITS = datasets.load("strokes", n_train=20, n_test=20)


@dataclass(frozen=True)
class Plan:
    """How many numbers there are, and the radii."""

    count: int
    radii: tuple = (0.1, 0.2)


def train(plan, data, eps, seed, cache, report):
    report("trained")
    return Setup({"model": None}, data, plan, eps, seed)


def measure(setup, report):
    rng = np.random.default_rng(setup.seed)
    return Measured({"numbers": [setup.eps * float(rng.random()) for _ in range(setup.plan.count)]}, kept="for figures")


def tables(result):
    rows = [[str(i), f"{number:.6f}"] for i, number in enumerate(result["numbers"])]
    return [Table("Numbers", ["place", f"up to ε = {result['eps']:g}"], rows)]


TOY = Experiment(
    About("toy", 0.25, "a toy", "A toy experiment."),
    Plan(5),
    train,
    measure,
    lambda setup: {"data": setup.data.source, "seed": setup.seed},
    tables,
    lambda setup, measured: {},
    quick=Plan(2),
)


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    """A few digits, whatever name is given."""
    monkeypatch.setattr(datasets, "load", lambda name: DIGITS)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def silent(line):
    """A report that is thrown away."""


# The shared run


def test_the_full_plan_is_the_default_and_quick_is_the_other(tmp_path):
    """As many numbers as the plan says; ε is the experiment's unless it is given"""
    full = run(TOY, out=tmp_path, report=silent)
    quick = run(TOY, quick=True, eps=1, out=tmp_path, report=silent)
    assert (len(full["numbers"]), full["eps"]) == (5, 0.25)
    assert (len(quick["numbers"]), quick["eps"]) == (2, 1.0)


def test_what_is_returned_is_what_is_stored_and_the_table_follows_from_it(tmp_path):
    """result.json holds the facts, the setting in words and the numbers; page(result) = table.md"""
    result = run(TOY, seed=3, out=tmp_path, report=silent)
    assert result == json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    facts = {"experiment": "toy", "mnist": False, "eps": 0.25, "seed": 3, "plan": {"count": 5, "radii": [0.1, 0.2]}}
    assert facts.items() <= result.items()
    assert result["setting"] == {"data": DIGITS.source, "seed": 3}
    assert TOY.page(result) == (tmp_path / "table.md").read_text(encoding="utf-8")
    assert TOY.page(result, level=3).startswith("### Numbers\n\n- data: ")


def test_the_report_says_what_is_ahead_then_what_happens_then_the_table(tmp_path):
    """They come in this order, and the last says where the files are"""
    lines = []
    run(replace(TOY, ahead=lambda plan, data: f"{plan.count} to come"), out=tmp_path, report=lines.append)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert lines[:-1] == ["5 to come\n", "trained", table]
    assert str(tmp_path) in lines[-1]


def test_mnist_is_told_from_other_digits():
    """setup.mnist"""
    setup = train(Plan(1), DIGITS, 0.1, 0, None, silent)
    assert not setup.mnist
    assert replace(setup, data=replace(DIGITS, source="MNIST, the four published files")).mnist


def test_the_figures_get_what_was_kept(tmp_path):
    """figures(setup, measured) is called after the numbers are written"""
    seen = []

    def figures(setup, measured):
        seen.append((setup.seed, measured.kept, names_in(tmp_path)))
        return {}

    run(replace(TOY, figures=figures), seed=4, out=tmp_path, report=silent)
    assert seen == [(4, "for figures", ["result.json", "table.md"])]


def fail(*args, **options):
    raise OSError("no space left on device")


@pytest.mark.parametrize("step", ["ahead", "train", "measure", "describe", "tables", "figures"])
def test_a_run_that_fails_leaves_whole_files_or_none(step, tmp_path):
    """Before there are numbers there is no file; if the figures fail, there are the table and the numbers"""
    with pytest.raises(OSError, match="no space left"):
        run(replace(TOY, **{step: fail}), out=tmp_path, report=silent)
    assert names_in(tmp_path) == (["result.json", "table.md"] if step == "figures" else [])


def test_numbers_that_json_cannot_say_are_reported_all_the_same(tmp_path):
    """The table is printed and written; then the error is raised, and no partial result.json is left"""
    lines = []
    wrong = replace(TOY, measure=lambda setup, report: Measured({"numbers": [1.0], "more": object()}))
    with pytest.raises(TypeError):
        run(wrong, out=tmp_path, report=lines.append)
    assert "| 0 " in lines[-1]
    assert names_in(tmp_path) == ["table.md"]


@pytest.mark.parametrize(
    ("given", "word"),
    [({"eps": -1}, "eps"), ({"eps": float("nan")}, "eps"), ({"seed": 0.5}, "seed"), ({"seed": -1}, "seed")],
    ids=str,
)
def test_bad_arguments_are_refused_before_any_work(given, word, tmp_path, monkeypatch):
    """The message names the value, nothing is loaded, and no folder is made"""
    monkeypatch.setattr(datasets, "load", fail)
    with pytest.raises((ValueError, TypeError), match=word):
        run(TOY, **given, out=tmp_path / "new", report=silent)
    assert names_in(tmp_path) == []


def test_an_experiment_without_a_quick_plan_refuses_quick(tmp_path, monkeypatch):
    """The message names it, nothing is loaded, and no folder is made"""
    monkeypatch.setattr(datasets, "load", fail)
    with pytest.raises(ValueError, match="'toy' has no quick run"):
        run(replace(TOY, quick=None), quick=True, out=tmp_path / "new", report=silent)
    assert names_in(tmp_path) == []


# All experiments


def published_in(value):
    """All published numbers in nested dicts and lists."""
    if isinstance(value, Published):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [number for item in items for number in published_in(item)]


def test_every_folder_of_an_experiment_is_in_the_list():
    """An experiment is added by a folder and a name in NAMES"""
    here = Path(experiments.__file__).parent
    assert sorted(experiments.NAMES) == sorted(path.parent.name for path in here.glob("*/experiment.py"))


@pytest.mark.parametrize("name", experiments.NAMES)
def test_an_experiment_is_known_by_the_name_of_its_folder(name):
    """A name, and one line for the list, without a full stop"""
    about = experiments.load(name).about
    assert about == experiments.about_of(name)
    assert about.name == name
    assert "\n" not in about.summary
    assert not about.summary.endswith(".")


@pytest.mark.parametrize("name", experiments.NAMES)
def test_a_published_number_says_how_it_is_known(name):
    """Each number has one of the marks"""
    numbers = published_in(experiments.load(name).published)
    assert numbers
    assert {number.mark for number in numbers} <= set(MARKS)


@pytest.mark.parametrize("name", [name for name in experiments.NAMES if experiments.about_of(name).quick])
def test_a_quick_plan_says_that_it_is_one_and_takes_no_more_than_the_full_one(name):
    """The note contains QUICK, and no number of images, queries, epochs or steps is larger"""
    experiment = experiments.load(name)
    assert "QUICK" in experiment.quick.note
    assert "QUICK" not in experiment.full.note
    assert smaller(experiment.quick, experiment.full)


def smaller(quick, full):
    """Return whether no number of one plan is larger than that of the other."""
    pairs = [(getattr(quick, field.name), getattr(full, field.name)) for field in fields(full)]
    return all(
        smaller(a, b) if is_dataclass(a) else len(a) <= len(b) if isinstance(a, tuple) else a <= b
        for a, b in pairs
        if not isinstance(a, str)
    )


@pytest.mark.parametrize("name", [name for name in experiments.NAMES if experiments.about_of(name).quick])
def test_the_head_of_the_tables_says_when_it_was_quick(name):
    """QUICK stands in the setting of the quick plan, and nowhere else"""
    experiment = experiments.load(name)
    for plan in (experiment.full, experiment.quick):
        setting = experiment.describe(Setup({}, DIGITS, plan, 0.1, 0))
        assert ("QUICK" in setting["data"]) == (plan is experiment.quick)


@pytest.mark.parametrize("name", experiments.NAMES)
def test_a_plan_is_stored_with_the_result(name):
    """Plain numbers and text, as in JSON"""
    experiment = experiments.load(name)
    setup = Setup({}, DIGITS, experiment.full, 0.1, 0)
    plain = replace(experiment, describe=lambda setup: {})
    plan = result_of(plain, setup, Measured({}))["plan"]
    assert json.loads(json.dumps(plan)) == plan
    assert set(plan) == set(asdict(experiment.full))
