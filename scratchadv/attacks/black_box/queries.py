"""Oracles: a model as a black box that shows its logits, probabilities or labels only, and counts the queries."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ... import checks, tasks
from ...backend import namespace
from ...checked import check_loss, checked, taking, whole
from ...models.watched import Ledger
from ...numerics import rows
from ...parallel import map_chunks


class BudgetError(RuntimeError):
    """A query would exceed the budget; the model has not been called."""


class LabelOracle(Ledger):
    """A model that shows its predicted labels and nothing else, and counts the queries.

    Every row of every x is one query. With ``owners`` an attack tells to which example each row belongs, so that
    queries are counted example by example. The counter may be used from several threads.

    Parameters
    ----------
    model : Model, oracle, or anything with ``predict``
        The black box. A scikit-learn model gets its examples as flat rows.
    queries : int, optional
        The largest number of queries for each example. Every row must then have an owner. Default: unlimited.
    total : int, optional
        The largest number of queries for all examples together. Default: unlimited.
    on_call : callable, optional
        Called with (x, owners) before the model is called; owners may be None.

    Attributes
    ----------
    asked : int
        The number of all queries so far.
    counts : array of int, shape (M,)
        The number of queries of each example, counting rows with owners only; M − 1 is the largest owner so far.
    activations : int
        The number of activations of the model for one example, which decides how many examples fit the cache.
    classes : array, shape (K,), or None
        The labels of the classes, in the order of the probabilities, such as ``classes_`` of a scikit-learn model. If
        the model does not name them, it is None, and the labels are 0, 1, …, or −1 and +1.
    task : Task or None
        The task of the model, or None if it has no such attribute.

    Source: slides "Blackbox attacks"; the term "oracle" is that of Papernot et al. (2017), "Practical black-box attacks
    against machine learning".
    """

    shows = "labels (predict)"

    @checked(model=checks.black_box, queries=whole(0), total=whole(0), on_call=taking("x", "owners"))
    def __init__(self, model, queries=None, total=None, on_call=None):
        super().__init__(on_call)
        self.queries = queries
        self.total = total
        self.activations = getattr(model, "activations", 0)
        self.classes = _classes_of(model)
        self.task = getattr(model, "task", None)
        self._model = model

    def __getattr__(self, name):
        raise AttributeError(f"this black box does not show {name}: it shows {type(self).shows} only")

    def predict(self, x, owners=None):
        """Return the predicted labels, ``(N,)``.

        Parameters
        ----------
        x : array, shape (N, *D)
            The inputs; each row costs one query.
        owners : array of int, shape (N,), optional
            The row in the batch of the example to which each query belongs; several queries may have the same owner.

        Raises
        ------
        BudgetError
            If the queries would exceed the budget of an example or of all; raised before the model is called.
        """
        self.count(x, owners)
        return _labels(self._model, x, owners)

    def places(self, y, name="y"):
        """Return the position of each label among the classes of the model; refuse unknown labels."""
        if self.classes is None:
            return y
        order = self.classes.argsort()
        place = order[np.searchsorted(self.classes, y, sorter=order).clip(max=len(order) - 1)]
        unknown = y[self.classes[place] != y]
        if len(unknown):
            raise ValueError(f"{name} holds {unknown[0]}; the classes of the model are {self.classes.tolist()}")
        return place

    def count(self, x, owners=None):
        """Count each row of x as a query, or refuse all of them if they would exceed the budget."""
        if owners is None and self.queries is not None:
            raise TypeError(f"queries = {self.queries} are given to each example: pass the owners of the rows")
        super().count(x, owners)

    def refuse(self, n, asked, counts):
        """Raise BudgetError if the n new queries would exceed the budget of an example or of all."""
        if self.total is not None and asked > self.total:
            raise BudgetError(f"{n} queries after {self.asked} exceed the total of {self.total}")
        if self.queries is not None and counts.max(initial=0) > self.queries:
            i = int(counts.argmax())
            raise BudgetError(f"example {i} would need {counts[i]} queries, but its budget is {self.queries}")


class ProbabilityOracle(LabelOracle):
    """A :class:`LabelOracle` that also shows the probabilities of the model."""

    shows = "probabilities and labels (predict)"

    def probabilities(self, x, owners=None):
        """Return the probabilities of the classes, ``(N, K)``, or for a binary model that of +1, ``(N,)``."""
        self.count(x, owners)
        return _probabilities(self._model, x, owners)

    def scores(self, x, owners=None):
        r"""Return the logits up to a shift: :math:`\log p`, ``(N, K)``, or :math:`\log p - \log(1 - p)`, ``(N,)``.

        Differences of two logits, the margin and cross-entropy do not depend on the shift. A probability that was
        rounded to zero counts as the smallest number of its dtype.
        """
        p = self.probabilities(x, owners)
        return tasks.of(self, p).scores(p)


class LogitOracle(ProbabilityOracle):
    """A :class:`ProbabilityOracle` that also shows the logits of the model."""

    shows = "logits, probabilities and labels (predict)"

    def logits(self, x, owners=None):
        """Return the logits, ``(N,)`` for a binary model and ``(N, K)`` otherwise."""
        self.count(x, owners)
        return _ask(self._model, "logits", x, owners)

    def scores(self, x, owners=None):
        """Return the logits."""
        return self.logits(x, owners)


@checked(model=checks.black_box, queries=whole(0), total=whole(0))
def oracle(model, queries=None, total=None):
    """Return the oracle that shows the most that the model has: logits, else probabilities, else labels.

    Parameters
    ----------
    model : Model, oracle, or anything with ``predict``
        The black box.
    queries, total : int, optional
        The budgets, as for :class:`LabelOracle`.

    Returns
    -------
    LogitOracle, ProbabilityOracle or LabelOracle
        The oracle.

    Raises
    ------
    TypeError
        If the model has none of these outputs.
    """
    for names, level in _LEVELS.items():
        if any(hasattr(model, name) for name in names):
            return level(model, queries, total)


_LEVELS = {
    ("logits",): LogitOracle,
    ("probabilities", "predict_proba"): ProbabilityOracle,
    ("predict",): LabelOracle,
}


def first_scores(model, x, y, target, queries, loss=None):
    """Query the scores of x once, and refuse labels, or a loss, that do not fit them.

    Parameters
    ----------
    model, x, y, target, queries, loss
        As for the attacks.

    Returns
    -------
    victim : LogitOracle or ProbabilityOracle
        The oracle of the model, with ``queries`` as the budget of each example, of which one is spent.
    z : array, shape (N,) or (N, K)
        The scores of x.
    y, target : array, shape (N,)
        The labels as positions among the scores; target may be None.
    """
    victim = oracle(model, queries)
    if not isinstance(victim, ProbabilityOracle):
        raise TypeError("model: this attack needs logits or probabilities, but the model shows only its labels")
    (z,) = map_chunks(lambda x, owner: (victim.scores(x, owner),), victim, x, np.arange(len(x)))
    task = tasks.of(victim, z)
    task.check_logits(z)
    y = task.check_labels(victim.places(y), len(x))
    target = None if target is None else task.check_labels(victim.places(target, "target"), len(x), "target")
    if loss is not None:
        check_loss(z[:1], task, loss, y[:1], None if target is None else target[:1])
    return victim, z, y, target


def ranked(task, value, z, y, target):
    """Return the losses by which a search ranks its candidates, ``(N,)``: ∞ if the model is fooled, −∞ for a NaN."""
    xp = namespace(z)
    value = xp.where(xp.isnan(value), -np.inf, value)
    return xp.where(task.is_fooled(z, y, target), np.inf, value).astype(z.dtype)


def labelled(labels, what):
    """Return the predicted labels; refuse missing ones, whose logits are NaN."""
    missing = labels == tasks.NO_LABEL
    if missing.any():
        raise ValueError(f"the logits of the model are NaN for {int(missing.sum())} of {len(labels)} {what}")
    return labels


def several(victim, x, k):
    """Return the size of a model, for ``map_chunks``, when every example makes k queries at once."""
    return SimpleNamespace(activations=k * (victim.activations + 10 * x[0].size))


class Examples(NamedTuple):
    """The input of a search, one row for each example; ``labels`` are those of the loss, ``z`` the scores of x."""

    x: Any
    y: Any
    target: Any
    labels: Any
    z: Any
    seeds: Any
    owner: Any  # the row of the example in the batch
    delta_set: Any


def search_in_chunks(search, model, given):
    """Run a search on chunks of the examples, and return δ for all of them.

    Parameters
    ----------
    search : callable
        ``search(given)`` returns the δ of the given examples.
    model : oracle, or the result of :func:`several`
        Decides by its ``activations`` how many examples make a chunk.
    given : Examples
        All examples.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations.
    """
    return map_chunks(lambda *part: (search(Examples(*part)),), model, *given)[0]


def _classes_of(model):
    """Return the class labels of a scikit-learn model, or of an oracle of one; None for other models."""
    classes = getattr(model, "classes_", None)
    if isinstance(model, LabelOracle):
        classes = model.classes
    return None if classes is None else np.asarray(classes)


def _ask(model, name, x, owners):
    """Call a method of the model: an oracle gets the owners too, and a scikit-learn model gets flat rows."""
    answer = getattr(model, name)
    if isinstance(model, Ledger):
        return answer(x, owners)
    return answer(rows(x) if hasattr(model, "n_features_in_") else x)


def _labels(model, x, owners):
    """Return the predicted labels, from the first of labels, logits and probabilities that the model has."""
    if hasattr(model, "predict"):
        return _ask(model, "predict", x, owners)
    if hasattr(model, "logits"):
        z = _ask(model, "logits", x, owners)
        return tasks.of(model, z).decode(z)
    p = _probabilities(model, x, owners)
    return tasks.of(model, p).most_probable(p)


def _probabilities(model, x, owners):
    """Return the probabilities, from the logits if the model has nothing else."""
    for name in ("probabilities", "predict_proba"):
        if hasattr(model, name):
            return _ask(model, name, x, owners)
    z = _ask(model, "logits", x, owners)
    return tasks.of(model, z).probabilities(z)
