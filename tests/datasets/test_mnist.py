"""Laws of finding, checking and downloading MNIST, on four tiny files, and the published counts of the real ones."""

import gzip
import hashlib
import os
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from scratchadv.datasets import DatasetUnavailableError, load, mnist
from scratchadv.datasets.mnist import FILES, File, load_mnist

NAMES = [file.name for file in FILES]
RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.integers(0, 256, shape).astype(np.uint8) % limit
    for shape, limit in [((3, 28, 28), 255), ((3,), 10), ((2, 28, 28), 255), ((2,), 10)]
]


def gzipped_idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


CONTENT = {name: gzipped_idx(array) for name, array in zip(NAMES, ARRAYS, strict=True)}


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    """Three empty places and no mirror, where MNIST consists of five images."""
    files = [File(name, len(data), hashlib.md5(data).hexdigest()) for name, data in CONTENT.items()]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SCRATCHADV_DATA", str(tmp_path / "set"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(mnist, "_cache", lambda: tmp_path / "cache")


@pytest.fixture
def places(tmp_path):
    return [tmp_path / "set" / "mnist", tmp_path / "here" / "data" / "mnist", tmp_path / "cache"]


@pytest.fixture
def serve():
    """serve(files) starts a mirror with these files and returns its address; `asked` records the requests."""
    servers = []

    def start(files):
        class Mirror(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2]
                start.asked.append((self.server.server_port, name))
                if name not in files:
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT[name])))
                self.end_headers()
                return self.wfile.write(files[name])

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/mnist/"

    start.asked = []
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fill(folder, content=CONTENT):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("i", range(3))
def test_found_in_any_place(places, i):
    fill(places[i])
    data = load_mnist()
    for x, pixels in [(data.x_train, ARRAYS[0]), (data.x_test, ARRAYS[2])]:
        np.testing.assert_array_equal(x, pixels[..., None] / np.float32(255), strict=True)
    for y, labels in [(data.y_train, ARRAYS[1]), (data.y_test, ARRAYS[3])]:
        np.testing.assert_array_equal(y, labels.astype(np.int64), strict=True)
    assert data.class_names == tuple("0123456789")
    assert data.source == "MNIST, the four published files"  # without the place of the files


@pytest.mark.parametrize("first", range(2))
def test_the_first_place_that_has_files_is_used(places, first):
    damaged = CONTENT | {NAMES[0]: b"damaged"}
    fill(places[first], damaged)
    fill(places[first + 1])
    with pytest.raises(ValueError, match=NAMES[0]):
        load_mnist()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", range(3))
def test_a_file_of_another_size_is_refused_by_name(places, name, place):
    data = CONTENT[name]
    for wrong in [data[:-1], data + b"\0", b""]:
        fill(places[place], CONTENT | {name: wrong})
        with pytest.raises(ValueError, match=rf"{name}: expected the {len(data)} bytes .* found {len(wrong)};"):
            load_mnist()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_the_right_size_and_other_bytes_is_refused_by_name(places, name):
    data = CONTENT[name]
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    fill(places[0], CONTENT | {name: wrong})
    with pytest.raises(ValueError, match=rf"{name}: expected the md5 sum .* found {hashlib.md5(wrong).hexdigest()}"):
        load_mnist()


@pytest.mark.parametrize("missing", NAMES)
@pytest.mark.parametrize("place", range(2))
def test_a_file_missing_beside_the_others_is_an_error(places, missing, place):
    fill(places[place], {name: data for name, data in CONTENT.items() if name != missing})
    with pytest.raises(FileNotFoundError, match=f"{missing} is missing"):
        load("auto")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_an_error(places, kind):
    fill(places[0], {name: data for name, data in CONTENT.items() if name != NAMES[1]})
    kind(places[0] / NAMES[1])
    with pytest.raises(FileNotFoundError, match=f"{NAMES[1]} is missing"):
        load("auto")


def test_all_files_are_downloaded_into_the_cache_and_asked_for_once(places, monkeypatch, serve):
    monkeypatch.setattr(mnist, "MIRRORS", (serve(CONTENT),))
    load_mnist()
    assert content_of(places[2]) == CONTENT
    load_mnist()
    assert [name for _, name in serve.asked] == NAMES


@pytest.mark.parametrize("missing", NAMES)
def test_only_what_the_cache_lacks_is_downloaded(places, monkeypatch, serve, missing):
    fill(places[2], {name: data for name, data in CONTENT.items() if name != missing})
    monkeypatch.setattr(mnist, "MIRRORS", (serve(CONTENT),))
    load_mnist()
    assert [name for _, name in serve.asked] == [missing]
    assert content_of(places[2]) == CONTENT


BAD_MIRRORS = {
    "empty": {},
    "foreign": {name: b"x" * len(data) for name, data in CONTENT.items()},
    "breaks off": {name: data[:-5] for name, data in CONTENT.items()},
}


@pytest.mark.parametrize("bad", BAD_MIRRORS.values(), ids=BAD_MIRRORS)
def test_after_a_bad_mirror_the_next_is_tried_and_then_kept(places, monkeypatch, serve, bad):
    mirrors = serve(bad), serve(CONTENT)
    monkeypatch.setattr(mnist, "MIRRORS", mirrors)
    load_mnist()
    assert content_of(places[2]) == CONTENT
    ports = [f":{port}/" in mirrors[0] for port, _ in serve.asked]
    assert ports == [True, False, False, False, False]


@pytest.mark.parametrize("bad", BAD_MIRRORS.values(), ids=BAD_MIRRORS)
def test_bad_mirrors_leave_nothing_behind_and_spoil_nothing(places, monkeypatch, serve, bad):
    good = {NAMES[0]: CONTENT[NAMES[0]], NAMES[3]: CONTENT[NAMES[3]]}
    fill(places[2], good)
    monkeypatch.setattr(mnist, "MIRRORS", (serve(bad), serve(bad)))
    with pytest.raises(DatasetUnavailableError, match=NAMES[1]):
        load_mnist()
    assert content_of(places[2]) == good


def test_when_all_mirrors_are_dead_the_error_is_quick_and_says_what_was_tried(places, monkeypatch, caplog, capsys):
    dead = "http://127.0.0.1:9/mnist/", "http://127.0.0.1:1/mnist/"
    monkeypatch.setattr(mnist, "MIRRORS", dead)
    start = time.monotonic()
    with pytest.raises(DatasetUnavailableError) as caught:
        load_mnist()
    assert time.monotonic() - start < 5
    for word in [*dead, *map(str, places), "$SCRATCHADV_DATA", "strokes"]:
        assert word in str(caught.value)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_the_error_says_that_the_variable_is_not_set(monkeypatch):
    monkeypatch.delenv("SCRATCHADV_DATA")
    with pytest.raises(DatasetUnavailableError, match="SCRATCHADV_DATA is not set"):
        load_mnist()


def test_a_cache_that_cannot_be_written_is_said(places, monkeypatch, serve):
    places[2].parent.joinpath("cache").write_text("a file where the folder should be")
    monkeypatch.setattr(mnist, "MIRRORS", (serve(CONTENT),))
    with pytest.raises(DatasetUnavailableError, match="cache"):
        load_mnist()


REAL = Path(os.environ.get("SCRATCHADV_DATA", "."), "mnist").absolute()


@pytest.mark.skipif(not (REAL / NAMES[0]).is_file(), reason="SCRATCHADV_DATA has no folder mnist/ with the real files")
def test_the_real_files_have_the_published_class_counts(monkeypatch):
    monkeypatch.setenv("SCRATCHADV_DATA", str(REAL.parent))
    monkeypatch.setattr(mnist, "FILES", FILES)
    data = load("mnist")
    assert data.x_train.shape == (60_000, 28, 28, 1)
    assert data.x_test.shape == (10_000, 28, 28, 1)
    for x in (data.x_train, data.x_test):
        assert (x.dtype, x.min(), x.max()) == (np.float32, 0, 1)
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.y_train).tolist() == train
    assert np.bincount(data.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
