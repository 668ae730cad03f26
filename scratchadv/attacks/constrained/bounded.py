"""How a smallest-change attack becomes an attack inside a perturbation set."""

from functools import wraps

from ... import tasks
from ...backend import namespace
from ...checked import checked, taking
from ...models.protocol import logits
from ...numerics import per_row


@checked(attack=taking("model", "x", "y", named=("target", "norm", "box")))
def bounded(attack):
    r"""Turn an attack that looks for the smallest change into an attack inside Δ(x).

    The new attack returns the smallest change if it fools the model and lies in Δ(x), and δ = 0 otherwise. It can then
    be used like other attacks inside a set, for example in ``evaluate.robust_accuracy`` or in training.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, *, target=None, norm=L2, box=(0, 1), ...)``, such as ``fab`` or ``deepfool``.

    Returns
    -------
    callable
        ``f(model, x, y, threat, *, target=None, **options)``. The norm and the box are those of the threat; the options
        are passed to the attack.

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
