"""Laws that every attack must keep, to be written so that no bug of the museum slips through.

A law takes an attack and the perturbation set Δ to try it under. It asks the attack for perturbations of examples and
models of the law's own choice, and raises ``AssertionError`` if one of them breaks the law. It returns nothing.

An attack is called as ``attack(model, x, y, threat)`` and gives δ. All attacks here take ``rng`` too, a NumPy
generator; those that draw nothing do without it. Labels are those that the model gives unless the law says otherwise.
"""

import copy

import numpy as np

from scratchadv.attacks import exact
from scratchadv.losses import margin
from scratchadv.models.protocol import labels_of
from scratchadv.testing.models import Linear, LinearSoftmax, SmallNetwork, Watched
from scratchadv.testing.strategies import pixel_range


def pictures(threat, n, seed=0, dtype=np.float64):
    """Examples with two pixels in the pixel range of the threat, [−1, 1] for a bare ball.

    Parameters
    ----------
    threat : Set
    n : int
    seed : int
    dtype : dtype

    Returns
    -------
    x : array, shape (n, 2)
        Some of the pixels lie at the ends of the range, and some close to them.
    """
    lower, upper = pixel_range(threat)
    rng = np.random.default_rng(seed)
    places = np.where(rng.random((n, 2)) < 0.5, rng.choice([0, 1 / 16, 0.5, 15 / 16, 1], (n, 2)), rng.random((n, 2)))
    return (lower + (upper - lower) * places).astype(dtype)


def an_array_like_x(attack, threat):
    """δ is a NumPy array with the shape and the dtype of x, in float32 and in float64.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If it is not.
    """
    for dtype in (np.float32, np.float64):
        for n in (1, 3):
            for model in (Linear([2.0, -1.0]), SmallNetwork((2,), 3, seed=0)):
                x = pictures(threat, n, dtype=dtype)
                delta = attack(model, x, labels_of(model.logits(x)), threat)
                assert isinstance(delta, np.ndarray), f"δ is {delta!r}"
                assert (delta.shape, delta.dtype) == (x.shape, x.dtype), f"δ has {delta.shape} and {delta.dtype}"


def inside_the_set(attack, threat):
    """δ ∈ Δ(x), up to rounding: the threat itself can tell, ``threat.at(x).contains(delta)``.

    Parameters
    ----------
    attack : callable
        Also one that draws its start.
    threat : Set
        Also with another pixel range than [0, 1].

    Raises
    ------
    AssertionError
        If it is outside.
    """
    for seed in range(2):
        x = pictures(threat, 6, seed)
        for model in (Linear([2.0, -1.0]), Linear([-0.5, 1.0]), SmallNetwork((2,), 3, seed)):
            delta = attack(model, x, labels_of(model.logits(x)), threat, rng=np.random.default_rng(seed))
            assert threat.at(x).contains(delta).all(), f"δ = {delta} at x = {x} leaves {threat}"


def nothing_is_changed(attack, threat):
    """x, y and the model, with all that it holds, are after the attack what they were before.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If something is not.
    """
    model, x = Linear([2.0, -1.0]), pictures(threat, 3)
    y = labels_of(model.logits(x))
    before = copy.deepcopy((x, y, vars(model)))
    attack(model, x, y, threat)
    assert np.array_equal(x, before[0]), "x was changed"
    assert np.array_equal(y, before[1]), "y was changed"
    assert vars(model).keys() == before[2].keys(), "the model was changed"
    for name, p in before[2]["params"].items():
        assert np.array_equal(model.params[name], p), f"the model's {name} was changed"


def the_same_again(attack, threat):
    """Generators with the same seed give the same δ.

    Parameters
    ----------
    attack : callable
    threat : Set

    Raises
    ------
    AssertionError
        If it is another.
    """
    model, x = Linear([2.0, -1.0]), pictures(threat, 30)
    y = labels_of(model.logits(x))
    first, second = (attack(model, x.copy(), y, threat, rng=np.random.default_rng(0)) for _ in range(2))
    assert np.array_equal(first, second), f"one seed gives {first[:3]} and {second[:3]}"


def the_model_sees_pixels_only(attack, threat):
    """l <= x' <= u for every x' that the attack asks the model about; a bare ball has no pixel range, and no law.

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
        model, x = Watched(SmallNetwork((2,), 3, seed)), pictures(threat, 6, seed)
        attack(model, x, labels_of(model.logits(x)), threat)
        for asked in model.asked:
            inside = (asked >= threat.pixels.lower - 1e-6) & (asked <= threat.pixels.upper + 1e-6)
            assert inside.all(), f"the model was asked about {asked}"


def the_closed_form(attack, threat):
    """The attack is as strong as ``exact`` on models with one logit, linear in x, up to 2 % of what is to be gained.

    Parameters
    ----------
    attack : callable
    threat : Set
        On x in its pixel range, the ends among them.

    Raises
    ------
    AssertionError
        If it is weaker.
    """
    for seed in range(8):
        model = Linear(np.random.default_rng(seed).standard_normal(2), 0.25)
        x = pictures(threat, 8, seed)
        y = labels_of(model.logits(x))
        best = margin.value(model.logits(x + exact(model, x, y, threat)), y)
        _short_of(best, model, x, y, attack(model, x, y, threat))


def confident_logits(attack, threat):
    """The attack is as strong as it can be, up to 2 %, on linear models with two logits of which one leads by 60.

    In float32, where the loss of such an example is 1e-26 and its softmax is 1.

    Parameters
    ----------
    attack : callable
        Some take models with several logits only.
    threat : Set

    Raises
    ------
    AssertionError
        If it is weaker.
    """
    theta = np.array([2.0, -1.0])
    for weight in ([theta, 0 * theta], [0 * theta, theta]):
        for bias in ([60.0, 0.0], [0.0, 60.0]):
            model, x = LinearSoftmax(weight, bias), pictures(threat, 4, dtype=np.float32)
            y = labels_of(model.logits(x))
            z, pull = model.vjp_x(x)
            best = margin.value(z, y) + threat.at(x).support(pull(margin.grad(z, y)))
            _short_of(best, model, x, y, attack(model, x, y, threat), rounding=1e-4)


def batch_mates_do_not_matter(attack, threat):
    """The δ of an example is the same, up to rounding, whatever stands beside it: alone, and with any others.

    Parameters
    ----------
    attack : callable
        One that draws nothing.
    threat : Set

    Raises
    ------
    AssertionError
        If it is another.
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
    """Where y is not the label that the model gives, L(x + δ) >= L(x) still, on linear models.

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
        model, x = Linear(np.random.default_rng(seed).standard_normal(2)), pictures(threat, 6, seed)
        y = -labels_of(model.logits(x))
        before, after = (model.loss.value(model.logits(x + d), y) for d in (0 * x, attack(model, x, y, threat)))
        assert (after >= before - 1e-9).all(), f"the loss falls from {before} to {after}"


def targets_are_respected(attack, threat):
    """With ``target=`` the attack makes z_target − z_y as large as it can be, up to 2 %, on z = W x + b.

    For any target but y: there are three classes or more. An attack that would rather return a weaker δ that reaches
    the target is called with ``keep="loss"``.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat, target=target)``
    threat : Set

    Raises
    ------
    AssertionError
        If it is not as large.
    """
    for seed in range(6):
        weight = np.random.default_rng(seed).standard_normal((4, 2))
        model, x = LinearSoftmax(weight, np.zeros(4)), pictures(threat, 6, seed)
        y = labels_of(model.logits(x))
        for shift in (1, 2, 3):
            target = (y + shift) % 4
            up = weight[target] - weight[y]
            gain, most = (up * attack(model, x, y, threat, target=target)).sum(axis=1), threat.at(x).support(up)
            assert (gain >= 0.98 * most - 1e-9).all(), f"z_target − z_y grows by {gain}, and can by {most}"


def more_restarts_are_not_weaker(attack, threat):
    """What one start fools, three with the same seed fool; else L(x + δ) after three is not below that after one.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat, rng=rng, restarts=3)``; its first start is that of ``restarts=1``.
    threat : Set

    Raises
    ------
    AssertionError
        If a success is lost, or the loss is lower where neither of the two fools, or both do.
    """
    for seed in range(10):
        model, x = SmallNetwork((2,), 3, seed), pictures(threat, 6, seed)
        y = labels_of(model.logits(x))
        one, three = (
            model.logits(x + attack(model, x, y, threat, rng=np.random.default_rng(seed), restarts=n)) for n in (1, 3)
        )
        fooled, still_fooled = labels_of(one) != y, labels_of(three) != y
        assert not (fooled & ~still_fooled).any(), f"one start fools {fooled}, three fool {still_fooled}"
        before, after = model.loss.value(one, y), model.loss.value(three, y)
        lower = (after < before - 1e-9) & (fooled == still_fooled)
        assert not lower.any(), f"one start gives the losses {before}, three give {after}"


def _short_of(best, model, x, y, delta, rounding=1e-9):
    """Hold the margins after δ against the best ones."""
    x, delta = x.astype(float), delta.astype(float)
    clean, found = (margin.value(model.logits(at), y) for at in (x, x + delta))
    left = 0.02 * (best - clean) + rounding * (1 + abs(best))
    assert (found >= best - left).all(), f"the margin is {found} and can be {best}, at x = {x}"
