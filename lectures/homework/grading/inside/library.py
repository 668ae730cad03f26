"""The library as a homework sees it: without the answers.

Modules that the student writes, and other modules with the same answers, are served as templates, so that the answers
exist nowhere in this process: not in another module, not in a default, not in a closure. Only the tests can import
modules that as a whole would be an answer.
"""

import importlib.util
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from types import FunctionType, ModuleType

NOT_NEEDED = (  # the events of sys.addaudithook that search the interpreter or start another program
    "gc.get_objects",
    "gc.get_referrers",
    "gc.get_referents",
    "sys._current_frames",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.system",
)


class Library(MetaPathFinder, Loader):
    """A finder that serves templates in the place of some modules, and later refuses others.

    Parameters
    ----------
    served : dict
        For the name of each module its ``text`` and, for a package, the folders of its ``path``.
    refused : collection of str
        Modules that are an answer, with everything in them.
    """

    def __init__(self, served, refused):
        self.served = served
        self.refused = tuple(refused)
        self.closed = False

    def find_spec(self, name, path=None, target=None):
        """Return the spec of a template; everything else is left to Python."""
        if self.closed and is_or_is_in(name, self.refused):
            raise ModuleNotFoundError(f"{name} would be the answer", name=name)
        if name not in self.served:
            return None
        folders = self.served[name]["path"]
        spec = importlib.util.spec_from_loader(name, self, origin="a template", is_package=folders is not None)
        if folders is not None:
            spec.submodule_search_locations[:] = folders
        return spec

    def exec_module(self, module):
        """Execute the template."""
        exec(compile(self.get_source(module.__name__), f"<template of {module.__name__}>", "exec"), vars(module))

    def get_source(self, name):
        """Return the text of the template, for ``inspect``."""
        return self.served[name]["text"]

    def close(self):
        """Forget the modules that only the tests needed, and refuse them from now on."""
        self.closed = True
        for name in [name for name in sys.modules if is_or_is_in(name, self.refused)]:
            parent, _, last = name.rpartition(".")
            vars(sys.modules.get(parent, self)).pop(last, None)
            del sys.modules[name]


def is_or_is_in(name, modules):
    """Return whether a dotted name is one of the modules or something in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def modules_of(package):
    """Return the loaded modules of a package by name, including the package itself."""
    return {name: module for name, module in list(sys.modules.items()) if is_or_is_in(name, [package])}


def built_on(replaced, package="scratchadv"):
    """Return the names of the package's loaded modules that depend on the replaced ones, directly or indirectly."""
    modules = modules_of(package)
    found = set(replaced)
    while new := {name for name in modules if name not in found and _holds(modules[name], found)}:
        found |= new
    return sorted(found - set(replaced) - {package})


def _holds(module, origins):
    values = [value for key, value in vars(module).items() if not _is_submodule(module, key, value)]
    return any(_origin(value) in origins for value in values)


def _is_submodule(module, key, value):
    return isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{key}"


def _origin(value):
    """Return the name of the module in which a value was made."""
    if isinstance(value, ModuleType):
        return value.__name__
    return vars(value).get("__module__") if isinstance(value, type) else _written_in(value)


def _written_in(value):
    return value.__module__ if isinstance(value, FunctionType) else type(value).__module__


def put(modules):
    """Put modules under their names into ``sys.modules``, and into their packages if these hold the old module."""
    for name, module in modules.items():
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        package = sys.modules.get(parent)
        if package is not None and isinstance(vars(package).get(last, module), ModuleType):
            setattr(package, last, module)


def forbid(paths):
    """Forbid all code from now on to open these files, to search all objects, or to start a program.

    Python calls the hook before each such operation, and the hook cannot be removed. The operation fails with a
    ``PermissionError``; the test continues.

    Parameters
    ----------
    paths : collection of str
    """
    hidden = {_identity(path) for path in paths} - {None}

    def refuse(event, arguments):
        if event in NOT_NEEDED:
            raise PermissionError(f"{event} is not for a homework")
        if event == "open" and _identity(arguments[0]) in hidden:
            raise PermissionError(f"{arguments[0]} would be the answer")

    sys.addaudithook(refuse)


def _identity(path):
    """Return what identifies a file under any of its names, or None if there is no such file."""
    try:
        about = os.stat(path)
    except (OSError, ValueError, TypeError):
        return None
    return about.st_dev, about.st_ino
