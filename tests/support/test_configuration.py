"""Laws of the description of a run in words and numbers."""

import json
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from scratchadv.attacks import fgsm, fgsm_random_start, pgd
from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import MLP
from scratchadv.sets import L2, Linf
from scratchadv.support.configuration import describe, differences, digest, generators_of, seed_of, state_of
from scratchadv.training.optim import SGD, Adam


@dataclass
class Own:
    a: int


def rng(seed=0):
    return np.random.default_rng(seed)


DIFFERENT = [
    None,
    True,
    0.5,
    "fgsm",
    [1, 2],
    {"a": 1},
    fgsm,
    pgd,
    partial(fgsm, threat=Linf(0.1)),
    partial(fgsm, threat=Linf(0.2)),
    partial(fgsm, threat=L2(0.1)),
    partial(fgsm, threat=Linf(0.1).within(0, 1)),
    partial(fgsm, threat=Linf(0.1).within(0, 2)),
    partial(fgsm, threat=Linf(0.1).within(np.zeros(3), np.ones(3))),
    partial(fgsm, threat=Linf(0.1).within(np.zeros(3), np.full(3, 2.0))),
    partial(pgd, threat=Linf(0.1), loss=margin),
    partial(pgd, threat=Linf(0.1), loss=cross_entropy),
    partial(partial(pgd, threat=Linf(0.1)), steps=3),
    partial(fgsm_random_start, threat=Linf(0.1), rng=rng(0)),
    partial(fgsm_random_start, threat=Linf(0.1), rng=rng(1)),
    SGD(0.1),
    SGD(0.2),
    SGD(0.1, momentum=0.9),
    Adam(),
    Own(1),
    Own(2),
    MLP((3, 2)),
    MLP((3, 2), rng=rng(1)),
    np.zeros(2),
    np.zeros((1, 2)),
    np.zeros(2, np.float32),
    np.array([0.0, -0.0]),
]


def test_different_things_have_different_descriptions():
    """describe(a) != describe(b), and both are JSON types"""
    texts = [json.dumps(describe(value), sort_keys=True) for value in DIFFERENT]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    "make", [lambda: SGD(0.1), lambda: partial(pgd, threat=Linf(0.1), rng=rng(3)), lambda: MLP((3, 2))]
)
def test_equal_things_have_equal_descriptions(make):
    """describe depends on the value, not on the identity of the object or on the numbers drawn from its generator"""
    first, second = make(), make()
    for generator in generators_of(second):
        generator.random(5)
    assert describe(first) == describe(second)
    assert json.loads(json.dumps(describe(first))) == describe(first)


def test_numpy_numbers_are_numbers():
    """describe(np.float32(1/2)) = 0.5, and a ball with this radius is described like one with 0.5"""
    assert describe([np.float32(0.5), np.int64(3), np.bool_(True)]) == [0.5, 3, True]
    assert describe(Linf(np.float32(0.5))) == describe(Linf(0.5))


@pytest.mark.parametrize("own", [lambda x: x, json.dumps, print, partial(json.dumps, indent=1), [rng], object()])
def test_functions_from_elsewhere_cannot_be_described(own):
    """A function from elsewhere raises a TypeError, since its name does not say what it does"""
    with pytest.raises(TypeError, match="cannot be described"):
        describe(own)


def test_a_loss_is_described_by_its_class():
    """describe(logistic) names it"""
    assert describe(logistic) == {"is": "scratchadv.losses.Logistic"}


BIT_GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("kind", BIT_GENERATORS)
def test_a_generator_goes_on_from_its_state(kind):
    """After rng2.state = state(rng1) both draw the same numbers, including half-used words"""
    first, second = (np.random.Generator(kind(seed)) for seed in (1, 2))
    first.random(7), first.integers(5, size=3, dtype=np.int32)
    second.bit_generator.state = json.loads(state_of(first))
    for draw in (lambda g: g.integers(9, size=5, dtype=np.int32), lambda g: g.permutation(9), lambda g: g.random(3)):
        np.testing.assert_array_equal(draw(first), draw(second))


def test_the_seed_stays_the_same():
    """seed_of(rng) depends on the seed and the spawned child, not on what was drawn"""
    used = rng(5)
    used.random(3)
    assert seed_of(used) == seed_of(rng(5)) == [5, []]
    assert seed_of(rng(5).spawn(2)[1]) == [5, [1]]


def test_generators_are_found_in_partials():
    """Generators are found also in a partial of a partial and in its positional arguments, but not elsewhere"""
    a, b = rng(), rng()
    assert generators_of(partial(partial(pgd, rng=a), b, 3)) == [b, a]
    assert generators_of(pgd) == generators_of(None) == []


def test_digests_tell_arrays_apart_whatever_their_layout():
    """digest(a) depends on dtype, shape and bits, but not on the strides"""
    a = np.arange(6.0).reshape(2, 3)
    assert digest(a) == digest(np.asfortranarray(a)) == digest(a.T.copy().T) != digest(a.T)
    assert digest(a, a[0]) != digest(a)
    assert len({digest(v) for v in (np.array(1.0), np.ones(1), np.float32(1), np.zeros((0, 2)), np.zeros((2, 0)))}) == 5
    assert digest(np.float64(1)) == digest(np.array(1.0))


def test_differences_are_named_by_their_place():
    """One line for each difference of two descriptions, also deep inside; none if they are equal"""
    a = {"x": 1, "layers": [{"size": 3}, {"size": 2}], "same": [0]}
    b = {"x": 2, "layers": [{"size": 3}, {"size": 4, "new": 0}], "same": [0]}
    assert differences(a, a) == []
    assert differences(a, b) == [
        "x: 1 there, 2 here",
        "layers.1.size: 2 there, 4 here",
        "layers.1.new: None there, 0 here",
    ]
    assert differences([1], [1, 2], "y") == ["y: [1] there, [1, 2] here"]
