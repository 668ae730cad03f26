"""Laws of the experiment on attacks: what is counted, what is judged, what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scratchadv import datasets
from scratchadv.attacks import deepfool, fgsm, jsma, pgd
from scratchadv.experiments.attacks import experiment as attacks
from scratchadv.experiments.attacks import figures as attacks_figures
from scratchadv.experiments.attacks.line_up import InSet, Smallest
from scratchadv.experiments.experiment import Setup, run
from scratchadv.experiments.networks.images import targets_of
from scratchadv.models import MLP
from scratchadv.models.protocol import jacobian, predict
from scratchadv.models.watched import Watched
from scratchadv.sets import L0, L2, Linf
from scratchadv.training import fit
from scratchadv.training.optim import Adam

PLAN = attacks.Plan(
    attacks.networks.QUICK, in_set=12, long=5, smallest=6, queries=20, descent=200, note=attacks.QUICK.note
)


@pytest.fixture(scope="module")
def experiment():
    """Two small networks in place of all networks, on drawn digits."""
    data = datasets.load("strokes", n_train=3000, n_test=300)
    models = {name: MLP((784, 30, 10), rng=np.random.default_rng(i)) for i, name in enumerate(attacks.NETWORKS)}
    for model in models.values():
        options = {"epochs": 3, "optimizer": Adam(1e-3), "rng": np.random.default_rng(0), "progress": False}
        fit(model, data.x_train, data.y_train, **options)
    return Setup(models, data, PLAN, 0.1, 0)


@pytest.mark.parametrize(("restarts", "steps"), [(1, 1), (1, 7), (3, 4)])
def test_queries_and_gradients_are_counted(experiment, restarts, steps):
    """PGD: s gradients in each restart; s + 1 queries, and one more for δ = 0 elsewhere; one image is checked"""
    model, x, y = Watched(experiment.models["CNN"]), experiment.data.x_test[:20], experiment.data.y_test[:20]
    rng = None if restarts == 1 else np.random.default_rng(0)
    pgd(model, x, y, Linf(0.1), steps=steps, restarts=restarts, rng=rng)
    assert model.pulled == 20 * steps * restarts
    assert model.asked == 20 * ((steps + 1) * restarts + (rng is not None)) + 1


def test_what_is_counted_is_the_model_itself(experiment):
    """Logits, pullbacks and everything else are the model's; a Jacobian counts as one query and K gradients"""
    model, x = experiment.models["CNN"], experiment.data.x_test[:4]
    counted = Watched(model)
    np.testing.assert_array_equal(counted.logits(x), model.logits(x))
    np.testing.assert_array_equal(jacobian(counted, x)[1], jacobian(model, x)[1])
    assert (counted.params is model.params, counted.asked, counted.pulled) == (True, 8, 40)


def test_targets_are_other_classes():
    """target != y, every other class occurs, and the same seed gives the same targets"""
    y = np.repeat(np.arange(10), 200)
    target = targets_of(y, 3)
    assert (target != y).all()
    assert {(a, b) for a, b in zip(y, target, strict=True)} == {(a, b) for a in range(10) for b in range(10) if a != b}
    np.testing.assert_array_equal(target, targets_of(y, 3))


@pytest.mark.slow
def test_the_run_writes_tables_result_and_figures(experiment, tmp_path, monkeypatch):
    """Both tables have one head; each number is that of the attack, judged by predicting again"""
    small = [
        Smallest("deepfool", "DeepFool", L2, lambda model, x, y, _: deepfool(model, x, y)),
        Smallest("jsma", "JSMA", L0, lambda model, x, y, target: jsma(model, x, y, target=target), targeted=True),
    ]
    both = [InSet("FGSM", PLAN.in_set, fgsm), InSet("Square", PLAN.long, fgsm)]
    monkeypatch.setattr(datasets, "load", lambda name: experiment.data)
    monkeypatch.setattr(attacks, "attacks_in_set", lambda plan, seed: both)
    monkeypatch.setattr(attacks, "attacks_for_smallest", lambda plan: small)
    monkeypatch.setattr(attacks_figures, "carlini_wagner", lambda *given, steps=None, **target: jsma(*given, **target))
    lines, tiny = [], replace(attacks.EXPERIMENT, quick=PLAN, train=lambda *given: experiment)
    run(tiny, "strokes", quick=True, out=tmp_path, report=lines.append)
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    pictures = {"class_to_class", "jsma", "saliency_maps", "every_attack"}
    assert {p.name for p in tmp_path.iterdir()} == {"table.md", "result.json"} | {f"{name}.png" for name in pictures}
    assert "QUICK" in result["setting"]["data"]
    x, y, model = experiment.data.x_test[:12], experiment.data.y_test[:12], experiment.models["CNN"]
    row = next(r for r in result["in a set"] if (r["attack"], r["network"]) == ("FGSM", "CNN"))
    found = predict(model, x + fgsm(model, x, y, Linf(0.1).within(0, 1))) != y
    assert row["success"] == found.mean()
    row = next(r for r in result["in a set"] if (r["attack"], r["network"]) == ("Square", "CNN"))
    assert (row["images"], row["success"]) == (5, found[:5].mean())
    row = next(r for r in result["smallest change"] if (r["attack"], r["network"]) == ("DeepFool", "CNN"))
    delta = deepfool(model, x[:6], y[:6])
    sizes = L2.norm(delta)[(predict(model, x[:6]) == y[:6]) & (predict(model, x[:6] + delta) != y[:6])]
    np.testing.assert_allclose((row["mean"], row["median"]), (sizes.mean(), np.median(sizes)), rtol=1e-6)
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert table.count("| FGSM ") == table.count("| DeepFool ") == len(attacks.NETWORKS)
    assert table.count("| JSMA, targeted ") == len(attacks.NETWORKS)
    assert tiny.page(result) == table


def test_a_targeted_attack_is_called_so_and_asks_for_its_targets(experiment):
    """Exactly the targeted attacks say so in the table; each runs with the arguments that it is given"""
    names = [attack.title for attack in attacks.attacks_for_smallest(PLAN) if attack.targeted]
    assert names == ["L-BFGS, targeted", "JSMA, targeted", "JSMA, probabilities, targeted", "Carlini–Wagner, targeted"]
    in_set = attacks.attacks_in_set(PLAN, 0)
    assert [attack.name for attack in in_set if attack.targeted] == [a.name for a in in_set if "targeted" in a.name]
    assert [attack.name for attack in in_set if attack.images == PLAN.long] == ["Square, 20 queries", "standard"]


def test_a_size_is_told_with_its_norm():
    """For ℓ2 also the root mean square over 784 pixels, and a dash where nothing was fooled"""
    row = {"norm": L2.name, "mean": 2.8, "median": 2.5}
    assert attacks.sizes_of(row) == ("‖δ‖₂ 2.8 (RMS 0.100)", "2.5")
    assert attacks.sizes_of({"norm": Linf.name}) == ("–", "–")
