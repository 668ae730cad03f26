"""The accuracy as the perturbation set grows, and over the steps of an attack."""

from dataclasses import dataclass
from typing import Any

from .. import checks
from ..backend import namespace
from ..checked import checked, each, taking
from ..numerics import ndim, take
from ..support.progress import progress as bar
from .judging import judge
from .worst import attacks_of, stands


@dataclass(frozen=True)
class OverEps:
    """Which examples stand at each radius.

    Attributes
    ----------
    threats : tuple of Set
        The E perturbation sets, with growing radii.
    stands : array of bool, shape (E, N)
        Whether each example is classified correctly, clean and after every attack. An example that has fallen at one
        radius has fallen at every larger one.
    """

    threats: tuple
    stands: Any

    @property
    def eps(self):
        """The radii, a list of E floats."""
        return [float(threat.radius) for threat in self.threats]

    @property
    def accuracy(self):
        """The share of examples that stand at each radius, a list of E floats that never increases."""
        return [float(row.mean()) for row in self.stands]


def threats_of(name, value):
    """Return the value, which must be a sequence of perturbation sets, as a tuple."""
    return tuple(each(checks.threat)(name, value))


@checked(model=checks.judged, threats=threats_of, attacks=attacks_of)
def accuracy_over_eps(model, x, y, threats, attacks, *, bits=None, progress=False):
    r"""Evaluate which examples stand as the perturbation set grows.

    A change that fools the model at one radius lies in all larger sets too. So the attacks run at each radius only on
    the examples that are left, and the accuracy never increases:

    .. math:: \Delta_{\epsilon}(x) \subseteq \Delta_{\epsilon'}(x) \quad \text{for} \quad \epsilon \leq \epsilon'

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    threats : sequence of Set
        The same set with growing radii, such as ``[Linf(eps).within(0, 1) for eps in grid]``. At radius 0 the accuracy
        is the clean accuracy.
    attacks : sequence of callable, or dict of str to callable
        As for ``worst_case``; they take their radius from the threat.
    bits : int, optional
        As for ``judge``.
    progress : bool
        Whether to show a bar on a terminal.

    Returns
    -------
    OverEps

    Raises
    ------
    ValueError
        If the radii do not grow, or the threats differ in more than their radius.
    """
    check_growth(threats)
    standing = stands(model, x, y, threats[0], [], bits=bits)
    rows = []
    for threat in bar(threats, "accuracy over eps", shown=progress):
        left = namespace(x).flatnonzero(standing)
        if threat.radius > 0 and len(left):
            x_left, y_left, rest = take(left, x, y, threat.at(x))
            standing[left] = stands(model, x_left, y_left, rest, attacks, bits=bits)
        rows.append(standing.copy())
    return OverEps(threats, namespace(x).stack(rows))


def check_growth(threats):
    """Refuse perturbation sets that are not the same set with growing radii."""
    if not threats:
        raise ValueError("threats is empty: at least one radius was expected")
    radii = [threat.radius for threat in threats]
    if any(ndim(radius) for radius in radii):
        raise ValueError("threats: one radius for all examples was expected in each of them, not one of each example")
    if sorted(set(radii)) != radii:
        raise ValueError(f"threats: the radii {radii} do not grow; smallest first, each once, was expected")
    kinds = {threat.scaled(1) for threat in threats}
    if len(kinds) > 1:
        raise ValueError(f"threats: they differ by more than their radius: {sorted(map(str, kinds))}")


@dataclass(frozen=True)
class OverSteps:
    """The success of an iterated attack, iterate by iterate.

    Attributes
    ----------
    loss : array, shape (S + 1, N)
        The model's loss at iterate s, the highest over the restarts.
    stands : array of bool, shape (S + 1, N)
        Whether each example is classified correctly, clean and at every iterate up to s.
    """

    loss: Any
    stands: Any

    @property
    def accuracy(self):
        """The share of examples that stand after each step, a list of S + 1 floats that never increases."""
        return [float(row.mean()) for row in self.stands]


@checked(model=checks.judged, attack=taking("model", "x", "y", "threat", named=["callback"]))
def over_steps(model, x, y, threat, attack, *, bits=None):
    """Evaluate loss and accuracy over the steps of an attack; each iterate is judged by predicting again.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
        A few hundred images, since they are attacked all at once and not in chunks.
    y : array, shape (N,)
    threat : Set
    attack : callable
        Takes ``callback``, as ``pgd`` does, and calls it with an ``attacks.Iterate`` at every iterate.
    bits : int, optional
        As for ``judge``.

    Returns
    -------
    OverSteps

    Raises
    ------
    ValueError
        If the attack never calls its callback.
    """
    xp = namespace(x)
    seen = {}

    def see(iterate):
        found = judge(model, x, y, iterate.delta, threat, bits=bits)
        loss, fell = seen.get(iterate.step, (found.loss, found.success))
        seen[iterate.step] = xp.maximum(loss, found.loss), fell | found.success

    standing = stands(model, x, y, threat, [], bits=bits)
    attack(model, x, y, threat, callback=see)
    if not seen:
        raise ValueError("the iterated attack never called its callback: no step was seen")
    losses, fallen = zip(*(seen[step] for step in sorted(seen)), strict=True)
    rows = []
    for fell in fallen:
        standing = standing & ~fell
        rows.append(standing)
    return OverSteps(xp.stack(losses), xp.stack(rows))
