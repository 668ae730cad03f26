"""The linear chapter on a few digits: its files, its numbers by their definitions; on MNIST: the published numbers."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from scratchadv import datasets, robust_logistic
from scratchadv.experiments.linear import experiment as linear
from scratchadv.sets import Linf

FEW = datasets.load("strokes", n_train=400, n_test=200)
EPS, SEED = 0.3, 3
FILES = ["delta_star.png", "digits.png", "error_over_eps.png", "psi.png", "result.json", "table.md", "weights.png"]


def run(out, eps=EPS, seed=SEED, draw=False, **patches):
    """The command on few digits, by default without its figures; its result and the lines it reports."""
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", lambda name: FEW)
        if not draw:
            patch.setattr(linear, "figures", lambda experiment: {})
        for name, value in patches.items():
            patch.setattr(linear, name, value)
        result = linear.run("strokes", eps, seed, out=out, report=lines.append)
    return result, lines


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder with the results of one run, figures and all."""
    folder = tmp_path_factory.mktemp("linear") / "made" / "by the run"
    run(folder, draw=True)
    return folder


@pytest.fixture(scope="module")
def experiment():
    return linear.train(FEW.only(0, 1), Linf(EPS), SEED)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def read_table(text):
    """The rows of the table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


# Files


def test_the_run_makes_its_folder_and_writes_table_result_and_five_figures(out):
    """These seven files and no other, none of them empty"""
    assert names_in(out) == FILES
    assert all((out / name).stat().st_size > 0 for name in FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("png")])
def test_figures_are_pictures_with_something_on_them(out, name):
    """A PNG that reads back, neither small nor of one colour"""
    pixels = image.imread(out / name)[..., :3]
    assert min(pixels.shape[:2]) > 200
    assert np.mean(abs(pixels - pixels[0, 0]).sum(axis=2) > 0.1) > 0.02


def test_the_report_is_the_table_and_where_it_lies(tmp_path):
    """What is printed is table.md, then the folder; what is returned is result.json"""
    result, lines = run(tmp_path)
    assert lines[0] == (tmp_path / "table.md").read_text(encoding="utf-8")
    assert str(tmp_path) in lines[-1]
    assert result == json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))


def test_the_head_of_the_table_holds_the_whole_setting(out):
    """Data, how many, norm, eps, box, attack, steps, batches, seed stand above the numbers; the same in result.json"""
    text = (out / "table.md").read_text(encoding="utf-8")
    head = text[: text.index("\n|")]
    data = FEW.only(0, 1)
    counts = f"{len(data.x_train)} training and {len(data.x_test)} test images"
    for word in (
        data.source,
        counts,
        "‖δ‖∞ ≤ 0.3",
        "0 ≤ x + δ ≤ 1",
        "δ* = −y ε sign(θ)",
        "batches of 100",
        f"seed {SEED}",
    ):
        assert word in head
    for run_ in (linear.PLAIN, linear.ROBUST):
        assert f"{run_['epochs']} epochs, step {run_['lr']:g}" in head
    for value in json.loads((out / "result.json").read_text(encoding="utf-8"))["setting"].values():
        assert value in head


ROWS = {
    "SGD: clean error": ("plain clean", None, ".4f"),
    "SGD: error under δ*": ("plain attacked, no box", "plain attacked, box", ".4f"),
    "SGD: robust objective": ("plain objective, no box", "plain objective, box", ".6f"),
    "robust SGD: clean error": ("robust clean", None, ".4f"),
    "robust SGD: error under δ*": ("robust attacked, no box", "robust attacked, box", ".4f"),
    "robust SGD: robust objective": ("robust objective, no box", "robust objective, box", ".6f"),
    "exact optimum: clean error": ("optimum clean", None, ".4f"),
    "exact optimum: error under δ*": ("optimum attacked, no box", "optimum attacked, box", ".4f"),
    "exact optimum: robust objective": ("optimum objective, no box", "optimum objective, box", ".6f"),
    "exact optimum: relative gap to its lower bound": ("gap", None, ".0e"),
    "exact optimum: weights that are not zero": ("weights", None, "d"),
    "training images: robustly separable up to ε =": ("critical radius, train", None, ".4f"),
    "test images: robustly separable up to ε =": ("critical radius, test", None, ".4f"),
}


def test_the_numbers_of_the_table_are_those_of_the_result(out):
    """Every number of result.json stands in its row and column, rounded; there are no other numbers"""
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    numbers, spread = result["numbers"], result["spread over seeds"]
    rows = read_table((out / "table.md").read_text(encoding="utf-8"))
    header = rows.pop("quantity")
    rows = {name: row for name, row in rows.items() if name.strip("-")}
    assert list(rows) == list(ROWS)
    for name, (free, boxed, spec) in ROWS.items():
        row = dict(zip(header, rows[name], strict=True))
        assert row["here, no box"] == format(numbers[free], spec)
        assert row["here, box"] == (format(numbers[boxed], spec) if boxed else "–")
        ends = " to ".join(format(end, spec) for end in spread[free]) if free in spread else "–"
        assert row["5 seeds, no box"] == ends
    used = {key for free, boxed, _ in ROWS.values() for key in (free, boxed)} | {"separable"}
    assert set(numbers) == used - {None}
    assert set(spread) <= used


def test_separable_data_are_said_to_be_separable(tmp_path):
    """Below the critical radius there is no gap, but the words: infimum 0, not attained"""
    result, lines = run(tmp_path, eps=0.05)
    assert result["numbers"]["critical radius, train"] > 0.05
    assert result["numbers"]["separable"]
    assert read_table(lines[0])["exact optimum"][2] == "robustly separable: infimum 0, not attained"
    assert "gap" not in lines[0]


# Numbers


def test_numbers_are_what_their_names_say(experiment):
    """clean: y z <= 0;  attacked: y z <= eps |theta|_1;  objective: mean log(1 + e^-(y z - eps |theta|_1))"""
    data, numbers = experiment.data, linear.measure(experiment)
    for name, model in experiment.models.items():
        theta, theta0 = model.params["theta"].astype(float).ravel(), float(model.params["theta0"])

        def margins(part, theta=theta, theta0=theta0):
            x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
            return y * (x.reshape(len(x), -1).astype(float) @ theta + theta0)

        shift = EPS * abs(theta).sum()
        np.testing.assert_allclose(numbers[f"{name} clean"], np.mean(margins("test") < 0), atol=1e-12)
        np.testing.assert_allclose(numbers[f"{name} attacked, no box"], np.mean(margins("test") < shift), atol=1e-12)
        expected = np.logaddexp(0, shift - margins("train")).mean()
        np.testing.assert_allclose(numbers[f"{name} objective, no box"], expected, rtol=1e-12)
    theta = experiment.fit.theta
    assert numbers["weights"] == (theta != 0).sum()
    assert numbers["gap"] == experiment.fit.gap
    assert numbers["separable"] == experiment.fit.separable


def test_numbers_keep_their_order(experiment):
    """clean <= attacked in the box <= attacked; objectives likewise; the optimum is below SGD's; gap <= tol"""
    numbers = linear.measure(experiment)
    for name in experiment.models:
        assert numbers[f"{name} clean"] <= numbers[f"{name} attacked, box"] <= numbers[f"{name} attacked, no box"]
        assert numbers[f"{name} objective, box"] <= numbers[f"{name} objective, no box"]
        assert numbers["optimum objective, no box"] <= numbers[f"{name} objective, no box"]
    assert numbers["gap"] <= 1e-6
    assert not numbers["separable"]


def test_critical_radii_separate(experiment):
    """1 % below the critical radius the training (the test) images are robustly separable, 1 % above it not any more"""
    data, numbers = experiment.data, linear.measure(experiment)
    for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        radius = numbers[f"critical radius, {part}"]
        for eps, separable in ((0.99 * radius, True), (1.01 * radius, False)):
            assert robust_logistic.fit(x, y, Linf(eps)).separable is separable


def test_the_spread_holds_the_seed_and_its_successors(experiment, out):
    """The ends are the least and largest of seeds s..s + 4: s lies between them, and of one seed they are equal"""
    numbers, data = linear.measure(experiment), experiment.data
    spread = linear.spread_over_seeds(experiment, range(SEED, SEED + 5))
    assert all(low <= numbers[key] <= high for key, (low, high) in spread.items())
    assert spread == json.loads((out / "result.json").read_text(encoding="utf-8"))["spread over seeds"]
    assert {key.partition(" ")[0] for key in spread} == {"plain", "robust"}
    one = linear.spread_over_seeds(experiment, [SEED])
    assert one == {key: [numbers[key]] * 2 for key in spread}
    values = []
    for seed in range(SEED, SEED + 5):
        plain, _ = linear.sgd_runs(data, Linf(EPS), seed)
        values.append(linear.errors("plain", plain, data, Linf(EPS), "no box")["plain objective, no box"])
    assert spread["plain objective, no box"] == [min(values), max(values)]
    assert min(values) < max(values)


def test_both_runs_of_sgd_start_from_the_same_model(monkeypatch):
    """With no epochs the plain and the robust model are equal, and the start depends on the seed"""
    monkeypatch.setattr(linear, "PLAIN", {"epochs": 0, "lr": 1.0})
    monkeypatch.setattr(linear, "ROBUST", {"epochs": 0, "lr": 0.1})
    plain, robust = linear.sgd_runs(FEW.only(0, 1), Linf(EPS), 0)
    other, _ = linear.sgd_runs(FEW.only(0, 1), Linf(EPS), 1)
    np.testing.assert_array_equal(plain.params["theta"], robust.params["theta"])
    assert (plain.params["theta"] != other.params["theta"]).any()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_sgd(out, tmp_path):
    """table.md and result.json are functions of data, eps and seed; the exact optimum does not depend on the seed"""
    again, _ = run(tmp_path / "again")
    for name in ("table.md", "result.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    other, _ = run(tmp_path / "other", seed=SEED + 1)
    for key, value in again["numbers"].items():
        if key.startswith(("optimum", "critical", "gap", "weights")):
            assert other["numbers"][key] == value
    assert other["numbers"]["plain objective, no box"] != again["numbers"]["plain objective, no box"]


# Published numbers


@pytest.mark.parametrize(
    ("source", "eps", "shown"),
    [
        ("MNIST, the four published files", 0.2, True),
        ("MNIST, the four published files", 0.1, False),
        ("MNIST, the four published files", 0.20001, False),
        (FEW.only(0, 1).source, 0.2, False),
    ],
)
def test_published_numbers_stand_only_beside_the_run_they_are_about(source, eps, shown, experiment):
    """They are shown for MNIST at eps = 0.2; elsewhere their columns are empty"""
    setting = SimpleNamespace(data=SimpleNamespace(source=source), eps=eps)
    assert linear.comparable(setting) is shown
    numbers = linear.measure(experiment)
    header, rows = linear.tabulate(numbers, {}, linear.comparable(setting))
    published = {cell for row in rows for cell in (row[header.index("slides")], row[header.index("public reruns")])}
    expected = {cell for pair in linear.PUBLISHED.values() for cell in pair} - {""}
    assert published == (expected | {"–"} if shown else {"–"})


def test_a_published_number_stands_beside_its_own_quantity(experiment):
    """The slides' 0.845 is SGD's error under attack, their 0.0004 its clean error, 0.025 that of robust training"""
    _, rows = linear.tabulate(linear.measure(experiment), {}, True)
    slides = {row[0]: row[1] for row in rows if row[1] != "–"}
    assert slides == {
        "SGD: clean error": "0.0004",
        "SGD: error under δ*": "0.845",
        "robust SGD: error under δ*": "0.025",
    }


# Failure


def raising(*args, **options):
    raise OSError("no space left on device")


def half_a_picture(self, file, **options):
    file.write(b"half")
    raising()


@pytest.mark.parametrize("step", ["train", "measure", "spread_over_seeds", "markdown", "publish", "figures"])
def test_a_run_that_fails_leaves_no_part_of_a_file(step, tmp_path):
    """Whatever step fails, what lies in the folder afterwards is whole"""
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path, **{step: raising})
    assert set(names_in(tmp_path)) <= {"table.md", "result.json"}
    if (tmp_path / "table.md").exists():
        assert list(ROWS)[-1] in (tmp_path / "table.md").read_text(encoding="utf-8")
    if (tmp_path / "result.json").exists():
        assert set(json.loads((tmp_path / "result.json").read_text())) == {"setting", "numbers", "spread over seeds"}


def test_a_figure_that_cannot_be_written_leaves_no_part_of_it(tmp_path, monkeypatch):
    """Writing breaks off in the first picture: table and result are whole, the picture is not there"""
    monkeypatch.setattr(Figure, "savefig", half_a_picture)
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path, draw=True)
    assert names_in(tmp_path) == ["result.json", "table.md"]


@pytest.mark.parametrize(("eps", "seed"), [(-1, 0), (float("nan"), 0), (True, 0), (0.1, -1), (0.1, 1.5)])
def test_bad_arguments_are_refused_before_any_work(eps, seed, tmp_path):
    """eps < 0, NaN or bool, and a seed that is none: an error that names it, and no folder"""
    with pytest.raises((ValueError, TypeError), match=r"eps|seed"):
        run(tmp_path / "new", eps, seed, train=raising)
    assert names_in(tmp_path) == []


def test_eps_zero_is_a_run_like_any_other(tmp_path):
    """eps = 0: attacked = clean for every model, and all figures can be drawn"""
    result, _ = run(tmp_path, eps=0, draw=True)
    numbers = result["numbers"]
    for name in linear.NAMES:
        assert numbers[f"{name} clean"] == numbers[f"{name} attacked, box"] == numbers[f"{name} attacked, no box"]
    assert names_in(tmp_path) == FILES


# MNIST

MNIST = Path(os.environ.get("SCRATCHADV_DATA", "data"), "mnist", "train-images-idx3-ubyte.gz")


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_file(), reason="MNIST is not on disk: set SCRATCHADV_DATA to the folder above mnist/")
def test_the_slides_numbers_on_mnist(tmp_path):
    """Slides and public reruns: clean 0.0004, attacked 0.81 to 0.86; robust 0.025, 0.0236; exact 0.0184 at 0.118652"""
    result = linear.run("mnist", 0.2, 0, out=tmp_path, report=lambda line: None)
    numbers = result["numbers"]
    assert numbers["plain clean"] <= 0.001
    assert 0.80 <= numbers["plain attacked, no box"] <= 0.88
    assert 0.022 <= numbers["robust attacked, no box"] <= 0.027
    assert abs(numbers["optimum attacked, no box"] - 0.0184) <= 0.0005
    assert abs(numbers["optimum objective, no box"] - 0.118652) <= 1e-6
    assert names_in(tmp_path) == FILES
    rows = read_table((tmp_path / "table.md").read_text(encoding="utf-8"))
    assert rows["SGD: error under δ*"][:2] == ["0.845", "0.81 to 0.86"]
    assert "12,665 training and 2,115 test images" in result["setting"]["data"]
