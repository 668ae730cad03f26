"""The command line: ``scratchadv reproduce linear``."""

import argparse
import os
import sys
import textwrap
from functools import partial
from importlib import import_module
from pathlib import Path

from . import __version__
from .support.console import replace_what_cannot_be_written
from .support.optional import MissingPackageError

EXAMPLES = """\
examples:
  scratchadv reproduce linear                        MNIST if it can be had, else the embedded digits
  scratchadv reproduce linear --data strokes         the embedded digits, no network needed
  scratchadv reproduce linear --eps 0.1 --seed 3     another radius, another run of SGD
  scratchadv reproduce networks --quick              networks, FGSM, PGD and adversarial training in two minutes
  scratchadv reproduce attacks --quick               all attacks: success, size of the change, cost, pictures
  scratchadv reproduce universal --quick             one perturbation for many images
  scratchadv museum                                  the bugs of attacks, and the law that kills each
  SCRATCHADV_DATA=~/data scratchadv reproduce linear reads ~/data/mnist/train-images-idx3-ubyte.gz and the rest
"""


# name: (ε, the line in the list, what --help says, what --quick does)
EXPERIMENTS = {
    "linear": (
        0.2,
        "linear models, digits 0 against 1, attacked and solved exactly",
        "Linear models, digits 0 against 1: the slides' two runs of SGD, the exact robust optimum, the exact attack. "
        "Prints a table and writes it with its figures.",
        None,
    ),
    "networks": (
        0.1,
        "networks on ten digits under FGSM and PGD, and trained against them",
        "The tutorial's two MLPs and its CNN under FGSM and PGD, and the CNN trained against them. Prints how long it "
        "will take, then a table; writes it with its figures. Trained models are kept in the cache.",
        "all of it on less data, in about two minutes",
    ),
    "attacks": (
        0.1,
        "every white-box attack on those networks: success, size of the change, cost",
        "The attacks of the second deck and their successors on the networks of 'reproduce networks': success, size of "
        "the change, queries, gradients and seconds, and pictures. Trains the networks first where they are not in "
        "the cache.",
        "all of it on little data, in a few minutes",
    ),
    "universal": (
        0.3,
        "one perturbation for one class, for several, for all",
        "Universal perturbations of the CNN, by the paper's algorithm and by gradients, for groups of 1, 2, 5 and 10 "
        "classes: fooling rate on the images that they were made for and on unseen ones, beside noise as large.",
        "all of it on little data, in about a minute",
    ),
    "transformation": (
        0.1,
        "networks that learn to attack: success, size, transfer, cost",
        "Adversarial transformation networks against the tutorial's networks: success and size of the change over β "
        "beside the paper's, for each target, trained on one network, several or a substitute, and an image's cost "
        "beside PGD. --eps is that of PGD's ℓ∞ row; an ATN has none.",
        "all of it on little data, in about a minute and a half",
    ),
    "black_box": (
        0.3,
        "attacks that see only logits, probabilities or labels: success, queries, size",
        "Square, NES, SPSA, GenAttack, one pixel, HopSkipJump, Boundary and a substitute on the CNN of 'reproduce "
        "networks', with curves over queries and pictures. Trains the CNN first where it is not in the cache.",
        "all of it on little data, in about a minute",
    ),
    "transfer": (
        0.1,
        "attacked on one model, tested on another",
        "Transferability between networks and linear models, between techniques (scikit-learn), between tasks: "
        "matrices with deviations over seeds, and noise of the same size as the control.",
        "all of it on less data, in about a minute",
    ),
    "unrecognisable": (
        0.1,
        "images that mean nothing to us and of which the networks are certain",
        "MAP-Elites with two encodings and gradient ascent make an image for each class from nothing; the CNN and the "
        "robust CNN are searched, and each is asked about the other's images. --eps is the radius that the robust CNN "
        "was trained with.",
        "all of it on little data, in about a minute",
    ),
}

MUSEUM = (
    "Bugs that users of attack libraries met, as wrong variants of this library's own code: what went wrong, where, "
    "which law of the attack contract kills it, and the smallest counterexample. Takes about half a minute; needs "
    "hypothesis."
)


def main(argv=None):
    """Run the command line; returns the exit status."""
    replace_what_cannot_be_written(sys.stdout)
    try:
        try:
            arguments = parser().parse_args(argv)
            arguments.run(arguments)
        finally:
            _flush()
    except BrokenPipeError:  # the reader has what it wanted, as ``head`` does
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
    """Print the error on one line; returns the exit status."""
    print(f"scratchadv: error: {error}", file=sys.stderr)
    return 1


def _flush():
    """Write out what was printed; where that fails it vanishes, or Python would try again when it ends."""
    try:
        print(end="", flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        raise


def parser():
    """The arguments of the command line."""
    top = argparse.ArgumentParser("scratchadv", **_page(__doc__))
    top.add_argument("--version", action="version", version=f"scratchadv {__version__}")
    commands = top.add_subparsers(title="commands", required=True)
    reproduce = commands.add_parser("reproduce", help="run an experiment of the slides", **_page())
    experiments = reproduce.add_subparsers(title="experiments", required=True)
    for name, experiment in EXPERIMENTS.items():
        _experiment(experiments, name, *experiment)
    museum = commands.add_parser("museum", help="the bugs of attacks, and the law that kills each", **_page(MUSEUM))
    museum.set_defaults(run=_museum)
    return top


def _page(description=""):
    formatter = argparse.RawDescriptionHelpFormatter
    return {"description": textwrap.fill(description, 100), "epilog": EXAMPLES, "formatter_class": formatter}


def _experiment(experiments, name, eps, summary, description, quick):
    experiment = experiments.add_parser(name, help=summary, **_page(description))
    add = experiment.add_argument
    add("--data", choices=["auto", "mnist", "strokes"], default="auto", help="default: %(default)s")
    add("--eps", type=float, default=eps, help="radius of the ℓ∞ ball, pixels in [0, 1] (default: %(default)s)")
    add("--seed", type=int, default=0, help="of SGD's start and shuffling (default: 0)")
    add("--out", type=Path, default=Path("results") / name, help="folder to write (default: %(default)s)")
    if quick:
        add("--quick", action="store_true", help=quick)
    experiment.set_defaults(run=partial(_reproduce, name))


def _reproduce(name, arguments):
    experiment = import_module(f".experiments.{name}.experiment", __package__)  # draws, so it loads matplotlib
    quick = {"quick": arguments.quick} if "quick" in arguments else {}
    experiment.run(arguments.data, arguments.eps, arguments.seed, out=arguments.out, **quick)


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
