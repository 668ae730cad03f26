"""One test, from the first import to the verdict: first everything that we trust, then the student's code."""

import importlib
import linecache
import resource
import sys
import types

from .frozen import Picture, watch
from .library import Library, forbid, is_or_is_in
from .students import StudentModule, take_their_places
from .words import RefusedError, in_words


def run(task):
    """Run the test; return what went wrong, or None.

    Parameters
    ----------
    task : dict
        From ``grade.py``.

    Returns
    -------
    str or None
    """
    sys.dont_write_bytecode = True
    sys.path[:] = [*sys.path, *(folder for folder in task["path"] if folder not in sys.path)]
    library = Library(task["served"], task["refused"])
    sys.meta_path.insert(0, library)
    files = [f"{file['name']}.py" for file in task["files"]]
    students = {file["module"]: StudentModule(file, files) for file in task["files"]}
    execute("checking", task["checking"])
    calm_hypothesis()
    for file, student in zip(task["files"], students.values(), strict=True):
        remember(file["name"], file["source"] or "")
        sys.modules[file["name"]] = student
    limit(task["seconds"], task["megabytes"], task["processes"])
    try:
        return watched(task, students, library)
    except BaseException as error:
        return in_words(error, files)


def watched(task, students, library):
    """Load the tests, then the student's code, and run the test; raise an error if the test fails or is manipulated."""
    for name, source in task["tests"].items():
        tests = execute(name, source)
    test = getattr(tests, task["test"])
    tries = watch(test)
    for file in task["files"]:
        students[file["module"]].look([file["module"], *file["refused"]])
        if file["module"] in library.served:
            students[file["module"]].stand_in(stubs(file))
    own = {*students.values()}
    modules = {n: m for n, m in sys.modules.items() if isinstance(m, types.ModuleType) and m not in own}
    library.close()
    first_change = Picture(modules).own_copy()
    for name in [name for name in modules if is_or_is_in(name, ["inside"])]:
        del sys.modules[name]  # the student's code cannot import the grader
    forbid(task["forbidden"])
    take_their_places(students)
    unchanged(first_change, modules)
    test()
    unchanged(first_change, modules)
    if tries is not None and tries.failure is not None:  # and hypothesis was kept from saying so
        raise tries.failure
    if tries is not None and not tries.completed:
        raise RefusedError("the test was not tried on a single example")


def stubs(file):
    """Return, emptied, the names that the assignment removes from a module but the library may need."""
    if not file["removed"]:
        return {}
    template = importlib.import_module(file["module"])
    return {name: vars(template)[name] for name in file["removed"]}


def unchanged(first_change, modules):
    """Refuse a file that has changed something which is not its own, or that watches the tests."""
    if sys.gettrace() or sys.getprofile():
        raise RefusedError("the file watches the tests while they run (sys.settrace)")
    strange = (name for name, module in modules.items() if sys.modules.get(name) is not module)
    elsewhere = next((name for name in strange if not is_or_is_in(name, ["scratchadv", "inside"])), None)
    if name := elsewhere or first_change():
        raise RefusedError(f"the file changed {name}, which is not its own")


def execute(name, source):
    """Execute a module of the grader from its text, and return it."""
    file = remember(name, source)
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, file, "exec"), vars(module))
    return module


def remember(name, source):
    """Keep the lines of a file that is not on disk, for messages and ``inspect``; return its name."""
    file = f"{name}.py"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return file


def calm_hypothesis():
    """Try the same examples for everyone, whatever constants a file holds; spend only seconds on shrinking one."""
    from hypothesis import given, strategies
    from hypothesis.internal.conjecture import engine, providers

    engine.MAX_SHRINKING_SECONDS = 4
    providers._get_local_constants = lambda: providers._local_constants
    given(strategies.booleans())(lambda example: None)()  # everything that is set up at the first use is set up now


def limit(seconds, megabytes, processes):
    """Limit the time, the memory and the processes of the student's code."""
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
