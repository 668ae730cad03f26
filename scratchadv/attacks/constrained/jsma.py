"""The Jacobian-based saliency map attack: change few components, two at a time."""

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
    r"""Move the two most salient components by θ, again and again, until the target is reached.

    .. math::
        (p_1, p_2) = \arg\max_{p < q} \, (-\alpha \beta) \ \text{ where } \alpha > 0 > \beta, \qquad
        \alpha = \sum_{i \in \{p, q\}} \frac{\partial F_t}{\partial X_i}, \quad
        \beta = \sum_{i \in \{p, q\}} \sum_{j \neq t} \frac{\partial F_j}{\partial X_i}

    For θ < 0 the signs are turned: :math:`\alpha < 0 < \beta`. A component that has reached the edge of the box leaves
    the search; with :math:`|\theta|` below the width of the box one may be moved several times. An example ends when
    the target is reached, when no pair is left with these signs, or when the budget Υ is spent.

    Without a target the attack goes away from y (the "non-targeted JSMA"): t is y, and the signs of α and β are turned.

    Parameters
    ----------
    model : Model
        A binary one counts as two classes with the logits z/2 (label +1) and −z/2.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        Labels t to reach.
    theta : float
        The change θ of a component in one step, in the units of x: up if positive, down if negative.
    upsilon : float
        Υ in [0, 1], the share of the P components that may change: there are :math:`\lfloor P \Upsilon / 2 \rfloor`
        steps.
    norm : {L0}
        The only norm of this attack; every attack that looks for the smallest change takes this argument.
    box : pair or None
        The lowest and the highest value of x + δ; None: unbounded, and no component ever leaves the search.
    of : {"logits", "probabilities"}
        What F is. The default is the paper's choice for its experiments, since the softmax distorts the derivatives of
        what it is sure of. Probabilities sum to one: with them β = −α, and the pair is that of the largest α alone.

    Returns
    -------
    delta : array, shape (N, *D)
        dtype of x. Zero where x is misclassified already (or at its target), and where the attack failed: predict
        again to tell the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; raised before the first step.

    Source: slides "Jacobian-based Saliency Map Attacks (JSMA)"; Papernot et al. (2016), "The Limitations of Deep
    Learning in Adversarial Settings", algorithms 2 and 3; without a target Wiyatno and Xu (2018), "Maximal
    Jacobian-based Saliency Map Attack".
    """
    xp, t = namespace(x), y if target is None else target
    low, high = bounds_of(box, x)
    sign = math.copysign(1, theta) * (-1 if target is None else 1)
    pairs = math.floor(rows(x).shape[1] * upsilon / 2 + 1e-9)  # up to rounding
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
    r"""How much each single component speaks for the target, as pictures.

    .. math::
        S^+_i = \begin{cases} 0 & \text{if } \alpha_i < 0 \text{ or } \beta_i > 0 \\
                \alpha_i |\beta_i| & \text{otherwise} \end{cases} \qquad
        \alpha_i = \frac{\partial F_t}{\partial X_i}, \quad \beta_i = \sum_{j \neq t} \frac{\partial F_j}{\partial X_i}

    and :math:`S^-_i` for θ < 0 with the signs turned: the components whose decrease speaks for the target.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        float32 or float64.
    target : array, shape (N,)
        The labels t.
    theta : float
        Only its sign counts: S⁺ or S⁻.
    of : {"logits", "probabilities"}
        What F is.

    Returns
    -------
    array, shape (N, *D)
        Never negative, dtype of x.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: slides "Saliency map", "Saliency Computation"; Papernot et al. (2016), equations 8 and 9.
    """
    xp, sign = namespace(x), math.copysign(1, theta)
    z, alpha, beta = _derivatives(model, x, target, of)
    checks.logits(z)
    alpha, beta = sign * alpha, sign * beta
    if of == "probabilities":
        f_t = per_row(xp.exp(-log_loss(z).value(z, target)), x)
        alpha, beta = f_t * alpha, f_t * beta
    return xp.where((alpha > 0) & (beta < 0), -alpha * beta, 0)


def _free(theta, delta, low, high):
    """What has not reached the edge of the box."""
    if low is None:
        return namespace(delta).ones(delta.shape, dtype=bool)
    return delta < high if theta > 0 else delta > low


def best_pair(alpha, gamma, free):
    r"""Row by row the pair p < q of free components with the largest product of its two sums, both positive.

    .. math:: \arg\max_{p < q} (\alpha_p + \alpha_q)(\gamma_p + \gamma_q)

    A component with two others that are at least as large in both numbers can be left out: one of the two is free to
    take its place. What remains is few, some ten to thirty of the 784 pixels of a digit, and found by one sort.

    Parameters
    ----------
    alpha, gamma : array, shape (N, P)
    free : array of bool, shape (N, P)

    Returns
    -------
    p, q : array of int, shape (N,)
    found : array of bool, shape (N,)
        Whether any pair has two positive sums.
    """
    xp, each = namespace(alpha), namespace(alpha).arange(len(alpha))
    alpha, gamma = _scaled(alpha, free), _scaled(gamma, free)
    order = _best_first(alpha, gamma)
    alpha, gamma = (xp.take_along_axis(a, order, axis=1) for a in (alpha, gamma))
    best, p, q = xp.zeros_like(alpha[:, 0]), xp.zeros_like(each), xp.zeros_like(each)
    for i in range(order.shape[1] - 1):
        a, g = alpha[:, i : i + 1] + alpha[:, i + 1 :], gamma[:, i : i + 1] + gamma[:, i + 1 :]
        value = xp.maximum(a, 0) * xp.maximum(g, 0)
        j = value.argmax(axis=1)
        better = value[each, j] > best
        best, p, q = xp.where(better, value[each, j], best), xp.where(better, i, p), xp.where(better, i + 1 + j, q)
    p, q = order[each, p], order[each, q]
    return xp.minimum(p, q), xp.maximum(p, q), best > 0


def _scaled(a, free):
    """By the largest magnitude, so that no product underflows; −∞, which is in no pair, where it is not free."""
    xp = namespace(a)
    largest = abs(a).max(axis=1, keepdims=True)
    return xp.where(free, a / xp.where(largest > 0, largest, 1), -math.inf)


def _best_first(alpha, gamma):
    """The components of each row that can be in the best pair, as many as the fullest row has, the rest behind them."""
    xp = namespace(alpha)
    order = xp.argsort(-alpha, axis=1, kind="stable")
    gamma = xp.take_along_axis(gamma, order, axis=1)
    keep = gamma > _second_before(gamma)
    front = xp.argsort(~keep, axis=1, kind="stable")[:, : max(1, int(keep.sum(axis=1).max()))]
    return xp.take_along_axis(order, front, axis=1)


def _second_before(a):
    """The second largest of all entries before each, row by row; −∞ where there are not two.

    In windows of 1, 2, 4, … entries, each of two that are known, for there is no running second maximum to call.
    """
    xp, window = namespace(a), 1
    first, second = _shifted(a, 1), xp.full_like(a, -math.inf)
    while window < a.shape[1]:
        older, second_older = _shifted(first, window), _shifted(second, window)
        second = xp.maximum(xp.minimum(first, older), xp.maximum(second, second_older))
        first, window = xp.maximum(first, older), 2 * window
    return second


def _shifted(a, by):
    """Each entry moved ``by`` places on, −∞ before the first."""
    xp = namespace(a)
    return xp.concatenate([xp.full_like(a[:, :by], -math.inf), a[:, :-by]], axis=1)


def _derivatives(model, x, t, of):
    """The logits, ∂F_t/∂X and Σ ∂F_j/∂X over j ≠ t, shaped like x; of probabilities both divided by F_t > 0.

    The factor changes no sign and no order of pairs, and may be too small for a float.
    """
    z, pull = vjp_x(model, x)
    if of == "probabilities":
        alpha = pull(-log_loss(z).grad(z, t))
        return z, alpha, -alpha
    task = tasks.of(model, z)
    return z, pull(task.unit(z, t)), pull(task.rest(z, t))
