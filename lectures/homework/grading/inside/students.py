"""The student's files as modules, in the place of the library's.

The files come as text. ``norms.py`` is executed as ``scratchadv.sets.norms``, and the library's modules that depend
on it are loaded again on top of it: code that looks for the library's answers in them finds the student's own. If that
does not work, because the file ends with an error or lacks a name that the library imports from it, the library keeps
the templates, and the file is executed beside it.
"""

import ast
import importlib
import sys
import types

from .library import built_on, is_or_is_in, modules_of, put
from .words import RefusedError, at_import


class StudentModule(types.ModuleType):
    """A student's file, executed when one of its names is first used.

    Parameters
    ----------
    file : dict
        ``name``, ``module`` (which it replaces), ``path`` (if that is a package), and ``source`` or ``problem``.
    files : collection of str
        The names of all files of the student, with ``.py``.
    """

    __slots__ = "_begun", "_file", "_files", "_problem", "_stubs"

    def __init__(self, file, files):
        super().__init__(file["name"])
        self._file = file
        self._files = files
        self._stubs = {}
        self.begin_anew(file["name"])

    def __getattr__(self, name):
        """Return what the file defines, or a name that the library needs and the assignment removed."""
        if name.startswith("__"):
            raise AttributeError(name)
        self.execute()
        if self._problem:
            raise RefusedError(self._problem)
        if name in vars(self):
            return vars(self)[name]
        if name in self._stubs:
            return self._stubs[name]
        raise AttributeError(f"{self._file['name']}.py has no {name}")

    @property
    def filename(self):
        """The name of the file."""
        return f"{self._file['name']}.py"

    @property
    def failed(self):
        """Return whether the file could not be executed to its end."""
        return bool(self._problem)

    def begin_anew(self, name):
        """Forget everything that the file has defined; from now on its module is called ``name``."""
        about = {"__name__": name, "__doc__": None, "__package__": name.rpartition(".")[0], "__spec__": None}
        if self._file["path"] is not None and name == self._file["module"]:
            about |= {"__package__": name, "__path__": self._file["path"]}
        vars(self).clear()
        vars(self).update(about)
        self._begun, self._problem = False, self._file["problem"]

    def stand_in(self, stubs):
        """Use these for names that the file does not define."""
        self._stubs = stubs

    def look(self, replaced):
        """Refuse the file, before it runs, if it imports one of these modules or has a syntax error."""
        if self._file["problem"]:
            return
        try:
            refuse_imports(ast.parse(self._file["source"], self.filename), self.filename, replaced)
        except BaseException as error:
            self._file = {**self._file, "problem": at_import(error, self.filename, self._files)}
            self._problem = self._file["problem"]

    def execute(self):
        """Execute the file unless its execution has begun; keep an error in words."""
        if self._begun or self._problem:
            return
        self._begun = True
        try:
            exec(compile(self._file["source"], self.filename, "exec"), vars(self))
        except BaseException as error:
            problem = at_import(error, self.filename, self._files)
            self.begin_anew(self.__name__)  # what the file has defined before the error does not count
            self._problem = problem


def refuse_imports(tree, file, replaced):
    """Refuse a file that takes the answer from the library."""
    for node in ast.walk(tree):
        taken = [name for name in names_in(node) if is_or_is_in(name, replaced)]
        if taken:
            raise RefusedError(f"{file} imports {taken[0]}, which would be the answer (line {node.lineno})")


def names_in(node):
    """Yield the dotted names that an import, an attribute or a string may stand for."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        for alias in node.names:
            yield f"{node.module}.{alias.name}"
            if node.module.partition(".")[0] == "scratchadv":
                yield home(node.module, alias.name)
    elif isinstance(node, ast.Attribute):
        yield ast.unparse(node)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
        yield node.value


def home(module, name):
    """Return the module that defines the object which ``module`` calls ``name``."""
    try:
        return getattr(getattr(importlib.import_module(module), name), "__module__", None) or ""
    except (ImportError, AttributeError):
        return ""


def take_their_places(students):
    """Execute the files in the place of the library's modules, or beside the library if that does not work.

    Parameters
    ----------
    students : dict
        From the name of the module that each file replaces to its :class:`StudentModule`.
    """
    before = modules_of("scratchadv")
    built = [name for name in built_on(students) if name in before]
    for name in built:
        del sys.modules[name]
    for name, student in students.items():
        student.begin_anew(name)
    put(students)
    if _fit_in(students, built):
        return
    for name in modules_of("scratchadv"):
        del sys.modules[name]
    put(before)
    for student in students.values():
        student.begin_anew(student.filename.removesuffix(".py"))
    for student in students.values():
        student.execute()


def _fit_in(students, built):
    """Return whether the files can be executed and the library can be loaded on top of them."""
    for student in students.values():
        student.execute()
    if any(student.failed for student in students.values()):
        return False
    try:
        for name in built:
            importlib.import_module(name)
    except BaseException:
        return False
    return True
