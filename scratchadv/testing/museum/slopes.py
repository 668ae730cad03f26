"""Bugs of losses and gradients: a gradient that is tiny, lost, not a number, or of the wrong loss."""

from functools import partial

import numpy as np

from ...attacks import fgsm
from ...checked import check_attack
from ...losses import CrossEntropy, cross_entropy
from ...models.protocol import finite, loss_and_gradient
from ...numerics import per_row, rows
from ...sets import L2
from .climbing import BALL, BOXED, SEVERAL, short_pgd
from .exhibit import attack, exhibit


@exhibit(8, "CleverHans PR #1175", "confident logits", attack(L2(0.5), exact=True))
def tiny_gradient(bug):
    """A tiny gradient is lost when it is normalised."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        _, g = loss_and_gradient(model, model.loss, x, y)
        if bug:
            return threat.eps * g / per_row(np.sqrt((rows(g) ** 2).sum(axis=1)) + 1e-12, g)
        return threat.linear_max(g)

    return run


class OnProbabilities(CrossEntropy):
    """The cross-entropy of logits that have already been through a softmax."""

    def value(self, z, y):
        """Return the loss with the probabilities taken for logits, ``(N,)``."""
        return super().value(self._softmax(z), y)

    def grad(self, z, y):
        """Return its derivative in z, through the softmax."""
        p = self._softmax(z)
        g = super().grad(p, y)
        return p * (g - (p * g).sum(axis=1, keepdims=True))

    @staticmethod
    def _softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


@exhibit(9, "Foolbox #618, #158", "confident logits", attack(BALL, exact=True, **SEVERAL))
def loss_on_probabilities(bug):
    """The loss is computed from probabilities instead of logits."""
    return partial(fgsm, loss=OnProbabilities() if bug else cross_entropy)


@exhibit(10, "ART #368", "confident logits", attack(BOXED, iterated=True, **SEVERAL))
def zero_gradients_in_silence(bug):
    """Gradients round to zero without any warning, and the example counts as robust."""

    class Naive(CrossEntropy):
        def grad(self, z, y):
            p = np.exp(z - z.max(axis=1, keepdims=True))
            return p / p.sum(axis=1, keepdims=True) - (np.arange(z.shape[1]) == y[:, None]).astype(z.dtype)

    return partial(short_pgd, loss=Naive() if bug else cross_entropy)


@exhibit(12, "C&W implementations", "pixels at the edges move", attack(BOXED, exact=True))
def frozen_pixels(bug):
    """atanh(±1) freezes pixels that are exactly 0 or 1."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        _, g = loss_and_gradient(model, model.loss, x, y)
        t = 2 * x - 1 if bug else (2 * x - 1) * 0.999  # x = (1 + tanh w) / 2, so dx/dw = (1 − t²) / 2
        return threat.at(x).linear_max(g * (1 - t * t) / 2)

    return run


ONE_OF_STARTS = {"iterated": True, "random": True, "restarts": True, "tolerance": 0.1, "models": ("softmax",)}


@exhibit(35, "scratchadv 0.1.0", "more restarts lose no success", attack(BALL, **ONE_OF_STARTS))
def the_highest_loss_for_the_best(bug):
    """The iterate with the highest loss is kept instead of one that fools, so more restarts can lose a success."""
    return partial(short_pgd, keep="loss" if bug else "success")


@exhibit(36, "scratchadv 0.1.0", "a hole in the gradient", attack(BALL, exact=True))
def one_pixel_ends_it_all(bug):
    """A gradient that is NaN at one pixel ends the attack on the whole image."""

    def run(model, x, y, threat):
        check_attack(model, x, y, threat)
        z, pull = model.vjp_x(x)
        g = pull(model.loss.grad(z, y))
        return threat.linear_max(g if bug else finite(g))

    return run
