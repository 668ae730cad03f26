"""Fixtures and settings that several folders of tests share."""

import os
import sys

# The workers share the cores, so BLAS threads of one would spin, waiting for those of another. Set before NumPy loads.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from scratchadv.backend import has_gpu
from scratchadv.parallel import limit
from scratchadv.testing.device import gpu

# On a developer's machine every run draws new examples. In CI the examples are always the same, so that a failure is
# due to the change. There is no deadline, since machines are busy at times.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """The module of device arrays: a strict simulation on any machine, and CuPy where there is a GPU."""
    if request.param == "real":
        return request.getfixturevalue("cupy")
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    return gpu


@pytest.fixture
def cupy():
    """CuPy with a real GPU."""
    module = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not has_gpu():
        pytest.skip("CuPy finds no GPU")
    return module


@pytest.fixture(scope="module")
def one_thread():
    """Run attacks in this thread only, for many calls on a handful of examples, where threads would only wait."""
    with limit(threads=1):
        yield
