"""Laws of the experiment on black boxes: what is traced, what is judged, what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scratchadv import datasets
from scratchadv.attacks.black_box.genattack import genattack
from scratchadv.attacks.black_box.queries import LabelOracle, ProbabilityOracle
from scratchadv.experiments.black_box import experiment as blackbox
from scratchadv.experiments.black_box.trace import Trace, place_among_equals
from scratchadv.experiments.experiment import run
from scratchadv.models import MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L2, Linf
from scratchadv.training import fit
from scratchadv.training.optim import Adam

PLAN = blackbox.Plan(
    blackbox.networks.QUICK,
    images=6,
    fewer=4,
    queries=60,
    pixel_queries=41,
    rounds=2,
    epochs=2,
    substitute="mlp",
    note=blackbox.QUICK.note,
)


@pytest.fixture(scope="module")
def data():
    return datasets.load("strokes", n_train=3000, n_test=300)


@pytest.fixture(scope="module")
def experiment(data):
    """A small network in place of the CNN, on drawn digits."""
    model, rng = MLP((784, 30, 10), rng=np.random.default_rng(0)), np.random.default_rng(0)
    fit(model, data.x_train, data.y_train, epochs=3, optimizer=Adam(1e-3), rng=rng, progress=False)
    return blackbox.begin(model, data, PLAN, 0.3, 0)


def test_images_are_classified_rightly_and_targets_are_other_classes(experiment):
    """predict(x) = y for all of them, taken from the beginning of the test images; target ≠ y"""
    assert len(experiment.x) == PLAN.images
    np.testing.assert_array_equal(predict(experiment.model, experiment.x), experiment.y)
    assert (experiment.target != experiment.y).all()


def test_earlier_equals_are_counted():
    """How many earlier entries are equal"""
    np.testing.assert_array_equal(place_among_equals(np.array([2, 0, 2, 2, 0, 1])), [0, 0, 1, 2, 1, 0])


class Threshold:
    """Two classes: 1 where the pixel is above one half."""

    def logits(self, x):
        return np.stack([0 * x[:, 0], x[:, 0] - 0.5], axis=1)


def test_a_trace_by_hand():
    """Image 0 fools at its 2nd query with 0.9 and at its 4th with 0.6; image 1 at its 1st with 0.7; image 2 never"""
    x, y = np.zeros((3, 1)), np.zeros(3, int)
    trace = Trace(Threshold(), x, y, Linf)
    top = LabelOracle(trace)
    top.predict(np.array([[0.2], [0.9], [0.7], [0.1]]), np.array([0, 0, 1, 2]))
    ProbabilityOracle(trace).probabilities(np.array([[0.4], [0.6]]), np.array([0, 0]))
    np.testing.assert_array_equal(trace.numbers, [4, 1, 1])
    np.testing.assert_array_equal(trace.first(0.95), [2, 1, np.inf])
    np.testing.assert_array_equal(trace.first(0.65), [4, np.inf, np.inf])
    np.testing.assert_allclose(trace.sizes([1, 2, 4]), [[np.inf, 0.7, np.inf], [0.9, 0.7, np.inf], [0.6, 0.7, np.inf]])


def test_what_a_trace_shows_is_the_models_own(experiment):
    """δ is the same with and without the trace, at every level; the first success is within the number of queries"""
    x, y, threat = experiment.x, experiment.y, experiment.threat
    trace = Trace(experiment.model, x, y, Linf)
    options = {"queries": 60, "rng": np.random.default_rng(0)}
    delta = genattack(ProbabilityOracle(trace), x, y, threat, **options)
    options = {"queries": 60, "rng": np.random.default_rng(0)}
    plain = genattack(ProbabilityOracle(experiment.model), x, y, threat, **options)
    np.testing.assert_array_equal(delta, plain)
    fooled = predict(experiment.model, x + delta) != y
    np.testing.assert_array_equal(np.isfinite(trace.first(0.3)), fooled)
    assert (trace.first(0.3)[fooled] <= trace.numbers[fooled]).all()
    assert trace.numbers.max() <= 60


def test_every_attack_is_measured_in_its_own_norm(experiment):
    """A change of two pixels by 3 and 4 has the size given by the norm of the line; only ℓ2 has no radius"""
    delta = np.array([[3.0, 4.0]])
    sizes = {L0: 2, L2: 5, Linf: 4}
    for attack in blackbox.attacks(experiment):
        np.testing.assert_allclose(attack.norm.norm(delta), sizes[attack.norm])
        assert attack.radius == {L0: 1, L2: np.inf, Linf: experiment.eps}[attack.norm]
        assert attack.sees in attack.level.shows


def test_the_run_writes_table_result_and_figures(experiment, data, tmp_path, monkeypatch):
    """A line for each attack below the whole setting; each number is that of the attack, judged by predicting again"""
    monkeypatch.setattr(blackbox.networks, "train_networks", lambda *_: {"CNN": experiment.model})
    monkeypatch.setattr(datasets, "load", lambda name: data)
    lines, tiny = [], replace(blackbox.EXPERIMENT, quick=PLAN)
    run(tiny, "strokes", quick=True, out=tmp_path, report=lines.append)
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    pictures = {"success_over_queries", "size_over_queries", "substitute", "pictures"}
    assert {p.name for p in tmp_path.iterdir()} == {"table.md", "result.json"} | {f"{name}.png" for name in pictures}
    assert "QUICK" in result["setting"]["data"]
    rows = {(row["attack"], row["norm"]): row for row in result["attacks"]}
    assert len(rows) == 11
    x, y = experiment.x, experiment.y
    options = {"queries": 60, "rng": np.random.default_rng(0)}
    delta = genattack(ProbabilityOracle(experiment.model), x, y, experiment.threat, **options)
    assert rows["GenAttack", Linf.name]["success"] == (predict(experiment.model, x + delta) != y).mean()
    assert all(row["mean queries"] <= max(60, 41) for row in rows.values() if "mean queries" in row)
    assert rows["substitute, step +0.1", Linf.name]["queries in all"] == 150 + 150
    assert {rows[name]["sees"] for name in rows} == {"logits", "probabilities", "labels"}
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table.count("| HopSkipJump ") == 2
    assert "996" in table
    assert tiny.page(result) == table
