"""The contract of attacks: an attack is checked against the laws that follow from its promises."""

from ...parallel import limit
from . import conventions, independence, strength  # noqa: F401, importing them fills the table of laws

# isort: split
from . import odd  # noqa: F401, its laws come last in the table
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
    r"""Check an attack against the laws that follow from its promises, on small models whose worst case is known.

    All laws are in the table ``LAWS``. Every attack must keep the conventions: δ is an array like x inside Δ(x),
    nothing is changed in place, no example depends on the others in its batch, invalid arguments are refused, and
    on linear models δ is no worse than no attack. The cases are the same at each call, and nothing is written to disk.

    Parameters
    ----------
    attack : callable
        ``attack(model, x, y, threat)`` returns δ. It also takes ``rng=`` if it is random, ``target=`` if it is
        targeted, and ``restarts=`` if it has restarts. Fix other options with ``functools.partial``.
    threat : Set
        The perturbation set under which the attack is tried; its radius and its pixel range are not changed.
    exact : bool
        The attack reaches the closed form on linear models up to rounding.
    iterated : bool
        The attack reaches the closed form on linear models up to ``tolerance``.
    keeps_best : bool, optional
        The attack returns the best of its iterates, including δ = 0. Default: ``iterated``.
    smallest : bool
        The attack looks for the smallest change: either x + δ is misclassified or δ = 0, and δ = 0 if x is
        misclassified already.
    random : bool
        The attack takes ``rng``, a NumPy Generator.
    restarts : bool
        The attack takes ``restarts`` as well as ``rng``, and the first of several starts is the start of a single run.
    targeted : bool
        The attack takes ``target``, and increases z_target − z_y or decreases the loss of the target.
    models : tuple of {"logistic", "softmax", "network"}
        The models that it can attack: one logit with labels −1/+1, several logits that are linear in x, a network.
    classes : int
        The smallest number of classes that it can attack, for models with several logits.
    loss : Loss, optional
        The loss that it maximises. Default: the loss of the model.
    tolerance : float
        The fraction of the possible gain that an iterated attack may miss.
    reach : float, optional
        For smallest-change attacks, which do not promise an optimum: on linear models the attack fools every example
        that the closed form fools with this fraction of the radius.
    without : tuple of str
        Names of laws that the attack is known not to keep.
    max_examples : int
        The number of cases for each law.
    shrink : bool
        Whether to look for the smallest counterexample; otherwise the first one is reported.

    Raises
    ------
    ContractError
        If a law is broken. The message says in one sentence which law and how, with a small case that shows it.

    Examples
    --------
    A student's own FGSM, in which the sign was forgotten:

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
    with limit(threads=1):  # the batches are too small to be shared among threads
        hold(promise.laws(without), promise, max_examples, shrink)
