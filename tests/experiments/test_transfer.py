"""The transfer experiment on a handful of drawn digits."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from scratchadv import datasets
from scratchadv.attacks import pgd
from scratchadv.evaluate import judge
from scratchadv.evaluate.transfer import matrix, tabulate
from scratchadv.experiments import experiment as shared
from scratchadv.experiments.transfer import experiment as transfer
from scratchadv.experiments.transfer import training
from scratchadv.models import MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import Linf

TINY = training.Plan(train=300, epochs=3, seeds=2, techniques=150, test=8, note=transfer.QUICK.note)
PARTS = {"models": ("pgd", "fgsm"), "techniques": ("own_attacks",), "tasks": ("pgd",)}


def small(data, plan, seed, cache):
    """The models of the experiment, without the CNN."""
    return {
        name: training.trained(name, lambda rng, w=w: MLP(w, rng=rng), data, data.y_train, plan, seed, cache)
        for name, w in {"linear": (784, 10), "2-layer": (784, 30, 10)}.items()
    }


def run(folder, patch, experiment=transfer.EXPERIMENT, **options):
    digits = datasets.load("strokes", n_train=600, n_test=20)
    patch.setattr(training, "models", small)
    patch.setattr(datasets, "load", lambda name: digits)
    report = []
    options = {"out": folder / "results", "cache": folder / "cache", "report": report.append} | options
    return shared.run(replace(experiment, quick=TINY), "strokes", quick=True, **options), report, digits


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One tiny run, with scikit-learn if it is installed: its folder, result, report and digits."""
    folder = tmp_path_factory.mktemp("transfer")
    with pytest.MonkeyPatch.context() as patch:
        return folder, *run(folder, patch)


def expected_parts():
    return {part: attacks for part, attacks in PARTS.items() if part != "techniques" or find_spec("sklearn")}


def test_all_is_written(written):
    """A table, a result, and a figure for each part and attack"""
    folder, result, report, _ = written
    names = {f"{part}_{attack}.png" for part, attacks in expected_parts().items() for attack in attacks}
    assert {file.name for file in (folder / "results").iterdir()} == {"table.md", "result.json"} | names
    table = (folder / "results" / "table.md").read_text(encoding="utf-8")
    assert table in report
    assert "QUICK" in table.split("|")[0]
    assert json.loads((folder / "results" / "result.json").read_text(encoding="utf-8")) == result
    assert transfer.EXPERIMENT.page(result) == table
    assert table.count("# Between") == 2 * sum(map(len, expected_parts().values()))  # on no MNIST, no paper


def test_the_numbers_are_those_of_the_attack(written):
    """A cell: PGD on the network of one seed, judged on the other seed's network, with mean and deviation over both"""
    folder, result, _, data = written
    x, y, threat = data.x_test[:8], data.y_test[:8], Linf(0.2).within(0, 1)
    nets = [small(training.share(data, 300, i), TINY, i, folder / "cache") for i in range(2)]
    shares = []
    for source, target in (nets, nets[::-1]):
        delta = pgd(source["2-layer"], x, y, threat)
        both = (predict(source["2-layer"], x) == y) & (predict(target["linear"], x) == y)
        shares.append(judge(target["linear"], x, y, delta, threat).success[both].mean())
    cell = {"part": "models", "attack": "pgd", "eps": 0.2, "made on": "2-layer", "tested on": "linear"}
    row = next(row for row in result["transfer"] if cell.items() <= row.items())
    np.testing.assert_allclose((row["success"], row["success, deviation"]), (np.mean(shares), np.std(shares, ddof=1)))


def test_tasks_have_their_own_labels(written):
    """A network for each labelling, right about most of its training digits"""
    folder, _, _, data = written
    part = training.share(data, 300, 0)
    nets = training.tasks(part, TINY, 0, folder / "cache")
    for name, (k, labels) in training.TASKS.items():
        y = labels(part.y_train)
        assert set(y) == set(range(k))
        assert (predict(nets[name], part.x_train) == y).mean() > 1.5 / k
    np.testing.assert_array_equal(training.TASKS["even or odd"][1](np.arange(6)), [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(training.TASKS["5 or more"][1](np.arange(3, 7)), [0, 0, 1, 1])


def test_the_seeds_share_no_image(written):
    """Each seed has its own part of the training images"""
    data = written[3]
    first, second = (training.share(data, 300, i).x_train for i in range(2))
    np.testing.assert_array_equal(np.concatenate([first, second]), data.x_train)


def test_without_scikit_learn_the_part_is_left_out(written, tmp_path, monkeypatch):
    """The report and the table say that techniques are left out; everything else is there"""
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    undrawn = replace(transfer.EXPERIMENT, figures=lambda *given: {})
    result, report, _ = run(tmp_path, monkeypatch, undrawn, cache=written[0] / "cache")
    assert training.WITHOUT in report
    assert training.WITHOUT in (tmp_path / "results" / "table.md").read_text(encoding="utf-8")
    assert {row["part"] for row in result["transfer"]} == {"models", "tasks"}


def test_every_technique_falls_to_its_attack(written):
    """On its own images, each technique is fooled more often by its attack than by noise of the same size"""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    data = training.share(written[3], 150, 0)
    models, own = training.techniques(data, TINY, 0, written[0] / "cache")
    attacks = {"network": pgd} | own
    x, y = data.x_train[:40], data.y_train[:40]
    found = matrix(models, models, x, y, Linf(0.2).within(0, 1), attacks)
    assert (found.itself > np.diag(found.control)).all()


def test_the_tables_are_those_of_the_matrices(written, monkeypatch):
    """Each table = ``tabulate`` of the matrices, although it is made from stored shares; a dash where nothing counts"""
    folder, result, _, data = written
    monkeypatch.setattr(training, "models", small)
    setup = training.train(TINY, data, 0.1, 0, folder / "cache", lambda line: None)
    measured = transfer.measure(setup, lambda line: None)
    tables = transfer.tables(result)[1:]
    for one, table in zip(measured.kept, tables, strict=True):
        header, rows = tabulate(one.transfers)
        rows = [[cell.replace("nan ± nan", "–").replace("nan", "–") for cell in row] for row in rows]
        assert (table.header, table.rows) == (header, rows)


def test_the_papers_table_is_shown_beside_mnist_only(written):
    """Its rows are the techniques of the experiment, one of its numbers is checked; NaN becomes None in JSON"""
    assert next(iter(transfer.PAPER)) == "network"
    assert all(len(row) == len(transfer.PAPER) for row in transfer.PAPER.values())
    assert transfer.paper().rows[0][:2] == ["network", "38.3"]
    recalled = [key for key, number in transfer.PUBLISHED.items() if number.mark == "recalled"]
    assert recalled == [("SVM", "logistic regression")]
    shown = transfer.tables(written[1] | {"mnist": True})[-1] == transfer.paper()
    assert shown == ("techniques" in expected_parts())
    assert (transfer.number(np.float64(0.5)), transfer.number(np.nan)) == (0.5, None)
