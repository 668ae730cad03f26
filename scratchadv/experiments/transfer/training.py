"""The models for each seed: networks, techniques of scikit-learn, and networks for several tasks."""

from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from ...attacks import pgd, tree_attack
from ...interop.scikit_learn import linear_scores
from ...models import CNN, MLP, SoftmaxRegression, SoftNeighbours
from ...support.console import say
from ...support.optional import needed_by
from ...training import zoo
from ...training.optim import Adam
from ..experiment import Setup

# The temperature of the soft neighbours. Of 0.3, 1, 3, 10 and 30, its δ fools nearest neighbours on MNIST most often.
TEMPERATURE = 3.0

TASKS = {
    "which digit": (10, lambda y: y),
    "even or odd": (2, lambda y: y % 2),
    "5 or more": (2, lambda y: (y >= 5).astype(y.dtype)),
}

WITHOUT = "techniques are left out, because scikit-learn is not installed: pip install 'scratchadv[techniques]'"


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Attributes
    ----------
    train, epochs : int
        The number of training images for the networks of each seed, and the epochs.
    seeds : int
        The number of seeds, each of which has training images of its own.
    techniques : int
        The number of training images for each technique.
    test : int
        The number of test images that are attacked.
    note : str
        Marks a plan that is smaller than the full one, in the head of the tables.
    """

    train: int
    epochs: int
    seeds: int
    techniques: int
    test: int
    note: str = ""


FULL = Plan(train=20_000, epochs=5, seeds=3, techniques=10_000, test=1_000)
QUICK = Plan(train=5_000, epochs=3, seeds=2, techniques=1_000, test=100, note=" (QUICK: little data)")


def train(plan, data, eps, seed, cache=None, report=say):
    """Train the models of all seeds, or take them from the cache; ``setup.models`` is what ``prepared`` returns."""
    shares = [share(data, plan.train, i) for i in range(plan.seeds)]
    return Setup(prepared(shares, plan, seed, cache, report), data, plan, eps, seed)


def share(data, n, i):
    """Return the data set with only n of its training images, the i-th part of that size."""
    part = slice(i * n, (i + 1) * n)
    return replace(data, x_train=data.x_train[part], y_train=data.y_train[part])


def prepared(shares, plan, seed, cache, report):
    """Return for each part and seed the models by name, and the attacks of those that have an attack of their own."""
    seeds = range(seed, seed + plan.seeds)
    parts = {
        "models": [(models(data, plan, s, cache), {}) for data, s in zip(shares, seeds, strict=True)],
        "tasks": [(tasks(data, plan, s, cache), {}) for data, s in zip(shares, seeds, strict=True)],
    }
    if find_spec("sklearn") is None:
        report(WITHOUT)
    else:
        first = [share(data, plan.techniques, 0) for data in shares]
        parts["techniques"] = [techniques(data, plan, s, cache) for data, s in zip(first, seeds, strict=True)]
    return {part: parts[part] for part in ("models", "techniques", "tasks") if part in parts}


def models(data, plan, seed, cache):
    """Return a softmax regression, two MLPs and a CNN."""
    make = {
        "linear": lambda rng: SoftmaxRegression(rng=rng),
        "2-layer": lambda rng: MLP((784, 200, 10), rng=rng),
        "4-layer": lambda rng: MLP((784, 200, 100, 100, 10), rng=rng),
        "CNN": lambda rng: CNN(rng=rng),
    }
    return {name: trained(name, f, data, data.y_train, plan, seed, cache) for name, f in make.items()}


def tasks(data, plan, seed, cache):
    """Return an MLP for each of the tasks, which label the same images differently."""

    def network(name):
        k, labels = TASKS[name]
        file = f"2-layer-{name.replace(' ', '-')}"
        return trained(file, lambda rng: MLP((784, 200, k), rng=rng), data, labels(data.y_train), plan, seed, cache)

    return {name: network(name) for name in TASKS}


def techniques(data, plan, seed, cache):
    """Return an MLP and techniques of scikit-learn, and the attacks on the techniques, which have no gradients."""
    with needed_by("an attack between techniques", "scikit-learn", "techniques"):
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.svm import LinearSVC
        from sklearn.tree import DecisionTreeClassifier

    x, y = data.x_train.reshape(len(data.x_train), -1), data.y_train
    fitted = {
        "logistic regression": LogisticRegression(C=0.1, tol=1e-3, max_iter=1000),
        "SVM": LinearSVC(C=0.01, random_state=seed),
        "decision tree": DecisionTreeClassifier(random_state=seed),
        "nearest neighbours": KNeighborsClassifier(5, algorithm="brute"),
    }
    soft = SoftNeighbours(x, y, TEMPERATURE)
    attacks = {
        "logistic regression": by_scores,
        "SVM": by_scores,
        "decision tree": tree_attack,
        "nearest neighbours": lambda _, x, y, threat: pgd(soft, x, y, threat),
    }
    network = trained("2-layer", lambda rng: MLP((784, 200, 10), rng=rng), data, y, plan, seed, cache)
    return {"network": network} | {name: technique.fit(x, y) for name, technique in fitted.items()}, attacks


def by_scores(technique, x, y, threat):
    """Run PGD on the scores of a linear technique."""
    return pgd(linear_scores(technique), x, y, threat)


def trained(name, make, data, y, plan, seed, cache):
    """Return a trained network; the seed decides its initial parameters and the order of the images."""
    options = {"epochs": plan.epochs, "optimizer": Adam(1e-3), "rng": np.random.default_rng(seed), "cache": cache}
    return zoo.trained(name, lambda: make(np.random.default_rng(seed)), data.x_train, y, **options)
