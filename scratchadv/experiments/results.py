"""The folder of results, which is checked before any work. Files are written completely or not at all."""

import json
import time
from pathlib import Path

from .. import checks
from ..support.files import check_writable, write_text
from ..support.plots import save

TABLE, RESULT = "table.md", "result.json"


def prepare(out, eps, seed):
    """Check the arguments of an experiment and make its folder, before any work.

    Parameters
    ----------
    out : str or path
    eps : float
    seed : int

    Returns
    -------
    pathlib.Path, float, int
        The folder, ε and the seed.

    Raises
    ------
    TypeError, ValueError
        If ε or the seed does not fit.
    OSError
        If the folder cannot be made, or the results cannot be written into it.
    """
    eps = checks.size("eps", eps)
    seed = checks.count("seed", seed)
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"the folder {out} cannot be made: {error.strerror}") from error
    for name in (TABLE, RESULT):
        check_writable(out / name)
    return out, eps, seed


def write_json(path, result):
    """Write a result as JSON, completely or not at all."""
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def read_json(path):
    """Return the result that ``write_json`` has written."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def publish(out, began, page, result, figures, report):
    """Write ``table.md`` and ``result.json``, then the figures, and report the tables and the time of the run.

    The tables are reported even if they cannot be written, and written even if they cannot be reported.

    Parameters
    ----------
    out : pathlib.Path
        The folder, which exists.
    began : float
        ``time.perf_counter()`` at the start of the run.
    page : str
        The tables.
    result : dict
    figures : callable
        Returns a dict from file names to figures. It is called last, so that no number is lost if drawing fails.
    report : callable
        Receives each line of the report.
    """
    try:
        write_text(out / TABLE, page)
        write_json(out / RESULT, result)
    finally:
        report(page)
    for name, figure in figures().items():
        save(figure, out / f"{name}.png")
    report(f"{time.perf_counter() - began:.1f} s; table, numbers and figures are in {out}")
