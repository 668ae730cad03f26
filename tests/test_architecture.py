"""ARCHITECTURE.md is true: its floors are those of the test, and the paths in it exist."""

import re
from pathlib import Path

import pytest
from test_floors import FLOORS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:[\w.-]+/)*[\w.-]*(?:/|\.py|\.md|\.cfg))`")


def plan():
    """The paths in the drawing of the package, and whether each is a folder."""
    drawing = re.search(r"## The plan\n\n```\nscratchadv/\n(.*?)```", PAGE, re.DOTALL)[1]
    return re.findall(r"(?:^ {2}| {3,})([a-z_]+(?:/|\.py))(?= |$)", drawing.partition("\nlectures/")[0], re.MULTILINE)


def recipes():
    """The lines of each recipe: a line, its paths, and whether it is only planned."""
    table = PAGE.partition("| to add | touch |")[2]
    for line in re.findall(r"^\| (?!---)(.*?) \| (.*) \|$", table, re.MULTILINE):
        yield line[0], PATH.findall(line[1]), line[1].startswith("planned")


def test_the_page_is_short():
    """At most 150 lines"""
    assert len(PAGE.splitlines()) <= 150


def test_the_floors_are_those_that_the_test_holds():
    """The block of floors is FLOORS, numbered from 0"""
    found = re.search(r"<!-- floors -->\n```\n(.*?)```", PAGE, re.DOTALL)[1]
    assert found == "".join(f"{i:2}  {rooms}\n" for i, rooms in enumerate(FLOORS))


def test_the_plan_is_the_package():
    """Every file and folder of the package appears in the drawing, and nothing else does"""
    there = {f"{p.name}/" if p.is_dir() else p.name for p in (ROOT / "scratchadv").iterdir()}
    there -= {"__pycache__/", "__init__.py", "__main__.py"}
    assert set(plan()) == there


@pytest.mark.parametrize("path", sorted(set(PATH.findall(PAGE.partition("## Recipes")[0]))))
def test_the_paths_in_the_text_exist(path):
    """Each name in backquotes before the recipes is a file or a folder of the repository or of the package"""
    assert (ROOT / path).exists() or (ROOT / "scratchadv" / path).exists()


@pytest.mark.parametrize(("what", "paths", "planned"), [*recipes()], ids=[what for what, *_ in recipes()])
def test_a_recipe_names_files_that_exist(what, paths, planned):
    """Every path of a recipe exists; if it is planned, the first does not exist yet, so the mark has to go in time"""
    assert paths
    if planned:
        assert not (ROOT / paths[0]).exists()
    else:
        assert [path for path in paths if not (ROOT / path).exists()] == []
