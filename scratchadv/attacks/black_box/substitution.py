"""A substitute: a network that learns the labels of a black box and is attacked in its place."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import checks
from ...backend import host, namespace
from ...checked import checked, taking
from ...models.protocol import loss_and_gradient
from ...numerics import rows
from ...parallel import map_chunks
from .queries import LabelOracle, labelled


@dataclass(frozen=True)
class Substitute:
    """A trained substitute and the points that it was trained on.

    Attributes
    ----------
    model : Model
        The substitute, to be attacked with any attack.
    x : array, shape (M, *D)
        The labelled points, in the order of the queries, without duplicates.
    y : array, shape (M,)
        The labels that the victim gave to them.
    sizes : list of int
        The number of points in each round.
    """

    model: Any
    x: Any
    y: Any
    sizes: list = field(default_factory=list)

    @property
    def queries(self):
        """The number of queries to the victim: one for each point."""
        return len(self.y)


@checked(
    victim=checks.black_box,
    box=checks.pixel_range,
    model=checks.trainable,
    train=taking("model", "x", "y"),
    step=checks.signed,
    sigma=checks.count,
    kappa=checks.count,
)
def substitute(victim, model, x, train, *, rounds=6, step=0.1, box=(0, 1), sigma=None, kappa=400, rng=None):
    r"""Train a substitute on the labels of a victim, add points along its gradient, and repeat.

    .. math::
        S_{\rho + 1} = S_\rho \cup \{x + \lambda\, \mathrm{sgn}(J_F(x)[\tilde y(x)]) : x \in S_\rho\}

    where :math:`\tilde y(x)` is the label of the victim and :math:`J_F(x)[k] = \nabla_x F_k(x)` a row of the Jacobian
    of the substitute's probabilities F. Since the loss L is :math:`-\log F_k`, the sign is that of
    :math:`-\nabla_x L(\tilde y, x)`. After σ rounds only κ new points are added in each round, from points drawn from
    S.

    Parameters
    ----------
    victim : Model, oracle, or anything with ``predict``
        The black box; only its predicted labels are used. To set a budget, pass an oracle, such as
        ``LabelOracle(victim, total=6400)``.
    model : Model
        The untrained substitute, whose loss is cross-entropy or the logistic loss. It is trained in place, and each
        round continues from the last.
    x : array, shape (N, *D)
        The first set S: a few typical inputs of the victim.
    train : callable
        ``train(model, x, y)``, such as ``partial(training.fit, epochs=10, rng=rng)``.
    rounds : int
        The number of trainings; points are added between them.
    step : float
        The step λ, in the units of x. The paper uses 0.1, which raises the probability of the victim's label; a
        negative step moves towards the decision boundaries of the substitute, where labels are more informative.
    box : (lower, upper) or None
        The range of the new points, in the units of x; None: unbounded.
    sigma : int, optional
        The number σ of rounds after which the points double. Default: all.
    kappa : int
        The number κ of new points in each later round.
    rng : numpy.random.Generator, optional
        Draws the κ points; needed with sigma.

    Returns
    -------
    Substitute
        The trained substitute, its points and their labels.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    BudgetError
        If the victim is an oracle whose budget does not suffice for the next round.

    Source: slides "Blackbox attacks"; Papernot, McDaniel, Goodfellow, Jha, Celik and Swami (2017), "Practical black-box
    attacks against machine learning", algorithm 1; for reservoir sampling Papernot, McDaniel and Goodfellow (2016),
    "Transferability in machine learning", section 4.2.
    """
    if sigma is not None and rng is None:
        raise ValueError(f"sigma = {sigma}: the {kappa} points of each later round are drawn at random: pass rng")
    checks.inside_bounds(x, box)
    oracle = LabelOracle(victim)
    points = x[:0]
    labels = None
    sizes = []
    new = _without_duplicates(x, points)
    for done in range(rounds):
        if len(new):  # otherwise all new points are duplicates
            points = _joined(points, new)
            labels = _joined(labels, _labels(oracle, new))
        sizes.append(len(points))
        train(model, points, labels)
        if done + 1 < rounds:
            chosen = slice(None) if sigma is None or done < sigma else _reservoir(rng, len(points), kappa)
            new = _without_duplicates(augmented(model, points[chosen], labels[chosen], step, box), points)
    return Substitute(model, points, labels, sizes)


def augmented(model, x, y, step, box=(0, 1)):
    r"""Return the points :math:`x + \lambda\, \mathrm{sgn}(J_F(x)[y])`, clipped to the box.

    Parameters
    ----------
    model : Model
        The substitute, with the probabilities F.
    x : array, shape (N, *D)
        The points to move.
    y : array, shape (N,)
        Their labels.
    step : float
        The step λ, in the units of x.
    box : (lower, upper) or None
        The range of the new points; None: unbounded.

    Returns
    -------
    array, shape (N, *D)
        The new points.

    Source: Papernot et al. (2017), algorithm 1.
    """
    xp = namespace(x)
    (g,) = map_chunks(lambda x, y: (loss_and_gradient(model, model.loss, x, y)[1],), model, x, y)
    moved = x - step * xp.sign(g)
    return moved if box is None else xp.clip(moved, *box)


def _reservoir(rng, n, kappa):
    """Return κ of n row numbers, drawn uniformly and sorted; all of them if n < κ."""
    return np.sort(rng.choice(n, min(kappa, n), replace=False))


def _without_duplicates(x, points):
    """Return the rows of x that are not among the points, each once, in order."""
    n = len(points)
    flat = rows(host(namespace(x).concatenate([points, x]))) + 0.0  # -0 and 0 are the same point
    _, first = np.unique(flat.view(f"V{flat.shape[1] * flat.itemsize}")[:, 0], return_index=True)
    return x[np.sort(first[first >= n]) - n]


def _joined(a, b):
    """Append b to a; a may be None."""
    return b if a is None else namespace(b).concatenate([a, b])


def _labels(oracle, x):
    """Return the victim's labels of x, as integers."""
    (y,) = map_chunks(lambda x: (oracle.predict(x),), oracle, x)
    return labelled(y.astype(int), "points")
