"""The results in the READMEs, which are stored in ``result.json`` and written between two markers.

    python -m scratchadv.experiments.readme                        # rewrite all tables from the stored results
    python -m scratchadv.experiments.readme linear results/linear  # first store the result of a run

Every experiment has a ``README.md`` in its folder. That of the repository shows six rows of the linear experiment.
"""

import sys
from pathlib import Path

from ..support.files import write_text
from ..support.tables import markdown
from . import NAMES, load
from .linear.experiment import error_rows
from .results import RESULT, read_json, write_json

HERE = Path(__file__).parent
FRONT = HERE.parents[1] / "README.md"


def markers(name):
    """Return the lines between which the tables of an experiment are written."""
    return f"<!-- scratchadv reproduce {name}: begin -->\n", f"<!-- scratchadv reproduce {name}: end -->"


def block(name, result):
    """Return the text between the markers in the README of an experiment: its setting and its tables."""
    return load(name).page(result, level=3)


def front_block(result):
    """Return the text between the markers in the README of the repository: six test errors of the linear experiment."""
    return markdown(*error_rows(result))


def shown(text, name):
    """Return the text between the markers of an experiment; None if there are no markers."""
    begin, end = markers(name)
    _, found, rest = text.partition(begin)
    inside, ended, _ = rest.partition(end)
    return inside if found and ended else None


def filled(text, name, inside):
    """Return the text with ``inside`` between the markers of an experiment.

    Raises
    ------
    ValueError
        If the text has no such markers.
    """
    if shown(text, name) is None:
        raise ValueError(f"there are no markers {markers(name)}")
    begin, end = markers(name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{inside}{end}{after}"


def stored(name):
    """Return the stored result of an experiment; None if there is none."""
    path = HERE / name / RESULT
    return read_json(path) if path.exists() else None


def store(name, folder):
    """Store the result of a run in the folder of its experiment.

    Parameters
    ----------
    name : str
    folder : path
        The folder that ``scratchadv reproduce NAME --out`` has written.

    Raises
    ------
    ValueError
        If the result belongs to another experiment.
    """
    result = read_json(Path(folder) / RESULT)
    if result["experiment"] != name:
        raise ValueError(f"{folder} contains a result of {result['experiment']!r}, not of {name!r}")
    write_json(HERE / name / RESULT, result)


def show():
    """Write every stored result into the README of its experiment, and the linear one also into the repository's."""
    pages = [(HERE / name / "README.md", name, block) for name in NAMES]
    if FRONT.exists() and shown(FRONT.read_text(encoding="utf-8"), "linear") is not None:
        pages.append((FRONT, "linear", lambda name, result: front_block(result)))
    for path, name, render in pages:
        result = stored(name)
        if result is not None:
            write_text(path, filled(path.read_text(encoding="utf-8"), name, render(name, result)))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        store(*sys.argv[1:])
    show()
