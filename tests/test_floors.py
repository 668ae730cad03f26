"""The plan of the package: a file imports only from floors below its own; the test of this rule is tested, too."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import scratchadv

FLOORS = [
    "backend seeded",
    "support",
    "numerics kernels checks",
    "tasks",
    "checked",
    "sets losses layers datasets engine parallel",
    "models robust_logistic",
    "training interop",
    "attacks defenses certify",
    "evaluate testing support.plots",
    "experiments support.show",
    "cli",
    "__main__",
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
DRAWING = FLOOR["support.plots"]  # the lowest floor that may import matplotlib


def read_house(root):
    """The parsed files below ``root`` by dotted name; a package has the name of its folder."""
    house = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        house[name] = path.name == "__init__.py", ast.parse(path.read_text(encoding="utf-8"))
    return house


def imports_of(name, house):
    """All imports of a file, wherever they are, as absolute dotted names: files of the package, or foreign modules."""
    is_package, tree = house[name]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = name.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
                base = ".".join([*up, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found |= {inner} if inner in house else {base} if base in house else {base, inner}
    return found


def broken_rules(root):
    """The violations of the plan in the package at ``root``, one line each."""
    house = read_house(root)
    package = root.name
    imports = {name: imports_of(name, house) for name in house}
    inside = {name: {other for other in found if other in house} for name, found in imports.items()}
    rules = _unknown_rooms, _upward, _circles, _cupy, _engine, _matplotlib
    return [line for rule in rules for line in rule(package, house, imports, inside)]


def _room(name):
    """The top-level file or folder of a file, or a part of a folder that has a floor of its own."""
    top, inner = (".".join(name.split(".")[1:end]) for end in (2, 3))
    return (inner if inner in FLOOR else top) or None


def _unknown_rooms(package, house, imports, inside):
    for room in sorted({_room(name) for name in house} - {None, *FLOOR}):
        yield f"{room} has no floor: give it one in FLOORS"


def _upward(package, house, imports, inside):
    for name, found in inside.items():
        for other in sorted(found):
            here, there = _room(name), _room(other)
            if here is None:
                yield f"{name} imports {other}: the package itself imports nothing"
            elif there not in (None, here) and FLOOR.get(there, 99) >= FLOOR.get(here, 99):
                yield f"{name} (floor {FLOOR.get(here)}) imports {other} (floor {FLOOR.get(there)})"


def _circles(package, house, imports, inside):
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        yield f"circle: {' -> '.join(error.args[1])}"


def _cupy(package, house, imports, inside):
    for name, (_, tree) in house.items():
        named = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        if name != f"{package}.backend" and any(n.split(".")[0] == "cupy" for n in imports[name] | named):
            yield f"{name} knows of cupy: only backend.py may"


def _engine(package, house, imports, inside):
    for name, found in inside.items():
        if _room(name) == "models" and name != f"{package}.models.taped" and any(_room(n) == "engine" for n in found):
            yield f"{name} imports the engine: only models/taped.py may"


def _matplotlib(package, house, imports, inside):
    for name, found in imports.items():
        used = {n for n in found if n.split(".")[0] == "matplotlib"}
        if used and FLOOR.get(_room(name), 0) < DRAWING:
            yield f"{name} imports matplotlib below floor {DRAWING}"
        if any(n.startswith("matplotlib.pyplot") for n in used):
            yield f"{name} imports pyplot, which has global state"


def test_the_house_follows_its_plan():
    """No file imports from its own floor (except its own folder) or above, without circles; one file imports cupy"""
    root = Path(scratchadv.__file__).parent
    assert len(read_house(root)) > 20
    assert broken_rules(root) == []


def test_the_files_are_those_that_python_imports():
    """The helper resolves the relative imports of the real package"""
    house = read_house(Path(scratchadv.__file__).parent)
    assert {"scratchadv", "scratchadv.attacks", "scratchadv.attacks.gradient.pgd"} <= set(house)
    assert "scratchadv.models.logistic" in imports_of("scratchadv.models", house)
    assert {"scratchadv.checks", "scratchadv.models.protocol"} <= imports_of("scratchadv.attacks.gradient.pgd", house)
    assert {"scratchadv.evaluate", "scratchadv.support.plots", "numpy"} <= imports_of(
        "scratchadv.experiments.networks.figures", house
    )


# The test of the test: small packages that break one rule each.

SOUND = {
    "__init__": '__version__ = "1"',
    "backend": "import sys\ncupy = sys.modules.get('cupy')",
    "checks": "from . import backend",
    "numerics": "from .backend import xp",
    "engine/__init__": "from .tape import vjp",
    "engine/tape": "from ..backend import xp",
    "models/__init__": "from .logistic import LogisticRegression\nfrom .taped import Taped",
    "models/logistic": '"""Not cupy, and import numpy as np is text here."""\nfrom .. import checks, numerics',
    "models/taped": "from ..engine import vjp",
    "attacks/__init__": "from .gradient.pgd import pgd",
    "attacks/gradient/__init__": "",
    "attacks/gradient/pgd": "from ... import checks\nfrom ...models import Model\nfrom .steps import step",
    "attacks/gradient/steps": "import numpy as np\nfrom house.numerics import softplus",
    "support/__init__": "",
    "support/plots": "from matplotlib.figure import Figure",
    "cli": "from . import __version__\ndef run():\n    from .support.plots import save",
}


def build(folder, files):
    for name, text in files.items():
        path = folder / "house" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "house"


def test_a_sound_house_breaks_no_rule(tmp_path):
    """The package without violations breaks no rule"""
    assert broken_rules(build(tmp_path, SOUND)) == []


UPWARD = "house.checks (floor 2) imports house.support.plots (floor 9)"
BROKEN = {
    "upward": (
        "checks",
        "from .support.plots import save",
        ["house.checks (floor 2) imports house.support.plots (floor 9)"],
    ),
    "upward, absolute": (
        "checks",
        "import house.support.plots",
        ["house.checks (floor 2) imports house.support.plots (floor 9)"],
    ),
    "upward, absolute from": (
        "checks",
        "from house.support import plots",
        [UPWARD],
    ),
    "upward, renamed": ("checks", "import house.models.logistic as m", ["imports house.models.logistic (floor 6)"]),
    "upward from a folder": ("attacks/gradient/pgd", "from ... import cli", ["attacks.gradient.pgd (floor 8) imports"]),
    "upward in a function": (
        "checks",
        "def f():\n    if True:\n        from .support import plots",
        ["house.checks (floor 2) imports house.support.plots (floor 9)"],
    ),
    "upward in a method": ("checks", "class A:\n    def f(self):\n        import house.cli", ["imports house.cli"]),
    "same floor": ("checks", "from .numerics import xp", ["house.checks (floor 2) imports house.numerics (floor 2)"]),
    "the package imports": ("__init__", "from .checks import f", ["the package itself imports nothing"]),
    "unknown room": ("sauna", "", ["sauna has no floor"]),
    "unknown folder": ("sauna/steam", "", ["sauna has no floor"]),
    "circle in a folder": ("attacks/gradient/steps", "from .pgd import pgd", ["circle: "]),
    "circle through the folder": ("attacks/gradient/steps", "from .. import pgd", ["circle: "]),
    "circle in a function": ("attacks/gradient/steps", "def f():\n    from . import pgd", ["circle: "]),
    "a file that imports itself": ("checks", "import house.checks", ["circle: "]),
    "cupy": ("numerics", "import cupy", ["house.numerics knows of cupy"]),
    "cupy in a function": ("numerics", "def f():\n    from cupy import linalg", ["house.numerics knows of cupy"]),
    "cupy's inner module": ("numerics", "import cupy.linalg as la", ["house.numerics knows of cupy"]),
    "cupy by sys.modules": ("numerics", "import sys\ncp = sys.modules['cupy']", ["house.numerics knows of cupy"]),
    "cupy by importlib": (
        "numerics",
        "import importlib\ncp = importlib.import_module('cupy')",
        ["house.numerics knows of cupy"],
    ),
    "engine": ("models/logistic", "from ..engine import vjp", ["house.models.logistic imports the engine"]),
    "engine's file": ("models/logistic", "from ..engine.tape import vjp", ["house.models.logistic imports the engine"]),
    "matplotlib": ("models/logistic", "import matplotlib", ["house.models.logistic imports matplotlib below floor 9"]),
    "matplotlib in a function": (
        "attacks/gradient/steps",
        "def f():\n    import matplotlib.figure",
        ["house.attacks.gradient.steps imports matplotlib below floor 9"],
    ),
    "pyplot": ("support/plots", "import matplotlib.pyplot as plt", ["house.support.plots imports pyplot"]),
    "pyplot, from": ("support/plots", "from matplotlib import pyplot", ["house.support.plots imports pyplot"]),
}


@pytest.mark.parametrize(("name", "text", "expected"), BROKEN.values(), ids=BROKEN)
def test_each_broken_rule_is_found(tmp_path, name, text, expected):
    """After one file is changed, the broken rule is reported, with the file"""
    found = broken_rules(build(tmp_path, SOUND | {name: text}))
    for line in expected:
        assert any(line in one for one in found), found
