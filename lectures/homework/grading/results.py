"""The marks in words, and as the ``results.json`` that Gradescope reads."""

import json
from pathlib import Path

from scratchadv.support import files


def in_words(marks):
    """Return one line for each test, and below it what went wrong."""
    lines = [marks.title, ""]
    for mark in marks.marks:
        lines.append(f"{mark.score:4g} of {mark.test.points:<3g} {mark.test.name}: {mark.test.about}")
        lines += [f"{'':12}{line}" for line in mark.problem.splitlines()]
    return "\n".join([*lines, "", f"Total: {marks.score:g} of {marks.points:g} points, {marks.seconds:.1f} s"])


def for_gradescope(marks):
    """Return the marks in the format of Gradescope."""
    tests = [
        {
            "name": mark.test.name,
            "score": mark.score,
            "max_score": mark.test.points,
            "status": "failed" if mark.problem else "passed",
            "output": "\n".join(filter(None, (mark.test.about, mark.problem))),
            "visibility": mark.test.visibility,
        }
        for mark in marks.marks
    ]
    return {
        "score": marks.score,
        "execution_time": round(marks.seconds, 1),
        "output": marks.title,
        "visibility": "visible",
        "tests": tests,
    }


def prepare(path):
    """Make the folder of ``results.json``, and refuse a path that cannot be written before the work begins."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    files.check_writable(path)


def write(marks, path):
    """Write ``results.json``, completely or not at all; write directly into a pipe or a device."""
    prepare(path)
    with files.whole(path, encoding="utf-8") as file:
        file.write(json.dumps(for_gradescope(marks), indent=2, ensure_ascii=True) + "\n")
