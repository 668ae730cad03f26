"""Models around another model: what a wrapper does not answer itself, the model inside answers.

``Around`` is the base of every wrapper, ``Watched`` the wrapper that counts, and ``Ledger`` the counts by themselves,
which a wrapper keeps that hides its model (``attacks.black_box.queries.LabelOracle``).
"""

import threading

import numpy as np

from ..backend import host


class Around:
    """A model around another model.

    Logits, pullbacks, loss, task, parameters and all else are those of the model inside, until a subclass says
    otherwise. A subclass whose logits mean something else than those of the model inside sets ``task``.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    model : Model
        The model inside.
    """

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        if name == "model":  # not set yet: a copy is being made
            raise AttributeError(name)
        return getattr(self.model, name)


class Ledger:
    """How often a model was asked. Several threads may count at once.

    Parameters
    ----------
    on_call : callable, optional
        Called with (x, owners) after each question has been counted and before the model sees it.

    Attributes
    ----------
    asked : int
        The rows of all x so far.
    counts : array of int
        The rows of each example, as far as they had owners; it grows with the largest owner.
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
            The place in the batch of the example that asks; several rows may have the same.
        """
        with self._lock:
            asked, counts = self.asked + len(x), self.counts
            if owners is not None:
                counts = np.bincount(host(owners), minlength=len(counts))
                counts[: len(self.counts)] += self.counts
            self.refuse(len(x), asked, counts)
            self.asked, self.counts = asked, counts
        if self._on_call is not None:
            self._on_call(x, owners)

    def refuse(self, n, asked, counts):
        """Raise an error if n more rows, which make it ``asked`` and ``counts``, are too many; here none are."""


class Watched(Around, Ledger):
    """A model that counts the rows that ``logits`` and ``vjp_x`` are given.

    Parameters
    ----------
    model : Model
    on_call : callable, optional
        Called with (x, owners) before the model is asked for the logits of x; owners may be None.
    on_pull : callable, optional
        Called with (dz, z) before the pullback of the logits z is applied to dz.

    Attributes
    ----------
    asked, counts
        As for :class:`Ledger`.
    pulled : int
        The rows of all dz that were pulled back to gradients in x.
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
        """Return the logits and the pullback of the model; each use of the pullback counts."""
        self.count(x)
        z, pull = self.model.vjp_x(x)

        def counted(dz):
            with self._lock:
                self.pulled += len(dz)
            if self._on_pull is not None:
                self._on_pull(dz, z)
            return pull(dz)

        return z, counted
