"""What is distributed: a complete wheel and source distribution, and files that agree about versions."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import scratchadv

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "results", "mnist")
TOP = {
    "LICENSE",
    "CITATION.cff",
    "setup.cfg",
    "pyproject.toml",
    "ruff.toml",
    *(path.name for path in ROOT.glob("*.md")),
}

pytestmark = pytest.mark.xdist_group("packaging")  # so that the packages are built only once


def files_below(folder):
    """The files of a folder of the project, relative to the project, without caches."""
    found = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts and path.suffix != ".pyc"}


def read(name):
    return (ROOT / name).read_text("utf-8")


# Versions


def test_the_changelog_ends_with_this_version():
    """The newest released section of CHANGELOG.md is that of scratchadv.__version__, below an unreleased one"""
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", read("CHANGELOG.md"), re.MULTILINE)
    assert [version for version, _ in headings][:2] == ["Unreleased", scratchadv.__version__]
    assert all(date for version, date in headings if version != "Unreleased")


def test_the_citation_is_of_this_version():
    """CITATION.cff has what format 1.2.0 requires, and the same version, date and license as the other files"""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    cited = yaml.safe_load(read("CITATION.cff"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(cited)
    assert cited["authors"] == [{"name": re.search(r"Copyright \(c\) \d+ (.*)", read("LICENSE"))[1]}]
    assert cited["title"] == "scratchadv"
    assert cited["version"] == scratchadv.__version__
    assert f"## [{cited['version']}] - {cited['date-released']}" in read("CHANGELOG.md")
    assert cited["license"] == re.search(r"^license = (.*)$", read("setup.cfg"), re.MULTILINE)[1]


MOVES = re.findall(r"^\| ([^|]*`scratchadv\.[^|]*) \| ([^|]*) \|$", read("CHANGELOG.md"), re.MULTILINE)


@pytest.mark.parametrize(("before", "now"), MOVES)
def test_moved_modules_are_where_the_changelog_says(before, now):
    """Each new name can be imported, and no old name is a module any more"""
    for name in re.findall(r"`(scratchadv\.[\w.]+)`", now):
        importlib.import_module(name)
    for name in re.findall(r"`(scratchadv\.[\w.]+)`", before):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


# Packages


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is built from it."""
    pytest.importorskip("build", reason="build is not installed")
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder / "source"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (sdist,), (wheel,) = ((folder / "dist").glob(pattern) for pattern in ("*.tar.gz", "*.whl"))
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A new environment with the wheel, which takes the packages that it needs from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, built[1]], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder / "bin"


def run(folder, *command):
    """The output of a command in an empty folder, where this checkout cannot be imported."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(list(command), cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built):
    """Its files are the modules of scratchadv/ and the metadata, including the license; results are not in it"""
    names = set(zipfile.ZipFile(built[1]).namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert names - metadata == {name for name in files_below("scratchadv") if name.endswith(".py")}
    assert any(name.endswith("LICENSE") for name in metadata)


@pytest.mark.slow
def test_the_source_distribution_holds_the_project(built):
    """The package, its tests, the lectures with the homework, the benchmarks, and the files next to them"""
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = "scratchadv", "tests", "lectures", "benchmarks"
    expected = set().union(*map(files_below, folders), TOP, {"data/README.md"})
    assert expected <= names
    assert not {name for name in names if "__pycache__" in name or name.startswith((".", "results", "data/mnist"))}


@pytest.mark.slow
def test_tests_run_from_the_source_distribution(built, tmp_path):
    """A test file and the hand-out of a homework work in the unpacked archive"""
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    found = run(root, sys.executable, "-m", "pytest", "-q", "-n0", "tests/test_floors.py", "tests/test_losses.py")
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    found = run(root, sys.executable, "lectures/homework.py", "new", "hw1", "out")
    assert found.returncode == 0, found.stdout + found.stderr
    assert (root / "out" / "README.md").is_file()


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_folder(installed, tmp_path):
    """The version, and the linear experiment on digits drawn by code, with its table and figures"""
    code = "import scratchadv; print(scratchadv.__file__)"
    where = run(tmp_path, installed / "python", "-c", code).stdout
    assert Path(where).is_relative_to(installed.parent)
    said = run(tmp_path, installed / "scratchadv", "--version").stdout
    assert scratchadv.__version__ in said
    done = run(tmp_path, installed / "scratchadv", "reproduce", "linear", "--data", "strokes", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "table.md").stat().st_size
    assert (tmp_path / "out" / "result.json").stat().st_size
    assert list((tmp_path / "out").glob("*.png"))


@pytest.mark.slow
def test_the_museum_says_what_to_install(installed, tmp_path):
    """Without hypothesis ``scratchadv museum`` ends with one line that contains the command to install it"""
    code = "import sys; sys.modules['hypothesis'] = None; from scratchadv.cli import main; sys.exit(main(['museum']))"
    done = run(tmp_path, installed / "python", "-c", code)
    assert done.returncode
    assert "pip install 'scratchadv[test]'" in done.stderr
    assert "Traceback" not in done.stderr
