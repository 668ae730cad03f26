"""The worst case of four attacks without a step size to choose, as in AutoAttack."""

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
    r"""Run APGD on cross-entropy, targeted APGD on DLR, targeted FAB and Square, one after the other.

    Each attack gets only the examples that no earlier attack has fooled. The targets are the wrong classes with the
    largest logits at x, one after the other, and any wrong prediction counts as a success. FAB has no ε; its δ counts
    if it lies in Δ(x). DLR is not defined for fewer than four classes; APGD then climbs z_target − z_y, whose
    gradient has the same direction.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box of the threat if it has one.
    y : array, shape (N,)
        The true labels.
    threat : Set
        Linf, L2 or a Range, alone or intersected with a Box or a Mask.
    rng : numpy.random.Generator
        Draws the starts of APGD and the seeds of Square, for the whole batch.
    steps : int
        The number of steps of APGD and of FAB, for each target.
    targets : int
        The number of target classes.
    queries : int
        The number of queries of Square, for each example.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They lie in Δ(x), and are zero where every attack has failed or x is
        already misclassified; ``evaluate.judge`` tells the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", section 5.
    """
    xp = namespace(x)
    z = clean_logits(model, x)
    task = tasks.of(model, z)
    delta_set = threat.at(x)
    delta = xp.zeros_like(x)
    standing = ~task.is_fooled(z, y)
    rivals = _rivals(task, z, y, targets)
    for attack in attacks_in_turn(model, x, y, z, rivals, delta_set, rng, steps=steps, queries=queries):
        left = xp.flatnonzero(standing)
        if not len(left):
            break
        found = attack(left)
        fallen = task.is_fooled(logits(model, x[left] + found), y[left]) & delta_set.rows(left).contains(found)
        delta[left[fallen]] = found[fallen]
        standing[left[fallen]] = False
    return delta


def _rivals(task, z, y, targets):
    """Return the target classes, ``(N, C)``: those with the largest logits, unless masked out for all examples."""
    rivals = task.rivals(z, y)[:, :targets]
    return rivals[:, task.possible(z, rivals).any(axis=0)]


def attacks_in_turn(model, x, y, z, rivals, threat, rng, *, steps, queries):
    """Yield the attacks of :func:`standard` in turn, each as a function of the rows that are still unfooled.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs.
    y : array, shape (N,)
        The true labels.
    z : array, shape (N,) or (N, K)
        The logits of x.
    rivals : array, shape (N, C)
        The target classes, one after the other.
    threat : Set
        Δ(x).
    rng : numpy.random.Generator
        Draws the starts of APGD and the seeds of Square, for the whole batch.
    steps, queries : int
        As for :func:`standard`.

    Yields
    ------
    callable
        ``attack(left)`` takes the n row numbers of some examples and returns their δ, ``(n, *D)``.

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
