"""DeepFool: steps to the nearest linearised decision boundary."""

from ... import tasks
from ...backend import namespace
from ...checked import checked, one_of
from ...models.protocol import clean_logits
from ...numerics import only
from ...parallel import in_chunks
from ...sets import L2, Linf, bounds_of
from .hyperplane import nearest_boundary, rounding
from .targets import advantage, boundaries, cut


@checked(norm=one_of(L2, Linf))
@in_chunks
def deepfool(model, x, y, *, target=None, norm=L2, box=(0, 1), steps=50, overshoot=0.02, candidates=10):
    r"""Step to the nearest decision boundary of the linearised model, and repeat until the boundary is crossed.

    .. math::
        r^{[t+1]} = r^{[t]} + \arg\min_d \left\{\lVert d \rVert : \min_k |f_k + \langle w_k, d \rangle| = 0\right\},
        \qquad \delta^{[t]} = (1 + \text{overshoot})\, r^{[t]}

    with :math:`f_k = z_k - z_y` and :math:`w_k = \nabla_x f_k` at :math:`x + \delta^{[t]}`. The step is
    :math:`|f_k|\, w_k / \lVert w_k \rVert_2^2` for ℓ2 and :math:`|f_k|\, \mathrm{sign}(w_k) / \lVert w_k \rVert_1` for
    ℓ∞. The paper has no box; here :math:`\delta^{[t]}` is clipped to the box if there is one, and :math:`w_k` is set to
    zero at features that a mask fixes. On a linear model without a box, the length of δ is the exact distance to the
    nearest boundary times 1 + overshoot.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        The labels to reach; the boundary is then the one between the target and the best other class.
    norm : {L2, Linf}
        The class of the norm that measures δ.
    box : (lower, upper), Set or None
        The range of x + δ, in the units of x; or a Box, a Mask, a Range or an intersection of them. None: unbounded.
    steps : int
        The largest number of steps.
    overshoot : float
        How far δ goes beyond the boundary, relative to its length.
    candidates : int
        The number of classes that are considered: the label and the classes with the largest logits at x.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They are zero where x is already misclassified (or classified as its
        target), and where ``steps`` were not enough; ``evaluate.judge`` tells the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: Moosavi-Dezfooli, Fawzi and Frossard (2016), "DeepFool: a simple and accurate method to fool deep neural
    networks", algorithms 1 (binary) and 2, equation 11 for the norms.
    """
    xp = namespace(x)
    low, high = bounds_of(box, x)
    z = clean_logits(model, x)
    task = tasks.of(model, z)
    rivals = task.rivals(z, y, candidates)
    standing = ~task.is_fooled(z, y, target)
    found = xp.zeros_like(x)
    state = xp.arange(len(x)), x, y, target, rivals, low, high, found, found
    for _ in range(steps):
        left, x, y, target, rivals, low, high, r, delta = only(standing, state)
        if not len(left):
            break
        f, w = boundaries(model, x + delta, y, target, rivals)
        w = _zero_where_fixed(w, low, high)
        w, _, step = nearest_boundary(norm, w, f, x + delta)
        r = r + step
        delta = cut((1 + overshoot) * r, low, high)
        fooled = advantage(model, x + delta, y, target) > rounding(w, x + delta)
        found[left[fooled]] = delta[fooled]
        standing = ~fooled
        state = left, x, y, target, rivals, low, high, r, delta
    return found


def _zero_where_fixed(w, low, high):
    """Return the gradients ``(N, C, *D)``, set to zero at features that the bounds do not allow to change."""
    if low is None or (high > low).all():
        return w
    return w * (high > low)[:, None]
