"""The slides' networks, trained once and kept in the cache for the experiments and the lectures.

The networks and settings are those of the tutorial on which the slides are based (Kolter and Madry, chapters 3 and 4).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ...attacks import fgsm_random_start
from ...models import CNN, MLP
from ...sets import Linf
from ...training import zoo
from ...training.optim import SGD, Adam, steps
from . import ABOUT

BOX = (0, 1)
TUTORIAL_EPS = ABOUT.eps

# The names of the networks, by their keys.
NAMES = {"2-layer": "MLP 784-200-10", "4-layer": "MLP 784-200-100-100-10", "CNN": "CNN", "robust CNN": "robust CNN"}


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Attributes
    ----------
    train, test : int
        The number of training images, and of test images that are attacked.
    epochs : int
    restarts : int
        The restarts of PGD on the CNN.
    curve : int
        The number of test images for the curves over ε.
    note : str
        Marks a plan that is smaller than the tutorial's, in the head of the table.
    """

    train: int
    test: int
    epochs: int
    restarts: int
    curve: int
    note: str = ""


FULL = Plan(train=60_000, test=10_000, epochs=10, restarts=10, curve=1_000)
QUICK = Plan(
    train=5_000,
    test=200,
    epochs=5,
    restarts=10,
    curve=100,
    note=" (QUICK: less data than the tutorial's 60,000 and 10,000)",
)


def train_networks(plan, data, eps, seed, cache=None, names=tuple(NAMES), progress=True):
    """Train networks, or take them from the cache.

    Parameters
    ----------
    plan : Plan
        Only its ``train`` and ``epochs`` are used.
    data : Dataset
    eps : float
        The radius of the ℓ∞ ball in which the robust CNN is trained.
    seed : int
    cache : path, optional
        Default: the user's cache.
    names : sequence of str
        Keys of ``NAMES``.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    dict of str to Model
    """
    x, y = data.x_train[: plan.train], data.y_train[: plan.train]

    def start():
        return np.random.default_rng(seed)

    def trained(name):
        make, options = recipes[name]
        rng = start()
        options = {"epochs": plan.epochs, "optimizer": SGD(0.1), "rng": rng, "cache": cache} | options
        if attack := options.get("attack"):
            options["attack"] = partial(attack, rng=rng)
        return zoo.trained(name.replace(" ", "-"), make, x, y, progress=progress, **options)

    robust = {
        "attack": partial(fgsm_random_start, threat=Linf(eps)),
        "optimizer": Adam(1e-3),
        "schedule": steps({plan.epochs * 3 // 5: 0.1}),
    }
    recipes = {
        "2-layer": (lambda: MLP((784, 200, 10), rng=start()), {}),
        "4-layer": (lambda: MLP((784, 200, 100, 100, 10), rng=start()), {}),
        "CNN": (lambda: CNN(rng=start()), {"schedule": steps({plan.epochs // 2: 0.1})}),
        "robust CNN": (lambda: CNN(rng=start()), robust),
    }
    return {name: trained(name) for name in names}


def quick(data, name, seed=0, cache=None):
    """Return one of the networks, trained by the plan of ``--quick``, or from the cache; the lectures use it.

    Parameters
    ----------
    data : Dataset
    name : {"2-layer", "4-layer", "CNN", "robust CNN"}
    seed : int
    cache : path, optional

    Returns
    -------
    Model
    """
    return train_networks(QUICK, data, TUTORIAL_EPS, seed, cache, [name], progress=False)[name]


def come_first(plan, data):
    """Return a sentence that says what happens first in the experiments that attack these networks."""
    return "the networks of `scratchadv reproduce networks` are attacked; any not in the cache are trained first"
