"""Check and convert the arguments of public functions by their names, before any work.

A name means the same thing everywhere: ``x`` is a batch of images, ``steps`` a whole number of at least one, ``rng`` a
generator or the seed of one. ``VOCABULARY`` has the check for each name, and ``@checked`` applies it, so that the body
of a function can begin with its algorithm:

>>> @checked
... def bounded_steps(*, steps=10, rng=None):
...     return steps
>>> bounded_steps(steps=0)
Traceback (most recent call last):
ValueError: steps = 0 must be >= 1
"""

import inspect
from functools import partial, wraps

import numpy as np

from . import checks, tasks
from .backend import namespace
from .support.blas import one_blas_thread


def whole(least=0):
    """Return a check of a whole number >= ``least``."""
    return partial(checks.count, least=least)


def one_of(*known):
    """Return a check of a value that must be one of the known ones."""

    def check(name, value):
        if not any(value is k or (isinstance(value, str) and value == k) for k in known):
            names = " or ".join(getattr(k, "__name__", repr(k)) for k in known)
            raise ValueError(f"{name} = {checks.shown(value)}; {names} was expected")
        return value

    return check


def each(rule, least=0):
    """Return a check of a list of at least ``least`` values, each of which passes the check ``rule``."""

    def check(name, value):
        return [rule(f"{name}[{i}]", item) for i, item in enumerate(checks.sequence(name, value, least))]

    return check


def each_by_name(rule):
    """Return a check of a dict from names to values, each of which passes the check ``rule``."""

    def check(name, value):
        return {key: rule(f"{name}[{key!r}]", item) for key, item in checks.by_name(name, value).items()}

    return check


def taking(*arguments, named=()):
    """Return a check of a function that can be called with these arguments, and is not a class.

    >>> taking("model", "x", "y")("attack", len)
    Traceback (most recent call last):
    TypeError: attack must be a function that can be called with (model, x, y); <built-in function len> cannot
    """

    def check(name, value):
        checks.no_class(name, value, "a function")
        return checks.function(name, value, arguments, named)

    return check


def in_norm(*norms, boxed=False):
    """Return a check of a perturbation set in one of these norms; with ``boxed`` it must have a box."""
    names = " or ".join(norm.__name__ for norm in norms) + (" in a box" if boxed else "")

    def check(name, value):
        ball = getattr(checks.threat(name, value), "ball", None)
        if not isinstance(ball, norms) or (boxed and value.box is None):
            raise TypeError(f"{name} = {checks.shown(value)}; {names} was expected")
        return value

    return check


def anything(name, value):
    """Accept every value, for an argument that the function checks itself."""
    return value


VOCABULARY = {
    "model": checks.model,
    **dict.fromkeys(("x", "delta", "start", "pool"), lambda name, value: checks.images(value, name)),
    "threat": checks.threat,
    "loss": checks.loss,
    "box": checks.bounds,
    "rng": checks.rng,
    "seeds": checks.seeds,
    "callback": taking("iterate"),
    "schedule": taking("epoch"),
    "optimizer": checks.optimizer,
    **dict.fromkeys(("attack", "black_box"), taking("model", "x", "y", "threat")),
    **dict.fromkeys(("path", "cache", "checkpoint"), checks.path),
    "shape": checks.shape,
    "dtype": checks.dtype,
    **dict.fromkeys(("alpha", "overshoot", "eps", "beta", "rho", "rate", "scale", "confidence"), checks.size),
    **dict.fromkeys(("sigma", "temperature", "gamma", "c", "lr"), checks.positive),
    **dict.fromkeys(("steps", "restarts", "queries", "passes", "batch_size", "searches", "trials", "rounds"), whole(1)),
    **dict.fromkeys(("targets", "pairs", "directions", "bits"), whole(1)),
    "candidates": whole(2),
    "epochs": whole(0),
    **dict.fromkeys(("normalized", "until_wrong", "adaptive", "progress"), checks.flag),
}


def checked(function=None, /, **own):
    """Check and convert the arguments of the decorated function before it runs.

    First each argument is checked by itself, in the order of the parameters. Then they are checked together: labels and
    target against the logits of one example, x against the threat and the box, the seeds against x. An argument that is
    its default is not checked. The function receives the converted arguments: labels as int64, a generator for
    ``rng=0``.

    Parameters
    ----------
    function : callable
    **own : callable
        ``own[name](name, value)`` replaces the check of the vocabulary. It returns the value, or raises TypeError or
        ValueError with a message that names the argument.
    """
    if function is None:
        return partial(_decorated, own=own)
    return _decorated(function, own)


def check_fields(thing, **rules):
    """Check and convert the fields of a dataclass, frozen or not; to be called in its ``__post_init__``.

    A field whose default is None may be None.

    Parameters
    ----------
    thing : dataclass
    **rules : callable
        The check of each field, as for :func:`checked`.
    """
    for name, rule in rules.items():
        value = getattr(thing, name)
        if value is not None or getattr(type(thing), name, ...) is not None:
            object.__setattr__(thing, name, rule(name, value))


def _decorated(function, own):
    where = function.__qualname__.split("<locals>.")[-1].removesuffix(
        ".__init__"
    )  # a constructor is named as its class
    signature = inspect.signature(function)
    if unknown := set(own) - set(signature.parameters):
        raise TypeError(f"{where} has no parameter {sorted(unknown)[0]}")
    rules = {name: {**VOCABULARY, **own}[name] for name in signature.parameters if name in VOCABULARY or name in own}
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}

    @wraps(function)
    def call(*args, **options):
        try:
            given = signature.bind(*args, **options)
        except TypeError as error:
            raise TypeError(f"{where}: {error}") from None
        given.apply_defaults()
        values = given.arguments
        for name, rule in rules.items():
            if values[name] is not defaults[name]:
                values[name] = rule(name, values[name])
        _together(values, rules.get("model") is not checks.black_box, own)
        return function(*given.args, **given.kwargs)

    call.__signature__ = signature
    return call


def _together(values, knows_logits, own):
    """Check the arguments against each other, except those with a check of their own, and convert the labels."""
    x = values.get("x")
    model = values.get("model")
    if x is None or "x" in own:
        return
    arrays = [value for name, value in values.items() if hasattr(value, "dtype") and name != "seeds"]
    checks.one_side(*arrays, *getattr(model, "params", {}).values())
    checks.features(model, x)
    _labels(values, x, model if knows_logits else None, own)
    _at_their_examples(values, x)
    if "box" not in own:
        checks.inside_bounds(x, values.get("box"))
    if values.get("seeds") is not None and len(values["seeds"]) != len(x):
        raise ValueError(f"seeds has shape {values['seeds'].shape}; one for each example, ({len(x)},), was expected")


def _at_their_examples(values, x):
    """Refuse perturbation sets that do not fit x."""
    sets = {name: values.get(name) for name in ("threat", "ball")}
    sets |= {f"threats[{i}]": threat for i, threat in enumerate(values.get("threats", ()))}
    for name, delta_set in sets.items():
        try:
            if delta_set is not None:
                delta_set.at(x)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


def _labels(values, x, model, own):
    """Check and convert the labels; with a model, check them and the loss against the logits of one example."""
    given = [name for name in ("y", "target", "rival") if name in values and name not in own]
    given = [name for name in given if values[name] is not None or name == "y"]
    if not given:
        return
    z, task = (None, None) if model is None else first_logits(model, x)
    for name in given:
        checks.one_side(x, values[name])
        check = tasks.whole_labels if task is None else task.check_labels
        values[name] = check(values[name], len(x), name)
    if task is not None and "loss" in values and "y" in given:
        loss = values["loss"] or checks.judged("model", model).loss
        target = values.get("target")
        check_loss(z, task, loss, values["y"][:1], None if target is None else target[:1])


def first_logits(model, x):
    """Return the logits of the first example, one row, and the task of the model."""
    with one_blas_thread():
        z = model.logits(x[:1])
    task = tasks.of(model, z)
    return task.check_logits(z, "x[:1]"), task


def check_examples(model, x, y, name="y"):
    """Return (x, y), checked for a model and converted; this computes the logits of one example."""
    x = checks.images(x)
    checks.one_side(x, *getattr(model, "params", {}).values())
    _, task = first_logits(model, x)
    checks.one_side(x, y)
    return x, task.check_labels(y, len(x), name)


def check_attack(model, x, y, threat, target=None):
    """Return (x, y, target), checked for an attack in the set and converted."""
    x, y = check_examples(model, x, y)
    threat.at(x)
    return x, y, None if target is None else check_examples(model, x, target, "target")[1]


def check_loss(z, task, loss, y, target, name="loss"):
    """Refuse a loss that cannot be computed from the logits z of one example and its labels.

    Parameters
    ----------
    z : array
        The logits of one example, one row.
    task : Task
        What the logits mean.
    loss : Loss
    y, target : array, shape (1,)
        The label and the target of the example; the target may be None.
    name : str
        The name of the loss in the message.
    """
    labels = y
    if getattr(loss, "of_pairs", False):
        if target is None:
            raise ValueError(f"{name}: {type(loss).__name__} needs the labels to reach: pass target")
        labels = namespace(y).stack([y, target], axis=1)
    try:
        wrong = np.shape(loss.value(z, labels)) != (1,)  # one value for the example
        why = ""
    except Exception as error:
        wrong = True
        why = f": {type(error).__name__}: {error}"
    if wrong:
        raise ValueError(f"{name} = {checks.shown(loss)} cannot be computed for {task.models}{why}")
