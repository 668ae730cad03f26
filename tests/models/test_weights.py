"""Laws of models in files: a loaded model is the one that was saved, and nothing else is loaded."""

import json
import os
from functools import partial

import numpy as np
import pytest

from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, Layer, MaxPool, ReLU, Tanh
from scratchadv.losses import Targeted, margin
from scratchadv.models import CNN, MLP, LogisticRegression, Network, SoftmaxRegression
from scratchadv.models.weights import LAYERS, architecture, load, save
from scratchadv.support import archive


def rng(seed=0):
    return np.random.default_rng(seed)


def network(**options):
    chain = [
        Conv(np.int64(4), size=3, stride=2, padding=1),
        Tanh(),
        Conv(3, padding=0),
        ReLU(),
        MaxPool(2, stride=1),
        AveragePool(2),
        Flatten(),
        Dropout(0.25),
        Dense(5),
    ]
    return Network(chain, (12, 11, 2), rng(3), **options)


SHAPES = {"network": (12, 11, 2), "cnn": (8, 8, 1), "mlp": (6,), "tanh": (2, 3), "softmax": (4,), "logistic": (2, 3)}
MODELS = {
    "network": network,
    "cnn": partial(CNN, (8, 8, 1), [Conv(2), Conv(3, stride=2)], (7, 4), rng=rng(1)),
    "mlp": partial(MLP, (6, 5, 3), rng=rng(1)),
    "tanh": partial(MLP, (6, 5, 3), "tanh", rng=rng(1)),
    "softmax": partial(SoftmaxRegression, 4, 3, rng=rng(1)),
    "logistic": lambda dtype: LogisticRegression.initial((2, 3), rng(1), dtype),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back(name, dtype, tmp_path):
    """load(save(f)) = f: class, loss, architecture, parameters in their order and dtypes, logits and gradients"""
    model = MODELS[name](dtype=dtype)
    save(model, tmp_path / "model")
    found = load(str(tmp_path / "model"))
    assert type(found) is type(model)
    assert found.loss is model.loss
    assert architecture(found) == architecture(model)
    assert list(found.params) == list(model.params)
    for parameter, p in model.params.items():
        np.testing.assert_array_equal(found.params[parameter], p, strict=True)
    x = rng().random((3, *SHAPES[name])).astype(np.float32)
    (z, pull), (z_found, pull_found) = model.vjp_x(x), found.vjp_x(x)
    np.testing.assert_array_equal(z_found, z, strict=True)
    np.testing.assert_array_equal(pull_found(z), pull(z), strict=True)
    assert getattr(found, "activations", 0) == getattr(model, "activations", 0)


def test_a_loaded_model_is_saved_to_the_same_bytes(tmp_path):
    """save(load(save(f))) = save(f)"""
    save(network(), tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_parameters_of_different_dtypes_keep_them(tmp_path):
    """float64 biases with float32 weights"""
    model = MLP((3, 2))
    model.params["1.bias"] = model.params["1.bias"].astype(np.float64)
    save(model, tmp_path / "a")
    assert [p.dtype for p in load(tmp_path / "a").params.values()] == [np.float32, np.float64]


def test_parameters_after_a_step_come_back(tmp_path):
    """NumPy numbers, which arithmetic on theta0 returns, are arrays without axes in the file"""
    model = LogisticRegression(np.ones(2, np.float32), 0.5)
    model.params = {name: p * 2 for name, p in model.params.items()}
    save(model, tmp_path / "a")
    found = load(tmp_path / "a").params["theta0"]
    assert (found.shape, found.dtype, found) == ((), np.float32, 1)


def test_another_loss_comes_back(tmp_path):
    """The loss of an instance is stored in the file"""
    model = MLP((3, 2))
    model.loss = margin
    save(model, tmp_path / "a")
    assert load(tmp_path / "a").loss is margin
    assert MLP((3, 2)).loss is not margin


def test_all_layers_have_a_place():
    """Every layer in the library can be saved"""
    assert {Conv, Dense, Dropout, Flatten, MaxPool, AveragePool, ReLU, Tanh} <= set(LAYERS.values())
    assert Layer not in LAYERS.values()


def test_the_generator_of_a_noisy_twin_is_not_saved(tmp_path):
    """Dropout is switched off after loading"""
    save(network().noisy(np.arange(3)), tmp_path / "a")
    assert next(layer for layer in load(tmp_path / "a").layers if isinstance(layer, Dropout)) == Dropout(0.25)


class Mine(MLP):
    pass


class Own(Layer):
    pass


def with_loss(loss):
    model = MLP((3, 2))
    model.loss = loss
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Mine((3, 2)), "a model of class Mine cannot be stored; one of LogisticRegression, MLP, "),
        (
            Network([Dense(2), Own()], (3,), rng()),
            "a layer of class Own cannot be stored; one of Dense, Conv, ",
        ),
        (
            with_loss(Targeted(margin)),
            "a loss of class Targeted cannot be stored; one of Logistic, CrossEntropy, Margin",
        ),
    ],
    ids=["model", "layer", "loss"],
)
def test_what_cannot_be_loaded_is_not_saved(model, message, tmp_path):
    """Models, layers and losses from elsewhere are a TypeError, and no file is written"""
    with pytest.raises(TypeError, match=message):
        save(model, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


# Damaged files


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.npz"
    save(MLP((2, 2), rng=rng(1)), path)
    return path


def test_a_file_cut_off_anywhere_is_refused(saved):
    """Every truncated file is a ValueError that names the file"""
    whole = saved.read_bytes()
    for n in range(len(whole)):
        saved.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"a\.npz"):
            load(saved)
    saved.write_bytes(whole)
    load(saved)


def test_a_save_that_fails_leaves_the_old_file(saved, monkeypatch):
    """The old model is there, bit for bit, and no other file"""
    before = saved.read_bytes()

    def full(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save(MLP((5, 5)), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def forge(path, change_about=(), **arrays):
    """A file that claims something wrong."""
    model = MLP((2, 2), rng=rng(1))
    archive.write(path, "model", architecture(model) | dict(change_about), model.params | arrays)


def layers_of(*chain):
    return {"layers": [{"layer": name, **settings} for name, settings in chain]}


@pytest.mark.parametrize(
    ("about", "arrays", "message"),
    [
        ({}, {"1.weight": np.ones((3, 2), np.float32)}, r"1\.weight has shape \(3, 2\) there; \(2, 2\) was expected"),
        ({}, {"2.weight": np.ones((2, 2), np.float32)}, r"2\.weight has shape \(2, 2\) there; None was expected"),
        ({}, {"1.bias": np.ones(2, np.float16)}, r"1\.bias \(float16\) was expected to be float32 or float64"),
        ({}, {"1.bias": np.ones(2, int)}, r"1\.bias \(int64\) was expected to be float32 or float64"),
        ({"shape": [3]}, {}, r"1\.weight has shape \(2, 2\) there; \(3, 2\) was expected"),
        ({"model": "LogisticRegression"}, {}, "holds no architecture that can be built: KeyError"),
        ({"model": "Taped"}, {}, "holds no architecture that can be built"),
        ({"loss": "None"}, {}, "holds no architecture that can be built"),
        ({"shape": "wide"}, {}, "holds no architecture that can be built"),
        (layers_of(("Flatten", {}), ("Dense", {"features": 3})), {}, r"1\.weight has shape \(2, 2\) there; \(2, 3\)"),
        (layers_of(("Dense", {"features": 2})), {}, r"0\.weight has shape None there"),
        (layers_of(("Dense", {"width": 2})), {}, "holds no architecture that can be built: TypeError"),
        (layers_of(("Layer", {})), {}, "holds no architecture that can be built: KeyError"),
        (layers_of(("ReLU", {}), ("Dense", {"features": 2})), {}, "cannot begin with ReLU"),
        ({"layers": 3}, {}, "holds no architecture that can be built"),
    ],
)
def test_parameters_that_do_not_fit_the_architecture_are_refused(about, arrays, message, tmp_path):
    """Architecture and arrays must agree, and the architecture must be valid"""
    forge(tmp_path / "a.npz", about, **arrays)
    with pytest.raises(ValueError, match=rf"a\.npz .*{message}"):
        load(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path):
    """A foreign .npz, a pickled one, a checkpoint: a ValueError; no file: FileNotFoundError"""
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError):
        load(path)
    np.savez(path, weight=np.ones(3))
    with pytest.raises(ValueError, match=r"an \.npz file, but not one of scratchadv"):
        load(path)
    np.savez(path, about=np.array(json.dumps({})), weight=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load(path)
    archive.write(path, "checkpoint", {}, {})
    with pytest.raises(ValueError, match="is a checkpoint in format 1; a model in format 1 was expected"):
        load(path)
