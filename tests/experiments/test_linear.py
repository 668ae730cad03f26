"""The linear experiment on a few digits: its files, and its numbers by definition; on MNIST: the published numbers."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from scratchadv import datasets, robust_logistic
from scratchadv.experiments.experiment import Measured, result_of, run
from scratchadv.experiments.linear import experiment as linear
from scratchadv.sets import Linf

FEW = datasets.load("strokes", n_train=400, n_test=200)
EPS, SEED = 0.3, 3
FILES = ["delta_star.png", "digits.png", "error_over_eps.png", "psi.png", "result.json", "table.md", "weights.png"]


def nothing(*args):
    """Leave out the figures."""
    return {}


def run_few(out, eps=EPS, seed=SEED, draw=False, **changes):
    """Run the command on a few digits, by default without its figures; return its result and the lines it reports."""
    lines, changes = [], changes if draw else {"figures": nothing} | changes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", lambda name: FEW)
        changed = replace(linear.EXPERIMENT, **changes)
        result = run(changed, "strokes", eps, seed, out=out, report=lines.append)
    return result, lines


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder with the results of one run, including the figures."""
    folder = tmp_path_factory.mktemp("linear") / "made" / "by the run"
    run_few(folder, draw=True)
    return folder


@pytest.fixture(scope="module")
def setup():
    return linear.train(linear.FULL, FEW, EPS, SEED)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def read_table(text):
    """The rows of the table, by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


# Files


def test_the_run_makes_its_folder_and_writes_table_result_and_five_figures(out):
    """These seven files and no others, and none of them is empty"""
    assert names_in(out) == FILES
    assert all((out / name).stat().st_size > 0 for name in FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("png")])
def test_figures_are_pictures_with_something_on_them(out, name):
    """A PNG that can be read, not small, with more than one colour"""
    pixels = image.imread(out / name)[..., :3]
    assert min(pixels.shape[:2]) > 200
    assert np.mean(abs(pixels - pixels[0, 0]).sum(axis=2) > 0.1) > 0.02


def test_the_report_is_the_table_and_where_it_lies(tmp_path):
    """What is printed is table.md, then the folder; what is returned is result.json"""
    result, lines = run_few(tmp_path)
    assert lines[0] == (tmp_path / "table.md").read_text(encoding="utf-8")
    assert str(tmp_path) in lines[-1]
    assert result == json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))


def test_the_head_of_the_table_holds_the_whole_setting(out):
    """Data, numbers, norm, eps, box, attack, steps, batches and seed stand above the numbers, and in result.json"""
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
    plan = linear.FULL
    for epochs, step in ((plan.plain_epochs, plan.plain_step), (plan.robust_epochs, plan.robust_step)):
        assert f"{epochs} epochs, step {step:g}" in head
    for value in json.loads((out / "result.json").read_text(encoding="utf-8"))["setting"].values():
        assert value in head


ROWS = {
    "SGD: clean error": ("plain", "clean", ".4f"),
    "SGD: error under δ*": ("plain", "attacked", ".4f"),
    "SGD: robust objective": ("plain", "objective", ".6f"),
    "robust SGD: clean error": ("robust", "clean", ".4f"),
    "robust SGD: error under δ*": ("robust", "attacked", ".4f"),
    "robust SGD: robust objective": ("robust", "objective", ".6f"),
    "exact optimum: clean error": ("optimum", "clean", ".4f"),
    "exact optimum: error under δ*": ("optimum", "attacked", ".4f"),
    "exact optimum: robust objective": ("optimum", "objective", ".6f"),
    "exact optimum: relative gap to its lower bound": ("certificate", "gap", ".0e"),
    "exact optimum: weights that are not zero": ("certificate", "weights", "d"),
    "training images: robustly separable up to ε =": ("critical radius", "train", ".4f"),
    "test images: robustly separable up to ε =": ("critical radius", "test", ".4f"),
}


def leaves(tree):
    """Return how many numbers nested dicts contain."""
    return sum(map(leaves, tree.values())) if isinstance(tree, dict) else 1


def test_the_numbers_of_the_table_are_those_of_the_result(out):
    """Every number of result.json stands in its row and column, rounded, and there are no other numbers"""
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    numbers, spread = result["numbers"], result["spread over seeds"]
    rows = read_table((out / "table.md").read_text(encoding="utf-8"))
    header = rows.pop("quantity")
    rows = {name: row for name, row in rows.items() if name.strip("-")}
    assert list(rows) == list(ROWS)
    shown = 0
    for name, (key, quantity, spec) in ROWS.items():
        row = dict(zip(header, rows[name], strict=True))
        here = numbers["models"][key][quantity] if key in numbers["models"] else {"no box": numbers[key][quantity]}
        assert row["here, no box"] == format(here["no box"], spec)
        assert row["here, box"] == (format(here["box"], spec) if "box" in here else "–")
        assert ("box" in here) == (quantity in ("attacked", "objective"))
        ends = spread.get(key, {}).get(quantity)
        assert row["5 seeds, no box"] == (" to ".join(format(end, spec) for end in ends) if ends else "–")
        shown += len(here)
    assert leaves(numbers) == shown + 1  # and whether the data are separable
    assert list(spread) == ["plain", "robust"]
    assert all(list(ends) == list(linear.QUANTITIES) for ends in spread.values())


def test_separable_data_are_said_to_be_separable(tmp_path):
    """Below the critical radius the table has words instead of a gap: the infimum 0 is not attained"""
    result, lines = run_few(tmp_path, eps=0.05)
    assert result["numbers"]["critical radius"]["train"] > 0.05
    assert result["numbers"]["certificate"]["separable"]
    assert read_table(lines[0])["exact optimum"][2] == "robustly separable: infimum 0, not attained"
    assert "gap" not in lines[0]


# Numbers


def test_numbers_are_what_their_names_say(setup):
    """clean: y z <= 0;  attacked: y z <= eps |theta|_1;  objective: mean log(1 + e^-(y z - eps |theta|_1))"""
    data, numbers = setup.data, linear.measure_models(setup)
    for key, model in setup.models.items():
        theta, theta0 = model.params["theta"].astype(float).ravel(), float(model.params["theta0"])
        found = {quantity: here["no box"] for quantity, here in numbers["models"][key].items()}

        def margins(part, theta=theta, theta0=theta0):
            x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
            return y * (x.reshape(len(x), -1).astype(float) @ theta + theta0)

        shift = EPS * abs(theta).sum()
        np.testing.assert_allclose(found["clean"], np.mean(margins("test") < 0), atol=1e-12)
        np.testing.assert_allclose(found["attacked"], np.mean(margins("test") < shift), atol=1e-12)
        expected = np.logaddexp(0, shift - margins("train")).mean()
        np.testing.assert_allclose(found["objective"], expected, rtol=1e-12)
    certificate = numbers["certificate"]
    assert certificate["weights"] == (setup.fit.theta != 0).sum()
    assert certificate["gap"] == setup.fit.gap
    assert certificate["separable"] == setup.fit.separable


def test_numbers_keep_their_order(setup):
    """clean <= attacked in the box <= attacked, and so for objectives; the optimum is below SGD's; gap <= tol"""
    numbers = linear.measure_models(setup)
    models = numbers["models"]
    for found in models.values():
        assert found["clean"]["no box"] <= found["attacked"]["box"] <= found["attacked"]["no box"]
        assert found["objective"]["box"] <= found["objective"]["no box"]
        assert models["optimum"]["objective"]["no box"] <= found["objective"]["no box"]
    assert numbers["certificate"]["gap"] <= 1e-6
    assert not numbers["certificate"]["separable"]


def test_critical_radii_separate(setup):
    """1 % below the critical radius the training (or test) images are robustly separable, 1 % above it they are not"""
    data, numbers = setup.data, linear.measure_models(setup)
    for part, x, y in (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        radius = numbers["critical radius"][part]
        for eps, separable in ((0.99 * radius, True), (1.01 * radius, False)):
            assert robust_logistic.fit(x, y, Linf(eps)).separable is separable


def test_the_spread_holds_the_seed_and_its_successors(setup, out):
    """The ends are the smallest and largest of seeds s..s + 4: s lies between them, and for one seed they are equal"""
    models, data = linear.measure_models(setup)["models"], setup.data
    spread = linear.spread_over_seeds(setup, range(SEED, SEED + 5))
    for key, ends in spread.items():
        for quantity, (low, high) in ends.items():
            assert low <= models[key][quantity]["no box"] <= high
    assert spread == json.loads((out / "result.json").read_text(encoding="utf-8"))["spread over seeds"]
    assert set(spread) == {"plain", "robust"}
    one = linear.spread_over_seeds(setup, [SEED])
    assert one == {key: {q: [models[key][q]["no box"]] * 2 for q in spread[key]} for key in spread}
    values = []
    for seed in range(SEED, SEED + 5):
        plain = linear.sgd_runs(setup.plan, data, Linf(EPS), seed)["plain"]
        values.append(linear.errors(plain, data, Linf(EPS))["objective"])
    assert spread["plain"]["objective"] == [min(values), max(values)]
    assert min(values) < max(values)


def test_both_runs_of_sgd_start_from_the_same_model():
    """With no epochs the plain and the robust model are equal, and the start depends on the seed"""
    plan = replace(linear.FULL, plain_epochs=0, robust_epochs=0)
    found = linear.sgd_runs(plan, FEW.only(0, 1), Linf(EPS), 0)
    other = linear.sgd_runs(plan, FEW.only(0, 1), Linf(EPS), 1)
    np.testing.assert_array_equal(found["plain"].params["theta"], found["robust"].params["theta"])
    assert (found["plain"].params["theta"] != other["plain"].params["theta"]).any()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_sgd(out, tmp_path):
    """table.md and result.json are functions of data, eps and seed; the exact optimum does not depend on the seed"""
    again, _ = run_few(tmp_path / "again")
    for name in ("table.md", "result.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    again, other = again["numbers"], run_few(tmp_path / "other", seed=SEED + 1)[0]["numbers"]
    assert other["models"]["optimum"] == again["models"]["optimum"]
    assert (other["critical radius"], other["certificate"]) == (again["critical radius"], again["certificate"])
    assert other["models"]["plain"]["objective"] != again["models"]["plain"]["objective"]


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
def test_published_numbers_stand_only_beside_the_run_they_are_about(source, eps, shown, setup):
    """They are shown for MNIST at eps = 0.2; otherwise their columns are empty"""
    named = replace(setup, data=replace(setup.data, source=source), eps=eps)
    result = result_with(linear.measure_models(setup), named)
    assert linear.comparable(result) is shown
    (table,) = linear.tables(result)
    columns = [table.header.index(name) for name in ("slides", "public reruns")]
    published = {row[column] for row in table.rows for column in columns}
    expected = {number.text for pair in linear.PUBLISHED.values() for number in pair.values()}
    assert published == (expected | {"–"} if shown else {"–"})


def result_with(numbers, setup):
    """What result.json would contain with these numbers, and without a spread over seeds."""
    return result_of(linear.EXPERIMENT, setup, Measured({"numbers": numbers, "spread over seeds": {}}))


def on_mnist(setup):
    """The same, as if it came from the slides' run."""
    return replace(setup, data=replace(setup.data, source="MNIST, the four published files"), eps=0.2)


def test_a_published_number_stands_beside_its_own_quantity(setup):
    """The slides' 0.845 is SGD's error under attack, 0.0004 its clean error, and 0.025 that of robust training"""
    (table,) = linear.tables(result_with(linear.measure_models(setup), on_mnist(setup)))
    slides = {row[0]: row[1] for row in table.rows if row[1] != "–"}
    assert slides == {
        "SGD: clean error": "0.0004",
        "SGD: error under δ*": "0.845",
        "robust SGD: error under δ*": "0.025",
    }


def test_the_front_page_has_the_six_errors(setup):
    """Six rows of the table, without the column for the box"""
    result = result_with(linear.measure_models(setup), on_mnist(setup))
    header, rows = linear.error_rows(result)
    (table,) = linear.tables(result)
    assert header == [name for name in table.header if name != "here, box"]
    box = table.header.index("here, box")
    whole = [[cell for i, cell in enumerate(row) if i != box] for row in table.rows]
    assert rows == [row for row in whole if row[0].endswith(("clean error", "error under δ*"))]
    assert len(rows) == 6


# Failure


def raising(*args, **options):
    raise OSError("no space left on device")


def half_a_picture(self, file, **options):
    file.write(b"half")
    raising()


@pytest.mark.parametrize("step", ["train", "measure", "describe", "tables", "figures"])
def test_a_run_that_fails_leaves_no_part_of_a_file(step, tmp_path):
    """Whichever step fails, the files left in the folder are complete"""
    with pytest.raises(OSError, match="no space left"):
        run_few(tmp_path, **{step: raising})
    assert names_in(tmp_path) == (["result.json", "table.md"] if step == "figures" else [])
    if step == "figures":
        assert list(ROWS)[-1] in (tmp_path / "table.md").read_text(encoding="utf-8")
        result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
        assert {"setting", "numbers", "spread over seeds"} <= set(result)


def test_a_figure_that_cannot_be_written_leaves_no_part_of_it(tmp_path, monkeypatch):
    """Writing fails in the first figure: table and result are complete, and the figure is missing"""
    monkeypatch.setattr(Figure, "savefig", half_a_picture)
    with pytest.raises(OSError, match="no space left"):
        run_few(tmp_path, draw=True)
    assert names_in(tmp_path) == ["result.json", "table.md"]


@pytest.mark.parametrize(("eps", "seed"), [(-1, 0), (float("nan"), 0), (True, 0), (0.1, -1), (0.1, 1.5)])
def test_bad_arguments_are_refused_before_any_work(eps, seed, tmp_path):
    """eps < 0, NaN or bool, or an invalid seed: an error that names it, and no folder"""
    with pytest.raises((ValueError, TypeError), match=r"eps|seed"):
        run_few(tmp_path / "new", eps, seed, train=raising)
    assert names_in(tmp_path) == []


def test_eps_zero_is_a_run_like_any_other(tmp_path):
    """eps = 0: attacked = clean for every model, and all figures can be drawn"""
    result, _ = run_few(tmp_path, eps=0, draw=True)
    for found in result["numbers"]["models"].values():
        assert found["clean"]["no box"] == found["attacked"]["box"] == found["attacked"]["no box"]
    assert names_in(tmp_path) == FILES


# MNIST

MNIST = Path(os.environ.get("SCRATCHADV_DATA", "data"), "mnist", "train-images-idx3-ubyte.gz")


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_file(), reason="MNIST is not on disk: set SCRATCHADV_DATA to the folder above mnist/")
def test_the_slides_numbers_on_mnist(tmp_path):
    """Slides and public reruns: clean 0.0004, attacked 0.81 to 0.86; robust 0.025, 0.0236; exact 0.0184 at 0.118652"""
    result = run(linear.EXPERIMENT, "mnist", 0.2, 0, out=tmp_path, report=lambda line: None)
    models = result["numbers"]["models"]
    assert models["plain"]["clean"]["no box"] <= 0.001
    assert 0.80 <= models["plain"]["attacked"]["no box"] <= 0.88
    assert 0.022 <= models["robust"]["attacked"]["no box"] <= 0.027
    assert abs(models["optimum"]["attacked"]["no box"] - 0.0184) <= 0.0005
    assert abs(models["optimum"]["objective"]["no box"] - 0.118652) <= 1e-6
    assert names_in(tmp_path) == FILES
    rows = read_table((tmp_path / "table.md").read_text(encoding="utf-8"))
    assert rows["SGD: error under δ*"][:2] == ["0.845", "0.81 to 0.86"]
    assert "12,665 training and 2,115 test images" in result["setting"]["data"]
