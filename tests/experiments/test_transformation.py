"""The experiment on adversarial transformation networks, with very little data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scratchadv import datasets
from scratchadv.datasets import load
from scratchadv.experiments.experiment import run
from scratchadv.experiments.networks import training as networks
from scratchadv.experiments.networks.images import targets_of
from scratchadv.experiments.transformation import experiment as transformation
from scratchadv.experiments.transformation.training import Plan, Transformation
from scratchadv.layers import Conv
from scratchadv.models import CNN
from scratchadv.models.protocol import predict
from scratchadv.sets import L2
from scratchadv.training import fit
from scratchadv.training.optim import Adam

PLAN = Plan(
    networks.Plan(train=300, test=10, epochs=1, restarts=1, curve=10),
    train=60,
    single=40,
    large=80,
    epochs=1,
    batch_size=20,
    test=60,
    pgd=10,
    targets=(0, 4),
    note=transformation.QUICK.note,
)


@pytest.fixture(scope="module")
def experiment():
    """Four tiny CNNs, so that a run takes seconds."""
    data, convs = load("strokes"), (Conv(8, stride=2),)
    names = transformation.NETWORKS
    models = {name: CNN(convs=convs, widths=(10,), rng=np.random.default_rng(i)) for i, name in enumerate(names)}
    for model in models.values():
        options = {"epochs": 3, "optimizer": Adam(0.01), "progress": False}
        fit(model, data.x_train[:600], data.y_train[:600], **options)
    return Transformation(models, data, PLAN, 0.1, 0)


@pytest.mark.slow
def test_each_network_is_trained_once(experiment):
    """The same settings give the same object, other settings another"""
    one = transformation.trained(experiment, beta=0.02)
    assert transformation.trained(experiment, beta=0.02) is one
    assert transformation.trained(experiment, beta=0.03)[0] is not one[0]
    assert transformation.trained(experiment, target=4)[0].classes == 0


@pytest.mark.parametrize("target", [4, "all", None])
def test_success_is_judged_by_predicting_again(experiment, target):
    """Targets as in the head of the table; success and size are those of x', on each network"""
    atn, _ = transformation.trained(experiment, target=target)
    found = transformation.judged(experiment, atn, target, ["CNN", "2-layer"])
    x, y = experiment.data.x_test[:60], experiment.data.y_test[:60]
    if target == 4:
        x, y = x[y != 4], y[y != 4]
    t = targets_of(y, 0)
    images = atn(x, t) if target == "all" else atn(x)
    for name in ("CNN", "2-layer"):
        label = predict(experiment.models[name], images)
        hit = {4: label == 4, "all": label == t, None: label != y}[target]
        assert found["success"][name] == hit.mean()
    np.testing.assert_allclose(
        found["size"]["L2"], np.median(np.sqrt(((images - x) ** 2).sum(axis=(1, 2, 3)))), rtol=1e-5
    )


def test_noise_has_the_size_of_the_change(experiment):
    """‖noise‖₂ = ‖x' − x‖₂ for each image, where nothing is clipped"""
    x = np.full((5, 28, 28, 1), 0.5)

    def brighter(x, target):
        return x + 0.01 * target[:, None, None, None]

    target = np.arange(5)
    noise = transformation.noise_like(brighter, np.random.default_rng(0))(x, target) - x
    np.testing.assert_allclose(L2.norm(noise), 0.01 * 28 * target, rtol=1e-9)


def test_a_substitute_sees_labels_only(experiment):
    """It is trained on the victim's predictions, and uses nothing else of the victim"""

    class Labels:
        """A victim that shows only logits (which ``predict`` uses)."""

        def logits(self, x):
            return experiment.models["CNN"].logits(x)

    behind = Transformation({"CNN": Labels()}, experiment.data, PLAN, 0.1, 0)
    one, other = (transformation.train_substitute(e) for e in (experiment, behind))
    for name, value in one.params.items():
        np.testing.assert_array_equal(other.params[name], value)


@pytest.mark.slow
def test_the_run_writes_tables_result_and_figures(experiment, tmp_path, monkeypatch):
    """Four tables under one head; each β stands beside the paper's number; images that an ATN has seen are marked"""
    monkeypatch.setattr(networks, "train_networks", lambda *_: experiment.models)
    monkeypatch.setattr(datasets, "load", lambda name: experiment.data)
    tiny = replace(transformation.EXPERIMENT, quick=PLAN)
    run(tiny, "strokes", quick=True, out=tmp_path, report=lambda line: None)
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    pictures = {"before_and_after", "to_each_target_P-ATN", "to_each_target_AAE"}
    assert {p.name for p in tmp_path.iterdir()} == {"table.md", "result.json"} | {f"{name}.png" for name in pictures}
    assert [row["target"] for row in result["by target"]] == [0, 4]
    assert [row["beta"] for row in result["over beta"] if row["target"] == "all"] == 2 * [0.01, 0.005, 0.001]
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table.count("84 %") >= 2
    assert tiny.page(result) == table
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if line.startswith("|")}
    assert lines["CNN and MLP 784-200-10"].count("*") == 2
    assert lines["CNN"].count("*") == 1
    assert lines["noise of the first row's size, then clipped"].count("*") == 0


def test_the_table_says_when_it_is_quick():
    """QUICK stands in the head of the quick run, and nowhere else"""
    data = load("strokes")
    for plan, quick in ((transformation.QUICK, True), (transformation.FULL, False)):
        experiment = Transformation({}, data, plan, 0.1, 0)
        assert ("QUICK" in transformation.describe(experiment)["data"]) == quick
