"""A training run in a file, from which it can be continued bit for bit."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import namespace
from ..support import archive
from ..support.configuration import differences, digest, state_of

OWN = "one's own"  # an attack or optimiser that cannot be described; it matches any other


@dataclass
class Run:
    """Everything that the next epoch depends on.

    Attributes
    ----------
    model : Model
    state : dict of array
        The state of the optimiser.
    history : dict of list
        The numbers, such as the loss, of the finished epochs.
    factors : list of float
        The factors of the schedule in the finished epochs.
    generators : list of numpy.random.Generator
        All generators from which the run draws.
    """

    model: Any
    state: dict
    history: dict
    factors: list
    generators: list

    def __post_init__(self):
        self.good = self.model.params  # the last parameters that gave a finite loss

    def record(self, factor, **numbers):
        """Record a finished epoch."""
        self.factors.append(factor)
        for name, number in numbers.items():
            self.history[name].append(number)


class Checkpoint:
    """The file of a run.

    Parameters
    ----------
    path : str or path
    configuration : dict
        The settings, in JSON types, in which the run must agree with the run of the file.
    run : Run
        If the file exists, the run is brought to the state in the file; otherwise the file is written.
    factors : list of float
        The factors of the schedule for all requested epochs.

    Raises
    ------
    BadFileError
        A ValueError: if the file is damaged, is not a checkpoint, or belongs to another run.
    """

    def __init__(self, path, configuration, run, factors):
        self.path = Path(path)
        self.configuration = json.loads(json.dumps(configuration))
        self.beginning = digest(*run.model.params.values())
        if self.path.exists():
            self._resume(run, factors)
        else:
            self.save(run)

    def save(self, run):
        """Write the state of the run, completely or not at all."""
        about = {
            "configuration": self.configuration,
            "beginning": self.beginning,
            "history": run.history,
            "factors": run.factors,
            "generators": [state_of(rng) for rng in run.generators],
        }
        archive.write(self.path, "checkpoint", about, _arrays(run))

    def _resume(self, run, factors):
        """Bring the run to the state in the file; if the file is refused, the run does not change."""
        about, arrays = archive.read(self.path, "checkpoint")
        with archive.refusing(f"{self.path} is damaged"):
            self._same_configuration(about["configuration"])
            self._same_schedule(about["factors"], factors)
            archive.check_shapes(self.path, arrays, {name: np.shape(a) for name, a in _arrays(run).items()})
            params, state = self._arrays_of(run, arrays)
            self._same_beginning(about["beginning"], params)
            history = _history(about["history"], run, len(about["factors"]))
            generators = self._generators(about["generators"], run)
        self.beginning = about["beginning"]
        run.model.params = run.good = params
        run.state = state
        run.history = history
        run.factors = about["factors"]
        for generator, reached in zip(run.generators, generators, strict=True):
            generator.bit_generator.state = reached.bit_generator.state

    def _arrays_of(self, run, arrays):
        """Return the parameters and the state of the optimiser, on the host or device of the run's own arrays."""
        for name, old in _arrays(run).items():
            if arrays[name].dtype.kind != old.dtype.kind:
                raise archive.BadFileError(f"{self.path} is damaged: {name} has dtype {arrays[name].dtype}")
        params, state = (
            {name: _in_place_of(a, arrays[f"{what}/{name}"]) for name, a in old.items()}
            for what, old in (("params", run.model.params), ("state", run.state))
        )
        if name := archive.not_finite({name: arrays[f"params/{name}"] for name in params}):
            raise archive.BadFileError(f"{self.path} is damaged: {name} holds NaN or infinite values")
        return params, state

    def _same_beginning(self, there, params):
        if self.beginning not in (there, digest(*params.values())):
            raise archive.BadFileError(
                f"{self.path} belongs to a run that began with other parameters: "
                "start from those, or from the ones that it has reached, or delete the file"
            )

    def _generators(self, states, run):
        """Return copies of the run's generators in the states that the file holds."""
        if len(states) != len(run.generators):
            raise archive.BadFileError(
                f"{self.path} has {len(states)} random generators; this run draws from "
                f"{len(run.generators)} (its rng and those in the partial of the attack)"
            )
        generators = copy.deepcopy(run.generators)
        for generator, state in zip(generators, states, strict=True):
            state = json.loads(state)
            _check_position(state)
            generator.bit_generator.state = state
        return generators

    def _same_configuration(self, there):
        here = dict(self.configuration)
        for name in ("optimizer", "attack"):
            both = there.get(name), here.get(name)
            if OWN in both and None not in both:
                here[name] = there[name]
        if lines := differences(there, here):
            raise archive.BadFileError(
                f"{self.path} belongs to another run ({'; '.join(lines):.1000}): "
                "use those settings or another file, or delete it"
            )

    def _same_schedule(self, done, factors):
        if len(done) > len(factors):
            raise archive.BadFileError(
                f"{self.path} has done {len(done)} epochs already; epochs = {len(factors)} were asked for"
            )
        for epoch, (there, here) in enumerate(zip(done, factors, strict=False)):
            if there != here:
                raise archive.BadFileError(
                    f"{self.path} has another schedule: in epoch {epoch} the factor is {there} there, {here} here"
                )


def _arrays(run):
    parts = {"params": run.model.params, "state": run.state}
    return {f"{what}/{name}": a for what, arrays in parts.items() for name, a in arrays.items()}


def _history(there, run, epochs):
    """Return the history in the file; refuse it unless it has one number of each kind for each epoch."""
    if {name: len(numbers) for name, numbers in there.items()} != dict.fromkeys(run.history, epochs):
        raise ValueError(f"history: {epochs} numbers for each of {', '.join(run.history)} were expected")
    return {name: list(map(float, numbers)) for name, numbers in there.items()}


def _check_position(state):
    """Refuse a position outside a generator's buffer, which NumPy would not check: it would read foreign memory."""
    for name, inside, last in (("pos", state["state"], 624), ("buffer_pos", state, 4)):  # MT19937, Philox
        if inside.get(name, 0) not in range(last + 1):
            raise ValueError(f"{name} = {inside[name]} of a generator must be in 0..{last}")


def _in_place_of(old, new):
    """Return the new host array with the dtype of the old array, on its device."""
    return namespace(old).asarray(new, dtype=old.dtype)
