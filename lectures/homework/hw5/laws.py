"""Laws that every attack must satisfy, to be written so that no bug of the museum slips through.

A law takes an attack and a perturbation set Δ, under which it tries the attack. It chooses models and examples, asks
the attack for perturbations, and raises ``AssertionError`` if one of them breaks the law. It returns nothing.

An attack is called as ``attack(model, x, y, threat)`` and returns δ. All attacks here also accept ``rng``, a NumPy
generator; those that draw nothing ignore it. Labels are the model's own predictions unless the law says otherwise.
"""

import copy

import numpy as np

from scratchadv.attacks import exact
from scratchadv.losses import margin
from scratchadv.models.protocol import labels_of
from scratchadv.testing.models import Linear, LinearSoftmax, Recorded, SmallNetwork
from scratchadv.testing.strategies import pixel_range


def pictures(threat, n, seed=0, dtype=np.float64):
    """Draw examples with two pixels in the pixel range of the threat, which is [−1, 1] for a ball without a box.

    Parameters
    ----------
    threat : Set
    n : int
    seed : int
    dtype : dtype

    Returns
    -------
    x : array, shape (n, 2)
        Some of the pixels lie at the ends of the range, and some lie close to them.
    """
    lower, upper = pixel_range(threat)
    rng = np.random.default_rng(seed)
    places = np.where(rng.random((n, 2)) < 0.5, rng.choice([0, 1 / 16, 0.5, 15 / 16, 1], (n, 2)), rng.random((n, 2)))
    return (lower + (upper - lower) * places).astype(dtype)


def an_array_like_x(attack, threat):
    """Check that δ is a NumPy array with the shape and the dtype of x, in float32 and in float64.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If δ is not such an array.
    """
    for dtype in (np.float32, np.float64):
        for n in (1, 3):
            for model in (Linear([2.0, -1.0]), SmallNetwork((2,), 3, seed=0)):
                x = pictures(threat, n, dtype=dtype)
                delta = attack(model, x, labels_of(model.logits(x)), threat)
                assert isinstance(delta, np.ndarray), f"δ is {delta!r}"
                assert (delta.shape, delta.dtype) == (x.shape, x.dtype), f"δ has {delta.shape} and {delta.dtype}"


def inside_the_set(attack, threat):
    """Check that δ ∈ Δ(x), up to rounding: the threat itself can decide, ``threat.at(x).contains(delta)``.

    Parameters
    ----------
    attack : callable
        It may draw its start.
    threat : Set
        Its pixel range may differ from [0, 1].

    Raises
    ------
    AssertionError
        If δ is outside.
    """
    for seed in range(2):
        x = pictures(threat, 6, seed)
        for model in (Linear([2.0, -1.0]), Linear([-0.5, 1.0]), SmallNetwork((2,), 3, seed)):
            delta = attack(model, x, labels_of(model.logits(x)), threat, rng=np.random.default_rng(seed))
            assert threat.at(x).contains(delta).all(), f"δ = {delta} at x = {x} leaves {threat}"


def nothing_is_changed(attack, threat):
    """Check that the attack does not change x, y or the model with all its attributes.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If something was changed.
    """
    model = Linear([2.0, -1.0])
    x = pictures(threat, 3)
    y = labels_of(model.logits(x))
    before = copy.deepcopy((x, y, vars(model)))
    attack(model, x, y, threat)
    assert np.array_equal(x, before[0]), "x was changed"
    assert np.array_equal(y, before[1]), "y was changed"
    assert vars(model).keys() == before[2].keys(), "the model was changed"
    for name, p in before[2]["params"].items():
        assert np.array_equal(model.params[name], p), f"the model's {name} was changed"


def the_same_again(attack, threat):
    """Check that generators with the same seed give the same δ.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If the two δ differ.
    """
    model = Linear([2.0, -1.0])
    x = pictures(threat, 30)
    y = labels_of(model.logits(x))
    first, second = (attack(model, x.copy(), y, threat, rng=np.random.default_rng(0)) for _ in range(2))
    assert np.array_equal(first, second), f"one seed gives {first[:3]} and {second[:3]}"


def the_model_sees_pixels_only(attack, threat):
    """Check that l <= x' <= u for every x' that the attack asks the model about; without a box there is no such law.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If the model is asked about anything else.
    """
    if threat.pixels is None:
        return
    for seed in range(4):
        model = Recorded(SmallNetwork((2,), 3, seed))
        x = pictures(threat, 6, seed)
        attack(model, x, labels_of(model.logits(x)), threat)
        for asked in model.inputs:
            inside = (asked >= threat.pixels.lower - 1e-6) & (asked <= threat.pixels.upper + 1e-6)
            assert inside.all(), f"the model was asked about {asked}"


def the_closed_form(attack, threat):
    """Check that the attack is as strong as ``exact``, up to 2 % of the possible gain, on linear models with one logit.

    Parameters
    ----------
    attack : callable
    threat : Set
        The examples lie in its pixel range, some of them at the ends.

    Raises
    ------
    AssertionError
        If the attack is weaker.
    """
    for seed in range(8):
        model = Linear(np.random.default_rng(seed).standard_normal(2), 0.25)
        x = pictures(threat, 8, seed)
        y = labels_of(model.logits(x))
        best = margin.value(model.logits(x + exact(model, x, y, threat)), y)
        _short_of(best, model, x, y, attack(model, x, y, threat))


def confident_logits(attack, threat):
    """Check that the attack is as strong as possible, up to 2 %, on linear models where one of two logits leads by 60.

    The models compute in float32, where the loss of such an example is 1e-26 and its softmax rounds to 1.

    Parameters
    ----------
    attack : callable
        Some attacks accept only models with several logits.
    threat : Set

    Raises
    ------
    AssertionError
        If the attack is weaker.
    """
    theta = np.array([2.0, -1.0])
    for weight in ([theta, 0 * theta], [0 * theta, theta]):
        for bias in ([60.0, 0.0], [0.0, 60.0]):
            model = LinearSoftmax(weight, bias)
            x = pictures(threat, 4, dtype=np.float32)
            y = labels_of(model.logits(x))
            z, pull = model.vjp_x(x)
            best = margin.value(z, y) + threat.at(x).support(pull(margin.grad(z, y)))
            _short_of(best, model, x, y, attack(model, x, y, threat), rounding=1e-4)


def batch_mates_do_not_matter(attack, threat):
    """Check that the δ of an example does not depend, up to rounding, on the other examples of its batch.

    Parameters
    ----------
    attack : callable
        It draws no random numbers.
    threat : Set

    Raises
    ------
    AssertionError
        If δ differs.
    """
    for seed in range(4):
        for model in (Linear([2.0, -1.0], 0.25), SmallNetwork((2,), 3, seed)):
            x = pictures(threat, 6, seed)
            y = labels_of(model.logits(x))
            whole = attack(model, x, y, threat)
            for part in ([0], [3], [1, 4], [5, 2, 0]):
                delta = attack(model, x[part], y[part], threat)
                assert abs(delta - whole[part]).max() < 1e-6, f"δ = {delta} for {part} alone, and {whole[part]}"


def misclassified_inputs(attack, threat):
    """Check that L(x + δ) >= L(x) on linear models even if y is not the label that the model predicts.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If the loss falls.
    """
    for seed in range(4):
        model = Linear(np.random.default_rng(seed).standard_normal(2))
        x = pictures(threat, 6, seed)
        y = -labels_of(model.logits(x))
        before, after = (model.loss.value(model.logits(x + d), y) for d in (0 * x, attack(model, x, y, threat)))
        assert (after >= before - 1e-9).all(), f"the loss falls from {before} to {after}"


def targets_are_respected(attack, threat):
    """Check that with ``target=`` the attack makes z_target − z_y as large as possible, up to 2 %, on z = W x + b.

    The target is any label but y, with three classes or more. An attack that prefers a weaker δ that reaches the target
    is called with ``keep="loss"``.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat, target=target)``
    threat : Set

    Raises
    ------
    AssertionError
        If the difference is smaller.
    """
    for seed in range(6):
        weight = np.random.default_rng(seed).standard_normal((4, 2))
        model = LinearSoftmax(weight, np.zeros(4))
        x = pictures(threat, 6, seed)
        y = labels_of(model.logits(x))
        for shift in (1, 2, 3):
            target = (y + shift) % 4
            up = weight[target] - weight[y]
            gain = (up * attack(model, x, y, threat, target=target)).sum(axis=1)
            most = threat.at(x).support(up)
            assert (gain >= 0.98 * most - 1e-9).all(), f"z_target − z_y grows by {gain}, but could grow by {most}"


def more_restarts_are_not_weaker(attack, threat):
    """Check that an attack with three restarts is never weaker than the same attack with one, for the same seed.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat, rng=rng, restarts=3)``; its first start is that of ``restarts=1``.
    threat : Set

    Raises
    ------
    AssertionError
        If one start fools the model where three do not. Or if L(x + δ) is lower after three starts, where both runs
        fool the model or neither does.
    """
    for seed in range(10):
        model = SmallNetwork((2,), 3, seed)
        x = pictures(threat, 6, seed)
        y = labels_of(model.logits(x))
        one, three = (
            model.logits(x + attack(model, x, y, threat, rng=np.random.default_rng(seed), restarts=n)) for n in (1, 3)
        )
        fooled = labels_of(one) != y
        still_fooled = labels_of(three) != y
        assert not (fooled & ~still_fooled).any(), f"one start fools {fooled}, three fool {still_fooled}"
        before = model.loss.value(one, y)
        after = model.loss.value(three, y)
        lower = (after < before - 1e-9) & (fooled == still_fooled)
        assert not lower.any(), f"one start gives the losses {before}, three give {after}"


def _short_of(best, model, x, y, delta, rounding=1e-9):
    """Compare the margins after δ with the best ones."""
    x, delta = x.astype(float), delta.astype(float)
    clean, found = (margin.value(model.logits(at), y) for at in (x, x + delta))
    left = 0.02 * (best - clean) + rounding * (1 + abs(best))
    assert (found >= best - left).all(), f"the margin is {found}, but could be {best}, at x = {x}"
