"""The command line: ``scratchadv reproduce linear``."""

import argparse
import os
import sys
import textwrap
from functools import partial
from pathlib import Path

from . import __version__, experiments
from .support.console import replace_what_cannot_be_written
from .support.optional import MissingPackageError

EXAMPLES = """\
examples:
  scratchadv reproduce linear                        MNIST if it is available, or else the embedded digits
  scratchadv reproduce linear --data strokes         the embedded digits, which need no network
  scratchadv reproduce linear --eps 0.1 --seed 3     another radius, another run of SGD
  scratchadv reproduce networks --quick              networks, FGSM, PGD and adversarial training in two minutes
  scratchadv reproduce attacks --quick               all attacks: success, size of the change, cost, pictures
  scratchadv reproduce universal --quick             one perturbation for many images
  scratchadv museum                                  the bugs of attacks, and the law that kills each
  SCRATCHADV_DATA=~/data scratchadv reproduce linear reads ~/data/mnist/train-images-idx3-ubyte.gz and the others
"""


MUSEUM = (
    "Bugs that users of attack libraries met, rebuilt as wrong variants of this library's own code: what went wrong "
    "and where, which law of the attack contract kills it, and the smallest counterexample. It takes about half a "
    "minute and needs hypothesis."
)


def main(argv=None):
    """Run the command line, and return the exit status."""
    replace_what_cannot_be_written(sys.stdout)
    try:
        try:
            arguments = parser().parse_args(argv)
            arguments.run(arguments)
        finally:
            _flush()
    except BrokenPipeError:  # the reader has closed the pipe, as ``head`` does
        return 141
    except MemoryError as error:
        return _failed(f"there is not enough memory: {error}")
    except (ValueError, TypeError, OSError, FloatingPointError, MissingPackageError) as error:
        return _failed(error)
    except KeyboardInterrupt:
        print("scratchadv: stopped", file=sys.stderr)
        return 130
    return 0


def _failed(error):
    """Print the error on one line, and return the exit status."""
    print(f"scratchadv: error: {error}", file=sys.stderr)
    return 1


def _flush():
    """Flush the output; if that fails, discard it, so that Python does not try again when it exits."""
    try:
        print(end="", flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise


def parser():
    """Return the parser of the command line."""
    top = argparse.ArgumentParser("scratchadv", **_page(__doc__))
    top.add_argument("--version", action="version", version=f"scratchadv {__version__}")
    commands = top.add_subparsers(title="commands", required=True)
    reproduce = commands.add_parser("reproduce", help="run an experiment of the slides", **_page())
    names = reproduce.add_subparsers(title="experiments", required=True)
    for name in experiments.NAMES:
        _experiment(names, experiments.about_of(name))
    museum = commands.add_parser("museum", help="the bugs of attacks, and the law that kills each", **_page(MUSEUM))
    museum.set_defaults(run=_museum)
    return top


def _page(description=""):
    formatter = argparse.RawDescriptionHelpFormatter
    return {"description": textwrap.fill(description, 100), "epilog": EXAMPLES, "formatter_class": formatter}


def _experiment(names, about):
    experiment = names.add_parser(about.name, help=about.summary, **_page(about.description))
    add = experiment.add_argument
    add("--data", choices=["auto", "mnist", "strokes"], default="auto", help="default: %(default)s")
    add("--eps", type=float, default=about.eps, help="radius of the ℓ∞ ball, pixels in [0, 1] (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    add("--out", type=Path, default=Path("results") / about.name, help="folder for the results (default: %(default)s)")
    if about.quick:
        add("--quick", action="store_true", help=about.quick)
    experiment.set_defaults(run=partial(_reproduce, about.name))


def _reproduce(name, arguments):
    from .experiments.experiment import run  # loads matplotlib, which takes time

    given = {key: value for key, value in vars(arguments).items() if key != "run"}
    run(experiments.load(name), **given)


def _museum(arguments):
    from .testing.museum import tour

    killed = 0
    for exhibit, error in tour():
        print(f"{exhibit.number:2}  {exhibit.wrong} ({exhibit.where})")
        print(
            textwrap.fill(str(error or "NOT KILLED"), 116, initial_indent="    ", subsequent_indent="      "),
            flush=True,
        )
        killed += error is not None
    print(f"\n{killed} bugs killed")
