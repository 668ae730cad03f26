"""The public tests of homework 4: cases on paper, the exact attack on linear models, the set Δ(x)."""

import importlib
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import Iterate, exact
from scratchadv.losses import logistic
from scratchadv.models import LogisticRegression
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing.strategies import linear_problems, seeds
from scratchadv.training.optim import SGD

BALLS = [Linf(0.2), L2(0.4), L1(0.6)]
THREATS = [*BALLS, *(ball.within(0, 1) for ball in [*BALLS, L0(2)])]
threats = st.sampled_from(THREATS)


class Waves:
    """z = Σ sin(x Ω): one logit with many local maxima, with Ω drawn from a seed. It counts its gradients."""

    loss = logistic

    def __init__(self, seed):
        self.seed, self.gradients = seed, 0
        self.params = {"omega": 4 * np.random.default_rng(seed).standard_normal((3, 2))}

    def __repr__(self):
        return f"Waves({self.seed})"

    def logits(self, x):
        """Return the logits, shape ``(N,)``."""
        return np.sin(self._inside(x)).sum(axis=1)

    def vjp_x(self, x):
        """Return the logits and their pullback, which maps dz to dz ∇z."""
        self.gradients += 1
        omega = self.params["omega"].astype(x.dtype)
        return self.logits(x), lambda dz: dz[:, None] * (np.cos(self._inside(x)) @ omega.T)

    def _inside(self, x):
        return x @ self.params["omega"].astype(x.dtype)


def student(name):
    """Return the student's function: fgsm and fgsm_random_start of fgsm.py, pgd of pgd.py, fit of fitting.py."""
    home = {"fgsm_random_start": "fgsm", "fit": "fitting"}.get(name, name)
    return getattr(importlib.import_module(home), name)


def plain_array(a, like, what):
    """Return a copy of a finite NumPy array with the shape and dtype of another; anything else fails."""
    assert type(a) is np.ndarray, f"{what} should be a NumPy array, but is of type {type(a).__name__}"
    assert a.shape == like.shape, f"{what} should have shape {like.shape}, but has {a.shape}"
    assert a.dtype == like.dtype, f"{what} should have dtype {like.dtype}, but has {a.dtype}"
    assert np.isfinite(a).all(), f"{what} should be finite, but is {a.tolist()}"
    return a.copy()


def same_array(found, expected, what, accuracy=1e-9):
    """Compare an array with the expected one, including its shape and dtype."""
    far = ~(abs(plain_array(found, expected, what) - expected) <= accuracy * (1 + abs(expected)))
    assert not far.any(), f"{what} should be {expected.tolist()}, but is {found.tolist()}"


def perturbation(delta, x, threat, what):
    """Check the type of an attack's δ and that it lies in Δ(x), and return it."""
    delta = plain_array(delta, x, what)
    inside = np.array(threat.at(x).contains(delta))
    if not inside.all():
        i = int(inside.argmin())
        raise AssertionError(f"{what} is not in Δ(x), {threat}: δ = {delta[i].tolist()} at x = {x[i].tolist()}")
    return delta


def loss_at(model, x, y, delta, loss=None):
    """Return L(y, f(x + δ)), shape ``(N,)``."""
    return (loss or model.loss).value(model.logits(x + delta), y)


def waves(seed, n=3):
    """Return a ``Waves``, n examples in [0, 1]³, and the labels that it predicts."""
    model = Waves(seed)
    x = np.random.default_rng(seed + 1).random((n, 3)).round(2)
    return model, x, np.where(model.logits(x) >= 0, 1, -1)


def iterates_of(model, x, y, threat, **options):
    """Return what the callback of pgd receives, a list of (restart, step, δ, loss), and what pgd returns."""
    told = []

    def callback(iterate):
        assert isinstance(iterate, Iterate), f"callback should be given an Iterate, not {iterate!r}"
        restart, step = int(iterate.restart), int(iterate.step)
        where = f"the δ that callback receives at step {step} of restart {restart} of pgd ({model!r}, {threat})"
        told.append((restart, step, perturbation(iterate.delta, x, threat, where), np.array(iterate.loss, float)))

    found = student("pgd")(model, x, y, threat, callback=callback, **options)
    return told, perturbation(found, x, threat, f"what pgd returns ({model!r}, {threat})")


def test_fgsm_on_paper():
    """θ = (2, −1), y = 1: the loss falls with z = 2 x₁ − x₂, so the worst δ in the ℓ∞ ball is (−ε, ε)"""
    fgsm = student("fgsm")
    model = LogisticRegression(np.array([2.0, -1.0]))
    x, y = np.array([[1.0, 0.875], [0.5, 0.5]]), np.array([1, -1])
    where = "for θ = (2, -1), x = (1, 0.875) and (0.5, 0.5), y = 1 and -1, under"
    for threat, expected in (
        (Linf(0.25), [[-0.25, 0.25], [0.25, -0.25]]),
        (Linf(0.25).within(0, 1), [[-0.25, 0.125], [0.25, -0.25]]),
        (L1(0.25), [[-0.25, 0], [0.25, 0]]),
        (L2(math.sqrt(5)), [[-2, 1], [2, -1]]),
    ):
        same_array(fgsm(model, x, y, threat), np.array(expected, float), f"fgsm's δ {where} {threat}")
    model, x, y = waves(0)
    fgsm(model, x[:1], y[:1], Linf(0.25))
    assert model.gradients == 1, f"fgsm of one example should ask for one gradient, but asks for {model.gradients}"


@given(linear_problems())
def test_fgsm_is_exact_on_linear_models(problem):
    """L(x + δ) equals the loss under the exact attack, for every ball and every ball in a box"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    theta = model.params["theta"].tolist()
    where = f"for θ = {theta}, θ0 = {model.params['theta0']}, x = {x.tolist()}, y = {y.tolist()}, {threat}"
    delta = perturbation(student("fgsm")(model, x, y, threat), x, threat, f"fgsm's δ {where}")
    found, best = (loss_at(model, x, y, d) for d in (delta, exact(model, x, y, threat)))
    far = abs(found - best).max()
    assert far <= (1e-4 if x.dtype == np.float32 else 1e-9) * (1 + abs(best).max()), (
        f"the loss under fgsm should be {best.tolist()}, as under the exact attack, but is {found.tolist()} {where}"
    )


def test_pgd_on_paper():
    """On a linear model every normalised step in the ℓ∞ ball is α times the sign, up to the edge of the ball"""
    model = LogisticRegression(np.array([2.0, -1.0]))
    x = np.array([[1.0, 0.875]])
    y = np.array([1])
    where = "pgd's δ for θ = (2, -1), x = (1, 0.875), y = 1, alpha = 0.25,"
    for threat, steps, expected in (
        (Linf(1), 1, [-0.25, 0.25]),
        (Linf(1), 3, [-0.75, 0.75]),
        (Linf(0.5), 3, [-0.5, 0.5]),
        (Linf(0.5).within(0, 1), 3, [-0.5, 0.125]),
        (L1(1), 2, [-0.5, 0]),
    ):
        found = student("pgd")(model, x, y, threat, steps=steps, alpha=0.25)
        same_array(found, np.array([expected], float), f"{where} {steps} steps, {threat}")
    told, _ = iterates_of(model, x, y, Linf(1), steps=2, alpha=0.25)
    seen = [(restart, step) for restart, step, _, _ in told]
    assert seen == [(0, 0), (0, 1), (0, 2)], f"callback should receive restart and step (0, 0) to (0, 2), not {seen}"
    for (_, step, delta, loss), size in zip(told, (0.0, 0.25, 0.5), strict=True):
        same_array(delta, size * np.array([[-1.0, 1.0]]), f"the δ that callback receives at step {step}")
        same_array(loss, loss_at(model, x, y, delta), f"the loss that callback receives at step {step}")


@settings(max_examples=40)
@given(seeds, threats, st.booleans())
def test_every_perturbation_is_inside_the_set(seed, threat, normalized):
    """δ ∈ Δ(x) for fgsm, fgsm_random_start, pgd, and for every iterate of pgd"""
    model, x, y = waves(seed)
    where = f"({model!r}, x = {x.tolist()})"
    perturbation(student("fgsm")(model, x, y, threat), x, threat, f"fgsm's δ {where}")
    delta = student("fgsm_random_start")(model, x, y, threat, rng=np.random.default_rng(seed))
    perturbation(delta, x, threat, f"fgsm_random_start's δ {where}")
    for rng in (None, np.random.default_rng(seed)):
        iterates_of(model, x, y, threat, steps=4, normalized=normalized, rng=rng)


def test_a_training_step_on_paper():
    """One step θ − α (mean gradient) by hand; with an attack, the same step at x + δ"""
    fit = student("fit")
    x, y = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.array([1, -1, 1])
    delta = np.array([[0.5, 0.0], [0.0, -1.0], [-1.0, 0.0]])

    def nothing(model, x, y):
        return np.zeros_like(x)

    def shift(model, x, y):
        return delta[[abs(examples - row).sum(axis=1).argmin() for row in x]]

    examples = x.copy()
    for name, attack, at in (("no attack", None, x), ("δ = 0", nothing, x), ("an attack", shift, x + delta)):
        model = LogisticRegression(np.zeros(2))
        history = fit(model, x, y, epochs=1, batch_size=3, optimizer=SGD(0.5), attack=attack, progress=False)
        # Ψ'(0) = −1/2: the gradient is the mean of −y (x + δ) / 2
        expected = 0.5 * (y[:, None] * at / 2).mean(axis=0)
        what = f"after one step of 0.5 from θ = 0 on x = {x.tolist()}, y = {y.tolist()}, with {name},"
        same_array(model.params["theta"], expected, f"θ {what}")
        assert abs(float(model.params["theta0"]) - 0.5 / 6) < 1e-9, f"θ0 {what} should be 1/12"
        assert abs(history.loss[0] - math.log(2)) < 1e-9, (
            f"the loss before the step should be log 2, not {history.loss}"
        )
    assert (x == examples).all(), "x was changed by training"
