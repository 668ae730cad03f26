"""The map from slides to code: every section, function and test that it names exists."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LECTURES = ROOT / "lectures"
DECKS = ROOT.parent / "shared" / "slides"


def rows(name):
    """Return the rows of all tables of a file, each as a list of cells."""
    lines = (LECTURES / name).read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return [row for row in cells if not set("".join(row)) <= set("-: ") and row[-1] not in ("test", "shape")]


def find(dotted):
    """Return the object that a dotted name stands for."""
    module, names = dotted, []
    while True:
        try:
            thing = import_module(module)
            break
        except ModuleNotFoundError:
            module, _, name = module.rpartition(".")
            names.insert(0, name)
    for name in names:
        thing = getattr(thing, name)
    return thing


def anchors(chapter):
    """Return the addresses of a chapter's headings, as sites for Markdown make them."""
    text = (LECTURES / chapter).read_text("utf-8")
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^# #+ (.*)$", text, re.MULTILINE)
    }


def functions_in(path):
    """Return the names of the functions of a file, including those in classes."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def missing(row):
    """Yield the names in a row of the map that do not exist."""
    for chapter, anchor in re.findall(r"\]\((\w+\.py)#([^)]*)\)", " ".join(row)):
        if not (LECTURES / chapter).exists() or anchor not in anchors(chapter):
            yield f"{chapter}#{anchor}"
    for dotted in re.findall(r"`(scratchadv[\w.]*)`", " ".join(row)):
        try:
            find(dotted)
        except (AttributeError, ModuleNotFoundError):
            yield dotted
    for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", " ".join(row)):
        if not (ROOT / path).exists() or test not in functions_in(path):
            yield f"{path}::{test}"


@pytest.mark.parametrize("name", ["SLIDES.md", "NOTATION.md"])
def test_what_the_map_names_exists(name):
    """All sections, functions and tests in the map exist."""
    assert len(rows(name)) > 20
    assert {row[1]: found for row in rows(name) if (found := list(missing(row)))} == {}


def test_every_slide_has_code_or_says_that_it_is_not_built():
    """A row without code is a title, a list of references, or marked."""
    for _, slide, lecture, code, test in rows("SLIDES.md"):
        if code == "–":
            assert re.search(r"section|title|References|impact|other domains", slide, re.IGNORECASE), slide
        elif not code.startswith("not built yet"):
            assert lecture != "–", slide
            assert test != "–" or "figure" in slide, slide


def test_names_of_the_notation_are_arguments():
    """If a row has a name, the function beside it takes an argument of that name."""
    for symbol, _, name, where, _ in rows("NOTATION.md"):
        if name:
            thing = find(where.strip("`"))
            assert name.strip("`") in inspect.signature(thing).parameters, symbol


@pytest.mark.parametrize(
    "cell",
    [
        "`scratchadv.attacks.no_such_attack`",
        "[1. There is no such section](01_adversarial_examples.py#no-such-section)",
        "[1. Nor such a chapter](99_nothing.py#nothing)",
        "`tests/sets/test_norms.py::test_that_is_not_there`",
        "`tests/test_nothing.py::test_norm_is_numpys`",
    ],
)
def test_the_check_can_fail(cell):
    """A name of each kind is reported if it does not exist."""
    assert len(list(missing(["1", "a slide", cell]))) == 1


@pytest.mark.skipif(not DECKS.exists(), reason="the text of the slides is not at hand")
def test_the_map_has_every_slide_of_the_first_deck_in_order():
    """The first deck's titles are those of the map, in the same order; the references are one row."""
    text = (DECKS / "lmu_adversarial_examples.txt").read_text("utf-8")
    titles = [re.sub(r"[*#]", "", line).strip().lower() for line in text.splitlines() if re.match(r"##? ", line)]
    slides = [title for title in titles if title != "references"]
    assert slides.pop(1) == "adversarial examples"  # the second line of the title page
    first = (LECTURES / "SLIDES.md").read_text("utf-8").split("\n## ")[1]
    mapped = [row.split("|")[2].strip().lower() for row in first.splitlines() if re.match(r"\| \d", row)]
    assert len(mapped) == len(slides) + 1
    for slide, title in zip(mapped, slides, strict=False):
        assert slide.startswith(title), (slide, title)
