"""What the attacks that look for the smallest change share: who is fooled, and how far away the boundaries are."""

from ... import tasks
from ...backend import namespace
from ...models.protocol import vjp_x


def advantage(model, x, y, target=None):
    """Return how far the best wrong class, or the target, leads at x, ``(N,)``: the model is fooled where it is > 0."""
    z = model.logits(x)
    return tasks.of(model, z).advantage(z, y, target)


def boundaries(model, x, y, target=None, rivals=None):
    r"""The boundaries around x made linear: :math:`f_k = z_k - z_y` and :math:`w_k = \nabla_x f_k` for every rival k.

    With a target there is one boundary, between it and the best other class. A class that is masked out, with the logit
    −∞, has no boundary: its f is −1 and its w zero.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
    y : array, shape (N,)
    target : array, shape (N,), optional
    rivals : array, shape (N, C), optional
        The classes k. Default: all but y.

    Returns
    -------
    f : array, shape (N, C)
        Negative where the label (or another class than the target) wins.
    w : array, shape (N, C, *D)
    """
    xp = namespace(x)
    z, pull = vjp_x(model, x)
    values, slopes = zip(*_advantages(tasks.of(model, z), z, y, target, rivals), strict=True)
    f = xp.stack(values, axis=1)
    w = xp.stack([pull(dz) for dz in slopes], axis=1)
    there = xp.isfinite(f)
    if there.all():
        return f, w
    return xp.where(there, f, -1).astype(f.dtype), w * there.reshape(f.shape + (1,) * (w.ndim - 2))


def _advantages(task, z, y, target, rivals):
    """Each f_k and its derivative by z."""
    if target is not None:
        return [(task.advantage(z, y, target), task.advantage_grad(z, y, target))]
    rivals = task.rivals(z, y) if rivals is None else rivals
    return [(task.difference(z, k, y), task.direction(z, k, y)) for k in rivals.T]


def cut(delta, low, high):
    """Return δ, cut off at its bounds if there are any."""
    return delta if low is None else namespace(delta).clip(delta, low, high)
