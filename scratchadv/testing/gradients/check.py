"""The check of gradients written by hand, against the engine and against central differences."""

import numpy as np

from ...engine import vjp
from .differences import Checked, Comparison
from .subjects import case_of, same_values


def check_gradients(subject, x, y=None, *, reference=None, loss=None, tol=1e-6, samples=8, rng=None):
    r"""Compare gradients written by hand with the engine's in every entry, and with central differences in a sample.

    The sample of each array contains some entries, some random directions, and the entries in which the gradient by
    hand differs most from the engine's. The differences use five points and a small h:

    .. math:: \frac{4 D(h) - D(2h)}{3}, \qquad D(h) = \frac{S(x + hv) - S(x - hv)}{2h}

    At a kink (ReLU at 0, equal entries in a maximum) there is no derivative to compare with. The check assumes a kink
    if, for every h in ``STEPS``, D(h) and D(2h) differ or the derivatives from the left and from the right do. It then
    skips the entry or direction, and counts it as skipped.

    Parameters
    ----------
    subject : Model, Layer or Loss
        A model has ``vjp_x`` and ``vjp_theta``, a layer ``initial``, ``forward``, ``input_gradient`` and
        ``parameter_gradient``, a loss ``value`` and ``grad``. All are checked in float64.
    x : array
        A batch of examples for a model, of inputs for a layer, or of logits for a loss.
    y : array, optional
        Labels. A loss needs them. If they are given with a model, its loss is checked too, at the logits of x.
    reference : callable, optional
        The same map as a function of tensors: ``reference(params, x)``, or ``reference(z, y)`` for a loss. Layers,
        losses and models of the library have one by default; others are then compared with differences only.
    loss : Loss, optional
        The loss to check with a model. Default: the model's own.
    tol : float
        The largest relative error allowed. For an entry smaller than the root mean square of its gradient, the error is
        taken relative to that root mean square.
    samples : int
        The number of entries of each array that are compared with differences; a third as many directions are, too.
    rng : numpy.random.Generator, optional
        Draws dz, the sample, and the parameters of a layer. Default: a generator with the seed 0.

    Returns
    -------
    Checked
        How many derivatives were compared and skipped, and the largest relative error.

    Raises
    ------
    AssertionError
        If a gradient is wrong; the message names the array, the index and the numbers that differ. If x, dz or the
        parameters are changed in place, or a pullback returns something else when it is called again. If nothing could
        be compared.
    TypeError
        If the subject is neither a model nor a layer nor a loss.

    Examples
    --------
    >>> from scratchadv import layers
    >>> class Cube(layers.Layer):
    ...     def forward(self, params, x):
    ...         return x**3, x
    ...     def input_gradient(self, params, x, dz):
    ...         return 2 * x**2 * dz
    >>> check_gradients(Cube(), np.array([[1.0]]), rng=np.random.default_rng(1))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: Cube: the gradient in x at [0, 0] is 0.691168 by hand, 1.03675 by central differences: ...
    """
    rng = np.random.default_rng(0) if rng is None else rng
    x = np.array(x, np.float64)
    case = case_of(subject, x, y, reference, rng)
    z = case.forward(*case.primals)
    dz = rng.standard_normal(z.shape)
    hand = _by_hand(case, z, dz)
    engine = _by_engine(case, z, dz) if case.reference else [None] * len(hand)
    check = Comparison(case, z, dz, tol)
    found = [check.array(i, *both, samples, rng) for i, both in enumerate(zip(hand, engine, strict=True))]
    if y is not None and hasattr(subject, "vjp_x"):
        found.append(check_gradients(loss or subject.loss, z, y, tol=tol, samples=samples, rng=rng))
    return Checked(sum(f.compared for f in found), sum(f.skipped for f in found), max(f.error for f in found))


def _by_hand(case, z, dz):
    """Return the gradients by hand; call the pullback twice, and check that it changes none of its arguments."""
    given = [("dz", dz), *zip(case.labels, case.primals, strict=True)]
    before = [value.copy() for _, value in given]
    first = [np.array(g) for g in case.pull(dz)]
    for (label, value), old in zip(given, before, strict=True):
        if not np.array_equal(value, old):
            raise AssertionError(f"{case.name}: {label} is changed in place")
    for label, value, g, again in zip(case.labels, case.primals, first, case.pull(dz), strict=True):
        if g.shape != value.shape:
            raise AssertionError(
                f"{case.name}: the gradient in {label} has shape {g.shape}; {value.shape} was expected"
            )
        if not np.array_equal(g, again, equal_nan=True):
            raise AssertionError(f"{case.name}: the gradient in {label} differs when the pullback is called again")
        if not np.isfinite(g).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(g))[0])
            raise AssertionError(f"{case.name}: the gradient in {label} at {list(index)} is {g[index]} by hand")
    return first


def _by_engine(case, z, dz):
    value, pull = vjp(case.reference, *case.primals)
    same_values(f"{case.name}: z by the reference", value, "by hand", z)
    return pull(dz)
