"""The Jacobian-based saliency map attack, which changes few components, two at a time."""

import math

from ... import checks, tasks
from ...backend import namespace
from ...checked import checked, one_of
from ...losses import log_loss
from ...models.protocol import clean_logits, vjp_x
from ...numerics import only, per_row, rows, take
from ...parallel import in_chunks
from ...sets import L0, bounds_of
from .targets import cut

OF = one_of("logits", "probabilities")


@checked(norm=one_of(L0), theta=checks.signed, upsilon=checks.share, of=OF)
@in_chunks
def jsma(model, x, y, *, target=None, theta=1.0, upsilon=0.145, norm=L0, box=(0, 1), of="logits"):
    r"""Change the two most salient components by θ, and repeat until the target is reached.

    .. math::
        (p_1, p_2) = \arg\max_{p < q} \, (-\alpha \beta) \ \text{ where } \alpha > 0 > \beta, \qquad
        \alpha = \sum_{i \in \{p, q\}} \frac{\partial F_t}{\partial X_i}, \quad
        \beta = \sum_{i \in \{p, q\}} \sum_{j \neq t} \frac{\partial F_j}{\partial X_i}

    For θ < 0 the signs are reversed: :math:`\alpha < 0 < \beta`. A component that has reached the edge of the box is no
    longer considered; if :math:`|\theta|` is smaller than the width of the box, a component may change several times.
    The search for an example ends when the target is reached, when no pair has these signs, or when the budget Υ is
    spent.

    Without a target the attack moves away from y (the "non-targeted JSMA"): t is y, and the signs of α and β are
    reversed.

    Parameters
    ----------
    model : Model
        The model to attack. A binary model counts as two classes with the logits z/2 (label +1) and −z/2.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        The labels t to reach. Default: any label but y.
    theta : float
        The change θ of a component in one step, in the units of x; it may be negative.
    upsilon : float
        The share Υ, in [0, 1], of the P components that may change: the attack takes at most
        :math:`\lfloor P \Upsilon / 2 \rfloor` steps.
    norm : {L0}
        The only norm of this attack; every attack that looks for the smallest change takes this argument.
    box : (lower, upper), Set or None
        The range of x + δ, in the units of x; or a Box, a Mask, a Range or an intersection of them. None: unbounded, so
        that every component stays in the search.
    of : {"logits", "probabilities"}
        The output F. The paper's experiments use logits, because the softmax distorts the derivatives where the model
        is confident. Probabilities sum to one, so with them β = −α, and the pair with the largest α is chosen.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They are zero where x is already misclassified (or classified as its
        target), and where the attack failed; predict again to tell the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slides "Jacobian-based Saliency Map Attacks (JSMA)"; Papernot et al. (2016), "The Limitations of Deep
    Learning in Adversarial Settings", algorithms 2 and 3; without a target Wiyatno and Xu (2018), "Maximal
    Jacobian-based Saliency Map Attack".
    """
    xp = namespace(x)
    t = y if target is None else target
    low, high = bounds_of(box, x)
    sign = math.copysign(1, theta) * (-1 if target is None else 1)
    pairs = math.floor(rows(x).shape[1] * upsilon / 2 + 1e-9)  # 1e-9 allows for rounding errors
    delta = xp.zeros_like(x)
    z = clean_logits(model, x)
    task = tasks.of(model, z)
    left = xp.flatnonzero(~task.is_fooled(z, y, target))
    for _ in range(pairs):
        if not len(left):
            break
        z, alpha, beta = _derivatives(model, x[left] + delta[left], t[left], of)
        free = rows(_free(theta, delta, low, high)[left])
        p, q, found = best_pair(sign * rows(alpha), -sign * rows(beta), free)
        go = found & ~task.is_fooled(z, *take(left, y, target))
        left, p, q = only(go, (left, p, q))
        step = xp.zeros_like(rows(x))
        step[left, p] = step[left, q] = theta
        delta = cut(delta + step.reshape(x.shape), low, high)
    moved = xp.flatnonzero(rows(delta).any(axis=1))
    if len(moved):
        failed = ~task.is_fooled(model.logits(x[moved] + delta[moved]), *take(moved, y, target))
        delta[moved[failed]] = 0
    return delta


@checked(theta=checks.signed, of=OF)
@in_chunks
def saliency_map(model, x, target, *, theta=1.0, of="logits"):
    r"""Return the saliency maps: how strongly each component alone supports the target.

    .. math::
        S^+_i = \begin{cases} 0 & \text{if } \alpha_i < 0 \text{ or } \beta_i > 0 \\
                \alpha_i |\beta_i| & \text{otherwise} \end{cases} \qquad
        \alpha_i = \frac{\partial F_t}{\partial X_i}, \quad \beta_i = \sum_{j \neq t} \frac{\partial F_j}{\partial X_i}

    and for θ < 0 :math:`S^-_i` with the signs reversed, for the components whose decrease supports the target.

    Parameters
    ----------
    model : Model
        The model to explain.
    x : array, shape (N, *D)
        The inputs, float32 or float64.
    target : array, shape (N,)
        The labels t whose support is measured.
    theta : float
        Only its sign matters: S⁺ if positive, S⁻ if negative.
    of : {"logits", "probabilities"}
        The output F, as for :func:`jsma`.

    Returns
    -------
    array, shape (N, *D)
        The saliencies, which are never negative, in the dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: slides "Saliency map", "Saliency Computation"; Papernot et al. (2016), equations 8 and 9.
    """
    xp = namespace(x)
    sign = math.copysign(1, theta)
    z, alpha, beta = _derivatives(model, x, target, of)
    checks.logits(z)
    alpha = sign * alpha
    beta = sign * beta
    if of == "probabilities":
        f_t = per_row(xp.exp(-log_loss(z).value(z, target)), x)
        alpha = f_t * alpha
        beta = f_t * beta
    return xp.where((alpha > 0) & (beta < 0), -alpha * beta, 0)


def _free(theta, delta, low, high):
    """Return which components have not reached the edge of the box."""
    if low is None:
        return namespace(delta).ones(delta.shape, dtype=bool)
    return delta < high if theta > 0 else delta > low


def best_pair(alpha, gamma, free):
    r"""Return, row by row, the pair p < q of free components with the largest product of its two positive sums.

    .. math:: \arg\max_{p < q} (\alpha_p + \alpha_q)(\gamma_p + \gamma_q)

    A component can be left out if two others are at least as large in both α and γ, because one of the two can take its
    place in any pair. One sort finds the remaining components, which are few: ten to thirty of the 784 pixels of a
    digit.

    Parameters
    ----------
    alpha, gamma : array, shape (N, P)
        The two numbers of each component.
    free : array of bool, shape (N, P)
        Which components may be in the pair.

    Returns
    -------
    p, q : array of int, shape (N,)
        The indices of the pair.
    found : array of bool, shape (N,)
        Whether any pair has two positive sums.
    """
    xp = namespace(alpha)
    each = xp.arange(len(alpha))
    alpha = _scaled(alpha, free)
    gamma = _scaled(gamma, free)
    order = _best_first(alpha, gamma)
    alpha, gamma = (xp.take_along_axis(a, order, axis=1) for a in (alpha, gamma))
    best = xp.zeros_like(alpha[:, 0])
    p = q = xp.zeros_like(each)
    for i in range(order.shape[1] - 1):
        a = alpha[:, i : i + 1] + alpha[:, i + 1 :]
        g = gamma[:, i : i + 1] + gamma[:, i + 1 :]
        value = xp.maximum(a, 0) * xp.maximum(g, 0)
        j = value.argmax(axis=1)
        better = value[each, j] > best
        best = xp.where(better, value[each, j], best)
        p = xp.where(better, i, p)
        q = xp.where(better, i + 1 + j, q)
    p = order[each, p]
    q = order[each, q]
    return xp.minimum(p, q), xp.maximum(p, q), best > 0


def _scaled(a, free):
    """Divide by the largest magnitude, so that no product underflows; components that are not free become −∞."""
    xp = namespace(a)
    largest = abs(a).max(axis=1, keepdims=True)
    return xp.where(free, a / xp.where(largest > 0, largest, 1), -math.inf)


def _best_first(alpha, gamma):
    """Return the components that can be in the best pair, first in each row; short rows are filled with others."""
    xp = namespace(alpha)
    order = xp.argsort(-alpha, axis=1, kind="stable")
    gamma = xp.take_along_axis(gamma, order, axis=1)
    keep = gamma > _second_before(gamma)
    front = xp.argsort(~keep, axis=1, kind="stable")[:, : max(1, int(keep.sum(axis=1).max()))]
    return xp.take_along_axis(order, front, axis=1)


def _second_before(a):
    """Return the second largest of all entries before each entry, row by row; −∞ where there are fewer than two.

    NumPy has no running second maximum, so it is found in windows of 1, 2, 4, … entries, each made of two smaller ones.
    """
    first = _shifted(a, 1)
    second = namespace(a).full_like(a, -math.inf)
    window = 1
    while window < a.shape[1]:
        first, second = _merged(first, second, _shifted(first, window), _shifted(second, window))
        window = 2 * window
    return second


def _merged(first, second, other_first, other_second):
    """Return the largest and the second largest entry of two windows together, from those of each."""
    xp = namespace(first)
    smaller_first = xp.minimum(first, other_first)
    return xp.maximum(first, other_first), xp.maximum(smaller_first, xp.maximum(second, other_second))


def _shifted(a, by):
    """Return the entries shifted to the right by ``by`` places, with −∞ in front."""
    xp = namespace(a)
    return xp.concatenate([xp.full_like(a[:, :by], -math.inf), a[:, :-by]], axis=1)


def _derivatives(model, x, t, of):
    """Return the logits, ∂F_t/∂X and the sum of ∂F_j/∂X over j ≠ t, the last two shaped like x.

    For probabilities both derivatives are divided by F_t > 0, which may be too small for a float. The factor changes
    neither the signs nor the order of the pairs.
    """
    z, pull = vjp_x(model, x)
    if of == "probabilities":
        alpha = pull(-log_loss(z).grad(z, t))
        return z, alpha, -alpha
    task = tasks.of(model, z)
    return z, pull(task.unit(z, t)), pull(task.rest(z, t))
