"""What an experiment is, and the one function that runs them all."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from .. import datasets
from ..support.console import say
from .about import About
from .results import RESULT, prepare, publish, read_json
from .table import page


@dataclass(frozen=True)
class Setup:
    """What is attacked, and the setting.

    Attributes
    ----------
    models : dict of str to Model
        The trained models by their names.
    data : Dataset
    plan : dataclass
        How much of everything: the plan of the full run, or that of the quick one.
    eps : float
        The radius ε.
    seed : int
    """

    models: Any
    data: Any
    plan: Any
    eps: float
    seed: int

    @property
    def mnist(self):
        """Whether the data are MNIST, which the published numbers are about."""
        return self.data.source.startswith("MNIST")


@dataclass(frozen=True)
class Measured:
    """What an experiment has found.

    Attributes
    ----------
    numbers : dict
        What ``result.json`` holds beside the setting: numbers, text, lists and dicts with text as keys.
    kept : object
        What only the figures need, such as the perturbations.
    """

    numbers: dict
    kept: Any = None


@dataclass(frozen=True)
class Experiment:
    """An experiment of the slides: what is its own. :func:`run` does the rest.

    Attributes
    ----------
    about : About
        Name, default ε, and what the command line says.
    full, quick : dataclass
        The plans: how much of everything. ``quick`` is None where there is only the full run.
    train : callable
        ``train(plan, data, eps, seed, cache, report)`` trains the models, or takes them from the cache, and returns the
        ``Setup``.
    measure : callable
        ``measure(setup, report)`` attacks, and returns what it has found as ``Measured``.
    describe : callable
        ``describe(setup)`` returns the whole setting as a dict of text, for the head of the tables.
    tables : callable
        ``tables(result)`` returns a list of ``Table``. It needs nothing but what ``result.json`` holds.
    figures : callable
        ``figures(setup, measured)`` draws, and returns a dict of file name to figure.
    published : dict
        The published numbers (``Published``) by the keys under which ``tables`` looks them up.
    ahead : callable, optional
        ``ahead(plan, data)`` says in a sentence what is going to happen, and how long it will take.
    """

    about: About
    full: Any
    train: Callable
    measure: Callable
    describe: Callable
    tables: Callable
    figures: Callable
    quick: Any = None
    published: Any = None
    ahead: Callable | None = None

    def plan(self, quick):
        """Return the plan of the full run or of the quick one; refuse ``quick`` where there is no quick run."""
        if quick and self.quick is None:
            raise ValueError(f"quick = {quick}: the experiment {self.about.name!r} has no quick run")
        return self.quick if quick else self.full

    def page(self, result, level=1):
        """Return the tables in Markdown.

        Parameters
        ----------
        result : dict
            What ``result.json`` holds.
        level : int
            The level of the titles: 1 for ``# Title``.

        Returns
        -------
        str
        """
        return page(result["setting"], self.tables(result), level)


def run(experiment, data="auto", eps=None, seed=0, quick=False, *, out, cache=None, report=say):
    """Train, attack, and write tables, numbers and figures.

    Parameters
    ----------
    experiment : Experiment
    data : {"auto", "mnist", "strokes"}
    eps : float, optional
        Radius of the ℓ∞ ball, in pixels of [0, 1]. Default: that of the experiment.
    seed : int
    quick : bool
        All of it on less data.
    out : path
        The folder for ``table.md``, ``result.json`` and the figures.
    cache : path, optional
        Where trained models are kept. Default: the user's cache.
    report : callable
        Takes each line of the report.

    Returns
    -------
    dict
        What ``result.json`` holds.

    Raises
    ------
    TypeError, ValueError
        If ε or the seed does not fit; before any work.
    OSError
        If the folder cannot be made or written to; before any work.
    """
    began = time.perf_counter()
    plan = experiment.plan(quick)
    out, eps, seed = prepare(out, experiment.about.eps if eps is None else eps, seed)
    loaded = datasets.load(data)
    if experiment.ahead:
        report(experiment.ahead(plan, loaded) + "\n")
    setup = experiment.train(plan, loaded, eps, seed, cache, report)
    measured = experiment.measure(setup, report)
    result = result_of(experiment, setup, measured)
    publish(out, began, experiment.page(result), result, partial(experiment.figures, setup, measured), report)
    return read_json(out / RESULT)


def result_of(experiment, setup, measured):
    """Return what ``result.json`` holds: the setting, as facts and in words, and the numbers.

    Parameters
    ----------
    experiment : Experiment
    setup : Setup
    measured : Measured

    Returns
    -------
    dict
    """
    facts = {
        "experiment": experiment.about.name,
        "mnist": setup.mnist,
        "eps": setup.eps,
        "seed": setup.seed,
        "plan": json.loads(json.dumps(asdict(setup.plan))),
    }
    return {**facts, "setting": experiment.describe(setup), **measured.numbers}
