"""What several rooms of the tests share."""

import os
import sys

# The workers share the cores: BLAS threads of one would wait, spinning, for those of another. Before NumPy is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from scratchadv.backend import has_gpu
from scratchadv.parallel import limit
from scratchadv.testing.device import gpu

# New examples at every run on a developer's machine; in CI the same ones, so that it fails for what was changed. No
# example has a deadline: machines are busy at times.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """The module of arrays on a device: a strict pretender on any machine, and CuPy where there is a GPU."""
    if request.param == "real":
        return request.getfixturevalue("cupy")
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    return gpu


@pytest.fixture
def cupy():
    """CuPy itself, with a GPU."""
    module = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not has_gpu():
        pytest.skip("CuPy finds no GPU")
    return module


@pytest.fixture(scope="module")
def one_thread():
    """Attacks run in this thread alone: for many calls on a handful of examples, where threads only wait."""
    with limit(threads=1):
        yield
