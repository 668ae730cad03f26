"""Laws of the experiment on universal perturbations: groups of classes, what is counted, what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scratchadv import datasets
from scratchadv.attacks.one_for_all.perturbation import applied
from scratchadv.experiments.experiment import run
from scratchadv.experiments.universal import experiment as universal
from scratchadv.models import MLP
from scratchadv.models.protocol import predict
from scratchadv.training import fit
from scratchadv.training.optim import Adam

PLAN = replace(universal.QUICK, train=200, test=150, passes=1, curve=(0.1, 0.3))


@pytest.fixture(scope="module")
def experiment():
    """A small network in place of all networks, on drawn digits."""
    data = datasets.load("strokes", n_train=2000, n_test=300)
    model = MLP((784, 30, 10), rng=np.random.default_rng(0))
    options = {"epochs": 4, "optimizer": Adam(1e-3), "rng": np.random.default_rng(0), "progress": False}
    fit(model, data.x_train, data.y_train, **options)
    return universal.Universal(dict.fromkeys(universal.NETWORKS, model), data, PLAN, 0.3, 0)


@pytest.mark.parametrize("classes", universal.LEVELS)
def test_each_class_is_in_one_group(classes):
    """The groups divide the classes into equal parts; the same seed gives the same groups"""
    groups = universal.groups_of(classes, 3)
    assert sorted(k for group in groups for k in group) == list(range(10))
    assert {len(group) for group in groups} == {classes}
    assert groups == universal.groups_of(classes, 3)


def test_targets_are_the_same_for_all_groups(experiment):
    """There is one target, and no δ for a group that contains only the target"""
    model = experiment.models["CNN"]
    alone, together = (universal.perturbations(experiment, model, "targeted", classes, 0.1) for classes in (1, 10))
    (target,) = {target for _, target, _ in (*alone, *together)}
    assert sorted(k for group, _, _ in alone for k in group) == sorted(set(range(10)) - {target})
    assert len(together) == 1


def test_every_image_gets_the_delta_of_its_group(experiment):
    """The change is the δ of its class, clipped to the box; the target's own images are left out"""
    x, y = experiment.unseen()
    first, second = (np.full((1, 28, 28, 1), value, np.float32) for value in (0.25, -0.5))
    found = [((1, 2), 2, first), ((3,), None, second)]
    change, targets, has = universal.under(found, x, y)
    np.testing.assert_array_equal(has, (y == 1) | (y == 3))
    np.testing.assert_array_equal(change[y == 1], applied(first, x[y == 1], (0, 1)))
    np.testing.assert_array_equal(change[y == 3], applied(second, x[y == 3], (0, 1)))
    assert abs(change[y == 2]).max() == 0
    assert set(targets[y == 1]) == {2}
    assert set(targets[y != 1]) == {-1}


def test_success_is_predicting_again(experiment):
    """Without targets the share of changed predictions, with a target the share that are it; beside it the error"""
    model, (x, y) = experiment.models["CNN"], experiment.unseen()
    delta = np.random.default_rng(0).uniform(-1, 1, (1, 28, 28, 1)).astype(np.float32)
    after = predict(model, x + applied(delta, x, (0, 1)))
    every = tuple(range(10))
    expected = (after != predict(model, x)).mean(), (after != y).mean()
    assert universal.success(model, [(every, None, delta)], x, y) == expected
    some = y != 4
    expected = (after[some] == 4).mean(), (after[some] != y[some]).mean()
    assert universal.success(model, [(every, 4, delta)], x, y) == expected


@pytest.mark.slow
def test_the_run_writes_table_result_and_figures(experiment, tmp_path, monkeypatch):
    """A row for each network and method, a number for each level; noise fools less than what was made to fool"""
    monkeypatch.setattr(datasets, "load", lambda name: experiment.data)
    tiny = replace(universal.EXPERIMENT, quick=PLAN, train=lambda *given: experiment)
    run(tiny, "strokes", quick=True, out=tmp_path, report=lambda line: None)
    pictures = {f"{name}.png" for name in ("perturbations", "one_of_each", "levels", "over_eps")}
    assert {p.name for p in tmp_path.iterdir()} == {"table.md", "result.json"} | pictures
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert "QUICK" in result["setting"]["data"]
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table.count("| gradient, targeted ") == table.count("| DeepFool ") == len(universal.NETWORKS)
    assert tiny.page(result) == table
    rows = {(r["network"], r["method"], r["classes"]): r for r in result["levels"]}
    assert len(rows) == len(universal.NETWORKS) * 4 * len(universal.LEVELS)
    for level in universal.LEVELS:
        assert rows["CNN", "gradient", level]["unseen"] > rows["CNN", "signs", level]["unseen"]
    assert set(result["curve"]) == {"eps", "for one class", "for all ten", "random signs"}
    assert all(len(line) == len(PLAN.curve) for line in result["curve"].values())
