"""The adversarial transformation networks (ATNs) of the experiment, each trained once, and their evaluation."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...attacks.one_for_all.transformation import KINDS, train_atn
from ...layers import Conv
from ...models import CNN
from ...models.protocol import labels_of, logits, predict
from ...sets import L2, Linf
from ...training import fit
from ...training.optim import Adam, cosine
from ..experiment import Setup
from ..networks import training as networks
from ..networks.images import targets_of

BOX = (0, 1)
BETAS = (0.01, 0.005, 0.001)
BETA = 0.005
TITLES = {"perturbation": "P-ATN", "autoencoding": "AAE"}
NETWORKS = {"2-layer": "MLP 784-200-10", "4-layer": "4-layer MLP", "CNN": "CNN", "robust CNN": "robust CNN"}
VICTIM = "CNN"
NORMS = {"L2": L2, "Linf": Linf}  # the norms that measure the change


@dataclass(frozen=True)
class Plan:
    """The sizes of a run.

    Attributes
    ----------
    networks : networks.Plan
        How the victims are trained.
    train, single, large : int
        The number of training images for an ATN for all targets, for an ATN for one target, and for the ATN whose cost
        is measured.
    epochs, batch_size : int
    test, pgd : int
        The number of test images, and of those that PGD attacks.
    targets : tuple of int
        The labels for which an ATN of their own is trained.
    note : str
        Marks a plan that is smaller than the full one, in the head of the tables.
    """

    networks: Any
    train: int
    single: int
    large: int
    epochs: int
    batch_size: int
    test: int
    pgd: int
    targets: tuple
    note: str = ""


FULL = Plan(
    networks.FULL,
    train=20_000,
    single=10_000,
    large=60_000,
    epochs=5,
    batch_size=100,
    test=10_000,
    pgd=1_000,
    targets=tuple(range(10)),
)
QUICK = Plan(
    networks.QUICK,
    train=2_500,
    single=2_000,
    large=5_000,
    epochs=5,
    batch_size=50,
    test=500,
    pgd=50,
    targets=(0, 1, 2),
    note=" (QUICK: little data)",
)


@dataclass(frozen=True)
class Transformation(Setup):
    """The victims and the images.

    Attributes
    ----------
    atns : dict
        The ATNs that have been trained, and the seconds it took, by (kind, target, β, victims, images).
    """

    atns: dict = field(default_factory=dict)


def train(plan, data, eps, seed, cache=None, report=None):
    """Train the victims in the tutorial's ball, or take them from the cache."""
    models = networks.train_networks(plan.networks, data, networks.TUTORIAL_EPS, seed, cache)
    return Transformation(models, data, plan, eps, seed)


def trained(setup, kind=KINDS[0], target="all", beta=BETA, victims=(VICTIM,), images=None, models=None):
    """Return the ATN with these settings, trained once, and the wall-clock and processor seconds of its training."""
    plan = setup.plan
    rng = np.random.default_rng(setup.seed)
    images = images or (plan.train if target in ("all", None) else plan.single)
    key = kind, target, beta, tuple(victims), images
    if key not in setup.atns:
        began = time.perf_counter(), time.process_time()
        atn = train_atn(
            [(models or setup.models)[name] for name in victims],
            setup.data.x_train[:images],
            target=target,
            kind=kind,
            beta=beta,
            epochs=plan.epochs,
            batch_size=plan.batch_size,
            schedule=cosine(plan.epochs),
            rng=rng,
        )
        ended = time.perf_counter(), time.process_time()
        setup.atns[key] = atn, [round(e - b, 1) for b, e in zip(began, ended, strict=True)]
    return setup.atns[key]


def judged(setup, atn, target, names=(VICTIM,)):
    """Return success on each network and the size of the change; for one target, only over images of other classes."""
    x, y = (a[: setup.plan.test] for a in (setup.data.x_test, setup.data.y_test))
    if isinstance(target, int):
        x, y = x[y != target], y[y != target]
    aims = {"all": targets_of(y, setup.seed), None: y}.get(target, np.full(len(y), target))
    images = atn(x, aims if target == "all" else None)
    success = {}
    second = {}
    for name in names:
        z = logits(setup.models[name], images)
        hit = (labels_of(z) == aims) if target is not None else (labels_of(z) != y)
        was = predict(setup.models[name], x)
        success[name] = float(hit.mean())
        second[name] = float((z.argsort(axis=1)[:, -2] == was)[hit].mean()) if hit.any() else None
    return {"success": success, "original second": second, "size": sizes_of(images - x)}


def sizes_of(delta):
    """Return the median size of the changes in ℓ2 and in ℓ∞."""
    return {name: float(np.median(norm.norm(delta))) for name, norm in NORMS.items()}


def train_substitute(setup):
    """Train a small CNN on labels predicted by the victim; nothing else of the victim is used."""
    x = setup.data.x_train[-setup.plan.train :]
    rng = np.random.default_rng(setup.seed)
    model = CNN(convs=(Conv(16, stride=2), Conv(32, stride=2)), rng=rng)
    epochs = setup.plan.networks.epochs
    fit(model, x, predict(setup.models[VICTIM], x), epochs=epochs, optimizer=Adam(1e-3), rng=rng)
    return model


def noise_like(atn, rng):
    """Return a function that adds Gaussian noise to images, as large in ℓ2 as the ATN's changes before clipping."""

    def changed(x, target):
        size = L2.norm(atn(x, target) - x)
        noise = L2(1).linear_max(rng.standard_normal(x.shape).astype(x.dtype))
        return np.clip(x + size[:, None, None, None] * noise, *BOX)

    return changed
