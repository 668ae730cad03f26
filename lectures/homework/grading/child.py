"""One test in its own process. The parent passes this text by ``python -c`` and everything else by standard input.

The student's files are never imported from a folder: they come as text, under their own names, and are executed when
a test first asks for something in them. What is to be believed goes back through a pipe, after a secret that was read
before the first line of the student's code ran.
"""

import ast
import functools
import importlib
import json
import linecache
import os
import re
import resource
import sys
import traceback
import types

WORDS = 4000


class RefusedError(Exception):
    """A file that is not even run."""


class StudentModule(types.ModuleType):
    """The student's file, executed when something in it is first asked for."""

    def __init__(self, file, replaced):
        super().__init__(file["name"])
        vars(self)["__homework__"] = functools.partial(load, file, replaced)

    def __getattr__(self, name):
        """What the file defines."""
        if name.startswith("__"):
            raise AttributeError(name)
        if "__error__" not in vars(self):
            vars(self)["__error__"] = None
            try:
                self.__homework__(vars(self))
            except BaseException as error:
                vars(self)["__error__"] = error
        if self.__error__ is not None:
            raise self.__error__
        if name in vars(self):
            return vars(self)[name]
        raise AttributeError(f"{self.__name__}.py has no {name}")


def load(file, replaced, into):
    """Execute the file, if it may be."""
    if file["problem"]:
        raise RefusedError(file["problem"])
    name = f"{file['name']}.py"
    refuse_imports(ast.parse(file["source"], name), name, replaced)
    exec(compile(file["source"], name, "exec"), into)


def refuse_imports(tree, file, replaced):
    """Refuse a file that takes the answer from the library."""
    for node in ast.walk(tree):
        taken = [name for name in names_in(node) if any(is_or_is_in(name, module) for module in replaced)]
        if taken:
            raise RefusedError(f"{file} imports {taken[0]}, which would be the answer (line {node.lineno})")


def names_in(node):
    """The dotted names that an import, an attribute or a text may stand for."""
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
    """The module in which what ``module`` calls ``name`` was written."""
    try:
        return getattr(getattr(importlib.import_module(module), name), "__module__", None) or ""
    except (ImportError, AttributeError):
        return ""


def is_or_is_in(name, module):
    """Whether a dotted name is the module or something in it."""
    return name == module or name.startswith(f"{module}.")


def limit(seconds, megabytes, processes):
    """No more than this for the student's code."""
    most = megabytes << 20
    wanted = {
        "RLIMIT_AS": most,
        "RLIMIT_DATA": most,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 1 << 24,
        "RLIMIT_NPROC": processes,
    }
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is not None and value is not None:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            try:
                resource.setrlimit(kind, (value, value))
            except (ValueError, OSError):  # a system that does not know this limit
                continue
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))


def execute(name, source):
    """A module of the grader's own, from its text."""
    file = remember(name, source)
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, file, "exec"), vars(module))
    return module


def remember(name, source):
    """Keep the lines of a file that is nowhere, for messages and ``inspect``; its name."""
    file = f"{name}.py"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return file


def calm_hypothesis():
    """The same examples for everyone, whatever constants a file holds, and no minutes spent on making one smaller."""
    from hypothesis.internal.conjecture import engine, providers

    engine.MAX_SHRINKING_SECONDS = 4
    providers._get_local_constants = lambda: providers._local_constants


def surroundings(own):
    """What the modules that are loaded consist of, to see later that nobody has changed it."""
    parts = {}
    for name, module in list(sys.modules.items()):
        if name in own or not isinstance(module, types.ModuleType):
            continue
        parts[name] = module
        for key, value in list(vars(module).items()):
            note(parts, f"{name}.{key}", value)
            if isinstance(value, type) and value.__module__ == name:
                for inner, part in list(vars(value).items()):
                    note(parts, f"{name}.{key}.{inner}", part)
    return parts


def note(parts, name, value):
    """Remember a callable, and the code of a function."""
    if callable(value) or isinstance(value, property | classmethod | staticmethod):
        parts[name] = value
    if isinstance(value, types.FunctionType):
        parts[f"{name}.__code__"] = value.__code__


def changed(before, after):
    """The first name that stands for something else than before, or None."""
    return next((name for name, value in before.items() if after.get(name, value) is not value), None)


def run(task):
    """Run the test; return what went wrong, or None."""
    sys.dont_write_bytecode = True
    sys.path[:] = [*sys.path, *(folder for folder in task["path"] if folder not in sys.path)]
    replaced = [module for file in task["files"] for module in file["replaced"]]
    execute("checking", task["checking"])
    calm_hypothesis()
    for file in task["files"]:
        remember(file["name"], file["source"] or "")
        sys.modules[file["name"]] = StudentModule(file, replaced)
    limit(task["seconds"], task["megabytes"], task["processes"])
    own = [file["name"] for file in task["files"]]
    try:
        for name, source in task["tests"].items():
            tests = execute(name, source)
        before = surroundings(own)
        getattr(tests, task["test"])()
    except BaseException as error:
        return in_words(error, [f"{name}.py" for name in own])
    if sys.gettrace() or sys.getprofile():
        return "the file watches the tests at their work (sys.settrace)"
    if name := changed(before, surroundings(own)):
        return f"the file changed {name}, which is not its own"
    return None


def in_words(error, files):
    """What a student reads: the message, the line it happened in, the smallest example."""
    kind, said = type(error).__name__, str(error)
    place, line = last_line(error, files)
    where = (
        f"\nin {place.co_filename}, line {line}: {linecache.getline(place.co_filename, line).strip()}" if place else ""
    )
    if kind == "AssertionError":
        words = said or "a law does not hold"
    elif kind == "RefusedError":
        return said
    elif kind == "NotImplementedError" and place:
        words, where = f"{place.co_qualname} is not written yet ({place.co_filename}, line {line})", ""
    elif isinstance(error, SyntaxError) and error.filename in files:
        words = f"{error.filename}, line {error.lineno}: {kind}: {error.msg}"
    elif isinstance(error, MemoryError):
        words = "more memory was asked for than there is"
    elif "Flaky" in kind:
        words = "the same arguments gave different answers at different times"
    else:
        words = f"{kind}: {said}" if said else kind
    return words + where + smallest(getattr(error, "__notes__", []))


def last_line(error, files):
    """Where in the student's files it happened: the code of the function, and the line."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return next(((code, line) for code, line in reversed(frames) if code.co_filename in files), (None, None))


def smallest(notes):
    """Hypothesis's example without its frame."""
    for note in notes:
        if found := re.fullmatch(r"[^\n]*: test_\w+\(\n(.*)\n\)", note, re.DOTALL):
            lines = [line.partition("  # or any other")[0].strip() for line in found[1].splitlines()]
            return "\nSmallest failing example: " + " ".join(lines).rstrip(",")
    return ""


def main():
    """Read the task, run it, and report with the secret."""
    task = json.loads(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    secret, pipe = task.pop("secret"), task.pop("pipe")
    try:
        problem = run(task)
    except BaseException as error:
        problem = f"{type(error).__name__} while the grader looked at the answer"
    verdict = json.dumps({"passed": problem is None, "problem": str(problem)[:WORDS]})
    os.write(pipe, f"{secret}{verdict}".encode())
    os._exit(0)


main()
