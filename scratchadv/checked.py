"""The arguments of a public function, checked and converted by their names before any work.

A name means the same thing everywhere: ``x`` is a batch of images, ``steps`` a whole number of at least one, ``rng`` a
generator or the seed of one. ``VOCABULARY`` says what, and ``@checked`` applies it, so that the body of a function can
begin with its algorithm:

>>> @checked
... def bounded_steps(*, steps=10, rng=None):
...     return steps
>>> bounded_steps(steps=0)
Traceback (most recent call last):
ValueError: steps = 0 must be >= 1
"""

import inspect
from functools import partial, wraps

from . import checks


def whole(least=0):
    """Return the check of a whole number >= ``least``."""
    return partial(checks.count, least=least)


def one_of(*known):
    """Return the check of a value that must be one of the known ones."""

    def check(name, value):
        if not any(value is k or (isinstance(value, str) and value == k) for k in known):
            names = " or ".join(getattr(k, "__name__", repr(k)) for k in known)
            raise ValueError(f"{name} = {checks.shown(value)}; {names} was expected")
        return value

    return check


def anything(name, value):
    """Accept every value; the function itself says what it needs."""
    return value


VOCABULARY = {
    "model": checks.model,
    **dict.fromkeys(("x", "delta", "start", "pool"), lambda name, value: checks.images(value, name)),
    "threat": checks.threat,
    "loss": checks.loss,
    "box": checks.pixel_range,
    "rng": checks.rng,
    "seeds": checks.seeds,
    "callback": checks.function,
    **dict.fromkeys(("attack", "schedule", "black_box"), checks.function),
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

    Arguments are checked one by one in the order of the table, then together: labels and target against the logits of
    one example, x against the threat and the box, δ and the seeds against x. An argument that has its default is not
    checked. What the function gets is converted: labels are int64, ``rng=0`` is a generator.

    Parameters
    ----------
    function : callable
    **own : callable
        ``own[name](name, value)`` in place of the vocabulary's check; it returns the value, or raises TypeError or
        ValueError in words that name it.
    """
    if function is None:
        return partial(_decorated, own=own)
    return _decorated(function, own)


def _decorated(function, own):
    signature = inspect.signature(function)
    if unknown := set(own) - set(signature.parameters):
        raise TypeError(f"{function.__name__} has no parameter {sorted(unknown)[0]}")
    rules = {name: {**VOCABULARY, **own}[name] for name in signature.parameters if name in VOCABULARY or name in own}
    defaults = {name: parameter.default for name, parameter in signature.parameters.items()}

    @wraps(function)
    def call(*args, **options):
        try:
            given = signature.bind(*args, **options)
        except TypeError as error:
            raise TypeError(f"{function.__name__}: {error}") from None
        given.apply_defaults()
        values = given.arguments
        for name, rule in rules.items():
            if values[name] is not defaults[name]:
                values[name] = rule(name, values[name])
        _together(values, rules.get("model") is not checks.black_box, own)
        return function(*given.args, **given.kwargs)

    return call


def _together(values, knows_logits, own):
    """Check the arguments against each other, and convert the labels, but for those with a check of their own."""
    x, model = values.get("x"), values.get("model")
    if x is None or "x" in own:
        return
    arrays = [value for name, value in values.items() if hasattr(value, "dtype") and name != "seeds"]
    checks.one_side(*arrays, *getattr(model, "params", {}).values())
    for name in {"y", "target", "rival"} - set(own):
        if name in values and (values[name] is not None or name == "y"):
            fit = partial(checks.fitting, model) if knows_logits and model is not None else _whole_labels
            values[name] = fit(x, values[name], name)
    if values.get("threat") is not None:
        values["threat"].at(x)
    if values.get("box") is not None and "box" not in own:
        checks.inside_box(x, *values["box"])
    if values.get("seeds") is not None and len(values["seeds"]) != len(x):
        raise ValueError(f"seeds has shape {values['seeds'].shape}; one for each example, ({len(x)},), was expected")


def _whole_labels(x, y, name):
    checks.one_side(x, y)
    return checks.whole_labels(y, len(x), name)
