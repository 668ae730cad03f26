"""What every experiment writes: a Markdown table under its whole setting, and the same as JSON."""

import json
import time

from ..files import write_text
from ..plots import save
from ..tables import markdown as table


def markdown(title, setting, header, rows):
    """A Markdown table.

    Parameters
    ----------
    title : str
    setting : dict
        Everything that the numbers depend on, printed above them.
    header : list of str
    rows : list of list of str
    """
    return f"# {title}\n\n" + table(setting, header, rows)


def write_json(path, result):
    """Write a result as JSON, whole or not at all."""
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def publish(out, began, table, result, figures, report):
    """Write ``table.md`` and ``result.json``, then the figures, and report the table and how long all took.

    Parameters
    ----------
    out : pathlib.Path
        The folder, there already.
    began : float
        ``time.perf_counter()`` at the beginning.
    table : str
    result : dict
    figures : callable
        Gives a dict of file name to figure; drawn last, so that a figure that fails costs no number.
    report : callable
        Takes each line of the report.
    """
    write_text(out / "table.md", table)
    write_json(out / "result.json", result)
    report(table)
    for name, figure in figures().items():
        save(figure, out / f"{name}.png")
    report(f"{time.perf_counter() - began:.1f} s; table, numbers and figures are in {out}")
