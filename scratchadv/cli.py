"""The command line: ``scratchadv reproduce linear``."""

import argparse
import sys
from pathlib import Path

from . import __version__

EXAMPLES = """\
examples:
  scratchadv reproduce linear                        MNIST if it can be had, else the embedded digits
  scratchadv reproduce linear --data strokes         the embedded digits, no network needed
  scratchadv reproduce linear --eps 0.1 --seed 3     another radius, another run of SGD
  SCRATCHADV_DATA=~/data scratchadv reproduce linear reads ~/data/mnist/train-images-idx3-ubyte.gz and the rest
"""


def main(argv=None):
    """Run the command line; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"scratchadv: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("scratchadv: stopped", file=sys.stderr)
        return 130
    return 0


def parser():
    """The arguments of the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("scratchadv", description=__doc__, epilog=EXAMPLES, formatter_class=formatter)
    top.add_argument("--version", action="version", version=f"scratchadv {__version__}")
    commands = top.add_subparsers(title="commands", required=True)
    reproduce = commands.add_parser(
        "reproduce", help="run an experiment of the slides", epilog=EXAMPLES, formatter_class=formatter
    )
    experiments = reproduce.add_subparsers(title="experiments", required=True)
    linear = experiments.add_parser(
        "linear",
        help="linear models, digits 0 against 1, attacked and solved exactly",
        description="Linear models, digits 0 against 1: the slides' two runs of SGD, the exact robust optimum, "
        "the exact attack. Prints a table and writes it with its figures.",
        epilog=EXAMPLES,
        formatter_class=formatter,
    )
    linear.add_argument("--data", choices=["auto", "mnist", "strokes"], default="auto", help="default: %(default)s")
    linear.add_argument("--eps", type=float, default=0.2, help="radius of the ℓ∞ ball, pixels in [0, 1] (default: 0.2)")
    linear.add_argument("--seed", type=int, default=0, help="of SGD's start and shuffling (default: 0)")
    linear.add_argument(
        "--out", type=Path, default=Path("results/linear"), help="folder to write (default: %(default)s)"
    )
    linear.set_defaults(run=_linear)
    return top


def _linear(arguments):
    from .reproduce import linear  # draws, so it loads matplotlib

    linear.run(arguments.data, arguments.eps, arguments.seed, out=arguments.out)
