"""A model as a black box: what it shows, at one of three levels of knowledge, and how often it was asked."""

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
    """A question was asked that the budget does not hold; the model has not seen it."""


class LabelOracle(Ledger):
    """A model that shows its labels and nothing else: the lowest level of knowledge, and the counter of all levels.

    Every row of every x that is asked about is one query. An attack says with ``owners`` whose query each row is, so
    that they are counted example by example, whichever examples still stand. The counter may be used from threads.

    Parameters
    ----------
    model : Model, oracle, or anything with ``predict``
        A scikit-learn model gets its examples as flat rows.
    queries : int, optional
        The most queries of one example. Each row must then have its owner.
    total : int, optional
        The most queries of all examples together.
    on_call : callable, optional
        Called with (x, owners) before the model is asked about x; owners may be None.

    Attributes
    ----------
    asked : int
        All queries so far.
    counts : array of int
        The queries of each example, as far as rows had owners; it grows with the largest owner.
    activations : int
        The model's, which says how many examples fit the cache.
    classes : array or None
        The labels of the model's classes, in the order of its probabilities: ``classes_`` of a scikit-learn model.
        None for a model that does not say them; they are then 0, 1, …, or −1 and +1.
    task : Task or None
        The model's; None for a model that does not say it.

    Source: slides "Blackbox attacks"; the word is that of Papernot et al. (2017), "Practical black-box attacks against
    machine learning".
    """

    shows = "labels (predict)"

    @checked(model=checks.black_box, queries=whole(0), total=whole(0), on_call=taking("x", "owners"))
    def __init__(self, model, queries=None, total=None, on_call=None):
        super().__init__(on_call)
        self.queries, self.total = queries, total
        self.activations = getattr(model, "activations", 0)
        self.classes = _classes_of(model)
        self.task = getattr(model, "task", None)
        self._model = model

    def __getattr__(self, name):
        raise AttributeError(f"this black box does not show {name}: it shows {type(self).shows} only")

    def predict(self, x, owners=None):
        """The labels, ``(N,)``.

        Parameters
        ----------
        x : array, shape (N, *D)
        owners : array of int, shape (N,), optional
            The place in the batch of the example that asks; several rows may have the same.

        Raises
        ------
        BudgetError
            If an example, or all, would be asked more often than the budget allows; before the model is called.
        """
        self.count(x, owners)
        return _labels(self._model, x, owners)

    def places(self, y, name="y"):
        """Return the place of each label among the classes of the model; refuse a label that is none of them."""
        if self.classes is None:
            return y
        order = self.classes.argsort()
        place = np.searchsorted(self.classes, y, sorter=order).clip(max=len(order) - 1)
        place = order[place]
        wrong = y[self.classes[place] != y]
        if len(wrong):
            raise ValueError(f"{name} holds {wrong[0]}; the classes of the model are {self.classes.tolist()}")
        return place

    def count(self, x, owners=None):
        """Book the rows of x as queries, or refuse all of them."""
        if owners is None and self.queries is not None:
            raise TypeError(f"queries = {self.queries} are given to each example: pass the owners of the rows")
        super().count(x, owners)

    def refuse(self, n, asked, counts):
        """Raise BudgetError if an example, or all, would be asked more often than the budget allows."""
        if self.total is not None and asked > self.total:
            raise BudgetError(f"{n} queries after {self.asked} exceed the total of {self.total}")
        if self.queries is not None and counts.max(initial=0) > self.queries:
            i = int(counts.argmax())
            raise BudgetError(f"example {i} would be asked {counts[i]} times, and its budget is {self.queries}")


class ProbabilityOracle(LabelOracle):
    """A model that shows its probabilities, and so its labels: :class:`LabelOracle` with one answer more."""

    shows = "probabilities and labels (predict)"

    def probabilities(self, x, owners=None):
        """The softmax of the logits, ``(N, K)``; of a binary model the probability of +1, ``(N,)``."""
        self.count(x, owners)
        return _probabilities(self._model, x, owners)

    def scores(self, x, owners=None):
        r"""Logits up to a shift: :math:`\log p`, ``(N, K)``, or :math:`\log p - \log(1 - p)`, ``(N,)``.

        No difference of two logits depends on the shift, nor do margin and cross-entropy. A probability that has
        rounded to zero counts as the smallest number of its dtype.
        """
        p = self.probabilities(x, owners)
        return tasks.of(self, p).scores(p)


class LogitOracle(ProbabilityOracle):
    """A model that shows its logits, and so the rest: the highest level of knowledge of a black box."""

    shows = "logits, probabilities and labels (predict)"

    def logits(self, x, owners=None):
        """Z, ``(N,)`` for a binary model and ``(N, K)`` otherwise."""
        self.count(x, owners)
        return _ask(self._model, "logits", x, owners)

    def scores(self, x, owners=None):
        """The logits themselves."""
        return self.logits(x, owners)


@checked(model=checks.black_box, queries=whole(0), total=whole(0))
def oracle(model, queries=None, total=None):
    """The oracle of the most that the model shows: logits, else probabilities, else labels.

    Parameters
    ----------
    model : Model, oracle, or anything with ``predict``
    queries, total : int, optional
        As for :class:`LabelOracle`.

    Returns
    -------
    LogitOracle, ProbabilityOracle or LabelOracle

    Raises
    ------
    TypeError
        If the model shows nothing.
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
    """Ask for the scores of x, one query each, and refuse labels, or a loss, that do not fit them.

    Returns
    -------
    ask : LogitOracle or ProbabilityOracle
        With ``queries`` as the budget of each example, of which the first is gone.
    z : array
        The scores of x, ``(N,)`` or ``(N, K)``.
    y, target : array, shape (N,)
        The labels as places among the scores; target may be None.
    """
    ask = oracle(model, queries)
    if not isinstance(ask, ProbabilityOracle):
        raise TypeError("model: this attack needs logits or probabilities, and the model shows its labels only")
    (z,) = map_chunks(lambda x, owner: (ask.scores(x, owner),), ask, x, np.arange(len(x)))
    task = tasks.of(ask, z)
    task.check_logits(z)
    y = task.check_labels(ask.places(y), len(x))
    target = None if target is None else task.check_labels(ask.places(target, "target"), len(x), "target")
    if loss is not None:
        check_loss(z[:1], task, loss, y[:1], None if target is None else target[:1])
    return ask, z, y, target


def ranked(task, value, z, y, target):
    """Return the losses as a search compares them, ``(N,)``: ∞ where the model is fooled, −∞ where a logit is NaN."""
    xp = namespace(z)
    value = xp.where(xp.isnan(value), -np.inf, value)
    return xp.where(task.is_fooled(z, y, target), np.inf, value).astype(z.dtype)


def labelled(labels, what):
    """Return the labels that a model gave to what it was asked about; refuse missing ones, whose logits are NaN."""
    missing = labels == tasks.NO_LABEL
    if missing.any():
        raise ValueError(f"the logits of the model are NaN for {int(missing.sum())} of {len(labels)} {what}")
    return labels


def several(ask, x, k):
    """What ``map_chunks`` has to know of the model where every example asks k questions at once."""
    return SimpleNamespace(activations=k * (ask.activations + 10 * x[0].size))


class Examples(NamedTuple):
    """What a search is given, one row an example; ``labels`` are those of the loss, ``z`` the scores of x."""

    x: Any
    y: Any
    target: Any
    labels: Any
    z: Any
    seeds: Any
    owner: Any  # the place in the batch
    delta_set: Any


def search_in_chunks(search, model, given):
    """Return δ, as the search finds it for chunks of the examples.

    Parameters
    ----------
    search : callable
        ``search(given)`` that returns the δ of those examples.
    model : oracle or what :func:`several` returns
    given : Examples

    Returns
    -------
    delta : array, shape (N, *D)
    """
    return map_chunks(lambda *part: (search(Examples(*part)),), model, *given)[0]


def _classes_of(model):
    """What a scikit-learn model, or an oracle of one, calls its classes; None for a model that does not say."""
    classes = getattr(model, "classes_", None)
    if isinstance(model, LabelOracle):
        classes = model.classes
    return None if classes is None else np.asarray(classes)


def _ask(model, name, x, owners):
    """The answer of the model: one that counts is told the owners, and a scikit-learn model takes flat rows."""
    answer = getattr(model, name)
    if isinstance(model, Ledger):
        return answer(x, owners)
    return answer(rows(x) if hasattr(model, "n_features_in_") else x)


def _labels(model, x, owners):
    if hasattr(model, "predict"):
        return _ask(model, "predict", x, owners)
    if hasattr(model, "logits"):
        z = _ask(model, "logits", x, owners)
        return tasks.of(model, z).decode(z)
    p = _probabilities(model, x, owners)
    return tasks.of(model, p).most_probable(p)


def _probabilities(model, x, owners):
    for name in ("probabilities", "predict_proba"):
        if hasattr(model, name):
            return _ask(model, name, x, owners)
    z = _ask(model, "logits", x, owners)
    return tasks.of(model, z).probabilities(z)
