"""Random wrong arguments to every public function are refused by name before any work.

A call is a function with small valid arguments, one of which is replaced by a wrong value. The call may succeed, since
some values are valid in some places. Otherwise it must raise a TypeError or ValueError whose message has the name of
the argument, from a file of the package and not from inside NumPy. It must not change an array of the caller, give a
warning or take long.
"""

import inspect
import re
import time
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import scratchadv
from scratchadv import attacks, datasets, evaluate, layers, models, robust_logistic, training
from scratchadv.evaluate import transfer
from scratchadv.interop.scikit_learn import linear_scores
from scratchadv.losses import cross_entropy, logistic, logit_difference
from scratchadv.models import CNN, MLP, LogisticRegression, Network, SoftmaxRegression, Taped, weights
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.training import optim, zoo

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")  # of the matrices among the values

PACKAGE = str(Path(scratchadv.__file__).parent)
PATHS = "path", "cache", "checkpoint"
SLOWEST = 1.0  # processor seconds for one refusal; all of them together take milliseconds


class Call(NamedTuple):
    """A public function and a function that makes small valid arguments for it."""

    family: str
    name: str
    function: Any
    arguments: Any


# Valid arguments. They are made anew for every call, so that no call is affected by another.


def classes():
    """A model of three classes, four examples of four features, and their labels."""
    rng = np.random.default_rng(0)
    return {"model": MLP((4, 5, 3), rng=rng), "x": 0.2 + 0.6 * rng.random((4, 4)), "y": np.array([0, 1, 2, 1])}


def signs():
    """A linear model with a single logit, four examples and their labels."""
    x = 0.2 + 0.6 * np.random.default_rng(1).random((4, 3))
    return {"model": LogisticRegression(np.array([1.0, -2.0, 0.5])), "x": x, "y": np.array([1, -1, 1, -1])}


def problem(norm=Linf, **more):
    """The arguments of an attack in a perturbation set."""
    return lambda: {**classes(), "threat": norm(0.2).within(0, 1), **_fresh(more)}


def smallest(**more):
    """The arguments of an attack that looks for the smallest change."""
    return lambda: {**classes(), **_fresh(more)}


def linear(**more):
    """The arguments of the exact linear problem."""
    return lambda: {"theta": np.array([1.0, -2.0, 0.5]), "theta0": 0.5, "ball": Linf(0.1), **_without(signs(), "model")}


def _fresh(more):
    return {name: value() if isinstance(value, partial) else value for name, value in more.items()}


def _without(given, *names):
    return {name: value for name, value in given.items() if name not in names}


def seeded():
    return np.random.default_rng(0)


def nothing(*given, **options):
    """A callback."""


RNG = partial(np.random.default_rng, 0)
TARGET = partial(np.array, [1, 2, 0, 0])
SEEDS = partial(np.array, [1, 2, 3, 4])


def data():
    x = np.random.default_rng(2).random((6, 2, 2, 1)).astype(np.float32)
    y = np.array([0, 1, 0, 1, 2, 2])
    return {"x_train": x, "y_train": y, "x_test": x, "y_test": y, "class_names": ("a", "b", "c"), "source": "here"}


def generator():
    """The arguments of the loss of a transformation network."""
    given = classes()
    atn = attacks.ATN(MLP((4, 3, 4)))
    return {"atn": atn, "victims": [given["model"]], "x": given["x"], "wanted": [np.full((4, 3), 1 / 3)]}


def trees():
    from sklearn.tree import DecisionTreeClassifier

    given = classes()
    tree = DecisionTreeClassifier(random_state=0).fit(given["x"], given["y"])
    return {"tree": tree, "x": given["x"], "y": given["y"], "threat": Linf(0.3).within(0, 1)}


def technique():
    from sklearn.linear_model import LogisticRegression as Technique

    given = classes()
    return {"technique": Technique().fit(given["x"], given["y"])}


def transfers(n=1):
    given = classes()
    models = {"a": given["model"], "b": MLP((4, 3))}
    found = transfer.matrix(models, models, given["x"], given["y"], Linf(0.1).within(0, 1), attacks.fgsm)
    return {"transfers": [found] * n}


def noise():
    given = classes()
    return {"delta": 0.1 * given["x"], "x": given["x"], "threat": Linf(0.2).within(0, 1), "rng": seeded()}


def matrix():
    given = classes()
    sources = {"a": given["model"]}
    targets = {"b": MLP((4, 3)), "c": MLP((4, 2, 3))}
    rest = {"x": given["x"], "y": given["y"], "threat": Linf(0.2).within(0, 1), "attack": attacks.fgsm}
    return {"sources": sources, "targets": targets, **rest, "rng": seeded()}


def saved(folder="."):
    path = Path(folder) / "model.npz"
    weights.save(MLP((4, 3)), path)
    return {"path": path}


FGSM = partial(partial, attacks.fgsm, threat=Linf(0.1).within(0, 1))
TWO = partial(list, [Linf(0.1).within(0, 1), Linf(0.2).within(0, 1)])


def by_linear_map(params, x):
    return x @ params["w"]


def linear_map():
    return {"f": by_linear_map, "params": {"w": np.ones((4, 3))}, "shape": (4,), "loss": cross_entropy}


def train_a_little(model, x, y):
    training.fit(model, x, y, epochs=1, progress=False)


def fitted(**more):
    return lambda: {**classes(), "epochs": 1, "batch_size": 2, "progress": False, **_fresh(more)}


ATTACKS = {
    "fgsm": problem(target=TARGET, loss=cross_entropy),
    "fgsm_random_start": problem(rng=RNG, alpha=0.1),
    "iterated_fgsm": problem(steps=2, alpha=0.1, keep="loss"),
    "momentum_fgsm": problem(steps=2, alpha=0.1, mu=0.9),
    "pgd": problem(steps=2, alpha=0.1, restarts=2, rng=RNG, target=TARGET, callback=nothing),
    "apgd": problem(steps=2, restarts=2, rng=RNG),
    "standard": problem(rng=RNG, steps=2, targets=1, queries=3),
    "exact": lambda: {**signs(), "threat": L2(0.2).within(0, 1)},
    "square": problem(queries=4, rng=RNG),
    "genattack": problem(queries=8, population=3, rng=RNG),
    "nes": problem(queries=12, pairs=2, rng=RNG),
    "spsa": problem(queries=12, pairs=2, seeds=SEEDS),
    "one_pixel": lambda: {**classes(), "threat": L0(1).within(0, 1), "queries": 9, "population": 4, "rng": seeded()},
    "boundary": smallest(queries=20, rng=RNG, start=partial(np.full, (4, 4), 0.5), pool=partial(np.eye, 4)),
    "hopskipjump": smallest(queries=30, directions=3, seeds=SEEDS),
    "deepfool": smallest(steps=2, target=TARGET),
    "fab": smallest(steps=2, restarts=2, eps=0.1, rng=RNG),
    "carlini_wagner": smallest(steps=2, searches=2),
    "jsma": smallest(target=TARGET),
    "lbfgs": smallest(target=TARGET, steps=2, searches=2),
    "saliency_map": lambda: {**_without(classes(), "y"), "target": TARGET()},
    "bounded": lambda: {"attack": attacks.deepfool},
}


def _calls():
    """Every public function with the function that makes its arguments."""
    for name, arguments in ATTACKS.items():
        yield Call("attacks", name, getattr(attacks, name), arguments)
    yield Call("attacks", "bounded(fab)", attacks.bounded(attacks.fab), problem(steps=2))
    yield Call("attacks", "fgsm of a binary model", attacks.fgsm, lambda: {**signs(), "threat": L1(0.2)})

    def box(name, function, arguments):
        return Call("black_box", name, function, arguments)

    for name in ("LabelOracle", "ProbabilityOracle", "LogitOracle", "oracle"):
        yield box(name, getattr(attacks, name), lambda: {"model": classes()["model"], "queries": 3, "total": 9})
    yield box(
        "substitute",
        attacks.substitute,
        lambda: {
            "victim": classes()["model"],
            "model": MLP((4, 3)),
            "x": classes()["x"],
            "train": train_a_little,
            "rounds": 2,
            "sigma": 1,
            "kappa": 2,
            "rng": seeded(),
        },
    )
    nobody = partial(_without, classes(), "y")
    whole = {
        "universal": lambda: {**nobody(), "threat": Linf(0.2).within(0, 1), "passes": 1, "rng": seeded()},
        "universal_gradient": problem(epochs=1, batch_size=2, rng=RNG, callback=nothing),
        "applied": lambda: {"delta": np.full((1, 4), 0.1), "x": classes()["x"], "box": (0, 1)},
        "fooling_rate": lambda: {**nobody(), "delta": np.full((1, 4), 0.1), "box": (0, 1)},
        "rerank": lambda: {"p": np.full((4, 3), 1 / 3), "t": TARGET(), "alpha": 2.0},
        "atn_loss": generator,
        "train_atn": lambda: {
            "victims": [classes()["model"]],
            "x": classes()["x"],
            "epochs": 1,
            "rng": seeded(),
            "progress": False,
            "generator": MLP((4, 3, 4)),
        },
        "ATN": lambda: {"generator": MLP((4, 3, 4)), "kind": "autoencoding", "classes": 0, "losses": []},
    }
    for name, arguments in whole.items():
        yield Call("one_for_all", name, getattr(attacks, name), arguments)
    for name, arguments in {
        "Direct": lambda: {"shape": (2, 2, 1), "rate": 0.2, "halved_every": 10, "eta": 3.0},
        "CPPN": lambda: {"shape": (2, 2, 1), "nodes": 2},
        "gradient_ascent": smallest(steps=2, penalty=0.1),
        "map_elites": lambda: {
            "model": MLP((4, 3)),
            "encoding": attacks.Direct((2, 2, 1)),
            "generations": 1,
            "children": 3,
            "rng": seeded(),
        },
    }.items():
        yield Call("unrecognisable", name, getattr(attacks, name), arguments)
    listed = {"attacks": partial(list, [attacks.fgsm])}
    for name, arguments in {
        "judge": problem(delta=partial(np.zeros, (4, 4)), bits=8, target=TARGET),
        "worst_case": problem(**listed, bits=8),
        "stands": problem(**listed),
        "robust_accuracy": problem(attacks=partial(dict, fgsm=attacks.fgsm)),
        "accuracy_over_eps": lambda: {**classes(), "threats": TWO(), "attacks": [attacks.fgsm]},
        "over_steps": problem(attack=partial(partial, attacks.pgd, steps=2)),
        "sweep": lambda: {**_without(classes(), "model"), "models": [MLP((4, 3))], "threats": TWO(), **_fresh(listed)},
        "signs_of_masking": problem(steps=2, trials=2, rng=RNG),
        "report": problem(
            path="report.html", **listed, eps=partial(list, [0.1]), class_names=partial(list, "abc"), setting={"a": 1}
        ),
    }.items():
        yield Call("evaluate", name, getattr(evaluate, name), arguments)
    yield Call("training", "fit", training.fit, fitted(attack=FGSM, rng=RNG, optimizer=optim.SGD(0.1)))
    yield Call("datasets", "load", datasets.load, lambda: {"name": "strokes", "n_train": 2, "n_test": 2, "seed": 0})
    yield Call("datasets", "make_strokes", datasets.make_strokes, lambda: {"n": 2, "seed": 0, "stream": "test"})
    yield Call("datasets", "Dataset", datasets.Dataset, data)
    yield Call("datasets", "only", datasets.Dataset(**data()).only, lambda: {"a": 0, "b": 2})
    chain = [layers.Dense(5), layers.Tanh(), layers.Dense(3)]
    convs = [layers.Conv(2)]
    for name, (function, arguments) in {
        "LogisticRegression": (LogisticRegression, lambda: {"theta": np.array([1.0, 2.0]), "theta0": 0.5}),
        "initial": (LogisticRegression.initial, lambda: {"shape": (2, 2), "rng": seeded(), "dtype": np.float32}),
        "SoftmaxRegression": (SoftmaxRegression, lambda: {"inputs": 4, "classes": 3, "rng": seeded()}),
        "MLP": (MLP, lambda: {"widths": (4, 3), "activation": "tanh", "rng": seeded(), "dtype": np.float64}),
        "CNN": (CNN, lambda: {"shape": (4, 4, 1), "convs": list(convs), "widths": (5, 3), "rng": seeded()}),
        "Network": (Network, lambda: {"layers": list(chain), "shape": (4,), "rng": seeded(), "dtype": np.float32}),
        "Taped": (Taped, linear_map),
        "weights.save": (weights.save, lambda: {"model": MLP((4, 3)), "path": "saved.npz"}),
        "weights.load": (weights.load, saved),
    }.items():
        yield Call("models", name, function, arguments)
    for name, arguments in {
        "Dense": lambda: {"features": 3},
        "Conv": lambda: {"features": 3, "size": 3, "stride": 1, "padding": 1},
        "MaxPool": lambda: {"size": 2, "stride": 1},
        "AveragePool": lambda: {"size": 2, "stride": 1},
        "Dropout": lambda: {"rate": 0.5},
    }.items():
        yield Call("layers", name, getattr(layers, name), arguments)
    for name, arguments in {
        "worst_margin": linear(),
        "objective": linear(),
        "gradient": linear(),
        "fit": lambda: {**_without(signs(), "model"), "ball": L2(0.01), "tol": 1e-3},
        "critical_radius": lambda: {**_without(signs(), "model"), "norm": Linf},
    }.items():
        yield Call("robust_logistic", name, getattr(robust_logistic, name), arguments)
    for name, arguments in {
        "SGD": lambda: {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        "Adam": lambda: {"lr": 0.1, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-6, "weight_decay": 0.1},
        "steps": lambda: {"factors": {5: 0.1, 7: 0.01}},
        "cosine": lambda: {"epochs": 3},
    }.items():
        yield Call("optim", name, getattr(optim, name), arguments)
    for name, arguments in {
        "matrix": matrix,
        "predictions": lambda: _without(classes(), "y"),
        "noise_like": noise,
        "over_seeds": lambda: {**transfers(2), "of": "control"},
        "tabulate": transfers,
    }.items():
        yield Call("transfer", name, getattr(transfer, name), arguments)
    yield Call("attacks", "tree_attack", attacks.tree_attack, trees)
    yield Call(
        "models",
        "SoftNeighbours",
        models.SoftNeighbours,
        lambda: {**_without(classes(), "model"), "temperature": 0.5},
    )
    yield Call("interop", "linear_scores", linear_scores, technique)
    yield Call(
        "zoo",
        "trained",
        zoo.trained,
        lambda: {
            **_without(classes(), "model"),
            "name": "a",
            "make": partial(MLP, (4, 3)),
            "epochs": 1,
            "rng": seeded(),
            "cache": "cache",
            "progress": False,
        },
    )


# Wrong values by their names in the messages of failures. They are made anew for every call too.


class OnlyLogits:
    """A model without gradients."""

    def logits(self, x):
        return np.zeros((len(x), 3))


POOL = {
    "None": lambda: None,
    "a word": lambda: "abc",
    "no word": lambda: "",
    "bytes": lambda: b"ab",
    "an object": object,
    "a function of nothing": lambda: lambda: None,
    "a function of anything": lambda: nothing,
    "the class Linf": lambda: Linf,
    "the class Generator": lambda: np.random.Generator,
    "the class MLP": lambda: MLP,
    "the class object": lambda: object,
    "a module": lambda: np,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: -float("inf"),
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "1.5": lambda: 1.5,
    "-0.5": lambda: -0.5,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "1j": lambda: 1j,
    "True": lambda: True,
    "np.float32(0.5)": lambda: np.float32(0.5),
    "np.array(2)": lambda: np.array(2),
    "np.array('a')": lambda: np.array("a"),
    "np.datetime64": lambda: np.datetime64("2020-01-01"),
    "[]": list,
    "()": tuple,
    "{}": dict,
    "set()": set,
    "[None]": lambda: [None],
    "['a', 'b']": lambda: ["a", "b"],
    "{'a': None}": lambda: {"a": None},
    "{1, 2}": lambda: {1, 2},
    "(0, 1)": lambda: (0, 1),
    "(1, 0)": lambda: (1, 0),
    "(0.5, 0.5)": lambda: (0.5, 0.5),
    "(nan, 1)": lambda: (float("nan"), 1),
    "(0, None)": lambda: (0, None),
    "('a', 'b')": lambda: ("a", "b"),
    "(-1, 2)": lambda: (-1, 2),
    "(0, 1, 2)": lambda: (0, 1, 2),
    "range(3)": lambda: range(3),
    "a Python generator": lambda: (i for i in range(3)),
    "a slice": lambda: slice(None),
    "an empty array": lambda: np.zeros(0),
    "an array without examples": lambda: np.zeros((0, 4)),
    "an array of objects": lambda: np.array([None, {}], dtype=object),
    "the numbers 0 to 2": lambda: np.arange(3),
    "a square of 0.5": lambda: np.full((2, 2), 0.5),
    "a structured array": lambda: np.zeros(4, [("a", float)]),
    "a masked array": lambda: np.ma.masked_equal(np.full((4, 4), 0.5), 0.5),
    "a matrix": lambda: np.matrix("1 2; 3 4"),
    "a ragged list": lambda: [[0.5, 0.5], [0.5]],
    "RandomState": lambda: np.random.RandomState(0),
    "a set": lambda: Linf(0.1),
    "a set without a bound": lambda: L0(1),
    "a set in a box elsewhere": lambda: Linf(0.1).within(2, 3),
    "a set in a box of another shape": lambda: Linf(0.1).within(np.zeros(7), np.ones(7)),
    "a set in half a box": lambda: L2(0.1).within(0, np.inf),
    "a model without gradients": OnlyLogits,
    "a loss": lambda: logistic,
    "a loss of pairs": lambda: logit_difference,
    "an optimiser": lambda: optim.SGD(0.1),
    "a namespace": lambda: SimpleNamespace(logits=None, vjp_x=None, params=None, loss=None, value=None, grad=None),
}


def variants(value):
    """Values that are nearly the valid value, by name."""
    if isinstance(value, np.ndarray):
        yield from _arrays(value)
    elif isinstance(value, dict):
        yield "with another key", {**value, 7.5: None}
        for key in value:
            for name, make in POOL.items():
                yield f"with {name} at {key!r}", {**value, key: make()}
    elif isinstance(value, list | tuple):
        yield "as a set", set(map(str, value))
        yield "once more", value + value
        yield "with nothing at the end", value[:-1]
        for i in range(len(value)):
            for name, make in POOL.items():
                yield f"with {name} at {i}", type(value)([*value[:i], make(), *value[i + 1 :]])


def _arrays(a):
    yield "the first entry", a.flat[0]
    yield "of no dimension", np.array(a.flat[0])
    yield "flat", a.ravel()
    yield "with an axis in front", a[None]
    yield "with an axis behind", a[..., None]
    yield "transposed", a.T
    yield "one row less", a[:-1]
    yield "without rows", a[:0]
    yield "twice as long", np.concatenate([a, a])
    yield "negative", -a - 1
    yield "large", a + 1000
    yield "10**19", np.full(a.shape, 10**19, np.uint64)
    for dtype in (int, np.uint8, np.float16, np.longdouble, bool, complex, str, object, "M8[s]"):
        yield f"as {dtype}", a.astype(int).astype(dtype) if dtype == "M8[s]" else a.astype(dtype)
    for wrong in (np.nan, np.inf, -np.inf):
        b = a.astype(float)
        b.flat[-1] = wrong
        yield f"with {wrong}", b
    yield "masked", np.ma.masked_less(a, a.max())
    yield "as a matrix", np.asmatrix(a) if a.ndim < 3 else a
    yield "as a ragged list", [*a.tolist()[:-1], [[0]]]
    yield "as a list with None", [*a.tolist()[:-1], None]
    yield "as a set", set(a.ravel().tolist())
    yield "as a dict", dict(enumerate(a.tolist()))
    yield "as a generator", iter(a.tolist())


def parameters(call):
    """The defaults of all named parameters."""
    found = inspect.signature(call.function).parameters.values()
    return {p.name: p.default for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def misuse(rng, calls):
    """A random call with one wrong argument: the call, its arguments, the name of the argument and of the value."""
    call = calls[rng.integers(len(calls))]
    given = call.arguments()
    names = list(dict.fromkeys([*given, *parameters(call)]))
    way = rng.random()
    name = str(rng.choice(names))
    if way < 0.03:
        return call, {**given, f"{name}_": 1}, f"{name}_", "a misspelt name"
    if way < 0.06 and parameters(call).get(name) is inspect.Parameter.empty:
        return call, _without(given, name), name, "left out"
    choices = [*POOL.items()]
    if way > 0.5 and (near := list(variants(given.get(name)))):
        choices = [(what, lambda value=value: value) for what, value in near]
    what, make = choices[rng.integers(len(choices))]
    return call, {**given, name: make()}, name, what


# The outcome of a call.


class Outcome(NamedTuple):
    """The outcome of a call; ``fault`` is empty if the call succeeded or was refused correctly."""

    call: Call
    argument: str
    value: str
    refused: bool
    named: bool
    raised_by: str
    fault: str

    def __str__(self):
        return f"{self.call.family}: {self.call.name}({self.argument} = {self.value}): {self.fault}"


def outcome(call, given, argument, value):
    """Make the call and return its outcome."""
    before = _copies(given)
    error, began = None, time.process_time()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            call.function(**given)
        except Exception as refusal:
            error = refusal
    took = time.process_time() - began
    said = partial(Outcome, call, argument, value, error is not None)
    raised_by = "" if error is None else origin(error)
    named = error is not None and _is_named(argument, given, error)
    faults = []
    if error is not None and not _is_refusal(error, argument, given):
        faults.append("another kind of error")
    if error is not None and not named:
        faults.append("the argument is not named")
    if raised_by not in ("", "scratchadv", "the call"):
        faults.append(f"raised by {raised_by}")
    if error is not None:
        faults = [f"{', '.join(faults)}: {type(error).__name__}: {error!s:.150}"] if faults else []
    if heard:
        faults.append(f"warned: {heard[0].message!s:.100}")
    if _changed(before):
        faults.append("changed an array of the caller's")
    if took > SLOWEST:
        faults.append(f"took {took:.1f} s")
    return said(named, raised_by, "; ".join(faults))


def _is_refusal(error, argument, given):
    """Whether the error has a correct type."""
    return isinstance(error, TypeError | ValueError) or _is_of_a_file(error, argument, given)


def _is_of_a_file(error, argument, given):
    """Whether the error is an OSError about a path that cannot be read or written, with the path in its message."""
    return isinstance(error, OSError) and argument in PATHS and str(given[argument]) in str(error)


def _is_named(argument, given, error):
    """Whether the message contains the name of the argument as a word."""
    found = re.search(rf"(?<!\w){re.escape(argument)}(?!\w)", str(error))
    return found is not None or _is_of_a_file(error, argument, given)


def origin(error):
    """The package of the deepest frame of the error; "the call" where Python itself could not make the call."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    if file.startswith(PACKAGE):
        return "scratchadv"
    if file == __file__:
        return "the call"
    found = re.search(r"site-packages/(\w+)", file)
    return found[1] if found else Path(file).name


def _copies(given):
    arrays = [a for value in given.values() for a in (value.values() if isinstance(value, dict) else [value])]
    return [(a, a.copy()) for a in arrays if isinstance(a, np.ndarray) and not a.dtype.hasobject]


def _changed(copies):
    return any(a.tobytes() != b.tobytes() for a, b in copies)


def fuzzed(seed, n):
    """The outcomes of n random misuses."""
    rng, calls = np.random.default_rng(seed), list(_calls())
    return [outcome(*misuse(rng, calls)) for _ in range(n)]


def summary(outcomes):
    """The numbers of each family, one line for each."""
    yield f"{'family':16} {'calls':>7} {'refused':>8} {'named':>8} {'by us':>8}"
    families = [*dict.fromkeys(o.call.family for o in outcomes)]
    for family in [*families, None]:
        own = [o for o in outcomes if family in (None, o.call.family)]
        refused = [o for o in own if o.refused]
        shares = (
            np.mean([o.named for o in refused]),
            np.mean([o.raised_by in ("scratchadv", "the call") for o in refused]),
        )
        yield f"{family or 'all':16} {len(own):7} {len(refused):8} {shares[0]:8.2%} {shares[1]:8.2%}"


def check(outcomes):
    """At least 99 % of all calls that do not succeed are refused correctly, and no successful call has a fault."""
    refused = [o for o in outcomes if o.refused]
    bad = [o for o in outcomes if o.fault]
    share = 1 - sum(o.refused for o in bad) / len(refused)
    lines = "\n".join(f"{times} × {line}" for line, times in Counter(map(str, bad)).most_common(40))
    assert share >= 0.99, f"{share:.2%} of {len(refused)} refusals are good\n{lines}"
    assert not [o for o in bad if not o.refused], lines


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Some words among the wrong values are paths."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("call", [*_calls()], ids=lambda call: f"{call.family}-{call.name}")
def test_the_arguments_of_the_table_are_valid(call):
    """Every call of the table succeeds without a warning"""
    given = call.arguments()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call.function(**given)


def test_every_attack_is_called():
    """The table has a call of each attack of the catalogue"""
    called = {call.function for call in _calls()}
    assert [attack.name for attack in attacks.CATALOGUE if attack.function not in called] == []


@pytest.mark.parametrize("seed", range(4))
def test_wrong_arguments_are_refused_by_name(seed):
    """f(argument = wrong) raises a TypeError or ValueError that names it, for 99 % of all calls that do not succeed"""
    check(fuzzed(seed, 250))


@pytest.mark.slow
def test_many_wrong_arguments_are_refused_by_name(capsys):
    """The same holds for 30,000 calls; the numbers of each family are printed"""
    outcomes = fuzzed(1000, 30_000)
    with capsys.disabled():
        print("", *summary(outcomes), sep="\n")
    check(outcomes)
