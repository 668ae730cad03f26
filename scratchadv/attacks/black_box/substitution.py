"""A substitute: a network that learns the labels of a black box, to be attacked in its place."""

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
    """A trained substitute and what it was trained on.

    Attributes
    ----------
    model : Model
        The substitute: attack this one, with any attack.
    x : array, shape (M, *D)
        Every point that was labelled, in the order of the questions; each is there once.
    y : array, shape (M,)
        The labels that the victim gave them.
    sizes : list of int
        How many points there were in each round.
    """

    model: Any
    x: Any
    y: Any
    sizes: list = field(default_factory=list)

    @property
    def queries(self):
        """How often the victim was asked: once for each point."""
        return len(self.y)


@checked(
    victim=checks.black_box,
    model=checks.trainable,
    train=taking("model", "x", "y"),
    step=checks.signed,
    sigma=checks.count,
    kappa=checks.count,
)
def substitute(victim, model, x, train, *, rounds=6, step=0.1, box=(0, 1), sigma=None, kappa=400, rng=None):
    r"""Ask the victim for labels, train the substitute on them, add points where its output changes fastest, repeat.

    .. math::
        S_{\rho + 1} = S_\rho \cup \{x + \lambda\, \mathrm{sgn}(J_F(x)[\tilde y(x)]) : x \in S_\rho\}

    with the victim's label :math:`\tilde y(x)` and that row of the substitute's Jacobian,
    :math:`J_F(x)[k] = \nabla_x F_k(x)` for its probabilities F. Since :math:`-\log F_k` is the loss, the sign is that
    of :math:`-\nabla_x L(\tilde y, x)`. After σ rounds only κ points, drawn from S, are moved in each.

    Parameters
    ----------
    victim : Model, oracle, or anything with ``predict``
        Only its predicted labels are used. A budget is that of an oracle: ``LabelOracle(victim, total=6400)``.
    model : Model
        The substitute, not trained yet; its loss is cross-entropy, or logistic. It is trained in place, and goes on
        from round to round.
    x : array, shape (N, *D)
        S at first: a few inputs of the kind that the victim is for.
    train : callable
        ``train(model, x, y)``, such as ``partial(training.fit, epochs=10, rng=rng)``.
    rounds : int
        How often it is trained; points are added between.
    step : float
        λ, in the units of x. The paper's is 0.1, towards more of the victim's label; a negative one goes towards the
        substitute's boundaries, where a label says more.
    box : (lower, upper) or None
        The range of the new points.
    sigma : int, optional
        Rounds in which the points double; default: all.
    kappa : int
        New points in each later round.
    rng : numpy.random.Generator, optional
        Draws the κ points; needed with sigma.

    Returns
    -------
    Substitute

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.
    BudgetError
        If the victim is an oracle whose budget does not hold the next round.

    Source: slides "Blackbox attacks"; Papernot, McDaniel, Goodfellow, Jha, Celik and Swami (2017), "Practical black-box
    attacks against machine learning", algorithm 1; reservoir sampling: Papernot, McDaniel and Goodfellow (2016),
    "Transferability in machine learning", section 4.2.
    """
    if sigma is not None and rng is None:
        raise ValueError(f"sigma = {sigma}: which {kappa} points are moved is random: pass rng")
    oracle = LabelOracle(victim)
    points, labels, sizes = x[:0], None, []
    new = _new(x, points)
    for done in range(rounds):
        if len(new):  # else every point that was made is known already
            points, labels = _joined(points, new), _joined(labels, _ask(oracle, new))
        sizes.append(len(points))
        train(model, points, labels)
        if done + 1 < rounds:
            chosen = slice(None) if sigma is None or done < sigma else _reservoir(rng, len(points), kappa)
            new = _new(augmented(model, points[chosen], labels[chosen], step, box), points)
    return Substitute(model, points, labels, sizes)


def augmented(model, x, y, step, box=(0, 1)):
    r"""The points :math:`x + \lambda\, \mathrm{sgn}(J_F(x)[y])`, cut off at the box, shaped like x."""
    xp = namespace(x)
    (g,) = map_chunks(lambda x, y: (loss_and_gradient(model, model.loss, x, y)[1],), model, x, y)
    moved = x - step * xp.sign(g)
    return moved if box is None else xp.clip(moved, *box)


def _reservoir(rng, n, kappa):
    """κ of n rows, each as likely; all where there are fewer."""
    return np.sort(rng.choice(n, min(kappa, n), replace=False))


def _new(x, points):
    """The rows of x that are not among the points, each once, in order."""
    n = len(points)
    flat = rows(host(namespace(x).concatenate([points, x]))) + 0.0  # -0 and 0 are one point
    _, first = np.unique(flat.view(f"V{flat.shape[1] * flat.itemsize}")[:, 0], return_index=True)
    return x[np.sort(first[first >= n]) - n]


def _joined(a, b):
    return b if a is None else namespace(b).concatenate([a, b])


def _ask(oracle, x):
    """The victim's labels, as integers."""
    (y,) = map_chunks(lambda x: (oracle.predict(x),), oracle, x)
    return labelled(y.astype(int), "points")
