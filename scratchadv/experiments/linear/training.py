"""The three linear models: two runs of SGD, and the exact optimum."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import robust_logistic
from ...attacks import exact
from ...evaluate import judge
from ...models import LogisticRegression
from ...sets import Linf
from ...training import fit
from ...training.optim import SGD
from ..experiment import Setup
from . import ABOUT

BOX = (0, 1)
SLIDES_EPS = ABOUT.eps

# The names of the models, by their keys.
NAMES = {"plain": "SGD", "robust": "robust SGD", "optimum": "exact optimum"}


@dataclass(frozen=True)
class Plan:
    """The settings of the slides' run.

    Attributes
    ----------
    plain_epochs, robust_epochs : int
        The epochs of SGD on the clean loss and on the loss under attack.
    plain_step, robust_step : float
        The step sizes.
    batch_size : int
    seeds : int
        The number of runs of SGD for the spread, from the given seed on.
    """

    plain_epochs: int
    plain_step: float
    robust_epochs: int
    robust_step: float
    batch_size: int
    seeds: int


FULL = Plan(plain_epochs=10, plain_step=1.0, robust_epochs=20, robust_step=0.1, batch_size=100, seeds=5)


@dataclass(frozen=True)
class Linear(Setup):
    """The three models (``plain``, ``robust``, ``optimum``) on the digits 0 (label +1) and 1 (label −1).

    Attributes
    ----------
    fit : RobustLogisticFit
        The certificate of the exact optimum.
    """

    fit: Any

    @property
    def ball(self):
        """The ℓ∞ ball, without the box."""
        return Linf(self.eps)


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the slides' two models by SGD, and solve the robust problem exactly.

    Parameters
    ----------
    plan : Plan
    data : Dataset
        Images of all digits, of which the digits 0 and 1 are used.
    eps : float
    seed : int
    cache, report
        Not used, since the training takes only seconds.

    Returns
    -------
    Linear
    """
    data = data.only(0, 1)
    ball = Linf(eps)
    solution = robust_logistic.fit(data.x_train, data.y_train, ball)
    optimum = LogisticRegression(solution.theta.astype(data.x_train.dtype), solution.theta0)
    models = sgd_runs(plan, data, ball, seed) | {"optimum": optimum}
    return Linear(models, data, plan, eps, seed, solution)


def sgd_runs(plan, data, ball, seed):
    """Return the plain and the robust model, both from the tutorial's random initialisation with the same seed."""

    def sgd(attack, epochs, step):
        rng = np.random.default_rng(seed)
        model = LogisticRegression.initial(data.x_train.shape[1:], rng)
        settings = {"epochs": epochs, "optimizer": SGD(step), "rng": rng, "batch_size": plan.batch_size}
        fit(model, data.x_train, data.y_train, attack=attack, **settings)
        return model

    return {
        "plain": sgd(None, plan.plain_epochs, plan.plain_step),
        "robust": sgd(partial(exact, threat=ball), plan.robust_epochs, plan.robust_step),
    }


def attacked_error(model, x, y, threat):
    """Return the share of examples that are misclassified under the exact attack, by predicting again."""
    return float(judge(model, x, y, exact(model, x, y, threat), threat).success.mean())
