"""What smallest-change attacks share: whether the model is fooled, and the linearised decision boundaries."""

from ... import tasks
from ...backend import namespace
from ...models.protocol import vjp_x


def advantage(model, x, y, target=None):
    """Return the lead of the best wrong class, or of the target, at x, ``(N,)``: positive where the model is fooled."""
    z = model.logits(x)
    return tasks.of(model, z).advantage(z, y, target)


def boundaries(model, x, y, target=None, rivals=None):
    r"""Linearise the boundaries at x: return :math:`f_k = z_k - z_y` and :math:`w_k = \nabla_x f_k` for every rival k.

    With a target there is one boundary, between the target and the best other class. A class that is masked out by the
    logit −∞ has no boundary; it gets f = −1 and w = 0.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        The labels to reach.
    rivals : array, shape (N, C), optional
        The wrong classes k to consider. Default: all but y.

    Returns
    -------
    f : array, shape (N, C)
        The logit differences; negative where the prediction is y (or, with a target, not the target).
    w : array, shape (N, C, *D)
        Their gradients in x.
    """
    xp = namespace(x)
    z, pull = vjp_x(model, x)
    values, slopes = zip(*_advantages(tasks.of(model, z), z, y, target, rivals), strict=True)
    f = xp.stack(values, axis=1)
    w = xp.stack([pull(dz) for dz in slopes], axis=1)
    finite = xp.isfinite(f)
    if finite.all():
        return f, w
    return xp.where(finite, f, -1).astype(f.dtype), w * finite.reshape(f.shape + (1,) * (w.ndim - 2))


def _advantages(task, z, y, target, rivals):
    """Return each f_k with its gradient with respect to the logits z."""
    if target is not None:
        return [(task.advantage(z, y, target), task.advantage_grad(z, y, target))]
    rivals = task.rivals(z, y) if rivals is None else rivals
    return [(task.difference(z, k, y), task.direction(z, k, y)) for k in rivals.T]


def cut(delta, low, high):
    """Return δ, clipped to its bounds if there are any."""
    return delta if low is None else namespace(delta).clip(delta, low, high)
