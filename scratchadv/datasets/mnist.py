"""MNIST: found on disk or downloaded, and never used before its bytes are checked."""

import hashlib
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .dataset import DIGITS, Dataset, as_images
from .idx import read_idx


class File(NamedTuple):
    """A published file: its name, its size in bytes, and its md5 sum."""

    name: str
    size: int
    md5: str


FILES = (
    File("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    File("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
    File("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
    File("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
)
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
TIMEOUT = 5  # seconds that a mirror may stay silent


class DatasetUnavailableError(OSError):
    """Raised if the data are not on this machine and cannot be downloaded."""


def load_mnist():
    """Load MNIST: 60,000 training and 10,000 test images of handwritten digits.

    The files are read from the first of these folders that has any of the four: ``$SCRATCHADV_DATA/mnist``,
    ``./data/mnist``, the user's cache. If none has any, they are downloaded into the cache.

    Returns
    -------
    Dataset
        Images (N, 28, 28, 1), classes 0 to 9.

    Raises
    ------
    DatasetUnavailableError
        If no folder has the files and they cannot be downloaded.
    FileNotFoundError
        If a folder other than the cache has some of the files but not all.
    ValueError
        If a file differs from the published one.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits",
    http://yann.lecun.com/exdb/mnist/
    """
    folder = _folder()
    if folder == _cache():
        _download(folder)
    for file in FILES:
        _check(folder, file)
    x_train, y_train, x_test, y_test = (
        read_idx(folder / file.name, ndim) for file, ndim in zip(FILES, (3, 1, 3, 1), strict=True)
    )
    return Dataset(
        x_train=as_images(x_train),
        y_train=y_train.astype(np.int64),
        x_test=as_images(x_test),
        y_test=y_test.astype(np.int64),
        class_names=DIGITS,
        source="MNIST, the four published files",
    )


def _places():
    """Yield the folders that may hold MNIST, in the order of the search, each with its name in messages."""
    if data := os.environ.get("SCRATCHADV_DATA"):
        yield Path(data) / "mnist", "$SCRATCHADV_DATA/mnist"
    yield Path("data") / "mnist", "./data/mnist"
    yield _cache(), "your cache"


def _cache():
    import pooch

    return Path(pooch.os_cache("scratchadv")) / "mnist"


def _folder():
    """Return the first folder that has any of the files, else the cache."""
    for place, _ in _places():
        if any((place / file.name).is_file() for file in FILES):
            return place
    return _cache()


def _check(folder, file):
    """Refuse a file that is not the published one."""
    path = folder / file.name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing although that folder has other files of MNIST: put all four there, or none"
        )
    advice = "; it is damaged or belongs to another data set with the same file names: replace it or delete it"
    if (size := path.stat().st_size) != file.size:
        raise ValueError(f"{path}: expected the {file.size} bytes of MNIST's file, found {size}{advice}")
    if (md5 := hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()) != file.md5:
        raise ValueError(f"{path}: expected the md5 sum {file.md5} of MNIST's file, found {md5}{advice}")


def _download(cache):
    """Download the files that the cache lacks, each from the first mirror that serves the published bytes."""
    mirrors = list(MIRRORS)
    for file in FILES:
        if not (cache / file.name).is_file():
            _fetch(cache, file, mirrors)


def _fetch(cache, file, mirrors):
    """Download one file; a mirror that fails moves to the end, so that the next file does not wait for it."""
    failures = []
    for mirror in tuple(mirrors):
        try:
            return _retrieve(mirror + file.name, cache, file)
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}{file.name}: {type(error).__name__}: {error!s:.80}")
            mirrors.append(mirrors.pop(0))
    raise DatasetUnavailableError(_nowhere(file, failures))


def _retrieve(url, cache, file):
    """Download to a temporary file, which is moved to its place only if its md5 sum is correct."""
    import pooch

    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=sys.stderr.isatty())
    with _quiet(pooch.get_logger()):
        pooch.retrieve(url, f"md5:{file.md5}", fname=file.name, path=cache, downloader=downloader)


@contextmanager
def _quiet(logger):
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _nowhere(file, failures):
    places = [f"  {name} ({place.absolute()})" for place, name in _places()]
    if not os.environ.get("SCRATCHADV_DATA"):
        places.insert(0, "  $SCRATCHADV_DATA/mnist (SCRATCHADV_DATA is not set)")
    return "\n".join(
        [
            f"MNIST is not available: {file.name} is in none of these places:",
            *places,
            "and no mirror served it:",
            *(f"  {failure}" for failure in failures),
            "Put the four files into a folder mnist/ and set SCRATCHADV_DATA to the folder above it, "
            'or use the data set "strokes", which needs no files.',
        ]
    )
