"""Execute the chapters and write the site: ``python lectures/build.py`` and open ``results/site/index.html``.

It needs the extra ``lectures``; ``--check`` also needs a Chromium.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from lectures.site.check import check  # noqa: E402
from scratchadv.support.optional import needed_by  # noqa: E402

with needed_by("lectures/build.py", "Jupyter's tools, pandoc and pygments", "lectures"):
    import jupytext
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    from lectures.site.pages import write

CELL_SECONDS = 600
AT_ONCE = min(2, os.cpu_count())
# # Chapters share the cores: otherwise the BLAS threads of one chapter would busy-wait for those of another.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": str(os.cpu_count() // AT_ONCE), **os.environ}


class ChapterError(Exception):
    """A chapter does not run: the message names its file, its cell and the error."""


def main(arguments=None):
    """Run the command and return the exit status."""
    options = parser().parse_args(arguments)
    chapters = sorted(options.source.glob("[0-9][0-9]_*.py"))
    unknown = [number for number in options.only if not any(c.name.startswith(number) for c in chapters)]
    if unknown:
        print(f"no chapter in {options.source} begins with {', '.join(unknown)}", file=sys.stderr)
        return 2
    wanted = [c for c in chapters if not options.only or c.name.startswith(tuple(options.only))]
    errors = [] if options.no_run else asyncio.run(execute_all(wanted, options.out))
    write(options.source, chapters, options.out)
    print(f"{options.out / 'index.html'}: open this file in a browser")
    for error in errors:
        print(error, file=sys.stderr)
    problems = check(options.out) if options.check else []
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if errors or problems else 0


def parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Execute the chapters and write the site.")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "site", help="the folder for the site")
    parser.add_argument("--only", nargs="+", default=[], metavar="NN", help="execute only these chapters")
    parser.add_argument("--no-run", action="store_true", help="execute no chapter: write the last run's pages again")
    parser.add_argument("--check", action="store_true", help="then open every page in a headless Chromium")
    parser.add_argument("--source", type=Path, default=ROOT / "lectures", help="the folder with the chapters")
    return parser


async def execute_all(chapters, out):
    """Execute the chapters, each in its own kernel; return the errors."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(chapter):
        async with turns:
            return await execute(chapter, out / "notebooks" / f"{chapter.stem}.ipynb")

    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    done = await asyncio.gather(*map(in_turn, chapters), return_exceptions=True)
    foreign = [e for e in done if isinstance(e, BaseException) and not isinstance(e, ChapterError)]
    if foreign:
        raise foreign[0]
    return [e for e in done if e]


async def execute(chapter, notebook):
    """Execute one chapter and write it as a notebook with outputs; its old notebook is deleted first."""
    notebook.unlink(missing_ok=True)
    nb = jupytext.read(chapter)
    started = [0]
    client = NotebookClient(
        nb,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(notebook.parents[1])}},  # files that a chapter writes are part of the site
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    begun = time.perf_counter()
    try:
        await client.async_execute(env=ENVIRONMENT)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise ChapterError(f"{chapter.name}, cell {started[-1] + 1}: {error}") from error
    print(f"{chapter.name}: {time.perf_counter() - begun:.1f} s", flush=True)
    for cell in nb.cells:
        if "answer" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    nbformat.write(nb, notebook)


if __name__ == "__main__":
    sys.exit(main())
