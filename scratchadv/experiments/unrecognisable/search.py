"""Searches for images that a network is certain about: MAP-Elites with two encodings, and gradient ascent."""

import time
from typing import Any, NamedTuple

import numpy as np

from ...attacks.black_box.queries import oracle
from ...attacks.unrecognisable.encodings import CPPN, Direct
from ...attacks.unrecognisable.gradient_ascent import gradient_ascent
from ...attacks.unrecognisable.map_elites import log_probabilities, map_elites

ENCODINGS = {"direct": Direct, "CPPN": CPPN}
PENALTY, ALPHA = 0.01, 1.0


class Found(NamedTuple):
    """The images ``(runs, K, *D)`` by one way for one network, and log p of their classes ``(runs, times, K)``."""

    x: Any
    log_p: Any
    queries: float
    seconds: float


def generators(setup):
    """Return one random generator for each run."""
    return np.random.default_rng(setup.seed).spawn(setup.plan.runs)


def evolve(setup, model, way):
    """Run MAP-Elites several times."""
    plan = setup.plan
    began = time.perf_counter()
    encoding = ENCODINGS[way](setup.data.x_test.shape[1:])
    options = {"generations": plan.generations, "children": plan.children}
    runs = [map_elites(model, encoding, rng=rng, **options) for rng in generators(setup)]
    x = np.stack([found.x for found in runs])
    history = np.stack([found.history for found in runs])
    return Found(x, history, runs[0].queries, time.perf_counter() - began)


def ascend(setup, model):
    """Run gradient ascent towards each class several times, from uniform noise."""
    plan = setup.plan
    classes = np.arange(len(setup.data.class_names))
    began = time.perf_counter()
    shape = (plan.runs, len(classes), *setup.data.x_test.shape[1:])
    noise = np.stack([rng.random(shape[1:], dtype=np.float32) for rng in generators(setup)])
    y = np.tile(classes, plan.runs)
    flat = gradient_ascent(model, noise.reshape(-1, *shape[2:]), y, penalty=PENALTY, steps=plan.steps, alpha=ALPHA)
    x = flat.reshape(shape)
    return Found(x, answers(model, x)[:, None], (plan.steps + 1) * len(classes), time.perf_counter() - began)


def answers(model, x):
    """Return log p of class k for the image that was made for it, shape ``(runs, K)``."""
    runs, k = x.shape[:2]
    log_p = log_probabilities(oracle(model), x.reshape(runs * k, *x.shape[2:])).reshape(runs, k, k)
    return log_p.diagonal(axis1=1, axis2=2)
