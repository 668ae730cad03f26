"""Laws of the decorator that checks and converts arguments by their names."""

import inspect
from functools import partial

import numpy as np
import pytest

import scratchadv.attacks
from scratchadv import checks, evaluate
from scratchadv.checked import VOCABULARY, anything, checked, one_of, whole
from scratchadv.models import LogisticRegression
from scratchadv.sets import Linf
from scratchadv.testing.models import SmallNetwork

NETWORK, X = SmallNetwork((4,), 3, seed=3), np.random.default_rng(0).random((5, 4))
Y = np.array([0, 1, 2, 0, 1])


@checked
def example(
    model, x, y, threat=None, *, target=None, steps=-3, rng=None, box=None, scale="none", seeds=None, more=None
):
    return model, x, y, target, steps, rng, scale, seeds, more


def test_what_comes_in_is_converted():
    """x in C order, y and target as int64, whole numbers as int, a seed as a generator"""
    x = np.asfortranarray(X)
    found = example(NETWORK, x, Y.tolist(), target=Y.astype("u1"), steps=np.int8(4), rng=3, seeds=list(range(5)))
    _, images, y, target, steps, rng, _, seeds, _ = found
    assert images.flags.c_contiguous
    assert y.dtype == target.dtype == np.int64
    assert type(steps) is int
    assert rng.random() == np.random.default_rng(3).random()
    assert seeds.dtype == np.uint64


def test_what_is_converted_already_is_not_copied():
    """Plain arrays are passed on unchanged"""
    _, x, y, *_ = example(NETWORK, X, Y)
    assert x is X
    assert np.shares_memory(y, Y)


def test_defaults_are_not_checked():
    """A default that its own rule would refuse is accepted: steps=-3 and scale="none" here"""
    *_, steps, rng, scale, _, _ = example(NETWORK, X, Y)
    assert (steps, rng, scale) == (-3, None, "none")
    with pytest.raises(ValueError, match="steps = -4 must be >= 1"):
        example(NETWORK, X, Y, steps=-4)


def test_arguments_that_have_no_rule_are_passed_on():
    """A name that is in no vocabulary accepts anything"""
    thing = object()
    assert example(NETWORK, X, Y, more=thing)[-1] is thing


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: example(NETWORK, X, Y, stepps=3), "example: got an unexpected keyword argument 'stepps'"),
        (lambda: example(NETWORK, X), "example: missing a required argument: 'y'"),
        (lambda: example(NETWORK, X, Y, None, 3), "example: too many positional arguments"),
        (lambda: example(NETWORK, X, Y, y=Y), "example: multiple values for argument 'y'"),
        (lambda: scratchadv.attacks.pgd(NETWORK, X, Y, Linf(0.1), step=3), "pgd: .*'step'"),
        (lambda: evaluate.judge(NETWORK, X, Y, X, Linf(0.1), rng=3), "judge: .*'rng'"),
        (lambda: scratchadv.attacks.fgsm(NETWORK, X, Y), "fgsm: .*'threat'"),
    ],
)
def test_wrong_names_of_arguments_name_the_function(call, words):
    """A misspelt, missing or extra argument: a TypeError with the names of the function and the argument"""
    with pytest.raises(TypeError, match=f"^{words}"):
        call()


def test_a_rule_for_no_parameter_is_refused_when_decorating():
    """@checked(stpes=...) is an error at definition, not when the function is called"""
    with pytest.raises(TypeError, match="f has no parameter stpes"):

        @checked(stpes=whole(1))
        def f(*, steps):
            raise AssertionError("this is never called")


def test_own_rules_come_before_the_vocabulary():
    """A rule given to the decorator replaces that of the vocabulary; ``anything`` removes it"""

    @checked(steps=whole(5), x=anything)
    def f(x, *, steps=None, keep="a"):
        return x, steps

    assert f("no array", steps=5) == ("no array", 5)
    with pytest.raises(ValueError, match="steps = 4 must be >= 5"):
        f("no array", steps=4)


@pytest.mark.parametrize("value", ["c", None, 1, ["a"], np.array(["a", "b"]), np.array([1.0, 2.0])], ids=repr)
def test_one_of_a_few(value):
    """one_of("a", Linf) accepts only its values, and lists them in the error; arrays are compared without an error"""
    check = one_of("a", Linf)
    assert check("kind", "a") == "a"
    assert check("kind", Linf) is Linf
    with pytest.raises(ValueError, match=r"kind = .*; 'a' or Linf was expected"):
        check("kind", value)


def test_what_a_function_looks_like_stays():
    """Name, docstring and signature are those of the decorated function"""
    assert example.__name__ == "example"
    assert list(inspect.signature(example).parameters)[:3] == ["model", "x", "y"]
    assert "Step along the gradient" in scratchadv.attacks.pgd.__doc__


def test_checks_come_before_any_work():
    """Every wrong argument is found before the model has evaluated more than one example"""
    asked = []

    class Counting(SmallNetwork):
        def logits(self, x):
            asked.append(len(x))
            return super().logits(x)

        def vjp_x(self, x):
            raise AssertionError("work was done")

    model = Counting((4,), 3, 3)
    for wrong in (
        {"steps": 0},
        {"rng": -1},
        {"seeds": np.arange(3)},
        {"target": Y + 3},
        {"box": (1, 0)},
        {"box": (0, 0.1)},
    ):
        with pytest.raises((TypeError, ValueError)):
            example(model, X, Y, **wrong)
    assert set(asked) <= {1}


FUNCTIONS = [name for name in scratchadv.attacks.__all__ if inspect.isfunction(getattr(scratchadv.attacks, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_attack_is_checked(name):
    """Every public attack has a check for each argument, except a few that it checks itself"""
    function = getattr(scratchadv.attacks, name)
    assert hasattr(function, "__wrapped__") or name == "bounded"
    with pytest.raises(TypeError, match=name if name != "bounded" else "attack"):
        function() if name != "bounded" else function(None)


@pytest.mark.parametrize("name", VOCABULARY)
def test_every_rule_of_the_vocabulary_refuses_nonsense(name):
    """Each rule refuses objects without a meaning by a TypeError or ValueError that begins with the name"""
    meant = {
        "rng": (10**400,),
        **dict.fromkeys(("path", "cache", "checkpoint"), ("nonsense",)),
    }  # a seed, a file name
    for nonsense in (object(), "nonsense", 10**400, {1, 2}):
        if nonsense in meant.get(name, ()):
            continue
        with pytest.raises((TypeError, ValueError), match=rf"^(the )?{name}"):
            VOCABULARY[name](name, nonsense)


def test_numbers_of_other_kinds_are_numbers():
    """NumPy scalars, 0-d arrays where a number is expected, and fractions become Python's floats and ints"""
    from fractions import Fraction

    assert type(checks.size("eps", np.float32(0.5))) is float
    assert type(checks.count("steps", np.uint64(3))) is int
    assert checks.number("theta0", np.array(0.5)) == 0.5
    assert checks.size("eps", Fraction(1, 4)) == 0.25


def test_a_partial_of_a_checked_function_is_checked():
    """partial(attack, steps=0) is refused when it is called"""
    attack = partial(scratchadv.attacks.pgd, steps=0)
    with pytest.raises(ValueError, match="steps = 0"):
        attack(NETWORK, X, Y, Linf(0.1))


def test_labels_follow_the_model():
    """A binary model expects −1 and +1, one with K classes 0 to K − 1: each refuses the labels of the other"""
    binary = LogisticRegression(np.ones(4))
    with pytest.raises(ValueError, match="y holds 0"):
        example(binary, X, Y)
    with pytest.raises(ValueError, match="y holds -1"):
        example(NETWORK, X, np.array([1, -1, 1, 1, -1]))
