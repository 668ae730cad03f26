"""The worst case of four attacks that have no step size to choose, as in AutoAttack."""

from functools import partial

import numpy as np

from .. import tasks
from ..backend import host, namespace
from ..checked import checked, in_norm
from ..losses import log_loss, logit_difference, targeted_dlr
from ..models.protocol import clean_logits, logits
from ..numerics import take
from ..sets import L2, Linf, Range
from .black_box.square import square
from .constrained.fab import fab
from .gradient.apgd import apgd


@checked(threat=in_norm(Linf, L2, Range))
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
    threat : Set
        Linf, L2 or a Range, alone or cut with a Box or a Mask.
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
    xp, z, delta_set = namespace(x), clean_logits(model, x), threat.at(x)
    task = tasks.of(model, z)
    delta, standing = xp.zeros_like(x), ~task.is_fooled(z, y)
    rivals = _rivals(task, z, y, targets)
    for attack in attacks_in_turn(model, x, y, z, rivals, delta_set, rng, steps=steps, queries=queries):
        left = xp.flatnonzero(standing)
        if not len(left):
            break
        found = attack(left)
        fallen = task.is_fooled(logits(model, x[left] + found), y[left]) & delta_set.rows(left).contains(found)
        delta[left[fallen]], standing[left[fallen]] = found[fallen], False
    return delta


def _rivals(task, z, y, targets):
    """The classes to aim at, ``(N, C)``: those of the largest logits, but none that is masked out for all examples."""
    rivals = task.rivals(z, y)[:, :targets]
    return rivals[:, task.possible(z, rivals).any(axis=0)]


def attacks_in_turn(model, x, y, z, rivals, threat, rng, *, steps, queries):
    """Yield the attacks of :func:`standard` in turn, each a function of the numbers of the examples that are left.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    z : array, shape (N,) or (N, K)
        The logits of x.
    rivals : array, shape (N, C)
        The classes to aim at, one after the other.
    threat : Set
        Δ(x).
    rng : numpy.random.Generator
        Draws the starts of APGD and the seeds of Square, for the whole batch.
    steps, queries : int
        As for :func:`standard`.

    Yields
    ------
    callable
        ``attack(left)`` takes n numbers of examples and returns their δ, ``(n, *D)``.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", section 5.
    """
    few = len(tasks.of(model, z).every) < 4

    def climb(loss, target, start, left):
        x_left, y_left, threat_left, target, start = take(left, x, y, threat, target, start)
        options = {"loss": loss, "target": target, "start": start, "steps": steps}
        return apgd(model, x_left, y_left, threat_left, until_wrong=True, **options)

    def shrink(rival, left):
        x_left, y_left, rest, rival = take(left, x, y, threat, rival)
        norm = L2 if isinstance(rest.ball, L2) else Linf
        return fab(model, x_left, y_left, rival=rival, norm=norm, box=rest.box, steps=steps)

    def search(seeds, left):
        x_left, y_left, threat_left = take(left, x, y, threat)
        return square(model, x_left, y_left, threat_left, queries=queries, seeds=seeds[host(left)])

    yield partial(climb, log_loss(z), None, threat.sample(rng, x))
    for rival in rivals.T:
        yield partial(climb, logit_difference if few else targeted_dlr, rival, threat.sample(rng, x))
    for rival in rivals.T:
        yield partial(shrink, rival)
    yield partial(search, rng.integers(0, 2**64, len(x), dtype=np.uint64))
