"""Laws of optional packages: the error names a missing package and the command that installs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from scratchadv.support.optional import MissingPackageError, needed_by

ROOT = Path(__file__).parents[2]


def without(package, code):
    """The last line that Python prints when the code runs without the package."""
    code = f"import sys; sys.modules[{package!r}] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    return done.stderr.strip().splitlines()[-1]


BUILD = "import sys; sys.argv = ['build', '--no-run']\nimport lectures.build"
MISSING = {
    "ball contract": ("hypothesis", "from scratchadv.testing import assert_ball_contract", "test"),
    "contract": ("hypothesis", "import scratchadv.testing.contract.strength", "test"),
    "strategies": ("hypothesis", "from scratchadv.testing import strategies", "test"),
    "museum": ("hypothesis", "from scratchadv.testing.museum import tour", "test"),
    "device": ("cupy", "import numpy\nfrom scratchadv.backend import to_device\nto_device(numpy.ones(1))", "gpu"),
    "techniques": (
        "sklearn",
        "from scratchadv.experiments.transfer import training\ntraining.techniques(None, None, 0, None)",
        "techniques",
    ),
    "notebooks": ("nbformat", BUILD, "lectures"),
    "kernels": ("nbclient", BUILD, "lectures"),
    "docstrings": ("numpydoc", BUILD, "lectures"),
    "browser": ("playwright", "from lectures.site.check import check\ncheck(None)", "lectures"),
}


@pytest.mark.parametrize(("package", "code", "extra"), MISSING.values(), ids=MISSING)
def test_a_missing_package_is_told_with_the_command_that_installs_it(package, code, extra):
    """The ImportError says in one sentence what needs which package, and the pip command with the extra"""
    if "lectures" in code:
        pytest.importorskip("jupytext", reason="the extra lectures is not installed")
    told = without(package, code)
    assert "Error: " in told
    assert " needs " in told
    assert f"pip install 'scratchadv[{extra}]'" in told
    assert not told.startswith("ModuleNotFoundError")


def test_the_museum_without_hypothesis_is_one_line_and_exit_status_one():
    """The command line shows no traceback"""
    code = "import sys; sys.modules['hypothesis'] = None\nfrom scratchadv.cli import main\nsys.exit(main(['museum']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("scratchadv: error: scratchadv.testing.contract needs hypothesis: pip install ")


def test_what_needs_no_optional_package_can_be_had_without():
    """check_gradients works without hypothesis"""
    code = "import sys; sys.modules['hypothesis'] = None\nfrom scratchadv.testing import check_gradients"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_error_is_an_import_error_with_its_cause_and_other_errors_pass():
    """The first failure is kept, and errors other than failed imports do not change"""
    message = r"tea needs water: pip install 'scratchadv\[kettle\]' \(No module"
    with pytest.raises(ImportError, match=message) as caught, needed_by("tea", "water", "kettle"):
        import water_that_is_not_there  # noqa: F401
    assert isinstance(caught.value, MissingPackageError)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    with pytest.raises(ZeroDivisionError), needed_by("tea", "water", "kettle"):
        1 / 0  # noqa: B018
