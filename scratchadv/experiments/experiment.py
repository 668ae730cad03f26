"""The parts of an experiment, and the function that runs every experiment."""

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
    """The trained models, the data and the setting of a run.

    Attributes
    ----------
    models : dict of str to Model
        The trained models by their names.
    data : Dataset
    plan : dataclass
        The sizes and budgets of the full run, or those of the quick run.
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
        """Whether the data are MNIST, for which the published numbers hold."""
        return self.data.source.startswith("MNIST")


@dataclass(frozen=True)
class Measured:
    """The measurements of an experiment.

    Attributes
    ----------
    numbers : dict
        The part of ``result.json`` that is measured: numbers, text, lists, and dicts with text as keys.
    kept : object
        Other results that the figures need, such as the perturbations.
    """

    numbers: dict
    kept: Any = None


@dataclass(frozen=True)
class Experiment:
    """An experiment of the slides, as the parts in which experiments differ. :func:`run` runs it.

    Attributes
    ----------
    about : About
        The name, the default ε, and the texts for the command line.
    full, quick : dataclass
        The plans, which are the sizes and budgets of the runs. ``quick`` is None if there is only the full run.
    train : callable
        ``train(plan, data, eps, seed, cache, report)`` trains the models, or takes them from the cache, and returns the
        ``Setup``.
    measure : callable
        ``measure(setup, report)`` runs the attacks and returns the results as ``Measured``.
    describe : callable
        ``describe(setup)`` returns the whole setting as a dict of text, for the head of the tables.
    tables : callable
        ``tables(result)`` returns a list of ``Table``. It needs only the content of ``result.json``.
    figures : callable
        ``figures(setup, measured)`` draws the figures, and returns a dict from file names to figures.
    published : dict
        The published numbers (``Published``) by the keys under which ``tables`` looks them up.
    ahead : callable, optional
        ``ahead(plan, data)`` returns a sentence that says what is going to happen, and how long it will take.
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
        """Return the plan of the full run or of the quick run; refuse ``quick`` if there is no quick run."""
        if quick and self.quick is None:
            raise ValueError(f"quick = {quick}: the experiment {self.about.name!r} has no quick run")
        return self.quick if quick else self.full

    def page(self, result, level=1):
        """Return the tables in Markdown.

        Parameters
        ----------
        result : dict
            The content of ``result.json``.
        level : int
            The level of the titles, 1 for ``# Title``.

        Returns
        -------
        str
        """
        return page(result["setting"], self.tables(result), level)


def run(experiment, data="auto", eps=None, seed=0, quick=False, *, out, cache=None, report=say):
    """Run an experiment: train, attack, and write tables, numbers and figures.

    Parameters
    ----------
    experiment : Experiment
    data : {"auto", "mnist", "strokes"}
    eps : float, optional
        The radius of the ℓ∞ ball, in pixels of [0, 1]. Default: that of the experiment.
    seed : int
    quick : bool
        Whether to run the quick plan, with less data.
    out : path
        The folder for ``table.md``, ``result.json`` and the figures.
    cache : path, optional
        Where trained models are kept. Default: the user's cache.
    report : callable
        Receives each line of the report.

    Returns
    -------
    dict
        The content of ``result.json``.

    Raises
    ------
    TypeError, ValueError
        If ε or the seed does not fit. It is raised before any work.
    OSError
        If the folder cannot be made or written to. It is raised before any work.
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
    """Return the content of ``result.json``: the setting, as numbers and in words, and the measurements.

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
