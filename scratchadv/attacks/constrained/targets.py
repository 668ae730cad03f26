"""What the attacks that look for the smallest change share: who is fooled, and how far away the boundaries are."""

from ...backend import namespace
from ...losses import margin
from ...models.protocol import vjp_x
from ...numerics import take


def advantage(z, y, target=None):
    """How far the wrong classes, or the target, are above the others, ``(N,)``: fooled where it is > 0."""
    return margin.value(z, y) if target is None else -margin.value(z, target)


def rivals_of(z, y, candidates=None):
    """The classes other than y, largest logit first, ``(N, C)``; None for a binary model, which has but one.

    ``candidates`` counts the label too: C is at most candidates − 1.
    """
    if z.ndim == 1:
        return None
    xp = namespace(z)
    z = z.copy()
    z[xp.arange(len(z)), y] = xp.inf
    return xp.argsort(-z, axis=1, kind="stable")[:, 1:candidates]


def boundaries(model, x, y, target=None, rivals=None):
    r"""The boundaries around x made linear: :math:`f_k = z_k - z_y` and :math:`w_k = \nabla_x f_k` for every rival k.

    With a target there is one boundary, between it and the best other class. A class that is masked out, with the logit
    −∞, has no boundary: its f is −1 and its w zero.

    Parameters
    ----------
    model : Model
    x : array, shape (N, *D)
    y : array, shape (N,)
    target : array, shape (N,), optional
    rivals : array, shape (N, C), optional
        Not needed for a binary model, or with a target.

    Returns
    -------
    f : array, shape (N, C)
        Negative where the label (or another class than the target) wins.
    w : array, shape (N, C, *D)
    """
    xp = namespace(x)
    z, pull = vjp_x(model, x)
    values, slopes = zip(*_advantages(z, y, target, rivals), strict=True)
    f = xp.stack(values, axis=1)
    w = xp.stack([pull(dz) for dz in slopes], axis=1)
    there = xp.isfinite(f)
    if there.all():
        return f, w
    return xp.where(there, f, -1).astype(f.dtype), w * there.reshape(f.shape + (1,) * (w.ndim - 2))


def _advantages(z, y, target, rivals):
    """Each f_k and its derivative by z."""
    if target is not None:
        return [(advantage(z, y, target), -margin.grad(z, target))]
    if z.ndim == 1:
        return [(margin.value(z, y), margin.grad(z, y))]
    row = namespace(z).arange(len(z))
    unit = namespace(z).eye(z.shape[1], dtype=z.dtype)
    return [(z[row, k] - z[row, y], unit[k] - unit[y]) for k in rivals.T]


def cut(delta, low, high):
    """δ cut off at its bounds, if there are any."""
    return delta if low is None else namespace(delta).clip(delta, low, high)


def where_standing(standing, f, x, *arrays):
    """``f(x, *arrays)`` of the standing examples only, and zero for the others, shaped like x."""
    xp = namespace(x)
    left = xp.flatnonzero(standing)
    delta = xp.zeros_like(x)
    if len(left):
        delta[left] = f(*take(left, x, *arrays))
    return delta
