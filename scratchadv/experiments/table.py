"""What every experiment writes: a Markdown table under its whole setting, and the same as JSON."""

import json
import time
from pathlib import Path

from .. import checks
from ..support.files import check_writable, write_text
from ..support.plots import save
from ..support.tables import escape
from ..support.tables import markdown as table

TABLE, RESULT = "table.md", "result.json"


def prepare(out, eps, seed):
    """Check what an experiment is given and make its folder, before any work.

    Parameters
    ----------
    out : str or path
    eps : float
    seed : int

    Returns
    -------
    pathlib.Path, float, int
        The folder, ε and the seed, as Python's own numbers.

    Raises
    ------
    TypeError, ValueError
        If ε or the seed does not fit.
    OSError
        If the folder cannot be made, or the results cannot be written into it.
    """
    eps, seed, out = checks.size("eps", eps), checks.count("seed", seed), Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"the folder {out} cannot be made: {error.strerror}") from error
    for name in (TABLE, RESULT):
        check_writable(out / name)
    return out, eps, seed


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
    return f"# {escape(title)}\n\n" + table(setting, header, rows)


def write_json(path, result):
    """Write a result as JSON, whole or not at all."""
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def publish(out, began, table, result, figures, report):
    """Write ``table.md`` and ``result.json``, then the figures, and report the table and how long all took.

    The table is reported even if it cannot be written, and written even if it cannot be reported.

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
    try:
        write_text(out / TABLE, table)
        write_json(out / RESULT, result)
    finally:
        report(table)
    for name, figure in figures().items():
        save(figure, out / f"{name}.png")
    report(f"{time.perf_counter() - began:.1f} s; table, numbers and figures are in {out}")
