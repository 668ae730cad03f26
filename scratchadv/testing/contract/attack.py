"""The contract of attacks: the laws that follow from what an attack promises, held against it."""

from ...parallel import limit
from . import conventions, independence, strength  # noqa: F401, they fill the table of laws

# isort: split
from . import odd  # noqa: F401, the last of the table
from .hold import hold
from .promise import KINDS, Promise


def assert_attack_contract(
    attack,
    threat,
    *,
    exact=False,
    iterated=False,
    keeps_best=None,
    smallest=False,
    random=False,
    restarts=False,
    targeted=False,
    models=KINDS,
    classes=2,
    loss=None,
    tolerance=0.02,
    reach=None,
    without=(),
    max_examples=20,
    shrink=True,
):
    r"""Hold the laws that follow from what an attack promises against it, on small models whose worst case is known.

    All laws are in the table ``LAWS``. Every attack promises the conventions: δ is an array like x, inside Δ(x);
    nothing is changed in place, no example depends on its batch mates, bad input is refused, no linear model gains.
    The cases are the same at each call, and nothing is written to disk.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat)`` gives δ; with ``rng=`` where it is random, ``target=`` where it is targeted,
        ``restarts=`` where it has them. Other options: ``functools.partial``.
    threat : Set
        The perturbation set to try it under; its radius and its pixel range are kept.
    exact : bool
        It reaches the closed form on linear models up to rounding.
    iterated : bool
        It reaches the closed form on linear models up to ``tolerance``.
    keeps_best : bool, optional
        It returns the best of its iterates, δ = 0 among them. Default: ``iterated``.
    smallest : bool
        It looks for the smallest change: δ = 0, or x + δ is misclassified; δ = 0 where x is misclassified already.
    random : bool
        It takes ``rng``, a NumPy Generator.
    restarts : bool
        It takes ``restarts`` beside ``rng``, and the first start of several is that of one.
    targeted : bool
        It takes ``target``, and goes up z_target − z_y or down the loss of the target.
    models : tuple of {"logistic", "softmax", "network"}
        What it can attack: one logit with labels −1/+1, several logits that are linear in x, a network.
    classes : int
        The fewest classes that it can attack, for models with several logits.
    loss : Loss, optional
        What it maximises. Default: the loss of the model.
    tolerance : float
        The share of what is to be gained that an iterated attack may leave.
    reach : float, optional
        On linear models it fools whatever the closed form fools with this share of the radius (smallest-change attacks,
        which promise no optimum).
    without : tuple of str
        Names of laws that the attack openly does not keep.
    max_examples : int
        Cases a law.
    shrink : bool
        Whether to look for the smallest counterexample, or to tell the first one.

    Raises
    ------
    ContractError
        If a law is broken: which, how, and a small case that shows it, in one sentence.

    Examples
    --------
    A student's own FGSM, without the sign:

    >>> from scratchadv.checked import checked
    >>> from scratchadv.models.protocol import loss_and_gradient
    >>> @checked
    ... def my_fgsm(model, x, y, threat):
    ...     _, g = loss_and_gradient(model, model.loss, x, y)
    ...     return np.clip(g, -threat.eps, threat.eps)
    >>> assert_attack_contract(my_fgsm, Linf(0.5), exact=True)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchadv.testing.contract.hold.ContractError: the closed form: the margin ...
    """
    promise = Promise(
        attack=attack,
        threat=threat,
        exact=exact,
        iterated=iterated,
        keeps_best=iterated if keeps_best is None else keeps_best,
        smallest=smallest,
        random=random,
        restarts=restarts,
        targeted=targeted,
        models=tuple(models),
        classes=classes,
        loss=loss,
        tolerance=tolerance,
        reach=reach,
    )
    with limit(threads=1):  # a few small examples at a time
        hold(promise.laws(without), promise, max_examples, shrink)
