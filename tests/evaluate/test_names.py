"""A report takes the names of classes by label, and refuses what it cannot show before any attack is called."""

import re

import numpy as np
import pytest

from scratchadv.attacks import Iterate
from scratchadv.evaluate import report
from scratchadv.sets import Linf
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

THREAT = Linf(0.1).within(0, 1)
THETA = np.array([1.0, -1.0, 1.0, -1.0]).reshape(2, 2, 1)
X = np.random.default_rng(0).random((6, 2, 2, 1))


def never(*given, **options):
    """An attack that must not be called."""
    raise AssertionError("an attack was called")


def standing_still(model, x, y, threat, *, steps=1, callback=None):
    """An attack that does nothing, for pages on which only the names matter."""
    if callback:
        callback(Iterate(0, 0, np.zeros_like(x), None))
    return np.zeros_like(x)


def shown_names(path, model, x, y, **options):
    """The names and marks below the clean images."""
    report(path, model, x, y, THREAT, [standing_still], iterated=standing_still, eps=[0.1], **options)
    text = path.read_text(encoding="utf-8")
    return re.findall(r'(?:right|wrong)">([^<]*)<', text)[: min(len(x), options.get("shown", 8))]


BINARY = {
    "a pair, +1 first": ("cat", "dog"),
    "a list": ["cat", "dog"],
    "by label": {1: "cat", -1: "dog"},
    "more than are needed": {1: "cat", -1: "dog", 0: "bird"},
}


@pytest.mark.parametrize("names", BINARY.values(), ids=BINARY)
def test_two_names_belong_to_plus_and_minus_one(tmp_path, names):
    """Labels +1 and −1: the name below an image is that of its prediction"""
    model = Linear(THETA)
    y = np.where(model.logits(X) >= 0, 1, -1)
    assert len(set(y)) == 2
    expected = [f"{'cat' if label == 1 else 'dog'} ✓" for label in y]
    assert shown_names(tmp_path / "r.html", model, X, y, class_names=names) == expected
    wrong = [word.replace("✓", "✗") for word in expected]
    assert shown_names(tmp_path / "r.html", model, X, -y, class_names=names) == wrong


@pytest.mark.parametrize("names", [("a", "b", "c"), {0: "a", 1: "b", 2: "c"}, ["a", "b", "c", "d"], None])
def test_names_of_several_classes(tmp_path, names):
    """Labels 0 to K − 1: a sequence gives names by position, a dict by label; without names the labels are shown"""
    model = SmallNetwork((2, 2, 1), 3, 3)
    y = model.logits(X).argmax(axis=1)
    expected = [f"{'abc'[label] if names else label} ✓" for label in y]
    assert shown_names(tmp_path / "r.html", model, X, y, class_names=names) == expected


def test_names_are_escaped(tmp_path):
    """A name is shown as text, not as HTML"""
    model = SmallNetwork((2, 2, 1), 3, 3)
    shown_names(tmp_path / "r.html", model, X, model.logits(X).argmax(axis=1), class_names=["<b>", "&", '"'])
    assert "<b> " not in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_prediction_that_is_none_has_no_name(tmp_path):
    """If the logits of the final input are NaN, the caption says that there is no prediction"""

    class Elsewhere(SmallNetwork):
        def logits(self, x):
            z = super().logits(x)
            known = [np.isclose(x, one).reshape(len(x), -1).all(axis=1) for one in X]
            return np.where(np.any(known, axis=0)[:, None], z, np.nan)

    model = Elsewhere((2, 2, 1), 3, 3)
    y = model.logits(X).argmax(axis=1)
    path = tmp_path / "r.html"
    shown_names(path, model, X, y, class_names=["a", "b", "c"], bits=1)  # whose levels do not fit any image of X
    assert path.read_text(encoding="utf-8").count("no prediction ✗") == len(X)


REFUSED = {
    "too few": ({"class_names": ("a", "b")}, ValueError, r"class_names has no name for the label 2"),
    "no name": ({"class_names": ()}, ValueError, r"class_names has no name for the label 0"),
    "a gap": ({"class_names": {0: "a", 2: "c"}}, ValueError, r"class_names has no name for the label 1"),
    "text": ({"class_names": "abc"}, TypeError, r"class_names must be "),
    "a number": ({"class_names": 3}, TypeError, r"class_names must be "),
    "nothing to show": ({"shown": 0}, ValueError, r"shown = 0 must be >= 1"),
    "less than nothing": ({"shown": -2}, ValueError, r"shown = -2 must be >= 1"),
    "half a picture": ({"shown": 1.5}, TypeError, r"shown must be a whole number"),
    "no radii": ({"eps": 0.1}, TypeError, r"eps must be "),
    "a radius below 0": ({"eps": [0.1, -0.1]}, ValueError, r"eps\[1\] = -0.1"),
    "radii that do not grow": ({"eps": [0.2, 0.1]}, ValueError, r"eps = \[0.2, 0.1\] must grow"),
    "no radius": ({"eps": []}, ValueError, r"eps = \[\] must have at least 1 value"),
    "no title": ({"title": None}, TypeError, r"title must be text"),
    "no setting": ({"setting": [("data", "mine")]}, TypeError, r"setting must be a dict"),
    "no attack": ({"iterated": "pgd"}, TypeError, r"iterated must be a function"),
    "no black box": ({"black_box": 3}, TypeError, r"black_box must be a function"),
    "no bits": ({"bits": 0}, ValueError, r"bits = 0"),
}


@pytest.mark.parametrize(("options", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_a_report_cannot_use_is_refused_before_any_attack(tmp_path, options, error, words):
    """An error that names the argument; no attack is called and no file is written"""
    model = SmallNetwork((2, 2, 1), 3, 3)
    y = model.logits(X).argmax(axis=1)
    given = {"iterated": never} | options
    with pytest.raises(error, match=words):
        report(tmp_path / "r.html", model, X, y, THREAT, [never], **given)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_refused_before_any_attack(tmp_path):
    """A missing folder, a folder with the name of the file, a file with the name of the folder: an OSError"""
    model = SmallNetwork((2, 2, 1), 3, 3)
    y = model.logits(X).argmax(axis=1)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in (tmp_path / "missing" / "r.html", tmp_path, tmp_path / "file" / "r.html"):
        with pytest.raises(OSError, match=re.escape(str(path))):
            report(path, model, X, y, THREAT, [never], iterated=never)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
