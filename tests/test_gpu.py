"""Tests that need a real GPU (``pytest -m gpu``); ``test_device.py`` runs on it too."""

import inspect
from functools import partial

import numpy as np
import pytest

from scratchadv import attacks, parallel
from scratchadv.backend import to_device, to_host
from scratchadv.losses import cross_entropy
from scratchadv.models import CNN
from scratchadv.sets import Linf
from scratchadv.testing import device as pretended

pytestmark = pytest.mark.gpu


def test_the_pretended_gpu_has_no_names_that_cupy_has_not(cupy):
    """CuPy has all functions, constants, attributes and methods of the simulated GPU"""
    names = [*pretended.UFUNCS.split(), *pretended.CONSTANTS.split()]
    assert [name for name in names if not hasattr(cupy, name)] == []
    names = [name for name in vars(pretended.ndarray) if name not in ("_host", *dir(object()), "__weakref__")]
    assert [name for name in names if not hasattr(cupy.ndarray, name)] == []


def test_the_pretended_gpu_takes_no_more_than_cupy(cupy):
    """Each parameter of a simulated function exists in CuPy, at the same position and with the same default"""
    more = []
    for name, stub in inspect.getmembers(pretended._Functions, inspect.isfunction):
        real = inspect.signature(getattr(cupy, name)).parameters
        for place, (parameter, pretends) in enumerate(inspect.signature(stub).parameters.items()):
            found = real.get(parameter)
            in_place = pretends.kind is pretends.KEYWORD_ONLY or list(real)[place : place + 1] == [parameter]
            if not in_place or (found.kind, found.default) != (pretends.kind, pretends.default):
                more.append(f"{name}: {pretends}")
    assert more == []


def test_pgd_on_the_tutorial_cnn_reaches_the_loss_that_it_reaches_on_the_host(cupy):
    """In float32 the worst losses on the GPU and the host agree, in one piece and in chunks"""
    rng = np.random.default_rng(0)
    model, x, y = CNN(rng=rng), rng.random((64, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, 64)
    attack = partial(attacks.pgd, threat=Linf(0.1).within(0, 1), steps=10)

    def worst(delta):
        return cross_entropy.value(model.logits(x + delta), y)

    there = [to_device(thing) for thing in (model, x, y)]
    on_host = worst(attack(model, x, y))
    np.testing.assert_allclose(worst(to_host(attack(*there))), on_host, rtol=1e-2)
    with parallel.limit(chunk=10):
        np.testing.assert_allclose(worst(to_host(attack(*there))), on_host, rtol=1e-2)
