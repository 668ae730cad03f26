"""``new``: write the folder that a student receives."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from .template import solution, template

POINTS = "<!-- points -->"
CONFTEST = '"""pytest reads this first: the same examples for everyone."""\n\nimport checking  # noqa: F401\n'


def hand_out(homework, folder, *, solved=False):
    """Write the assignment into ``folder``, completely or not at all.

    Parameters
    ----------
    homework : Homework
    folder : str or path
        It must be empty or not exist.
    solved : bool
        Write the answers too, to try out the grader.

    Raises
    ------
    ValueError
        If the folder is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder: nothing was written")
    texts = {
        **files(homework, solved=solved),
        "README.md": readme(homework),
        "public_tests.py": (homework.folder / "public_tests.py").read_text(encoding="utf-8"),
        "checking.py": (Path(__file__).parent / "checking.py").read_text(encoding="utf-8"),
        "conftest.py": CONFTEST,
    }
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        _write_all(texts, folder)
    except BaseException:
        for name in texts:
            (folder / name).unlink(missing_ok=True)
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


def _write_all(texts, folder):
    """Write all files into a folder inside this one and then move them; moving needs no disk space."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as inside:
        for name, text in texts.items():
            (Path(inside) / name).write_text(text, encoding="utf-8")
        for name in texts:
            os.replace(Path(inside) / name, folder / name)


def files(homework, *, solved=False):
    """Return the files to hand in, as a dict from name to text: templates, or the library's own files."""
    modules = [file.module for file in homework.files]
    write = solution if solved else template
    return {f"{file.name}.py": write(file, modules) for file in homework.files}


def readme(homework):
    """Return the text of the assignment, with its table of points."""
    file = homework.folder / "README.md"
    text = file.read_text(encoding="utf-8") if file.exists() else f"# {homework.title}\n"
    table = points_table(homework)
    return text.replace(POINTS, table) if POINTS in text else f"{text.rstrip()}\n\n## Points\n\n{table}\n"


def points_table(homework):
    """Return a table of the tests, what they ask and their points, as Markdown."""
    lines = ["| test | what it asks | points | |", "| --- | --- | ---: | --- |"]
    for test in homework.tests:
        where = "in `public_tests.py`" if test.source.name == "public_tests.py" else "hidden"
        lines.append(f"| `{test.name}` | {test.about.replace('|', chr(92) + '|')} | {test.points:g} | {where} |")
    return "\n".join([*lines, f"| | | **{homework.points:g}** | |"])
