"""The worst case of four attacks that have no step size to choose, as in AutoAttack."""

from functools import partial

import numpy as np

from .. import checks
from ..backend import host, namespace
from ..balls import L2, Boxed, Linf
from ..losses import cross_entropy, logistic, logit_difference, targeted_dlr
from ..models.protocol import labels_of, logits, predict
from .black_box.square import square
from .constrained.fab import fab
from .constrained.targets import rivals_of
from .gradient.apgd import apgd


def standard(model, x, y, threat, *, rng, steps=100, targets=9, queries=5000):
    r"""APGD on cross-entropy, targeted APGD on DLR, targeted FAB, Square: each on what the others left standing.

    The targets are the other classes of the largest logits at x, one after the other, and any wrong prediction counts.
    FAB has no ε: its δ counts where it lies in Δ(x). Where DLR is not defined, on models of fewer than four classes,
    APGD climbs z_target − z_y instead, whose steps point the same way.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        float32 or float64, in the box of the threat where it has one.
    y : array, shape (N,)
        The true labels.
    threat : Ball or Boxed
        Linf or L2, with or without a box.
    rng : numpy.random.Generator
        Draws the starts of APGD and the seeds of Square, for the whole batch.
    steps : int
        Of APGD and of FAB, for each target.
    targets : int
        How many classes are aimed at.
    queries : int
        Of Square.

    Returns
    -------
    delta : array, shape (N, *D)
        In Δ(x), and zero where every attack has failed or x was misclassified already; ``evaluate.judge`` tells the
        two apart. dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; before any step.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", section 5.
    """
    checks.attack(model, x, y, threat)
    ball = threat.ball if isinstance(threat, Boxed) else threat
    if not isinstance(ball, Linf | L2):
        raise TypeError(f"standard knows Linf and L2, not {type(ball).__name__}")
    steps, queries = checks.count("steps", steps, least=1), checks.count("queries", queries, least=1)
    targets = checks.count("targets", targets, least=1)
    xp, z = namespace(x), logits(model, x)
    delta, standing = xp.zeros_like(x), labels_of(z) == y
    rivals = -y[:, None] if z.ndim == 1 else rivals_of(z, y)[:, :targets]
    for attack in _attacks(model, x, y, z, rivals, threat, rng, steps, queries):
        left = xp.flatnonzero(standing)
        if not len(left):
            break
        found = attack(left)
        fallen = (predict(model, x[left] + found) != y[left]) & threat.at(x[left]).contains(found)
        delta[left[fallen]], standing[left[fallen]] = found[fallen], False
    return delta


def _attacks(model, x, y, z, rivals, threat, rng, steps, queries):
    """The attacks in turn, each a function of the numbers of the examples that are left."""
    box = (threat.lower, threat.upper) if isinstance(threat, Boxed) else None
    norm = type(threat.ball if isinstance(threat, Boxed) else threat)
    binary, few = z.ndim == 1, z.ndim == 1 or z.shape[1] < 4

    def climb(loss, target, start, left):
        target = target if target is None else target[left]
        options = {"loss": loss, "target": target, "start": start[left], "steps": steps}
        return apgd(model, x[left], y[left], threat, until_wrong=True, **options)

    def shrink(rival, left):
        return fab(model, x[left], y[left], rival=rival[left], norm=norm, box=box, steps=steps)

    def search(seeds, left):
        return square(model, x[left], y[left], threat, queries=queries, seeds=seeds[host(left)])

    yield partial(climb, logistic if binary else cross_entropy, None, threat.sample(rng, x))
    for rival in rivals.T:
        yield partial(climb, logit_difference if few else targeted_dlr, rival, threat.sample(rng, x))
    for rival in rivals.T:
        yield partial(shrink, rival)
    yield partial(search, rng.integers(0, 2**64, len(x), dtype=np.uint64))
