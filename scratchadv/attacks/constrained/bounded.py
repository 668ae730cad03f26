"""A smallest-change attack as an attack inside a perturbation set."""

from functools import wraps

from ... import tasks
from ...backend import namespace
from ...checked import checked, taking
from ...models.protocol import logits
from ...numerics import per_row


@checked(attack=taking("model", "x", "y", named=("target", "norm", "box")))
def bounded(attack):
    r"""The attack that keeps the smallest change where it fools and lies in Δ(x), and does nothing elsewhere.

    So it can stand beside attacks inside a set: in ``evaluate.robust_accuracy``, or in training.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, *, target=None, norm=L2, box=(0, 1), ...)``, such as ``fab`` or ``deepfool``.

    Returns
    -------
    callable
        ``f(model, x, y, threat, *, target=None, **options)``; the norm and the box are those of the threat, the options
        go to the attack.

    Examples
    --------
    >>> model = LogisticRegression(np.array([2.0, 0.0]))
    >>> x, y = np.array([[0.125, 0.0], [0.5, 0.0]]), np.array([1, 1])
    >>> bounded(deepfool)(model, x, y, L2(0.25)).round(4)
    array([[-0.1275,  0.    ],
           [ 0.    ,  0.    ]])
    """

    @wraps(attack, updated=())  # the signature stays that of ``inside``
    @checked
    def inside(model, x, y, threat, *, target=None, **options):
        delta = attack(model, x, y, target=target, norm=type(threat.ball), box=threat.box, **options)
        z = logits(model, x + delta)
        kept = tasks.of(model, z).is_fooled(z, y, target) & threat.at(x).contains(delta)
        return namespace(x).where(per_row(kept, x), delta, 0)

    return inside
