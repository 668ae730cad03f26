"""Files from strangers: any error in a model or a checkpoint is a ValueError, before memory is allocated."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest

from scratchadv.attacks import fgsm_random_start
from scratchadv.layers import AveragePool, Conv, Dense, Dropout, Flatten, MaxPool, ReLU, Tanh
from scratchadv.models import CNN, MLP, LogisticRegression, Network, weights
from scratchadv.sets import Linf
from scratchadv.support import archive
from scratchadv.training import fit, zoo
from scratchadv.training.optim import Adam

CHAIN = [Conv(2, size=3), ReLU(), MaxPool(2), AveragePool(1), Dropout(0.5), Flatten(), Dense(3), Tanh(), Dense(2)]


def rng(seed=0):
    return np.random.default_rng(seed)


def network():
    return Network(CHAIN, (4, 4, 1), rng())


def logistic():
    return LogisticRegression(np.arange(4.0), 0.5)


MODELS = {"network": network, "MLP": partial(MLP, (4, 3)), "logistic": logistic}


def save_model(path, make=network):
    weights.save(make(), path)


def data():
    return rng(1).random((12, 4)), rng(2).integers(0, 3, 12)


def train(path, **options):
    model = MLP((4, 3), dtype=np.float64)
    fit(model, *data(), epochs=2, optimizer=Adam(), checkpoint=path, rng=rng(3), progress=False, **options)
    return model


KINDS = {"model": (save_model, weights.load), "checkpoint": (train, train)}
each_kind = pytest.mark.parametrize(("write", "read"), KINDS.values(), ids=KINDS)


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Nothing here depends on what a power failure would leave."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


def read_or_refused(path, read):
    """The content, or None after a ValueError of reasonable length that names the file."""
    try:
        return read(path)
    except ValueError as error:
        told = str(error)
    assert "a.npz" in told
    assert len(told) < 2000
    return None


@each_kind
@pytest.mark.parametrize("seed", range(4))
def test_bytes_that_are_changed_are_refused_or_do_not_matter(write, read, seed, tmp_path):
    """A file with one to twenty bytes changed anywhere is read or raises a ValueError that names the file"""
    path, random = tmp_path / "a.npz", rng(seed)
    write(path)
    whole = path.read_bytes()
    for _ in range(60):
        broken, start = bytearray(whole), int(random.integers(len(whole)))
        end = start + int(random.integers(1, 20))
        noise = random.bytes(end - start)
        change = random.integers(4)
        broken[start : len(whole) if change == 3 else end] = (noise, b"", noise + broken[start:end], b"")[change]
        path.write_bytes(broken)
        read_or_refused(path, read)


# Content that a checksum does not detect, because someone wrote it on purpose

NESTED = json.loads("[" * 400 + "]" * 400)
JUNK = [None, True, -1, 0, 1.5, 10**400, float("nan"), float("inf"), "", "x", [], [[]], {}, {"a": 1}, NESTED]


def rewrite(path, kind, change):
    """Change the description in the file."""
    about, arrays = archive.read(path, kind)
    about, arrays = change(about, arrays) or (about, arrays)
    archive.write(path, kind, about, arrays)


def places(value, place=()):
    """Every place in a description as a tuple of keys and indices."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*place, key)
        yield from places(item, (*place, key))


def put(value, place, junk):
    for key in place[:-1]:
        value = value[key]
    if junk is KeyError:
        del value[place[-1]]
    else:
        value[place[-1]] = junk


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_description_with_junk_anywhere_is_refused_or_makes_a_model_that_works(make, tmp_path):
    """Each entry of the description is removed or replaced by junk, one after the other"""
    path = tmp_path / "a.npz"
    save_model(path, make)
    about, arrays = archive.read(path, "model")
    refused = 0
    for place in places(about):
        for junk in (KeyError, *JUNK):
            changed = json.loads(json.dumps(about))
            put(changed, place, junk)
            archive.write(path, "model", changed, arrays)
            if found := read_or_refused(path, weights.load):
                shape = getattr(found, "shape", (4,))
                assert found.vjp_x(rng().random((2, *shape), dtype=np.float32))[0].shape[0] == 2
            else:
                refused += 1
    assert refused > 10 * len(list(places(about)))


def test_a_checkpoint_with_junk_anywhere_is_refused_or_goes_on(tmp_path):
    """Each entry is removed or replaced by junk; if the file is refused, model and generator do not change"""
    path = tmp_path / "a.npz"
    train(path)
    about, arrays = archive.read(path, "checkpoint")
    assert {place[0] for place in places(about)} == {"configuration", "beginning", "history", "factors", "generators"}
    for place in places(about):
        for junk in (KeyError, None, -1, 1.5, "x", [], {"a": 1}, NESTED):
            changed = json.loads(json.dumps(about))
            put(changed, place, junk)
            archive.write(path, "checkpoint", changed, arrays)
            read_or_refused(path, train)


def generators(change):
    """Change the state of the last generator in the file."""

    def changed(about, arrays):
        state = json.loads(about["generators"][-1])
        change(state)
        about["generators"][-1] = json.dumps(state)

    return changed


def test_a_refused_checkpoint_leaves_model_and_generators_as_they_were(tmp_path):
    """If the last value that is checked is wrong, none of the values before it was used"""

    def start():
        """A run with two generators, its own and that of the attack."""
        own, model = rng(4), MLP((4, 3), dtype=np.float64)
        attack = partial(fgsm_random_start, threat=Linf(0.1), rng=own)
        return model, rng(3), own, {"epochs": 2, "attack": attack, "checkpoint": tmp_path / "a.npz", "progress": False}

    model, random, _, options = start()
    fit(model, *data(), rng=random, **options)
    rewrite(tmp_path / "a.npz", "checkpoint", generators(lambda state: state["state"].update(inc=-1)))
    model, random, own, options = start()
    before = [g.bit_generator.state for g in (random, own)]
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        fit(model, *data(), rng=random, **options)
    assert [g.bit_generator.state for g in (random, own)] == before
    for name, p in start()[0].params.items():
        np.testing.assert_array_equal(model.params[name], p)


@pytest.mark.parametrize(("kind", "name"), [("MT19937", "pos"), ("Philox", "buffer_pos")])
@pytest.mark.parametrize("position", [-1, 10**6, 1.5, "x"])
def test_a_generator_that_stands_outside_of_its_numbers_is_refused(kind, name, position, tmp_path):
    """A position outside the generator's buffer, where NumPy would read foreign memory, is refused"""
    path, options = tmp_path / "a.npz", {"epochs": 1, "progress": False, "checkpoint": tmp_path / "a.npz"}
    random = np.random.Generator(getattr(np.random, kind)(0))
    fit(MLP((4, 3)), *data(), rng=random, **options)
    inside = (lambda state: state["state"]) if name == "pos" else (lambda state: state)
    rewrite(path, "checkpoint", generators(lambda state: inside(state).update({name: position})))
    with pytest.raises(ValueError, match=r"a\.npz is damaged"):
        fit(MLP((4, 3)), *data(), rng=np.random.Generator(getattr(np.random, kind)(0)), **options)


def arrays_of(**changed):
    return lambda about, arrays: (about, arrays | changed)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf], ids=["NaN", "infinite", "minus infinite"])
@pytest.mark.parametrize(("make", "name"), [(network, "6.weight"), (network, "0.bias"), (logistic, "theta0")])
def test_weights_that_are_not_finite_are_refused_by_name(make, name, wrong, tmp_path):
    """Weights with one NaN or infinite value are neither loaded nor saved, and the parameter is named"""
    path = tmp_path / "a.npz"
    save_model(path, make)
    spoilt = make()
    spoilt.params[name] = np.where(np.arange(spoilt.params[name].size) == 0, wrong, 0).astype("f4")
    spoilt.params[name] = spoilt.params[name].reshape(make().params[name].shape)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"^{name} holds NaN or infinite values: such a model is not saved"):
        weights.save(spoilt, path)
    assert path.read_bytes() == before
    rewrite(path, "model", arrays_of(**{name: spoilt.params[name]}))
    with pytest.raises(ValueError, match=rf"a\.npz cannot be used: {name} holds NaN or infinite values"):
        weights.load(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("params/1.bias", np.array([0, np.nan, 0])),
        ("params/1.bias", np.zeros(3, complex)),
        ("params/1.bias", np.zeros(3, int)),
        ("params/1.weight", np.zeros((4, 3), "U1")),
        ("params/1.weight", np.zeros((3, 4))),
        ("state/t", np.array("x")),
        ("state/t", np.zeros(2, int)),
        ("state/m/1.bias", np.zeros(3, "V8")),
    ],
)
def test_arrays_of_a_checkpoint_that_do_not_fit_are_refused(name, array, tmp_path):
    """Wrong dtypes, shapes and parameters that are not finite raise a ValueError that names the array"""
    path = tmp_path / "a.npz"
    train(path)
    rewrite(path, "checkpoint", arrays_of(**{name: array}))
    with pytest.raises(ValueError, match=rf"a\.npz .*{name.removeprefix('params/')}"):
        train(path)


# Sizes


def layers(*chain):
    return [{"layer": name, **settings} for name, settings in chain]


HUGE = {
    "inputs": {"shape": [10**9]},
    "classes": {"layers": layers(("Flatten", {}), ("Dense", {"features": 10**9}))},
    "between": {"layers": layers(("Dense", {"features": 10**12}), ("Dense", {"features": 3}))},
    "kernel": {
        "shape": [9**9, 9**9, 3],
        "layers": layers(("Conv", {"features": 9, "size": 9**9}), ("Flatten", {}), ("Dense", {"features": 3})),
    },
    "beyond integers": {"shape": [10**300]},
    "many layers": {"layers": layers(*[("Dense", {"features": 10**6})] * 2000)},
    "negative": {"shape": [-4]},
    "fractions": {"shape": [4.0]},
    "no windows": {"shape": [4, 4, 1], "layers": layers(("Conv", {"features": 1, "stride": 0}), ("Flatten", {}))},
    "negative features": {"layers": layers(("Dense", {"features": -3}))},
    "a generator": {"layers": layers(("Dropout", {"rate": 0.5, "rng": 1}), ("Dense", {"features": 3}))},
}


@pytest.mark.parametrize("change", HUGE.values(), ids=HUGE)
def test_a_description_of_another_size_is_refused_before_memory_is_asked_for(change, tmp_path):
    """A small file that describes a large network raises a ValueError and allocates less than 4 MiB"""
    path = tmp_path / "a.npz"
    save_model(path, MODELS["MLP"])
    rewrite(path, "model", lambda about, arrays: (about | change, arrays))
    assert peak_of(path, archive.BadFileError) < 4 << 20


def peak_of(path, error):
    """The peak memory while the file is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(error):
            weights.load(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def npy(shape, dtype="<f4", content=b"", version=(1, 0)):
    """An .npy file with an arbitrary header."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header + content


def bombs():
    """The bytes of zip files that promise more bytes than they have."""
    about = io.BytesIO()
    np.save(about, np.array(json.dumps({"scratchadv": "model", "format": 1, "names": ["a"]})))

    def zipped(content, how=zipfile.ZIP_STORED, patch=lambda raw: raw):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", how) as opened:
            opened.writestr("about.npy", about.getvalue())
            opened.writestr("arrays/a.npy", content)
        return patch(file.getvalue())

    def claim(size, raw):
        """A file whose directory says that the last entry has this many bytes."""
        start = raw.rindex(b"PK\x01\x02")
        return raw[: start + 24] + struct.pack("<I", size) + raw[start + 28 :]

    def overlap(raw, times=5000):
        """A file whose directory lists one entry many times."""
        start, end = raw.index(b"PK\x01\x02"), raw.index(b"PK\x05\x06")
        last = raw.rindex(b"PK\x01\x02")
        directory = raw[start:last] + raw[last:end] * times
        tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, times + 1, times + 1, len(directory), start, 0)
        return raw[:start] + directory + tail

    big = npy((5 << 20,), content=bytes(20 << 20))
    return {
        "deflated zeros": zipped(big, zipfile.ZIP_DEFLATED),
        "deflated zeros that claim to be few": zipped(big, zipfile.ZIP_DEFLATED, partial(claim, 100)),
        "a header without content": zipped(npy((10**12,))),
        "a header of a negative size": zipped(npy((-4, -4), content=bytes(64))),
        "a header of size zero": zipped(npy((0, 10**30))),
        "a header of no bytes each": zipped(npy((10**12,), "<U0")),
        "a header that is nested": zipped(npy("(" * 4000)),
        "a header of signs": zipped(npy("-" * 9000 + "1")),
        "a header of another version": zipped(npy((4,), content=bytes(16), version=(3, 0))),
        "objects": zipped(npy((4,), "|O", bytes(32))),
        "a directory that lies": zipped(npy((4,), content=bytes(16)), patch=partial(claim, 2 << 30)),
        "entries that overlap": zipped(npy((9000,), content=bytes(36_000)), patch=overlap),
    }


BOMBS = bombs()


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_file_that_promises_more_than_it_is_long_is_refused(content, tmp_path, monkeypatch):
    """Compressed zeros and wrong headers and directories raise a ValueError, with no more memory than the file needs"""
    path, read, sizes = tmp_path / "a.npz", archive._array, []

    def counted(content):
        sizes.append(len(content))
        return read(content)

    monkeypatch.setattr(archive, "_array", counted)
    path.write_bytes(content)
    assert peak_of(path, archive.BadFileError) < 4 * len(content) + (4 << 20)
    assert sum(sizes) <= len(content)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, '"\ud800', "\0", "é"])
def test_a_description_that_is_no_json_is_refused(text, tmp_path):
    """Deeply nested text, endless numbers and broken letters are refused"""
    np.savez(tmp_path / "a.npz", about=np.array(text))
    with pytest.raises(ValueError, match=r"a\.npz is an \.npz file, but not one of scratchadv"):
        weights.load(tmp_path / "a.npz")


def test_loading_draws_no_weights(tmp_path, monkeypatch):
    """Loading a model draws no random parameters: those in the file are the only ones"""
    save_model(tmp_path / "a.npz", partial(CNN, (8, 8, 1)))

    def draws(*arguments):
        raise AssertionError("weights were drawn")

    for layer in (Conv, Dense):
        monkeypatch.setattr(layer, "initial", draws)
    assert weights.load(tmp_path / "a.npz").logits(np.ones((1, 8, 8, 1), "f4")).shape == (1, 10)


# Files that are not regular files


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@each_kind
def test_a_pipe_or_a_folder_is_refused_instead_of_waited_for(write, read, tmp_path):
    """Reading raises an OSError at once"""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="is not a regular file"):
            read(path)


# The zoo


def in_zoo(cache, **options):
    return zoo.trained("net", partial(MLP, (4, 3)), *data(), epochs=1, cache=cache, progress=False, **options)


def spoil_weight(path):
    rewrite(path, "model", arrays_of(**{"1.bias": np.full(3, np.nan, "f4")}))


def spoil_layers(path):
    rewrite(path, "model", lambda about, arrays: (about | {"layers": NESTED}, arrays))


def spoil_content(path):
    path.write_bytes(BOMBS["a header that is nested"])


@pytest.mark.parametrize("spoil", [spoil_weight, spoil_layers, spoil_content])
def test_a_damaged_model_of_the_zoo_is_trained_anew(spoil, tmp_path):
    """Whatever the damage, there is a warning, and the same model is trained again"""
    expected = in_zoo(tmp_path)
    (path,) = tmp_path.iterdir()
    spoil(path)
    with pytest.warns(UserWarning, match="deleted, and trained again"):
        found = in_zoo(tmp_path)
    for name, p in expected.params.items():
        np.testing.assert_array_equal(found.params[name], p)


@pytest.mark.parametrize("damage", [{"generators": []}, {"factors": NESTED}, {"history": {}}, {"configuration": {}}])
def test_a_damaged_checkpoint_of_the_zoo_is_trained_anew(damage, tmp_path, monkeypatch):
    """A checkpoint that can be read but not continued gives a warning, and the same model is trained again"""
    expected = in_zoo(tmp_path / "whole")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(weights, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            in_zoo(tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    rewrite(path, "checkpoint", lambda about, arrays: (about | damage, arrays))
    with pytest.warns(UserWarning, match=r"checkpoint\.npz .*: deleted, and trained again"):
        found = in_zoo(tmp_path / "cache")
    for name, p in expected.params.items():
        np.testing.assert_array_equal(found.params[name], p)
