"""Helpers that the tests of the homework share: submissions, and parts of a homework to grade them with."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

LECTURES = Path(__file__).parents[2] / "lectures"
sys.path[:0] = [str(LECTURES / "homework")]

from grading import manifest  # noqa: E402
from grading.grade import grade  # noqa: E402
from grading.hand_out import files  # noqa: E402

DEADLINE = 3  # seconds of processor time, twice that by the clock, for a test that is expected to hang
PROJECT = "    def project(self, delta):\n"


def submit(folder, name, **changed):
    """Write a folder with the library's answers, in which some files are replaced; None leaves a file out."""
    texts = {**files(manifest.load(name), solved=True), **{f"{file}.py": text for file, text in changed.items()}}
    folder.mkdir(exist_ok=True)
    for file, text in texts.items():
        if text is not None:
            (folder / file).write_text(text, encoding="utf-8")
    return folder


def only(name, *tests, hanging=()):
    """Return the homework with some of its tests; those that are expected to hang get a short deadline.

    The others get more time than they need: on a busy machine Python and hypothesis alone take seconds to start.
    """
    homework = manifest.load(name)
    tests = [test for test in homework.tests if test.name in {*tests, *hanging}]
    return replace(homework, tests=tuple(replace(t, seconds=DEADLINE if t.name in hanging else 30) for t in tests))


def solved(name, file):
    """Return the library's answers."""
    return files(manifest.load(name), solved=True)[f"{file}.py"]


def empty(name, file):
    """Return the template."""
    return files(manifest.load(name))[f"{file}.py"]


def in_project(body):
    """Return the answers of hw1 with this body in Linf.project."""
    before, after = solved("hw1", "norms").split(PROJECT, 1)
    return f"{before}{PROJECT}        {body}\n{after.partition(chr(10))[2].partition(chr(10))[2]}"


def problems(marks):
    """Return what went wrong in each test."""
    return {mark.test.name: mark.problem for mark in marks.marks}


def run(*arguments, **options):
    """Run the command as a lecturer runs it."""
    command = [sys.executable, str(LECTURES / "homework.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)


def graded(folder, name, tests, **changed):
    """Return what went wrong in each of some tests, for the library's answers with some files replaced."""
    return problems(grade(only(name, *tests), submit(folder / "hw", name, **changed)))
