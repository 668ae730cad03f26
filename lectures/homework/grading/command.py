"""The command line of ``lectures/homework.py``."""

import argparse
import os
import signal
import sys
from pathlib import Path

from . import manifest, results
from .grade import grade
from .hand_out import hand_out
from .package import package


def main(arguments=None):
    """Run the command; return the exit status, which is 0 if the command worked, however poor the homework is."""
    options = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show ε shows its number
    try:
        options.command(manifest.load(options.homework), options)
        sys.stdout.flush()
    except BrokenPipeError:
        # nobody reads the output any more: let Python's flush at exit write to nothing instead of raising again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except MemoryError:
        print("there is not enough memory", file=sys.stderr)
        return 2
    except (ValueError, KeyError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _new(homework, options):
    hand_out(homework, options.folder, solved=options.solved)
    print(f"{homework.title}: written to {options.folder}; begin with {options.folder / 'README.md'}")


def _grade(homework, options):
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder} is not a folder")
    if options.results:
        results.prepare(options.results)
    marks = grade(homework, options.folder, user=options.user)
    try:
        if options.results:
            results.write(marks, options.results)
    finally:
        print(results.in_words(marks), file=sys.stderr if _is_stdout(options.results) else sys.stdout)


def _package(homework, options):
    path = package(homework, options.out or Path(f"{homework.folder.name}.zip"))
    print(f"written: {path}", file=sys.stderr if _is_stdout(path) else sys.stdout)


def _is_stdout(path):
    """Return whether a path is the standard output, as with ``--out /dev/stdout``."""
    try:
        return bool(path) and os.path.samestat(os.stat(path), os.fstat(sys.stdout.fileno()))
    except OSError:
        return False


def _parser():
    parser = argparse.ArgumentParser(prog="homework.py", description="Hand out and grade the homework.")
    commands = parser.add_subparsers(required=True, metavar="command")
    new = commands.add_parser("new", help="write the assignment into an empty folder")
    new.add_argument("homework", metavar="hwN")
    new.add_argument("folder", type=Path)
    new.add_argument("--solved", action="store_true", help="with the library's answers, to try out the grader")
    new.set_defaults(command=_new)
    marks = commands.add_parser("grade", help="grade a folder")
    marks.add_argument("homework", metavar="hwN")
    marks.add_argument("folder", type=Path)
    marks.add_argument("--results", type=Path, help="also write Gradescope's results.json here")
    marks.add_argument("--user", help="run the student's code as this user (for root)")
    marks.set_defaults(command=_grade)
    bundle = commands.add_parser("package", help="write the autograder for Gradescope as a zip file")
    bundle.add_argument("homework", metavar="hwN")
    bundle.add_argument("--out", type=Path, help="the zip file (default: hwN.zip in this folder)")
    bundle.set_defaults(command=_package)
    return parser
