"""Signs of masked gradients: an attack may have failed because of them, and not because the model is robust."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ..attacks import pgd
from ..backend import namespace
from ..checked import checked, taking, whole
from ..models.protocol import predict
from ..numerics import rows, take
from ..parallel import map_chunks
from ..sets import Box, Linf, Range
from .worst import stands

SLACK = 0.01  # the share of examples that another attack may fool where the gradient fails, without being a sign

SIGNS = {
    "non-finite gradients": "{0:.1%} of the examples have a gradient in x with entries that are NaN or infinite, "
    "{1:,} entries in all; attacks count them as 0, or as their sign",
    "zero gradients": "{0:.1%} of the examples have a gradient in x that is zero",
    "more steps are not stronger": "{0:.1%} of the examples stand after {steps} steps, {1:.1%} after one",
    "random noise beats the gradient": "{0:.1%} of the examples stand after {steps} steps and fall to one of {trials} "
    "random changes",
    "black box beats white box": "{0:.1%} of the examples stand after {steps} steps and fall to the black box",
    "an unbounded attack fails": "{0:.1%} of the examples stand after {steps} steps in a set that contains every image",
}


@dataclass(frozen=True)
class Finding:
    """A sign of masked gradients.

    Attributes
    ----------
    sign : str
        One of the keys of ``SIGNS``.
    figure : float
        The share of examples that show it.
    words : str
        The finding in words, with the figure.
    """

    sign: str
    figure: float
    words: str

    def __str__(self):
        return f"{self.sign}: {self.words}"


@checked(steps=whole(2), attack=taking("model", "x", "y", "threat", named=["steps"]))
def signs_of_masking(model, x, y, threat, *, attack=pgd, steps=40, black_box=None, trials=20, rng=None):
    """Search for signs that the gradients of a model are masked, so that its robust accuracy may be too high.

    =================================  ==========================================================================
    sign                               is found where
    =================================  ==========================================================================
    ``non-finite gradients``           the gradient of the loss in x has NaN or infinite entries for any example
    ``zero gradients``                 the gradient of the loss in x is zero for any example
    ``more steps are not stronger``    more examples stand after ``steps`` steps than after one
    ``random noise beats the``         more than 1 % of the examples stand after the gradient attack and fall to one
    ``gradient``                       of ``trials`` random points of Δ(x)
    ``black box beats white box``      the same for ``black_box``
    ``an unbounded attack fails``      any example stands although every image (with values in the box, or in the
                                       range of x) may be reached
    =================================  ==========================================================================

    Only examples that are classified correctly when clean are used, and all shares are shares of them. A sign is a
    reason to look closer, not a proof: on models that are not confident the cross-entropy can grow without an error,
    which looks the same (try ``partial(pgd, loss=margin)``). Nor does the absence of signs prove anything.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        A few hundred examples are enough.
    y : array, shape (N,)
    threat : Set
    attack : callable
        The white-box attack, ``attack(model, x, y, threat, steps=...)``.
    steps : int
        The steps of the long run of the attack; the short run has one.
    black_box : callable, optional
        ``black_box(model, x, y, threat)``, such as ``partial(square, queries=1000, rng=rng)``. Without it, its sign is
        not searched for.
    trials : int
        The number of random changes for each example.
    rng : numpy.random.Generator, optional
        Draws the random changes. Default: ``np.random.default_rng(0)``.

    Returns
    -------
    list of Finding
        Empty if there is no sign.

    Source: Athalye, Carlini and Wagner (2018), "Obfuscated gradients give a false sense of security", section 3.1;
    Carlini et al. (2019), "On evaluating adversarial robustness", section 5.
    """
    right = namespace(x).flatnonzero(predict(model, x) == y)
    if not len(right):
        return []
    x, y, threat = take(right, x, y, threat.at(x))
    rng = np.random.default_rng(0) if rng is None else rng
    after = partial(stands, model, x, y)
    one = after(threat, [partial(attack, steps=1)])
    many = after(threat, [partial(attack, steps=steps)])
    unbounded = after(_everything(threat, x), [partial(attack, steps=steps)])
    not_finite, zero = _gradient_faults(model, x, y)
    broken = not_finite > 0
    beyond = partial(_found_beyond, model, x, y, threat, many)
    figures = {
        "non-finite gradients": [_share(broken), int(not_finite.sum())],
        "zero gradients": [_share(zero)],
        "more steps are not stronger": [_share(many), _share(one)] if many.sum() > one.sum() else [0.0],
        "random noise beats the gradient": [beyond([partial(_noise, rng=rng)] * trials)],
        "black box beats white box": [beyond({"black_box": black_box} if black_box else [])],
        "an unbounded attack fails": [_share(unbounded)],
    }
    return [
        Finding(sign, figure[0], SIGNS[sign].format(*figure, steps=steps, trials=trials))
        for sign, figure in figures.items()
        if figure[0] > 0
    ]


def _gradient_faults(model, x, y):
    """Return how many entries of each example's gradient are not finite, and whether all of them are zero."""

    def faults(x, y):
        z, pull = model.vjp_x(x)
        g = rows(pull(model.loss.grad(z, y)))  # as the model returns it
        return (~namespace(g).isfinite(g)).sum(axis=1), (g == 0).all(axis=1)

    return map_chunks(faults, model, x, y)


def _found_beyond(model, x, y, threat, standing, attacks):
    """Return the share of examples that stand so far and fall to these attacks; 0 if it is at most ``SLACK``."""
    left = namespace(x).flatnonzero(standing)
    fell = len(left) - int(stands(model, *take(left, x, y, threat), attacks).sum()) if len(left) else 0
    return fell / len(x) if fell > SLACK * len(x) else 0.0


def _noise(model, x, y, threat, rng):
    return threat.sample(rng, x)


def _everything(threat, x):
    """Return the set that contains every image in the box, or in the range of x if there is no box."""
    xp = namespace(x)
    boxed = threat if threat.pixels is not None else threat & Box(float(x.min()), float(x.max()))
    lower = xp.where(xp.isfinite(xp.asarray(boxed.pixels.lower)), boxed.pixels.lower, x.min())
    upper = xp.where(xp.isfinite(xp.asarray(boxed.pixels.upper)), boxed.pixels.upper, x.max())
    reach = (xp.zeros_like(x) + upper - lower).astype(x.dtype)
    if isinstance(boxed.ball, Range):  # some of its sides may be zero whatever the radius
        return Linf(float(reach.max())) & boxed.pixels
    return boxed.scaled(float(boxed.norm(reach).max()))


def _share(mask):
    return float(mask.mean())
