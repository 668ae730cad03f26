"""The description of a homework, ``hwN/homework.toml``, read and checked before anything is handed out or graded."""

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

HOMEWORKS = Path(__file__).parents[1]
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")


@dataclass(frozen=True)
class File:
    """A module that the student writes: functions to empty, names to remove, and modules that it may not import."""

    module: str
    functions: tuple[str, ...]
    removed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def name(self):
        """The name under which the student hands it in, without ``.py``."""
        return self.module.rpartition(".")[2]


@dataclass(frozen=True)
class Emptied:
    """Functions of another module that give an answer away and cannot be called while this homework is graded."""

    module: str
    functions: tuple[str, ...]
    removed = ()


@dataclass(frozen=True)
class Test:
    """A law and its points; ``seconds`` limits the processor time, and twice that the time by the clock."""

    name: str
    points: float
    visibility: str
    about: str
    source: Path
    seconds: float = 10
    megabytes: int = 640


@dataclass(frozen=True)
class Homework:
    """The files to write and the tests that give points for them."""

    folder: Path
    title: str
    files: tuple[File, ...]
    tests: tuple[Test, ...]
    emptied: tuple[Emptied, ...] = ()

    @property
    def points(self):
        """The sum of the points of all tests."""
        return sum(test.points for test in self.tests)


def names():
    """Return the names of all homeworks."""
    return sorted(path.parent.name for path in HOMEWORKS.glob("*/homework.toml"))


def load(name):
    """Return the homework called ``name``.

    Raises
    ------
    ValueError
        If there is no such homework, or if its tests and its manifest do not agree.
    """
    if name not in names():
        raise ValueError(f"there is no homework {name!r}; there are {', '.join(names())}")
    folder = HOMEWORKS / name
    table = tomllib.loads((folder / "homework.toml").read_text(encoding="utf-8"))
    if missing := [name for name in ("public_tests.py", "hidden_tests.py") if not (folder / name).exists()]:
        raise ValueError(f"{name} has no {', '.join(missing)}")
    found = {**_laws(folder / "public_tests.py"), **_laws(folder / "hidden_tests.py")}
    listed = [test["name"] for test in table["test"]]
    if sorted(listed) != sorted(found):
        odd = sorted(set(listed) ^ set(found)) or "some name twice"
        raise ValueError(f"{name}: homework.toml and the tests do not agree on {odd}")
    files, emptied = (
        tuple(kind(**{key: value if key == "module" else tuple(value) for key, value in entry.items()}) for entry in of)
        for kind, of in ((File, table["file"]), (Emptied, table.get("emptied", [])))
    )
    tests = tuple(_test(entry, *found[entry["name"]]) for entry in table["test"])
    return Homework(folder, table["title"], files, tests, emptied)


def _test(entry, about, source):
    test = Test(**entry, about=about, source=source)
    if test.visibility not in VISIBILITIES or test.points <= 0:
        raise ValueError(f"{test.name}: visibility one of {VISIBILITIES} and points > 0 were expected")
    return test


def _laws(path):
    """Return the test functions of a file: a dict from name to the first line of the docstring and the file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    laws = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {node.name: ((ast.get_docstring(node) or node.name).splitlines()[0], path) for node in laws}
