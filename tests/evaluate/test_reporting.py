"""Laws of the report: one page that needs no other file, with the numbers of the evaluation."""

import base64
import re
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from matplotlib import image

from scratchadv.attacks import fgsm, pgd
from scratchadv.evaluate import accuracy_over_eps, over_steps, report, signs_of_masking, worst_case
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L2, Linf

THREAT = Linf(0.2).within(0, 1)
ATTACKS = {"one step": fgsm, "five <steps>": partial(pgd, steps=5)}


@pytest.fixture(scope="module")
def images():
    """A network and 20 small images; its prediction for the first is wrong."""
    rng = np.random.default_rng(1)
    model = MLP((12, 8, 3), "tanh", rng=rng, dtype=np.float64)
    x = rng.random((20, 3, 4, 1))
    y = predict(model, x)
    y[0] = (y[0] + 1) % 3
    return model, x, y


@pytest.fixture(scope="module")
def written(images, tmp_path_factory):
    """The report and the text of its page."""
    path = tmp_path_factory.mktemp("report") / "page.html"
    found = report(path, *images, THREAT, ATTACKS, setting={"data": "random & small"}, title="A report", shown=5)
    return found, path.read_text(encoding="utf-8")


def rows(text, kind):
    """The cells of the table with this class, row by row."""
    table = re.search(rf'<table class="{kind}">(.*?)</table>', text, re.DOTALL)[1]
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", line) for line in table.split("<tr>")[1:]]


def test_nothing_is_fetched(written):
    """The page refers to no address, script, style sheet or font elsewhere; every image is in its data"""
    _, text = written
    assert not re.search(r"https?:|<script|<link|url\(|@import|href=", text)
    assert all(src.startswith("data:image/png;base64,") for src in re.findall(r'src="([^"]*)"', text))


def test_the_head_holds_the_threat_and_the_setting(written):
    """Model, threat, number of examples and the caller's words stand before the first heading"""
    _, text = written
    head = text[text.index("<h1>") : text.index("<h2>")]
    pairs = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", head))
    assert pairs == {
        "model": "MLP, 131 parameters",
        "threat": "‖δ‖∞ ≤ 0.2, 0 ≤ x + δ ≤ 1",
        "examples": "20",
        "data": "random &amp; small",
    }


def test_the_numbers_are_those_of_the_evaluation(written, images):
    """Table, curves and signs are worst_case, accuracy_over_eps, over_steps and signs_of_masking"""
    found, text = written
    worst = worst_case(*images, THREAT, ATTACKS)
    np.testing.assert_array_equal(found.worst.standing, worst.standing)
    grid = np.linspace(0, 0.4, 9)
    curve = accuracy_over_eps(*images, [Linf(eps).within(0, 1) for eps in grid], ATTACKS)
    np.testing.assert_array_equal(found.over_eps.stands, curve.stands)
    np.testing.assert_array_equal(found.over_steps.loss, over_steps(*images, THREAT, pgd).loss)
    assert found.signs == signs_of_masking(*images, THREAT)
    assert 0 < worst.accuracy < 0.95
    expected = [["accuracy", "of those left", "of all"]]
    expected += [[n, f"{100 * a:.2f} %", f"{100 * b:.2f} %"] for n, a, b in worst.rows()]
    expected[3][0] = "five &lt;steps&gt;"
    assert rows(text, "numbers") == expected
    assert f"<b>{100 * worst.accuracy:.1f} %</b>" in text


def test_the_curves_are_drawn(written):
    """Three drawings: their points say accuracy over eps, accuracy over steps, mean loss over steps"""
    found, text = written
    drawings = [re.findall(r"<title>(.*?)</title>", svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    eps, steps = found.over_eps, found.over_steps
    assert drawings[0] == [f"{e:.4g}: {a:.2%}" for e, a in zip(eps.eps, eps.accuracy, strict=True)]
    assert drawings[1] == [f"{s}: {a:.2%}" for s, a in enumerate(steps.accuracy)]
    assert text.count("ε = 0.2") == 1
    assert drawings[2] == [f"{s}: {a:.4g}" for s, a in enumerate(steps.loss.mean(axis=1))]


def test_the_examples_are_the_first_ones(written, images):
    """x, x + delta and the predictions for both, right or wrong; the change is magnified around grey"""
    found, text = written
    model, x, y = images
    delta = found.worst.delta
    times = int(re.search(r"δ × (\d+)", text)[1])
    assert abs(times * delta[:5]).max() <= 0.5 + 1e-9
    pictures = [image.imread(BytesIO(base64.b64decode(code)), "png") for code in re.findall(r"base64,([^\"]*)", text)]
    expected = np.concatenate([x[:5], 0.5 + times * delta[:5], (x + delta)[:5]])
    np.testing.assert_allclose(np.array(pictures)[..., :1], np.clip(expected, 0, 1), atol=0.5 / 255 + 1e-6)
    captions = re.findall(r'<span class="(right|wrong)">(\d) (.)</span>', text)
    labels = np.concatenate([predict(model, x[:5]), predict(model, (x + delta)[:5])])
    right = labels == np.tile(y[:5], 2)
    assert captions == [
        ("right" if r else "wrong", str(n), "✓" if r else "✗") for n, r in zip(labels, right, strict=True)
    ]
    assert 0 < right.sum() < 10


def test_the_same_call_writes_the_same_page(written, images, tmp_path):
    """Nothing on the page depends on time or place"""
    options = {"setting": {"data": "random & small"}, "title": "A report", "shown": 5}
    report(tmp_path / "again.html", *images, THREAT, ATTACKS, **options)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == written[1]


def test_signs_of_masking_are_on_the_page(images, tmp_path):
    """For a model with zero gradients the sign and its figure; without signs, the page says what was looked for"""
    model, x, y = images

    class Zero(MLP):
        def vjp_x(self, x):
            return self.logits(x), lambda dz: 0 * x

    zero = Zero((12, 8, 3), "tanh", rng=np.random.default_rng(1), dtype=np.float64)
    found = report(tmp_path / "zero.html", zero, x, y, THREAT, ATTACKS, black_box=partial(pgd_of, model))
    text = (tmp_path / "zero.html").read_text(encoding="utf-8")
    assert {"zero gradients", "black box beats white box"} <= {finding.sign for finding in found.signs}
    for finding in found.signs:
        assert f'<p class="note"><b>{finding.sign}</b>: {finding.words}.</p>' in text
    assert "black box beats white box" in text[text.index("Searched for") :]
    report(tmp_path / "sound.html", model, x, y, THREAT, ATTACKS)
    text = (tmp_path / "sound.html").read_text(encoding="utf-8")
    assert "None was found." in text
    assert "zero gradients" in text
    assert "black box" not in text


def pgd_of(hidden, model, x, y, threat):
    return pgd(hidden, x, y, threat)


def test_names_and_bits(images, tmp_path):
    """Classes are named and escaped; rounding is mentioned at the top"""
    options = {"class_names": ["a&b", "dog", "cat"], "bits": 3, "shown": 20, "eps": [0.1, 0.2]}
    found = report(tmp_path / "page.html", *images, THREAT, ATTACKS, **options)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<dt>rounded</dt><dd>to 3 bits</dd>" in text
    assert "a&amp;b ✓" in text
    np.testing.assert_array_equal(found.worst.standing, worst_case(*images, THREAT, ATTACKS, bits=3).standing)
    np.testing.assert_array_equal(found.over_steps.loss, over_steps(*images, THREAT, pgd, bits=3).loss)
    assert found.over_eps.eps == [0.1, 0.2]


@pytest.mark.parametrize("threat", [L2(0.5), L0(1).within(0, 1), Linf(0), Linf(0.1).within(-1, 1)], ids=str)
def test_any_threat_and_a_binary_model(threat, tmp_path):
    """There is a page for inputs that are not images, labels -1/+1, any norm, no box or another one, and radius 0"""
    rng = np.random.default_rng(0)
    model, x = LogisticRegression(rng.normal(size=4), 0.1), rng.random((10, 4))
    found = report(tmp_path / "page.html", model, x, predict(model, x), threat, [fgsm])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Examples" not in text
    assert np.isfinite(found.over_eps.accuracy).all()


def test_a_failure_leaves_no_file(images, tmp_path):
    """If an attack raises an error, the error passes through and the old page stays"""

    def fail(model, x, y, threat):
        raise RuntimeError("no change today")

    (tmp_path / "old.html").write_text("old")
    for name in ("old.html", "new.html"):
        with pytest.raises(RuntimeError, match="no change today"):
            report(tmp_path / name, *images, THREAT, [fgsm, fail])
    assert [p.name for p in tmp_path.iterdir()] == ["old.html"]
    assert (tmp_path / "old.html").read_text() == "old"
