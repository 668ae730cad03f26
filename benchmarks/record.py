"""The results of the benchmarks: every race is stored in ``measured/`` and shown in ``RESULTS.md`` between its markers.

    python benchmarks/record.py          # write the tables of RESULTS.md again from the stored results

A benchmark that is called with ``--record`` stores its race and then does the same.
"""

import json
import os
import platform
import re
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from scratchadv.support.files import write_text
from scratchadv.support.tables import markdown

HERE = Path(__file__).resolve().parent
LIBRARIES = ("numpy", "scipy", "torch", "foolbox", "torchattacks", "adversarial-robustness-toolbox", "pyautoattack")


class Race:
    """The tables of one race, which are printed at once and stored on request.

    Parameters
    ----------
    name : str
        The name of the race, which is that of its file in ``measured/`` and of its markers.
    record : bool
        Whether to store the race.
    """

    def __init__(self, name, record=False):
        self.name = name
        self.record = record
        self.tables = []

    def add(self, title, header, rows):
        """Print a table and keep it."""
        table = {"title": title, "header": list(header), "rows": [list(map(str, row)) for row in rows]}
        self.tables.append(table)
        print(shown(table), "\n", flush=True)

    def close(self):
        """Store the race and show it in ``RESULTS.md``, if ``record`` is true."""
        if self.record:
            command = "python " + " ".join(["benchmarks/" + Path(sys.argv[0]).name, *sys.argv[1:]])
            result = {"command": command, "setting": setting(), "tables": self.tables}
            write_text(HERE / "measured" / f"{self.name}.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
            show(HERE)


def setting():
    """Return the date, the machine and the versions of the libraries, each as text."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} cores of {_processor()}",
        "Python": platform.python_version(),
        **versions,
    }


def _processor():
    """Return the name of the processor as Linux reports it."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def shown(table):
    """Return a table with its title as Markdown."""
    return f"**{table['title']}**\n\n{markdown(table['header'], table['rows']).rstrip()}"


def block(result):
    """Return the text between the markers of a race."""
    setting = "; ".join(f"{name} {value}" if name != "machine" else value for name, value in result["setting"].items())
    return "\n\n".join([f"`{result['command']}` ({setting})", *map(shown, result["tables"])])


def show(folder):
    """Write the stored results into ``RESULTS.md``, each between its markers.

    Parameters
    ----------
    folder : pathlib.Path
        The folder that holds ``RESULTS.md`` and ``measured/``.

    Raises
    ------
    ValueError
        If a stored race has no markers.
    """
    page = folder / "RESULTS.md"
    text = page.read_text(encoding="utf-8")
    for path in sorted((folder / "measured").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        begin = f"<!-- {path.stem}: begin -->"
        end = f"<!-- {path.stem}: end -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"{page} has no markers {begin} and {end}")
        text = f"{before}{begin}\n{block(result)}\n{end}{after}"
    write_text(page, text)


if __name__ == "__main__":
    show(HERE)
