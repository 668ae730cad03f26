"""FAB, the fast adaptive boundary attack."""

from ... import checks, tasks
from ...backend import namespace
from ...checked import checked, one_of
from ...models.protocol import clean_logits
from ...numerics import per_row, take
from ...parallel import in_chunks
from ...sets import L1, L2, Linf, bounds_of
from .hyperplane import inner, nearest_boundary, nearest_point, rounding
from .targets import advantage, boundaries, cut


@checked(norm=one_of(L1, L2, Linf), alpha_max=checks.size, eta=checks.size)
def fab(
    model,
    x,
    y,
    *,
    target=None,
    rival=None,
    norm=L2,
    box=(0, 1),
    steps=100,
    alpha_max=0.1,
    eta=1.05,
    beta=0.9,
    restarts=1,
    eps=None,
    rng=None,
):
    r"""Step to the nearest linearised boundary with a bias towards x, and step back whenever it is crossed.

    .. math::
        \delta^{[t+1]} = \mathrm{clip}\left((1 - \alpha)(\delta^{[t]} + \eta\, d^{[t]}) + \alpha\, \eta\, d_x\right),
        \qquad \alpha = \min\left(\frac{\lVert d^{[t]} \rVert}{\lVert d^{[t]} \rVert + \lVert d_x \rVert},
        \alpha_{max}\right)

    where :math:`d^{[t]}` and :math:`d_x` are the smallest steps, inside the box, from :math:`x + \delta^{[t]}` and from
    x to the nearest boundary, linearised at :math:`x + \delta^{[t]}`. A δ that fools the model is kept if it is the
    smallest so far, and it is multiplied by β before the next step. At the end of a run, three secant steps shorten the
    best δ. Two details differ from the paper. If half of the steps have found no δ that fools, α is 0 from then on,
    because distant boundaries may not be reached otherwise. And at the end, the step from x to the boundary linearised
    at the best δ is also tried; on linear models it is the exact answer.

    Parameters
    ----------
    model : Model
        The model to attack.
    x : array, shape (N, *D)
        The inputs, float32 or float64, inside the box.
    y : array, shape (N,)
        The true labels.
    target : array, shape (N,), optional
        The labels to reach. Each step then takes one gradient; an untargeted attack takes one for every wrong class.
    rival : array, shape (N,), optional
        Classes other than y. Only the boundary between y and this class is considered, with one gradient for each step,
        and any wrong prediction counts as a success. This is the targeted FAB of AutoAttack.
    norm : {L2, Linf, L1}
        The class of the norm that measures δ.
    box : (lower, upper), Set or None
        The range of x + δ, in the units of x; or a Box, a Mask, a Range or an intersection of them. None: unbounded.
    steps : int
        The number of steps of each run.
    alpha_max : float
        The largest bias towards x.
    eta : float
        The overshoot η; 1 is none.
    beta : float
        The factor β by which a δ that fools is shortened before the next step.
    restarts : int
        The number of runs. The first begins at x, the others at random points at distance
        min(ε, ‖best δ so far‖) / 2 from x.
    eps : float, optional
        The distance ε, in the units of x; needed for more than one run.
    rng : numpy.random.Generator, optional
        Draws the random points; needed for more than one run.

    Returns
    -------
    delta : array, shape (N, *D)
        The perturbations, in the dtype of x. They are zero where x is already misclassified (or classified as its
        target), and where no δ was found that fools the model; ``evaluate.judge`` tells the two apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid.

    Source: Croce and Hein (2020), "Minimally distorted adversarial examples with a fast adaptive boundary attack",
    algorithm 1.
    """
    if target is not None and rival is not None:
        raise ValueError("target and rival exclude each other: pass one of them")
    if restarts > 1 and (rng is None or eps is None):
        raise ValueError(f"restarts = {restarts} begin at random points: pass rng and eps")
    z = clean_logits(model, x)
    task = tasks.of(model, z)
    rivals = task.rivals(z, y) if rival is None else rival[:, None]
    low, high = bounds_of(box, x)
    left = namespace(x).flatnonzero(~task.is_fooled(z, y, target))
    delta = namespace(x).zeros_like(x)
    options = {"norm": norm, "steps": steps, "alpha_max": alpha_max, "eta": eta, "beta": beta}
    given = {"x": x, "y": y, "target": target, "rivals": rivals, "low": low, "high": high}
    for start in _starts(norm, x, restarts, eps, rng):
        if len(left):
            (standing,) = take(left, given | {"start": start, "best": delta})
            delta[left] = _search(model, **standing, **options)
    return delta


def _starts(norm, x, restarts, eps, rng):
    """Yield None for the run from x, then random δ of length ε / 2, drawn for the whole batch."""
    yield None
    for _ in range(restarts - 1):
        direction = norm(1).sample(rng, x)
        yield direction * per_row(eps / 2 / norm.norm(direction), x)


@in_chunks
def _search(model, x, y, *, target, rivals, low, high, start, best, norm, steps, alpha_max, eta, beta):
    """Run the attack once, and return the better of its result and the best δ so far (zero: none yet)."""
    xp = namespace(x)
    length = norm.norm
    delta = xp.zeros_like(x) if start is None else cut(_shortened(length, start, _size(length, best) / 2), low, high)

    def steps_from(delta):
        """Return the smallest steps to the nearest boundary at x + δ, from x + δ and from x, and its rounding error."""
        f, w = boundaries(model, x + delta, y, target, rivals)
        room = () if low is None else (low - delta, high - delta)
        w, f, from_delta = nearest_boundary(norm, w, f, x + delta, *room)
        from_x = nearest_point(norm, w, f - inner(w, delta), low, high)
        return from_delta, from_x, rounding(w, x + delta)

    def keep(delta, best, error):
        """Return whether δ fools the model beyond the rounding error, and the better of δ and the best so far."""
        fooled = advantage(model, x + delta, y, target) > error
        better = fooled & (length(delta) < _size(length, best))
        return fooled, xp.where(per_row(better, x), delta, best)

    for t in range(steps):
        step, from_x, error = steps_from(delta)
        a = length(step)
        b = length(from_x)
        alpha = xp.minimum(a / xp.maximum(a + b, 1e-30), alpha_max)
        alpha = per_row(xp.where((length(best) > 0) | (2 * t < steps), alpha, 0), x)
        delta = cut((1 - alpha) * (delta + eta * step) + alpha * eta * from_x, low, high)
        fooled, best = keep(delta, best, error)
        delta = xp.where(per_row(fooled, x), beta * delta, delta)
    _, from_x, error = steps_from(best)
    _, best = keep(cut(1.001 * from_x, low, high), best, error)
    return _final_search(model, x, y, target, best, error)


def _final_search(model, x, y, target, best, error, steps=3):
    """Shorten the best δ by a factor s, found by secant steps: near the boundary the logits are almost linear in s.

    The secant steps aim 1 % beyond the boundary, and farther than the rounding error.
    """
    xp = namespace(x)
    largest = xp.finfo(x.dtype).max / 4

    def at(s):
        f = advantage(model, x + per_row(s, x) * best, y, target)
        return xp.clip(f, -largest, largest)  # the logit of a class that is masked out is −∞

    below = xp.zeros(len(x), x.dtype)
    above = xp.ones(len(x), x.dtype)
    f_below = at(below)
    f_above = at(above)
    for _ in range(steps):
        rise = f_above - f_below
        s = below + (2 * error - f_below) * (above - below) / xp.where(rise > 0, rise, 1)
        s = xp.where(rise > 0, xp.minimum(s + (above - s) / 100, above), above)
        f = at(s)
        fooled = f > error
        above = xp.where(fooled, s, above)
        f_above = xp.where(fooled, f, f_above)
        below = xp.where(fooled, below, s)
        f_below = xp.where(fooled, f_below, f)
    return per_row(above, x) * best


def _size(length, best):
    """Return ‖best‖, infinite where there is no best δ yet."""
    xp = namespace(best)
    size = length(best)
    return xp.where(size > 0, size, xp.inf).astype(best.dtype)


def _shortened(length, delta, most):
    """Shorten δ to at most the given length."""
    xp = namespace(delta)
    size = length(delta)
    return delta * per_row(xp.minimum(1, most / xp.where(size > 0, size, 1)), delta)
