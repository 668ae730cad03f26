"""Every combination of models, threats and attacks, in this process or in many."""

import copy
from dataclasses import dataclass
from itertools import product
from typing import Any

from .. import checks
from ..backend import namespace
from ..checked import anything, checked
from ..support.progress import progress as bar
from ..support.tables import with_setting
from .curves import threats_of
from .worst import attacks_of, describe, listed, named, stands


@dataclass(frozen=True)
class Sweep:
    """Which examples stand in each combination of model, threat and attack.

    Attributes
    ----------
    models, attacks : tuple of str
        The names of the M models and of the A attacks.
    threats : tuple of Set
        The T perturbation sets.
    stands : array of bool, shape (M, T, A, N)
        Whether each example is classified correctly, clean and after this attack alone.
    """

    models: tuple
    threats: tuple
    attacks: tuple
    stands: Any

    @property
    def alone(self):
        """The accuracy under each attack alone, ``(M, T, A)``."""
        return self.stands.mean(axis=3)

    @property
    def accuracy(self):
        """The robust accuracy, which is the worst case over the attacks, ``(M, T)``."""
        return self.stands.all(axis=2).mean(axis=2)

    def table(self):
        """Return a Markdown table with a row for each model and threat."""
        rows = [
            [self.models[m], describe(threat), *(f"{100 * float(a):.2f} %" for a in (*alone, self.accuracy[m, t]))]
            for m, models in enumerate(self.alone)
            for (t, threat), alone in zip(enumerate(self.threats), models, strict=True)
        ]
        setting = {
            "examples": f"{self.stands.shape[3]:,}",
            "numbers": "accuracy after each attack alone, and after all",
        }
        return with_setting(setting, ["model", "threat", *self.attacks, "worst case"], rows)


def executor_of(name, value):
    """Return the value if it has ``submit``."""
    return checks.has(name, value, ("submit",), "an executor with submit")


@checked(models=listed(checks.judged), y=anything, threats=threats_of, attacks=attacks_of, executor=executor_of)
def sweep(models, x, y, threats, attacks, *, bits=None, executor=None, progress=False):
    """Run every attack on every model under every threat, each on all examples that are classified correctly.

    The combinations are independent. Each starts with its own copy of the attack and of the random generators in it, so
    that the results do not depend on where and in what order they are computed.

    Parameters
    ----------
    models : sequence of Model, or dict of str to Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    threats : sequence of Set
        The perturbation sets, such as ``[Linf(eps).within(0, 1) for eps in grid]``.
    attacks : sequence of callable, or dict of str to callable
        As for ``worst_case``. To run in other processes they must be picklable, which lambdas are not.
    bits : int, optional
        As for ``judge``.
    executor : concurrent.futures.Executor, optional
        Runs the combinations: a ``ProcessPoolExecutor``, or ``dask.distributed.Client(...).get_executor()`` for a
        cluster. Model, x and y are sent with each combination. Default: one after the other in this process.
    progress : bool
        Whether to show a bar on a terminal.

    Returns
    -------
    Sweep
    """
    models = named(models)
    attacks = named(attacks)
    if not (models and threats and attacks):
        raise ValueError(
            f"{len(models)} models, {len(threats)} threats, {len(attacks)} attacks; at least one of each was expected"
        )
    cells = [
        (model, x, y, threat, attack, bits) for (_, model), threat, (_, attack) in product(models, threats, attacks)
    ]
    found = namespace(x).stack(list(bar(_results(cells, executor), "sweep", len(cells), shown=progress)))
    shape = len(models), len(threats), len(attacks), len(x)
    return Sweep(tuple(name for name, _ in models), threats, tuple(name for name, _ in attacks), found.reshape(shape))


def _results(cells, executor):
    if executor is None:
        yield from (_cell(*cell) for cell in cells)
        return
    futures = [executor.submit(_cell, *cell) for cell in cells]
    try:
        yield from (future.result() for future in futures)
    finally:  # after an error the remaining combinations are cancelled
        for future in futures:
            future.cancel()


def _cell(model, x, y, threat, attack, bits):
    return stands(model, x, y, threat, [copy.deepcopy(attack)], bits=bits)
