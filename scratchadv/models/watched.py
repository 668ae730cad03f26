"""Wrappers around a model, and the counting of queries.

``Around`` is the base of the wrappers, and ``Watched`` is the wrapper that counts. ``Ledger`` is the counting alone,
for wrappers that hide their model (``attacks.black_box.queries.LabelOracle``).
"""

import threading

import numpy as np

from ..backend import host


class Around:
    """A wrapper around a model.

    Logits, pullbacks, loss, task, parameters and all other attributes are those of the wrapped model unless a subclass
    overrides them. A subclass whose logits mean something else than those of the wrapped model sets ``task``.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    model : Model
        The wrapped model.
    """

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        if name == "model":  # not set yet, while a copy is being made
            raise AttributeError(name)
        return getattr(self.model, name)


class Ledger:
    """A count of the queries to a model. Several threads may count at the same time.

    Parameters
    ----------
    on_call : callable, optional
        ``on_call(x, owners)`` is called after each query has been counted and before the model sees it.

    Attributes
    ----------
    asked : int
        The number of rows so far.
    counts : array of int
        The number of rows for each example, among the rows that had owners; as long as the largest owner requires.
    """

    def __init__(self, on_call=None):
        self.asked = 0
        self.counts = np.zeros(0, int)
        self._on_call = on_call
        self._lock = threading.Lock()

    def count(self, x, owners=None):
        """Count the rows of x, or refuse all of them.

        Parameters
        ----------
        x : array, shape (N, *D)
        owners : array of int, shape (N,), optional
            For each row, the index in the batch of the example that it is a query for; several rows may have the same.
        """
        with self._lock:
            asked = self.asked + len(x)
            counts = self.counts
            if owners is not None:
                counts = np.bincount(host(owners), minlength=len(counts))
                counts[: len(self.counts)] += self.counts
            self.refuse(len(x), asked, counts)
            self.asked = asked
            self.counts = counts
        if self._on_call is not None:
            self._on_call(x, owners)

    def refuse(self, n, asked, counts):
        """Raise an error if n more rows are too many, for subclasses with a budget; this class never does.

        Parameters
        ----------
        n : int
            The rows to be added.
        asked, counts
            The attributes of the same names as they would be afterwards.
        """


class Watched(Around, Ledger):
    """A wrapper that counts the rows that ``logits`` and ``vjp_x`` receive.

    Parameters
    ----------
    model : Model
    on_call : callable, optional
        ``on_call(x, owners)`` is called before the model computes the logits of x; owners may be None.
    on_pull : callable, optional
        ``on_pull(dz, z)`` is called before the pullback of the logits z is applied to dz.

    Attributes
    ----------
    asked, counts
        As for :class:`Ledger`.
    pulled : int
        The number of rows of dz that were pulled back to gradients in x.
    """

    def __init__(self, model, on_call=None, on_pull=None):
        Around.__init__(self, model)
        Ledger.__init__(self, on_call)
        self.pulled = 0
        self._on_pull = on_pull

    def logits(self, x, owners=None):
        """Return the logits of the model; ``owners`` as for :meth:`Ledger.count`."""
        self.count(x, owners)
        return self.model.logits(x, owners) if isinstance(self.model, Ledger) else self.model.logits(x)

    def vjp_x(self, x):
        """Return the logits and the pullback of the model; each use of the pullback is counted."""
        self.count(x)
        z, pull = self.model.vjp_x(x)

        def counted(dz):
            with self._lock:
                self.pulled += len(dz)
            if self._on_pull is not None:
                self._on_pull(dz, z)
            return pull(dz)

        return z, counted
