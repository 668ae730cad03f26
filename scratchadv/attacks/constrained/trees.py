"""The exact attack on a decision tree."""

import numpy as np

from ... import checks
from ...checked import checked
from ...numerics import rows

MARGIN = 1e-6  # how far into a leaf, so that rounding x + δ to float32 does not lead out again


def _tree(name, value):
    """Refuse what is no fitted decision tree of scikit-learn."""
    return checks.has(name, value, ("tree_", "classes_"), "a fitted decision tree of scikit-learn")


@checked(tree=_tree)
def tree_attack(tree, x, y, threat):
    r"""The smallest change in Δ(x) that leads a decision tree to a leaf of another class: exact, without a gradient.

    A leaf is a box, :math:`a_j < x_j \leq b_j` for the features j on its path, so the nearest point of each leaf is x
    clipped to it, in every norm; the smallest of these changes over the leaves of other classes is the answer.

    Parameters
    ----------
    tree : sklearn.tree.DecisionTreeClassifier
    x : array, shape (N, *D)
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ; its norm says what is small.

    Returns
    -------
    delta : array, shape (N, *D)
        It goes a millionth beyond the edges of the leaf. Zero where no such leaf is in reach, or x is wrong already.
        dtype of x.

    Source: Papernot, McDaniel and Goodfellow (2016), "Transferability in machine learning", who walk up the tree from
    the leaf of x to one of another class; here all leaves are compared.
    """
    checks.on_host("tree_attack", x, y)
    flat, (low, high) = rows(x), (rows(side) for side in threat.bounds(x))
    delta, best = np.zeros_like(flat), np.where(tree.predict(flat) != y, 0, np.inf)
    for label, features, above, upto in leaves(tree):
        if (upto - above <= 2 * MARGIN).any():
            continue
        at = flat[:, features]
        move = np.clip(at, above + MARGIN, upto - MARGIN) - at
        in_box = ((move >= low[:, features]) & (move <= high[:, features])).all(axis=1)
        size = np.where(in_box & (y != label), threat.norm(move), np.inf)
        closer = np.flatnonzero((size < best) & (size <= threat.radius))
        best[closer], delta[closer] = size[closer], 0
        delta[np.ix_(closer, features)] = move[closer]
    return delta.reshape(x.shape)


@checked(tree=_tree)
def leaves(tree):
    """The leaves of a scikit-learn decision tree but for a root without branches: label, features, lower, upper edges.

    Parameters
    ----------
    tree : sklearn.tree.DecisionTreeClassifier

    Yields
    ------
    label : int
    features : list of int
        Those on the path from the root.
    above, upto : array
        The leaf is ``above < x[features] <= upto``.
    """
    nodes, left = tree.tree_, [(0, {})]
    while left:
        node, path = left.pop()
        if nodes.children_left[node] >= 0:
            j, cut = int(nodes.feature[node]), nodes.threshold[node]
            above, upto = path.get(j, (-np.inf, np.inf))
            left.append((nodes.children_left[node], path | {j: (above, min(upto, cut))}))
            left.append((nodes.children_right[node], path | {j: (max(above, cut), upto)}))
        elif path:
            yield tree.classes_[nodes.value[node].argmax()], list(path), *np.array(list(path.values())).T
