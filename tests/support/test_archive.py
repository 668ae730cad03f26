"""Laws of arrays in files: they are written completely or not at all, and read back unchanged."""

import json
import os
from io import BytesIO

import numpy as np
import pytest

from scratchadv.support import archive

ARRAYS = {
    "theta": np.array([[1.5, -0.0, np.nan]], np.float32),
    "theta0": np.array(1e-300),
    "file": np.zeros((0, 2)),
    "about": np.array([3]),
}
ABOUT = {"why": "ℓ∞", "numbers": [0.1, 5e-324, 1e300], "nothing": None}


def same(found, expected):
    assert list(found) == list(expected)
    for name, a in expected.items():
        np.testing.assert_array_equal(found[name], a, strict=True)


def test_what_is_written_comes_back(tmp_path):
    """read(write(a)) = a: names, order, dtypes, shapes and bits; the path is used as it is"""
    path = tmp_path / "without extension"
    archive.write(path, "model", ABOUT, ARRAYS)
    about, arrays = archive.read(str(path), "model")
    assert about == ABOUT
    same(arrays, ARRAYS)
    assert [p.name for p in tmp_path.iterdir()] == ["without extension"]


def test_arrays_of_any_layout_come_back_and_can_be_written_to(tmp_path):
    """Arrays in any memory layout, also empty or without axes, come back with the same values and their own memory"""
    a = np.arange(24.0).reshape(2, 3, 4)
    arrays = {"columns": np.asfortranarray(a), "strided": a[:, ::2], "reversed": a[::-1], "axis": a[:, :, 0].T}
    arrays |= {
        "empty": np.zeros((3, 0), np.int8),
        "number": np.array(2.5),
        "flags": a > 3,
        "text": np.array(["ε", "δδ"]),
    }
    archive.write(tmp_path / "a", "model", {}, arrays)
    found = archive.read(tmp_path / "a", "model")[1]
    same(found, arrays)
    for array in found.values():
        assert array.flags.writeable
        assert array.base is None


def test_a_file_is_a_function_of_its_content(tmp_path):
    """The same content gives the same bytes"""
    for name in "ab":
        archive.write(tmp_path / name, "model", ABOUT, ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.npz"
    archive.write(path, "model", ABOUT, ARRAYS)
    return path


def test_a_file_cut_off_anywhere_is_refused(written):
    """A file that is cut off anywhere raises a ValueError that names it"""
    whole = written.read_bytes()
    for n in range(len(whole)):
        written.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"a\.npz is damaged, cut off, or not a file of scratchadv"):
            archive.read(written, "model")


def test_a_flipped_bit_is_refused_or_does_not_matter(written):
    """A changed byte raises a ValueError or leaves the content the same (zip has bytes without a meaning)"""
    whole = written.read_bytes()
    refused = 0
    for i in range(len(whole)):
        written.write_bytes(whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :])
        try:
            about, arrays = archive.read(written, "model")
        except ValueError:
            refused += 1
        else:
            assert about == ABOUT
            same(arrays, ARRAYS)
    assert refused > len(whole) / 2


def head(kind, number, *names):
    return {"about": np.array(json.dumps({"scratchadv": kind, "format": number, "names": names}))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": np.ones(2)}, "an .npz file, but not one of scratchadv: a model was expected"),
        ({"about": np.ones(2)}, "not one of scratchadv"),
        ({"about": np.array("no JSON")}, "not one of scratchadv"),
        ({"about": np.array("[1]")}, "not one of scratchadv"),
        ({"about": np.array('{"scratchadv": "model"}')}, "not one of scratchadv"),
        ({"about": np.array('{"scratchadv": "model", "format": 1}')}, "not one of scratchadv"),
        (head("model", 0), "is a model in format 0; a model in format 1 was expected"),
        (head("atlas", 1), "is a atlas in format 1; a model in format 1 was expected"),
        (head("model", 1, "b"), r"is damaged: it holds \[\]; the arrays \['b'\] were expected"),
        (head("model", 1) | {"arrays/b": np.ones(1)}, "is damaged"),
        ({"about": np.array([{"a": 1}], dtype=object)}, "allow_pickle=False"),
        ({"about": np.array("{}"), "a": np.array([print], dtype=object)}, "allow_pickle=False"),
    ],
)
def test_another_npz_file_is_refused(tmp_path, content, message):
    """Foreign entries, another kind of file and pickles raise a ValueError that says so"""
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(ValueError, match=message):
        archive.read(tmp_path / "a.npz", "model")


class Alarm:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "make", [lambda: b"", lambda: b"PK", lambda: b"text" * 99, lambda: npy(np.ones(3)), lambda: pickled()]
)
def test_another_file_is_refused_and_nothing_in_it_is_run(tmp_path, make):
    """An empty file, text, .npy and a pickle that would end this process raise a ValueError"""
    (tmp_path / "a.npz").write_bytes(make())
    with pytest.raises(ValueError, match="damaged, cut off, or not a file of scratchadv"):
        archive.read(tmp_path / "a.npz", "model")


def npy(array):
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def pickled():
    import pickle

    return pickle.dumps(Alarm())


def test_a_missing_file_is_a_missing_file(tmp_path):
    """Reading a missing file and writing into a missing folder raise a FileNotFoundError"""
    with pytest.raises(FileNotFoundError):
        archive.read(tmp_path / "a.npz", "model")
    with pytest.raises(FileNotFoundError):
        archive.write(tmp_path / "no" / "a.npz", "model", {}, {})


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(written, monkeypatch):
    """Whatever interrupts writing, the old file stays, bit for bit, and no partial file is left"""
    before = written.read_bytes()

    class Unwritable:
        def __array__(self, *args, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.write(written, "model", {}, {"a": np.ones(1000), "b": Unwritable()})

    def full(*args):
        raise OSError("no space left on device")

    for where in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, where, full)
            with pytest.raises(OSError, match="no space left"):
                archive.write(written, "model", {}, {"a": np.ones(1000)})
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"a": np.ones(2)}, r"a\.npz does not fit: b has shape None there; \(\) was expected"),
        ({"a": np.ones(3), "b": np.ones(())}, r"a has shape \(3,\) there; \(2,\) was expected"),
        ({"a": np.ones(2), "b": 1.0, "c": np.ones(1)}, r"c has shape \(1,\) there; None was expected"),
    ],
)
def test_arrays_of_other_shapes_are_refused(found, message):
    """Names and shapes must be the expected ones, in any order"""
    expected = {"a": (2,), "b": ()}
    archive.check_shapes("a.npz", {"b": np.ones(()), "a": np.ones(2)}, expected)
    with pytest.raises(ValueError, match=message):
        archive.check_shapes("a.npz", found, expected)
