"""Laws of the package as a whole: what it imports, its version, its docstrings and their examples."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import scratchadv
import scratchadv.attacks
import scratchadv.datasets
import scratchadv.models
import scratchadv.robust_logistic
import scratchadv.sets

MODULES = {"scratchadv": scratchadv} | {
    found.name: importlib.import_module(found.name)
    for found in pkgutil.walk_packages(scratchadv.__path__, "scratchadv.")
    if not found.name.endswith(".__main__")
}


def public(module):
    """The public functions and classes that a module itself defines."""
    for name, thing in vars(module).items():
        own = getattr(thing, "__module__", None) == module.__name__ and getattr(thing, "__name__", None) == name
        if own and not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)):
            yield thing


DEFINED = [thing for module in MODULES.values() for thing in public(module)]
by_name = {"ids": lambda thing: f"{thing.__module__}.{thing.__qualname__}"}


def test_the_helper_finds_what_there_is():
    """public() finds functions and classes of files in folders, but neither private nor imported names"""
    names = {f"{thing.__module__}.{thing.__name__}" for thing in DEFINED}
    assert {"scratchadv.attacks.gradient.pgd.pgd", "scratchadv.sets.norms.Linf"} <= names
    assert not names & {"scratchadv.attacks.pgd", "scratchadv.sets.Any", "scratchadv.training._step"}


# What is loaded


def loaded_by(statement):
    """The modules in a fresh interpreter after the statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    """import scratchadv loads no cupy, matplotlib, torch, scipy, hypothesis, pooch, tqdm"""
    heavy = {"cupy", "matplotlib", "torch", "scipy", "hypothesis", "pooch", "tqdm"}
    loaded = loaded_by("import scratchadv")
    assert "scratchadv" in loaded
    assert not loaded & heavy


def test_attacking_and_training_load_no_drawing_and_no_optional_package():
    """The packages below the plots load no cupy, matplotlib, torch, hypothesis, pooch, tqdm, and SciPy's parts later"""
    rooms = "attacks, sets, datasets, evaluate, models, robust_logistic, training"
    loaded = loaded_by(f"from scratchadv import {rooms}")
    assert "scratchadv.attacks" in loaded
    heavy = {"cupy", "matplotlib", "torch", "hypothesis", "pooch", "tqdm", "scipy.optimize", "scipy.special"}
    assert not loaded & heavy


def test_the_version_is_that_of_the_installed_package():
    """scratchadv.__version__ is the version in the metadata, such as 0.1.0"""
    assert metadata.version("scratchadv") == scratchadv.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", scratchadv.__version__)


def test_the_command_is_installed():
    """The command ``scratchadv`` is scratchadv.cli.main"""
    (command,) = metadata.entry_points(group="console_scripts", name="scratchadv")
    assert command.load() is importlib.import_module("scratchadv.cli").main


@pytest.mark.parametrize("name", [name for name, module in MODULES.items() if hasattr(module, "__path__")])
def test_no_name_is_a_module_and_an_export_of_one_package(name):
    """``from package import name`` means one thing"""
    inner = {found.name for found in pkgutil.iter_modules(MODULES[name].__path__)}
    exported = {n for n, thing in vars(MODULES[name]).items() if not inspect.ismodule(thing)}
    assert not inner & exported


# Docstrings


def star(module):
    """The names that ``from module import *`` imports."""
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    return {name: getattr(module, name) for name in names}


# The names that a reader has imported before the examples: import numpy as np; from scratchadv.sets import *; and so
# on, and finally those of the module with the example.
TYPED = {"np": np}
for room in ("datasets", "models", "sets", "attacks", "robust_logistic"):
    TYPED |= star(MODULES[f"scratchadv.{room}"])

EXAMPLES = [
    example
    for module in MODULES.values()
    for example in doctest.DocTestFinder(exclude_empty=True).find(module, globs=TYPED | star(module))
    if example.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_examples_in_docstrings_say_what_happens(example):
    """The examples print what the docstrings show"""
    runner = doctest.DocTestRunner(verbose=False)
    report = []
    runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_there_are_examples():
    """The helper finds the examples of modules, functions and classes"""
    names = {example.name for example in EXAMPLES}
    assert {
        "scratchadv.datasets",
        "scratchadv.attacks.linear.exact",
        "scratchadv.sets.box.Box",
    } <= names


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_whatever_is_public_has_a_docstring(module):
    """Public functions, classes, their public methods, and modules with anything public have docstrings"""
    bare = []
    for thing in public(module):
        members = [m for n, m in vars(thing).items() if not n.startswith("_")] if inspect.isclass(thing) else []
        functions = [getattr(m, "__func__", getattr(m, "fget", m)) for m in members]
        own = [thing, *(f for f in functions if inspect.isfunction(f) and f.__name__ != "<lambda>")]
        bare += [o.__qualname__ for o in own if not (o.__doc__ or "").strip()]
    assert bare == []
    assert (module.__doc__ or "").strip() or not list(public(module))


def section(thing, title):
    """The lines of a numpydoc section, or None if there is no such section."""
    end = r"^\w[\w ]*\n---|^Source\b|\Z"
    found = re.search(rf"^{title}\n-+\n(.*?)(?={end})", inspect.getdoc(thing) or "", re.DOTALL | re.MULTILINE)
    return found and found[1].splitlines()


def documented(thing):
    """The names in the section Parameters."""
    heads = [line.split(" : ")[0] for line in section(thing, "Parameters") or [] if re.match(r"[*\w]", line)]
    return [name.strip(" *") for head in heads for name in head.split(",")]


def arguments(thing):
    return [name for name in inspect.signature(thing).parameters if name != "self"]


def test_the_helpers_read_sections():
    """section() and documented() on a docstring with all sections"""

    def f(x, y, z, **more):
        """Do.

        Parameters
        ----------
        x, y : float
            Two: of them.
        z : int
        **more
            The rest.

        Source: a slide and,
        on the next line, a paper.

        Returns
        -------
        float
        """

    assert documented(f) == arguments(f) == ["x", "y", "z", "more"]
    assert section(f, "Returns")[0] == "float"
    assert section(f, "Raises") is None


@pytest.mark.parametrize("thing", [t for t in DEFINED if section(t, "Parameters")], **by_name)
def test_docstrings_name_no_argument_that_is_not_there(thing):
    """The names under Parameters are arguments, each once"""
    names = documented(thing)
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= set(arguments(thing))


DOORS = {"attacks", "robust_logistic", "training", "evaluate", "transfer", "defenses", "certify"}


def handed_out(thing):
    """Whether its package exports it under its own name, and is one of the packages that users import from."""
    room = thing.__module__.split(".")[1]
    return room in DOORS and vars(MODULES[f"scratchadv.{room}"]).get(thing.__name__) is thing


CALLED = [t for t in DEFINED if inspect.isfunction(t) and handed_out(t)]
CALLED.append(scratchadv.datasets.load)


@pytest.mark.parametrize("thing", CALLED, **by_name)
def test_functions_for_visitors_are_documented_whole(thing):
    """The docstrings of functions for users name every argument, in order, and say what they return"""
    if "Parameters and errors as for" not in thing.__doc__:
        assert documented(thing) == arguments(thing)
    assert section(thing, "Returns") or section(thing, "Yields")


def test_the_doors_are_found():
    """The helper counts attacks, training and evaluation among the functions for users, but not their shared helpers"""
    names = {thing.__name__ for thing in CALLED}
    assert {"fit", "judge", "objective", "load", "pgd", "square", "universal", "train_atn"} <= names
    assert "boundaries" not in names


# Files and functions that can be read


FILES = sorted(Path(scratchadv.__file__).parent.rglob("*.py"))


def crowded(text, most=8):
    """The functions, by name and line, that take more positional parameters than so many."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            count = len(node.args.posonlyargs) + len(node.args.args)
            if count > most:
                yield f"{getattr(node, 'name', 'lambda')} (line {node.lineno}) has {count} positional parameters"


def test_crowded_counts_positional_parameters_only():
    """The helper: nine are too many, also behind a slash, in a lambda or in a method; keywords do not count"""
    nine, eight = ", ".join("abcdefghi"), ", ".join("abcdefgh")
    assert [*crowded(f"def f({nine}): pass")] == ["f (line 1) has 9 positional parameters"]
    assert len([*crowded(f"class A:\n    def f(self, /, {eight}): pass\nlambda {nine}: 0")]) == 2
    assert [*crowded(f"def f({eight}, *more, i=0, j=1, **rest): pass")] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FILES[0].parent)))
def test_every_file_can_be_read(path):
    """At most 400 lines a file, and at most eight positional parameters a function"""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert [*crowded(text)] == []


CHAPTERS = sorted((Path(__file__).parent.parent / "lectures").glob("[0-9]*.py"))


def private_names(text):
    """The private names of the library that a chapter imports or asks a module or class for."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.name.startswith("_"))
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            yield node.attr


def test_private_names_are_found_where_there_are_some():
    """The helper: imported or by attribute; what Python itself calls __name__ does not count"""
    assert [*private_names("from scratchadv.attacks import _a, b\nshow(module._c, d.e, f.__doc__)")] == ["_a", "_c"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_chapter_needs_a_private_name(path):
    """What a chapter shows or calls is public, so that its readers find it in the documentation"""
    assert [*private_names(path.read_text(encoding="utf-8"))] == []
