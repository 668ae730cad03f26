"""The exact attack on a decision tree."""

import numpy as np

from ... import checks
from ...checked import checked
from ...numerics import rows

MARGIN = 1e-6  # how far δ goes into a leaf, so that x + δ stays in it when it is rounded to float32


def _tree(name, value):
    """Refuse anything but a fitted decision tree of scikit-learn."""
    return checks.has(name, value, ("tree_", "classes_"), "a fitted decision tree of scikit-learn")


@checked(tree=_tree)
def tree_attack(tree, x, y, threat):
    r"""Return the smallest change in Δ(x) that moves x to a leaf of another class of a decision tree, exactly.

    A leaf is a box, :math:`a_j < x_j \leq b_j` for the features j on its path. In every norm, the point of the leaf
    that is nearest to x is x clipped to that box. The attack returns the smallest of these changes over all leaves of
    other classes.

    Parameters
    ----------
    tree : sklearn.tree.DecisionTreeClassifier
        The fitted tree to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64.
    y : array, shape (N,)
        The true labels.
    threat : Set
        The perturbation set Δ(x); its norm measures the change.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They go a millionth beyond the edges of the leaf, and are zero where Δ(x)
        contains no such leaf or x is already misclassified.

    Source: Papernot, McDaniel and Goodfellow (2016), "Transferability in machine learning", who walk up the tree from
    the leaf of x to one of another class; here all leaves are compared.
    """
    checks.on_host("tree_attack", x, y)
    flat = rows(x)
    low, high = (rows(side) for side in threat.bounds(x))
    delta = np.zeros_like(flat)
    best = np.where(tree.predict(flat) != y, 0, np.inf)
    for label, features, above, upto in leaves(tree):
        if (upto - above <= 2 * MARGIN).any():
            continue
        at = flat[:, features]
        move = np.clip(at, above + MARGIN, upto - MARGIN) - at
        in_box = ((move >= low[:, features]) & (move <= high[:, features])).all(axis=1)
        size = np.where(in_box & (y != label), threat.norm(move), np.inf)
        closer = np.flatnonzero((size < best) & (size <= threat.radius))
        best[closer] = size[closer]
        delta[closer] = 0
        delta[np.ix_(closer, features)] = move[closer]
    return delta.reshape(x.shape)


@checked(tree=_tree)
def leaves(tree):
    """Yield the leaves of a scikit-learn decision tree; a tree without branches has none.

    Parameters
    ----------
    tree : sklearn.tree.DecisionTreeClassifier
        A fitted tree.

    Yields
    ------
    label : int
        The class of the leaf.
    features : list of int
        The features on the path from the root to the leaf.
    above, upto : array, shape (len(features),)
        The edges: the leaf is ``above < x[features] <= upto``.
    """
    nodes = tree.tree_
    left = [(0, {})]
    while left:
        node, path = left.pop()
        if nodes.children_left[node] >= 0:
            j = int(nodes.feature[node])
            cut = nodes.threshold[node]
            above, upto = path.get(j, (-np.inf, np.inf))
            left.append((nodes.children_left[node], path | {j: (above, min(upto, cut))}))
            left.append((nodes.children_right[node], path | {j: (max(above, cut), upto)}))
        elif path:
            yield tree.classes_[nodes.value[node].argmax()], list(path), *np.array(list(path.values())).T
