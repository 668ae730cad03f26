"""``grade``: run each test in a process of its own, and give no points until they are proved."""

import importlib.util
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import scratchadv

from .manifest import HOMEWORKS, Test
from .processes import adopt_orphans, run_child
from .template import template

CHECKING = (Path(__file__).parent / "checking.py").read_text(encoding="utf-8")
INSIDE = {
    name: (Path(__file__).parent / "inside" / f"{name}.py").read_text(encoding="utf-8")
    for name in ("words", "library", "students", "frozen", "one_test")
}
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Mark:
    """The points for one test, and why there are not more."""

    test: Test
    score: float
    problem: str


@dataclass(frozen=True)
class Marks:
    """The marks for all tests of a homework, in the order of the manifest."""

    title: str
    marks: tuple[Mark, ...]
    seconds: float

    @property
    def score(self):
        """The sum of points."""
        return sum(mark.score for mark in self.marks)

    @property
    def points(self):
        """The largest possible sum of points."""
        return sum(mark.test.points for mark in self.marks)


def grade(homework, folder, *, user=None):
    """Grade the submission in ``folder``.

    Parameters
    ----------
    homework : Homework
    folder : str or path
        The submission. Only the files that the homework names are read.
    user : str, optional
        Run the student's code as this user (the grader must be root).

    Returns
    -------
    Marks
    """
    begun = time.monotonic()
    adopt_orphans()
    files = [submitted(file, Path(folder)) for file in homework.files]
    without = without_answers(homework)
    tasks = [{**_task(test, files), **without} for test in homework.tests]  # everything is read before any of it runs
    marks = tuple(_mark(test, task, user) for test, task in zip(homework.tests, tasks, strict=True))
    return Marks(homework.title, marks, time.monotonic() - begun)


def submitted(file, folder):
    """Return the student's file as text, or what is wrong with it."""
    name = f"{file.name}.py"
    source, problem = None, None
    try:
        source = _read(folder / name)
    except FileNotFoundError:
        problem = f"{name} is missing"
    except UnicodeDecodeError:
        problem = f"{name} is not a text file in UTF-8"
    except (OSError, ValueError) as error:
        problem = f"{name} cannot be read: {error}"
    return {
        "name": file.name,
        "module": file.module,
        "path": _place(file.module)[1],
        "removed": file.removed,
        "refused": file.refused,
        "source": source,
        "problem": problem,
    }


def without_answers(homework):
    """Return what makes the answers unreachable: templates to serve, modules to refuse, files that may not be opened.

    Parameters
    ----------
    homework : Homework

    Returns
    -------
    dict
        A part of a task, which can be written as JSON.
    """
    ours = [file for file in (*homework.files, *homework.emptied) if file.module.partition(".")[0] == "scratchadv"]
    refused = [module for file in homework.files for module in file.refused]
    hidden = [_place(file.module)[0] for file in ours] + [path for module in refused for path in _files_of(module)]
    compiled = [importlib.util.cache_from_source(path) for path in hidden]
    return {
        "served": {file.module: {"text": template(file, whole=True), "path": _place(file.module)[1]} for file in ours},
        "refused": refused,
        "forbidden": [str(path) for path in (*hidden, *compiled, *HOMEWORKS.rglob("*.py*"))],
    }


def _place(module):
    """Return the file of a module and, for a package, its folders as text."""
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations
    return Path(spec.origin), None if folders is None else [str(folder) for folder in folders]


def _files_of(module):
    """Return the file of a module, or all files of a package."""
    file, folders = _place(module)
    return [file, *(source for folder in folders or () for source in Path(folder).rglob("*.py"))]


def _read(path):
    """Return the text of an ordinary file of at most one megabyte; refuse a link or a pipe."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("it is not an ordinary file")
        if about.st_size > MOST_BYTES:
            raise ValueError(f"it has {about.st_size} bytes, more than {MOST_BYTES}")
        return file.read(MOST_BYTES).decode("utf-8-sig")


def _tests(source):
    """Return the texts of the public tests and of the file with the test, which may import from them."""
    public = source.with_name("public_tests.py")
    return {path.stem: path.read_text(encoding="utf-8") for path in dict.fromkeys((public, source))}


def _task(test, files):
    return {
        "test": test.name,
        "tests": _tests(test.source),
        "checking": CHECKING,
        "inside": INSIDE,
        "files": files,
        "path": _packages(),
        "seconds": test.seconds,
        "megabytes": test.megabytes,
    }


def _packages():
    """Return the folders of NumPy, hypothesis and this library, but not those of the homework."""
    homework = Path(__file__).parents[2]
    folders = [Path(folder) for folder in sys.path if Path(folder).is_absolute()]
    return [str(f) for f in folders if not f.is_relative_to(homework)] + [str(Path(scratchadv.__file__).parents[1])]


def _mark(test, task, user):
    verdict = run_child(task, test.seconds, user)
    score = test.points if verdict["passed"] else 0
    return Mark(test, score, "" if verdict["passed"] else verdict["problem"])
