"""``package``: write the autograder as a zip file for Gradescope, which unpacks it into /autograder/source."""

import zipfile
from pathlib import Path

from scratchadv.support import files

ROOT = Path(__file__).parents[3]
LIBRARY = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
EXECUTABLE = 0o100755 << 16

SETUP = """#!/usr/bin/env bash
# Gradescope runs this once, when the autograder is built.
set -e
AUTOGRADER=${AUTOGRADER:-/autograder}
if [ -z "$PYTHON" ]; then
    apt-get update
    apt-get install -y --no-install-recommends python3.11 python3.11-venv ||
        apt-get install -y --no-install-recommends python3 python3-venv
    PYTHON=$(command -v python3.11 || command -v python3)
fi
"$PYTHON" -m venv "$AUTOGRADER/venv"
"$AUTOGRADER/venv/bin/pip" install "$AUTOGRADER/source/scratchadv" "hypothesis>=6.100"
"""

RUN = """#!/usr/bin/env bash
# Gradescope runs this for each submission.
AUTOGRADER=${{AUTOGRADER:-/autograder}}
PYTHON=${{PYTHON:-$AUTOGRADER/venv/bin/python}}
STUDENT=${{STUDENT-nobody}} # the user who runs the student's code if the grader is root; empty: the grader itself
user=()
if [ "$(id -u)" = 0 ] && [ -n "$STUDENT" ]; then
    chmod 700 "$AUTOGRADER/source" "$AUTOGRADER/submission" "$AUTOGRADER/results"
    user=(--user "$STUDENT")
fi
cd "$AUTOGRADER/source" || exit 1
exec "$PYTHON" lectures/homework.py grade {name} "$AUTOGRADER/submission" \\
    --results "$AUTOGRADER/results/results.json" "${{user[@]}}"
"""


def package(homework, path):
    """Write the zip file, completely or not at all.

    It contains two scripts, the grader, this homework with its tests, and the library.

    Parameters
    ----------
    homework : Homework
    path : str or path

    Returns
    -------
    path
    """
    path = Path(path)
    files.check_writable(path)
    folders = [ROOT / "lectures" / "homework" / "grading", homework.folder]
    sources = [ROOT / "lectures" / "homework.py", *(file for folder in folders for file in _files(folder))]
    with files.whole(path, "xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        _script(archive, "setup.sh", SETUP)
        _script(archive, "run_autograder", RUN.format(name=homework.folder.name))
        for file in sources:
            archive.write(file, file.relative_to(ROOT))
        for file in [*(ROOT / name for name in LIBRARY), *_files(ROOT / "scratchadv")]:
            archive.write(file, Path("scratchadv") / file.relative_to(ROOT))
    return path


def _files(folder):
    """Return the source files in a folder, without the files that Python or hypothesis left there."""
    kept = (path for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".toml", ".md"))
    return [path for path in kept if not any(part.startswith((".", "__pycache__")) for part in path.parts)]


def _script(archive, name, text):
    about = zipfile.ZipInfo(name)
    about.external_attr = EXECUTABLE
    archive.writestr(about, text)
