"""Bad input is refused here, before any work, in words that name the value and what was expected.

Each check of a value takes its name first and returns the value as the library computes with it: a Python number, a
NumPy or CuPy array, a generator. Arrays from elsewhere (lists, pandas, read-only or memory-mapped, in Fortran's order,
in another byte order) are converted in :func:`images` and :func:`labels`, and nowhere else. ``checked.py`` applies the
checks to the arguments of a public function.
"""

import inspect
import math
import numbers
import os
from contextlib import suppress

import numpy as np

from .backend import host, namespace
from .support.blas import one_blas_thread

# Numbers, flags and functions


def number(name, value):
    """Return the value as a Python float; refuse what is not a finite number."""
    value = value.item() if getattr(value, "shape", None) == () else value
    if not is_number(value):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not _is_finite(value):
        raise ValueError(f"{name} = {shown(value)} must be finite")
    return float(value)


def size(name, value):
    """Return the value as a Python float; refuse what is not a finite number >= 0."""
    if not is_number(value):
        raise TypeError(f"{name} must be a number, not {shown(value)}")
    if not (_is_finite(value) and value >= 0):
        raise ValueError(f"{name} = {shown(value)} must be finite and >= 0")
    return float(value)


def sizes(name, value):
    """Return a finite number >= 0 as a Python float, or a one-dimensional array of them in float64 on the host."""
    if getattr(value, "ndim", 0) == 0:
        return size(name, value)
    value = host(value)
    if value.ndim != 1 or value.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number, or an array of them of shape (N,), not {shown(value)}")
    if not (np.isfinite(value) & (value >= 0)).all():
        raise ValueError(f"{name} = {shown(value)} must be finite and >= 0")
    return value.astype(float)


def counts(name, value):
    """Return a whole number >= 0 as a Python int, or a one-dimensional array of them on the host."""
    if getattr(value, "ndim", 0) == 0:
        return count(name, value)
    value = host(value)
    if value.ndim != 1 or value.dtype.kind not in "iu":
        raise TypeError(f"{name} must be a whole number, or an array of them of shape (N,), not {shown(value)}")
    if (value < 0).any():
        raise ValueError(f"{name} = {shown(value)} must be >= 0")
    return value.astype(int)


def positive(name, value):
    """Return the value as a Python float; refuse what is not a finite number > 0."""
    value = size(name, value)
    if value == 0:
        raise ValueError(f"{name} = {value} must be > 0")
    return value


def share(name, value):
    """Return the value as a Python float; refuse what does not lie in [0, 1]."""
    value = size(name, value)
    if value > 1:
        raise ValueError(f"{name} = {value} must be <= 1")
    return value


def below_one(name, value):
    """Return the value as a Python float; refuse what does not lie in [0, 1)."""
    value = share(name, value)
    if value == 1:
        raise ValueError(f"{name} = {value} must be < 1")
    return value


def signed(name, value):
    """Return the value as a Python float; refuse what is not a finite number other than 0."""
    value = number(name, value)
    if value == 0:
        raise ValueError(f"{name} = {value} must not be 0")
    return value


def count(name, value, least=0, below=2**63):
    """Return the value as a Python int; refuse what is not a whole number >= ``least`` and < ``below``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if value < least:
        raise ValueError(f"{name} = {shown(value)} must be >= {least}")
    if value >= below:
        raise ValueError(f"{name} = {shown(value)} must be below 2**63")
    return int(value)


def seed(name, value):
    """Return the value as a Python int; refuse what is not a whole number >= 0. It may be as large as one likes."""
    return count(name, value, below=math.inf)


def flag(name, value):
    """Return the value as a Python bool; refuse what is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def text(name, value):
    """Refuse what is not text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {shown(value)}")
    return value


def path(name, value):
    """Refuse what is no name of a file or folder: text, or a path such as those of ``pathlib``."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be text or a path, not {shown(value)}")
    if str(value) == "" or "\0" in str(value):
        raise ValueError(f"{name} = {shown(value)} is no name of a file or folder")
    return value


def function(name, value, arguments=None, named=()):
    """Refuse what cannot be called, or not with these arguments.

    Parameters
    ----------
    name : str
    value : object
    arguments : sequence of str, optional
        What each of the arguments is, in their order. Default: any.
    named : sequence of str
        The names of further arguments, which are passed by name.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {shown(value)}")
    if arguments is not None and not _takes(value, arguments, named):
        words = ", ".join([*arguments, *(f"{option}=..." for option in named)])
        raise TypeError(f"{name} must be a function that can be called with ({words}); {shown(value)} cannot")
    return value


def _takes(function, arguments, named):
    """Whether the function can be called so, as far as Python knows its parameters."""
    for follow in (True, False):  # a decorator may take other arguments than the function that it wraps
        try:
            signature = inspect.signature(function, follow_wrapped=follow)
        except (ValueError, TypeError):  # of some functions that are written in C
            return True
        with suppress(TypeError):
            signature.bind(*arguments, **dict.fromkeys(named))
            return True
    return False


def rng(name, value):
    """Return a NumPy generator: the value itself, or one that is seeded with it.

    Raises
    ------
    TypeError
        If the value is neither a ``numpy.random.Generator`` nor a whole number.
    """
    if isinstance(value, np.random.Generator):
        return value
    if not isinstance(value, numbers.Integral) or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be np.random.default_rng(seed) or a whole number as its seed, not {shown(value)}")
    return np.random.default_rng(count(name, value))


def no_class(name, value, what):
    """Refuse a class where one of its objects belongs; ``what`` says what was expected."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; {what} was expected: call the class first")


def has(name, value, attributes, what):
    """Return the value; refuse classes, and objects that lack one of the attributes, or have None in its place.

    ``what`` says what was expected.
    """
    no_class(name, value, what)
    if missing := [attribute for attribute in attributes if getattr(value, attribute, None) is None]:
        raise TypeError(f"{name} must be {what}; {shown(value)} has no {missing[0]}")
    return value


def loss(name, value):
    """Refuse what has no ``value`` and ``grad``, as the losses of ``scratchadv.losses`` have."""
    return has(name, value, ("value", "grad"), "a loss with value(z, y) and grad(z, y)")


def optimizer(name, value):
    """Refuse what has no ``start`` and ``step``, as the optimisers of ``scratchadv.training.optim`` have."""
    has(name, value, ("start", "step"), "an optimiser, such as SGD(0.1)")
    function(f"{name}.step", value.step, ("params", "grads", "state", "scale"))
    return value


def layer(name, value):
    """Refuse what is no layer, as those of ``scratchadv.layers`` are."""
    return has(name, value, ("initial",), "a layer, such as Dense(10)")


# Sets and ranges


def threat(name, value):
    """Refuse what is no perturbation set."""
    return has(name, value, ("at", "project", "linear_max", "contains"), "a perturbation set, such as Linf(0.1)")


def pixel_range(name, value):
    """Return (lower, upper), the range of x + δ; None stays None: there is no range."""
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be a pair (lower, upper) or None, not {shown(value)}")
    return box(*value)


def bounds(name, value):
    """Return what bounds δ: a pair (lower, upper) for the range of x + δ, a Box, a Mask, a Range, or None."""
    if getattr(value, "box", None) is not None:  # a perturbation set
        if value.box != value:
            raise TypeError(f"{name} = {shown(value)} holds the ball of a norm: pass its part without it, threat.box")
        return value
    if value is not None and (not isinstance(value, tuple | list) or len(value) != 2):
        raise TypeError(f"{name} must be a pair (lower, upper), a Box, a Mask, a Range or None, not {shown(value)}")
    return pixel_range(name, value)


def inside_bounds(x, value):
    """Refuse x outside what ``bounds`` has returned."""
    if hasattr(value, "at"):
        value.at(x)
    elif value is not None:
        inside_box(x, *value)


def mask(name, value):
    """Return an array of bool; refuse what is none."""
    if isinstance(value, list | tuple):
        value = np.asarray(value)
    if getattr(getattr(value, "dtype", None), "kind", None) != "b" or value.ndim == 0:
        raise TypeError(f"{name} must be an array of bool, True where a feature may change, not {shown(value)}")
    return value


def broadcasts(what, value, x):
    """Refuse an array that does not broadcast to x."""
    if not _broadcasts(np.shape(value), np.shape(x)):
        raise ValueError(f"{what} has shape {np.shape(value)}; one that broadcasts to x, {np.shape(x)}, was expected")


def box(lower, upper):
    """Return both sides as floats or arrays of floats; refuse a range that is empty or not of numbers."""
    low, high = _side("the lower end of the box", lower), _side("the upper end of the box", upper)
    xp = namespace(low, high)
    try:
        full = bool(xp.all(xp.asarray(low <= high)))
    except ValueError as error:
        raise ValueError(f"the box has ends of shapes {np.shape(low)} and {np.shape(high)}: {error}") from error
    if not full:  # also refuses NaN
        raise ValueError(f"the box [{lower}, {upper}] is empty: lower <= upper was expected")
    return low, high


def _side(name, value):
    if is_number(value):
        if not _is_finite(value) and not isinstance(value, float | np.floating):
            raise ValueError(f"{name} is {shown(value)}: too large for a float")
        return float(value)
    if getattr(getattr(value, "dtype", None), "kind", None) in ("i", "u", "f") and value.ndim > 0:
        return value
    raise TypeError(f"{name} must be a number or an array of numbers, not {shown(value)}")


def inside_box(x, lower, upper, hint=""):
    """Refuse x outside [lower, upper], and a box that does not broadcast to x; rounding is forgiven."""
    xp = namespace(x, lower, upper)
    for side in (lower, upper):
        broadcasts("the box", side, x)
    slack = 4 * np.finfo(getattr(x, "dtype", float)).eps
    outside = xp.asarray((x < lower - slack) | (x > upper + slack))
    if outside.any():
        value = xp.broadcast_to(xp.asarray(x), outside.shape)[outside][0].item()
        raise ValueError(f"x holds {value:g}, outside the box [{lower}, {upper}]{hint}")


def finite_box(what, lower, upper, of=""):
    """Refuse a box with an infinite side, for what needs the width of the range; ``of`` is named too."""
    xp = namespace(lower, upper)
    if not xp.isfinite(xp.asarray(upper - lower)).all():
        raise ValueError(f"{f'{what} {of}'.rstrip()} needs a finite box; [{lower}, {upper}] has an infinite side")


# Arrays


def array(name, value, what):
    """Return the value as an array of numbers in C order and native byte order; ``what`` says what was expected."""
    if namespace(value) is not np:
        return namespace(value).ascontiguousarray(value)
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; a plain array {what} was expected")
    if not hasattr(value, "dtype") and not isinstance(value, list | tuple) and not hasattr(value, "__array__"):
        raise TypeError(f"{name} must be an array {what}, not {type(value).__name__}")
    try:
        found = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} cannot be made an array {what}: {error}") from error
    if found.dtype.kind not in "biufc":
        raise TypeError(f"{name} must be an array {what} that holds numbers, not {found.dtype}")
    found = found.astype(found.dtype.newbyteorder("="), copy=False)
    return found if found.ndim == 0 else np.ascontiguousarray(found)


def images(x, name="x"):
    """Return a non-empty batch of finite floats, shape ``(N, *D)``, as an array in C order and native byte order.

    Lists, tables of pandas, and arrays that are read-only, memory-mapped or otherwise unusual are converted.
    """
    x = array(name, x, "of shape (N, *D)")
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name} has dtype {x.dtype}; float32 or float64 was expected (8-bit images: divide by 255 first)"
        )
    if x.ndim < 2 or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; at least one example was expected, shape (N, *D)")
    xp = namespace(x)
    if not xp.isfinite(x).all():
        raise ValueError(f"{name} holds {x[~xp.isfinite(x)][0].item()}; finite values were expected")
    return x


def example(name, value):
    """Return a single example, shape D, or what is shaped like one; else like :func:`images`."""
    if isinstance(value, list | tuple):
        value = np.asarray(array(name, value, "of the shape of one example"))
    if namespace(value) is np and not hasattr(value, "__array__"):
        raise TypeError(f"{name} must be an array of the shape of one example, not {shown(value)}")
    return images(value[None], name)[0]


def parameter(name, value):
    """Return the value; refuse what is not an array of floats, of any shape."""
    if getattr(value, "dtype", None) not in (np.float32, np.float64):
        raise TypeError(f"{name} must be an array of float32 or float64, not {shown(value)}")
    return value


def dtype(name, value):
    """Return float32 or float64 as a dtype of NumPy; refuse what means neither."""
    if not isinstance(value, str | type | np.dtype) or value not in (
        np.float32,
        np.float64,
        float,
        "float32",
        "float64",
    ):
        raise TypeError(f"{name} must be float32 or float64, not {shown(value)}")
    return np.dtype(value)


def sequence(name, value, least=0):
    """Return a list of the values; refuse what does not give them one after the other, or gives too few."""
    no_class(name, value, "a sequence")
    unordered = isinstance(value, str | bytes | dict | set | frozenset)
    if unordered or not hasattr(value, "__iter__") or getattr(value, "ndim", 1) == 0:
        raise TypeError(f"{name} must be a sequence, such as a list, not {shown(value)}")
    values = list(value)
    if len(values) < least:
        raise ValueError(f"{name} = {shown(value)} must have at least {least} {'values' if least > 1 else 'value'}")
    return values


def by_name(name, value):
    """Return the value; refuse what is no dict whose keys are text."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict, not {shown(value)}")
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise TypeError(f"{name} has the key {shown(wrong[0])}; names were expected")
    return value


def shape(name, value, sides=None):
    """Return a tuple of whole numbers >= 1, one at least, or as many as ``sides`` says."""
    found = tuple(count(f"{name}[{i}]", side, least=1) for i, side in enumerate(sequence(name, value, least=1)))
    if sides not in (None, len(found)):
        raise ValueError(f"{name} = {shown(value)} must have {sides} sides")
    return found


def signs(y, n, name="y"):
    """Return ``n`` labels −1/+1 as int64; refuse anything else."""
    y = _labels(y, n, name)
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item():g}; the labels of a binary model are -1 and +1")
    return y.astype(np.int64, copy=False)


def classes(y, n, k, name="y"):
    """Return ``n`` integer labels in 0 to k − 1 as int64; refuse anything else."""
    y = _labels(y, n, name)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {y.dtype}; integer labels in 0..{k - 1} were expected")
    wrong = y[(y < 0) | (y >= k)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item()}; labels in 0..{k - 1} were expected")
    return y.astype(np.int64, copy=False)


def whole_labels(y, n, name="y"):
    """Return ``n`` labels, integers as int64, where the number of classes is not known: 0, 1, …, or −1 and +1."""
    y = _labels(y, n, name)
    with np.errstate(invalid="ignore"):  # of infinite labels, which are refused
        wrong = y[(y % 1 != 0) | (y < -1) | (y.astype(float) >= 2.0**63)]
    if len(wrong):
        raise ValueError(f"{name} holds {wrong[0].item():g}; labels are 0, 1, …, or -1 and +1")
    return y.astype(np.int64, copy=False) if y.dtype.kind in "iu" else y


def labels(y, z, name="y"):
    """Return labels that fit the logits, as int64: −1/+1 for ``(N,)``, 0 to K − 1 for ``(N, K)``."""
    return signs(y, len(z), name) if z.ndim == 1 else classes(y, len(z), z.shape[1], name)


def seeds(name, value):
    """Return seeds as uint64; refuse what is not an array of whole numbers on the host."""
    value = array(name, value, "of whole numbers, shape (N,)")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim != 1:
        raise TypeError(f"{name} must be an array of whole numbers of NumPy, shape (N,), not {shown(value)}")
    return value.astype(np.uint64)


def same_shape(a, x, name):
    """Refuse an array that is not shaped like x, or does not lie where x lies."""
    one_side(a, x)
    if a.shape != x.shape:
        raise ValueError(f"{name} has shape {a.shape}; the shape of x, {x.shape}, was expected")


def one_side(*arrays):
    """Refuse a mix of NumPy and CuPy arrays."""
    namespace(*arrays)


def on_host(what, *arrays):
    """Refuse arrays on a device, for what is done by SciPy."""
    if namespace(*arrays) is not np:
        raise TypeError(f"{what} runs on NumPy arrays only; move these with to_host first")


# Models


def model(name, value):
    """Refuse what has no ``logits`` and ``vjp_x``."""
    return has(name, value, ("logits", "vjp_x"), "a model with logits and vjp_x")


def classifier(name, value):
    """Refuse what has no ``logits``; what only predicts needs no gradient."""
    return has(name, value, ("logits",), "a model with logits")


def judged(name, value):
    """Refuse what has no ``logits`` and ``loss``; what is only judged needs no gradient."""
    return has(name, value, ("logits", "loss"), "a model with logits and loss")


def trainable(name, value):
    """Refuse what has no ``logits``, ``vjp_theta`` and ``params``."""
    return has(name, value, ("logits", "vjp_theta", "params"), "a model with logits, vjp_theta and params")


def black_box(name, value):
    """Refuse what shows neither logits nor probabilities nor labels."""
    if isinstance(value, type) or not any(
        callable(getattr(value, shown, None)) for shown in ("logits", "probabilities", "predict_proba", "predict")
    ):
        raise TypeError(f"{name} must have one of logits, probabilities and predict; {shown(value)} has none of them")
    return value


def features(model, x):
    """Refuse x whose examples have another number of components than a model of scikit-learn was fitted with."""
    expected, found = getattr(model, "n_features_in_", None), math.prod(x.shape[1:])
    if expected not in (None, found):
        raise ValueError(f"x has shape {x.shape}, {found} features an example; the model has {expected}")


def logits(z, what="x"):
    """Refuse logits with NaN, and a single column, which may be meant either way; return the others.

    Parameters
    ----------
    z : array, shape (N,) or (N, K)
    what : str
        What the model was asked about.
    """
    if getattr(z, "ndim", 0) not in (1, 2) or z.shape[1:] == (1,):
        raise ValueError(
            f"the logits of the model have shape {getattr(z, 'shape', None)}; (N,) for a binary model, or (N, K) with "
            "K > 1 classes was expected"
        )
    wrong = namespace(z).isnan(z.reshape(len(z), -1)).any(axis=1)
    if wrong.any():
        raise ValueError(f"the logits of the model are NaN for {int(wrong.sum())} of {len(z)} examples of {what}")
    return z


def examples(model, x, y, name="y"):
    """Return (x, y) for a model that may be asked about them; costs the logits of one example."""
    x = images(x)
    one_side(x, *getattr(model, "params", {}).values())
    return x, fitting(model, x, y, name)


def first_logits(model, x):
    """Return the logits of the first example, shape (1,) or (1, K), which say what labels a model has."""
    with one_blas_thread():
        return logits(model.logits(x[:1]), "x[:1]")


def fitting(model, x, y, name):
    """Return the labels y of the images x, which have been checked, for this model; costs the logits of one example."""
    return labels_like(first_logits(model, x), x, y, name)


def labels_like(z, x, y, name):
    """Return the labels y of the images x for a model that gives one example the logits z."""
    one_side(x, y)
    return labels(y, namespace(z).broadcast_to(z, (len(x), *z.shape[1:])), name)


def loss_of(z, loss, y, target, name="loss"):
    """Refuse a loss that cannot be computed from the logits z of one example and its labels.

    Parameters
    ----------
    z : array, shape (1,) or (1, K)
    loss : Loss
    y, target : array, shape (1,)
        The target may be None.
    name : str
    """
    labels = y
    if getattr(loss, "of_pairs", False):
        if target is None:
            raise ValueError(f"{name}: {type(loss).__name__} needs the labels to reach: pass target")
        labels = namespace(y).stack([y, target], axis=1)
    try:
        wrong = np.shape(loss.value(z, labels)) != (1,)
        why = ""
    except Exception as error:
        wrong, why = True, f": {type(error).__name__}: {error}"
    if wrong:
        what = "binary models" if z.ndim == 1 else f"models of {z.shape[1]} classes"
        raise ValueError(f"{name} = {shown(loss)} cannot be computed for {what}{why}")


def attack(model, x, y, threat, target=None):
    """Return (x, y, target) for an attack in a set; refuse bad input."""
    x, y = examples(model, x, y)
    threat.at(x)
    return x, y, None if target is None else fitting(model, x, target, "target")


def smallest_change(model, x, y, box, target=None):
    """Return (x, y, target) for an attack that looks for the smallest change within ``box``, or without one."""
    x, y = examples(model, x, y)
    inside_bounds(x, bounds("box", box))
    return x, y, None if target is None else fitting(model, x, target, "target")


# Helpers


def _labels(y, n, name):
    """The labels as an array of shape ``(n,)`` in a dtype whose comparisons are exact."""
    y = array(name, y, f"of {n} labels")
    if y.shape != (n,):
        raise ValueError(f"{name} has shape {y.shape}; one label for each example of x, ({n},), was expected")
    if y.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {y.dtype}; integer labels were expected")
    return y


def is_number(value):
    """Return whether the value is a real number and no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def _is_finite(value):
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _broadcasts(shape, onto):
    """Whether an array of this shape broadcasts to the other shape."""
    try:
        return onto == () or np.broadcast_shapes(shape, onto) == onto
    except ValueError:
        return False


def shown(value):
    """The value in a message, shortened."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        words = repr(value)
    except Exception:  # a whole number of too many digits, or an object that cannot be shown
        words = f"a {type(value).__name__}"
    return words if len(words) <= 200 else f"{words[:200]}…"
