"""Laws of the cache of trained models: no model is trained twice, and no other model is returned for it."""

from functools import partial
from pathlib import Path

import numpy as np
import pooch
import pytest

from scratchadv.attacks import fgsm, fgsm_random_start
from scratchadv.layers import Dense
from scratchadv.models import MLP, Network, weights
from scratchadv.sets import Linf
from scratchadv.training import fit, zoo
from scratchadv.training.optim import SGD, Adam, steps

ATTACK = partial(fgsm, threat=Linf(0.1))


def rng(seed=0):
    return np.random.default_rng(seed)


def data(seed=0):
    random = rng(seed)
    return random.random((30, 4), dtype=np.float32), random.integers(0, 3, 30)


def net(seed=0, widths=(4, 5, 3)):
    return MLP(widths, rng=rng(seed))


def bits(model):
    return {name: (p.dtype, p.shape, p.tobytes()) for name, p in model.params.items()}


@pytest.fixture
def counted(monkeypatch):
    """Count the calls of fit."""
    calls = []

    def counting(*arguments, **options):
        calls.append(options)
        return fit(*arguments, **options)

    monkeypatch.setattr(zoo, "fit", counting)
    return calls


def get(cache, make=net, xy=None, **changed):
    return zoo.trained("net", make, *(xy or data()), cache=cache, **{"epochs": 2, "attack": ATTACK} | changed)


def test_a_model_is_trained_once_and_is_the_one_that_fit_trains(tmp_path, counted):
    """The first call trains, and the others load the same bits; one file is left, which weights.load reads"""
    expected = net()
    fit(expected, *data(), epochs=2, attack=ATTACK)
    for _ in range(3):
        model = get(tmp_path / "deep" / "cache")
        assert type(model) is MLP
        assert bits(model) == bits(expected)
    assert len(counted) == 1
    (file,) = (tmp_path / "deep" / "cache").iterdir()
    assert file.name.startswith("net-")
    assert bits(weights.load(file)) == bits(expected)


OTHERS = {
    "start": {"make": partial(net, 1)},
    "architecture": {"make": partial(net, 0, (4, 6, 3))},
    "activation": {"make": partial(MLP, (4, 5, 3), "tanh")},
    "data": {"xy": data(1)},
    "labels": {"xy": (data()[0], data(1)[1])},
    "epochs": {"epochs": 3},
    "batch size": {"batch_size": 7},
    "optimizer": {"optimizer": SGD(0.2)},
    "other optimizer": {"optimizer": Adam()},
    "schedule": {"schedule": steps({1: 0.5})},
    "no attack": {"attack": None},
    "eps": {"attack": partial(fgsm, threat=Linf(0.2))},
    "seed": {"rng": rng(1)},
    "about": {"about": "version 2"},
}


@pytest.mark.parametrize("changed", OTHERS.values(), ids=OTHERS)
def test_whatever_changes_the_training_changes_the_key(changed, tmp_path, counted):
    """Other settings, initial parameters or data make another model, kept beside the first"""
    get(tmp_path)
    get(tmp_path, **changed)
    assert len(counted) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_where_a_generator_stands_is_part_of_the_key(tmp_path, counted):
    """A generator with the same seed from which numbers were drawn, rng or the attack's, makes another training"""
    used, attack = rng(), partial(fgsm_random_start, threat=Linf(0.1))
    used.random()
    for random in (rng(), used):
        get(tmp_path, rng=random)
    used = rng()
    used.random()
    for random in (rng(), used):
        get(tmp_path, attack=partial(attack, rng=random))
    assert len(counted) == 4


def test_defaults_that_are_said_are_the_same_as_those_that_are_not(tmp_path, counted):
    """The defaults are rng=default_rng(0), SGD(0.1), batches of 100 and no schedule; progress does not matter"""
    first = get(tmp_path)
    second = get(
        tmp_path, rng=rng(0), optimizer=SGD(np.float64(0.1)), batch_size=100, schedule=steps({}), progress=False
    )
    assert bits(first) == bits(second)
    assert len(counted) == 1


def test_another_recipe_is_another_key(tmp_path, counted, monkeypatch):
    """When training itself changes, old models are not used and not deleted"""
    get(tmp_path)
    monkeypatch.setattr(zoo, "RECIPE", zoo.RECIPE + 1)
    get(tmp_path)
    assert len(counted) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:100] + b"?" + b[101:]])
def test_a_damaged_model_is_trained_anew_with_a_warning(damage, tmp_path, counted):
    """A file that is cut off, empty or changed gives a warning that names it, and the same model is trained again"""
    expected = bits(get(tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(UserWarning, match=rf"{file.name} is damaged.*: deleted, and trained again"):
        assert bits(get(tmp_path)) == expected
    assert bits(get(tmp_path)) == expected
    assert len(counted) == 2


def test_a_model_of_another_architecture_in_its_place_is_damage(tmp_path, counted):
    """An undamaged file of another model is not used"""
    expected = bits(get(tmp_path))
    (file,) = tmp_path.iterdir()
    weights.save(net(widths=(4, 3)), file)
    with pytest.warns(UserWarning, match=r"does not fit.*: deleted, and trained again"):
        assert bits(get(tmp_path)) == expected
    assert len(counted) == 2


def interrupted(cache):
    """A run that is interrupted in its third epoch."""
    epochs = []

    def schedule(epoch):
        return 1.0

    class Interrupts(SGD):
        def step(self, *arguments):
            epochs.append(1)
            if len(epochs) > 2:
                raise KeyboardInterrupt
            return super().step(*arguments)

    Interrupts.__module__, Interrupts.__qualname__ = SGD.__module__, SGD.__qualname__
    with pytest.raises(KeyboardInterrupt):
        get(cache, epochs=4, optimizer=Interrupts(0.1), schedule=schedule)
    return len(epochs)


def steps_of(cache):
    """The number of steps until the model is trained, and the model."""
    taken = []

    class Counts(SGD):
        def step(self, *arguments):
            taken.append(1)
            return super().step(*arguments)

    Counts.__module__, Counts.__qualname__ = SGD.__module__, SGD.__qualname__
    return bits(get(cache, epochs=4, optimizer=Counts(0.1))), len(taken)


def test_an_interrupted_training_goes_on(tmp_path):
    """After two of four epochs two more are trained, to the same bits, and the checkpoint is deleted"""
    expected, four = steps_of(tmp_path / "whole")
    assert four == 4
    interrupted(tmp_path / "cache")
    assert steps_of(tmp_path / "cache") == (expected, 2)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_damaged_checkpoint_is_trained_anew_with_a_warning(tmp_path):
    """A damaged checkpoint is deleted, and the run begins again"""
    expected, _ = steps_of(tmp_path / "whole")
    interrupted(tmp_path / "cache")
    (checkpoint,) = (tmp_path / "cache").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5])
    with pytest.warns(UserWarning, match=r"checkpoint\.npz is damaged.*: deleted, and trained again"):
        assert steps_of(tmp_path / "cache") == (expected, 4)


def test_an_attack_of_ones_own_needs_a_name(tmp_path, counted):
    """An attack that the key cannot describe raises a TypeError before training; if it is named, it is trained once"""

    def own(model, x, y):
        return 0 * x

    with pytest.raises(TypeError, match=r"the attack is not from this package.*name it in `about`"):
        get(tmp_path, attack=own)
    assert counted == []
    for about in ("zero, version 1", "zero, version 1", "zero, version 2"):
        get(tmp_path, attack=own, about=about)
    assert len(counted) == 2


class Mine(Network):
    pass


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"make": lambda: Mine([Dense(3)], (4,), rng())},
            TypeError,
            "a model of class Mine cannot be stored",
        ),
        ({"epochs": -1}, ValueError, "epochs = -1"),
        ({"xy": (data()[0], data()[1] + 1)}, ValueError, "y holds 3"),
    ],
)
def test_what_cannot_be_trained_or_kept_is_refused_first(changed, error, message, tmp_path, counted):
    """Anything that cannot be trained or kept is refused before a model is trained or a file written"""
    with pytest.raises(error, match=message):
        get(tmp_path, **changed)
    assert counted == []
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_the_users(tmp_path, monkeypatch):
    """The default folder is ``models`` in the user's cache for scratchadv"""
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    get(None)
    (file,) = (tmp_path / "scratchadv" / "models").iterdir()
    assert isinstance(file, Path)


@pytest.mark.parametrize(
    "name",
    ["../x", "..", "/tmp/x", "a/b", "a/", "./a", ".", "", "a\\b", "C:x", "a\nb", "a\0b", "x" * 300, "ε" * 150, None, 3],
)
def test_a_name_that_is_no_plain_file_name_is_refused_before_anything_is_made(name, tmp_path, counted):
    """A wrong name is refused before a model is built or a folder or file is written"""

    def make():
        raise AssertionError("a model was built")

    with pytest.raises(ValueError, match=r"name = .* must be a plain file name"):
        zoo.trained(name, make, *data(), epochs=1, cache=tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["net", "a net", "MLP 784-200-10", "v1.2", "réseau", "x" * 200])
def test_plain_file_names_are_taken(name, tmp_path):
    """Names may have letters of any language, spaces and dots"""
    zoo.trained(name, net, *data(), epochs=1, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(f"{name}-")
