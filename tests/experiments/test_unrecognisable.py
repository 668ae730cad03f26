"""Laws of the experiment on unrecognisable images: it reports what the networks predict, and everything is written."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from scratchadv import datasets
from scratchadv.experiments.experiment import Setup, run
from scratchadv.experiments.unrecognisable import experiment as unrecognisable
from scratchadv.models import MLP
from scratchadv.training import fit
from scratchadv.training.optim import Adam

PLAN = replace(unrecognisable.QUICK, runs=2, generations=4, children=8, steps=3)


@pytest.fixture(scope="module")
def experiment():
    """Two small networks in place of the CNNs, on drawn digits."""
    data = datasets.load("strokes", n_train=2000, n_test=50)
    models = {name: MLP((784, 20, 10), rng=np.random.default_rng(i)) for i, name in enumerate(unrecognisable.NETWORKS)}
    for model in models.values():
        options = {"epochs": 2, "optimizer": Adam(1e-3), "rng": np.random.default_rng(0), "progress": False}
        fit(model, data.x_train, data.y_train, **options)
    return Setup(models, data, PLAN, 0.1, 0)


def test_confidences_are_those_of_the_networks(experiment):
    """Image k of run r: p_k of the network for which it was made, and of the other one; runs differ"""
    found = unrecognisable.search(experiment, lambda line: None)
    rows = unrecognisable.confidences(experiment, found)
    assert len(rows) == len(found) == 6
    for row, ((network, _), result) in zip(rows, found.items(), strict=True):
        assert result.x.shape == (2, 10, 28, 28, 1)
        assert (result.x[0] != result.x[1]).any()
        for name, model in experiment.models.items():
            p = softmax(model.logits(result.x.reshape(20, 28, 28, 1)), axis=1).reshape(2, 10, 10)
            p = p[:, np.arange(10), np.arange(10)]
            stated = row["end"] if name == network else row["other network"]
            np.testing.assert_allclose([stated["median"], stated["least"]], [np.median(p), p.min()], rtol=1e-4)
            assert stated["sure"] == (p >= 0.99).mean()


def test_the_run_writes_table_result_and_figures(experiment, tmp_path, monkeypatch):
    """One row for each way and network; QUICK is mentioned; the radius is used to train the robust CNN"""
    asked, lines = [], []
    trained = lambda *given: asked.append(given) or experiment.models  # noqa: E731
    monkeypatch.setattr(unrecognisable.networks, "train_networks", trained)
    monkeypatch.setattr(datasets, "load", lambda name: experiment.data)
    tiny = replace(unrecognisable.EXPERIMENT, quick=PLAN)
    result = run(tiny, "strokes", eps=0.2, quick=True, out=tmp_path, report=lines.append)
    assert asked[0][2] == 0.2
    assert result == json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    names = {"table.md", "result.json", "confidence.png", "gallery_CNN.png", "gallery_robust_CNN.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "QUICK" in result["setting"]["data"]
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert [table.count(f"\n| {way} ") for way in ("direct", "CPPN", "gradient")] == [2, 2, 2]
    assert "recalled" not in table
    assert "recalled" in str(unrecognisable.tables(result | {"mnist": True}))
    assert tiny.page(result) == table


def test_a_share_counts_and_a_confidence_is_not_rounded_up():
    """Three of four images at >= 99 %, two at >= 99.99 %; 0.99996 is shown as 99.99 %, not as 100 %"""
    found = unrecognisable.summary(np.array([[0.99996, 0.9999], [0.99, 0.5]]))
    assert (found["sure"], found["certain"], found["least"]) == (0.75, 0.5, 0.5)
    assert [unrecognisable.percent(p) for p in (0.99996, 1.0, 0.5)] == ["99.99 %", "100.00 %", "50.00 %"]
