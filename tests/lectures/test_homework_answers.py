"""The library's answers are out of reach, no test can be made easier, and honest mistakes get honest messages."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parents[2] / "lectures" / "homework"), str(Path(__file__).parent)]

from grading import manifest  # noqa: E402
from grading.grade import without_answers  # noqa: E402
from grading.inside import frozen, library  # noqa: E402
from homework_desk import empty, graded, in_project, solved  # noqa: E402
from homework_submissions import ANSWERS_FROM_ELSEWHERE, EASIER_TESTS, ODD_ENDS, ZEROS  # noqa: E402

THREE = ("test_linf_project", "test_l1_projection_is_nearest", "test_l0_projection_is_nearest")


# The library's answers are out of reach


@pytest.mark.slow
@pytest.mark.parametrize("trick", ANSWERS_FROM_ELSEWHERE)
def test_the_answers_are_nowhere_in_the_library(trick, tmp_path):
    """Whatever code finds in the place of the answers is worth as much as the template: nothing."""
    text = f"{empty('hw1', 'norms')}\n{ANSWERS_FROM_ELSEWHERE[trick]}\n"
    found = graded(tmp_path, "hw1", THREE, norms=text)
    assert all(found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize("trick", ["a neighbour's names", "a default", "the file"])
def test_looking_for_answers_costs_those_nothing_who_have_their_own(trick, tmp_path):
    """A file with answers may look around as long as it does not ask for anything forbidden."""
    lines = ANSWERS_FROM_ELSEWHERE[trick].splitlines()
    text = "\n".join([solved("hw1", "norms"), "try:", *(f"    {line}" for line in lines), "except OSError: pass", ""])
    assert not any(graded(tmp_path, "hw1", THREE[:2], norms=text).values())


def test_other_modules_hold_the_students_own_classes(tmp_path):
    """The library is loaded again on top of the student's file, and an alias is the student's own class."""
    text = f"""{solved("hw1", "norms")}
import inspect
import scratchadv.attacks as attacks
import scratchadv.robust_logistic.exact as neighbour
import scratchadv.sets.intersection as deeper
import scratchadv.evaluate.transfer as worst
assert neighbour.Linf is Linf and neighbour.L1 is L1 and worst.L0 is L0 and issubclass(Linf, deeper.Set)
defaults = [each.__kwdefaults__ for each in vars(attacks).values() if getattr(each, "__kwdefaults__", None)]
balls = [value for each in defaults for value in each.values() if type(value).__name__ in ("Linf", "L2", "L1", "L0")]
assert all(isinstance(value, Ball) for value in balls)
"""
    assert graded(tmp_path, "hw1", ["test_l1_project"], norms=text) == {"test_l1_project": ""}


@pytest.mark.parametrize(
    ("name", "file", "test", "answer"),
    [
        ("hw2", "linear", "test_exact_by_hand", "from scratchadv.attacks import fgsm as exact"),
        ("hw2", "linear", "test_exact_by_hand", "from scratchadv.attacks import pgd as exact"),
        ("hw2", "linear", "test_exact_by_hand", "from scratchadv.attacks import momentum_fgsm as exact"),
        (
            "hw3",
            "tape",
            "test_vjp_on_paper",
            "import scratchadv.models.taped as t\nvjp = t.vjp\n"
            "import scratchadv.engine as e\nvalue_and_grad, undo_broadcasting = e.value_and_grad, None",
        ),
        ("hw4", "fgsm", "test_fgsm_on_paper", "import scratchadv.attacks as a\nfgsm = getattr(a, 'fg' + 'sm')"),
        (
            "hw4",
            "pgd",
            "test_pgd_on_paper",
            "import importlib\n_climb = importlib.import_module('scratchadv.attacks.gradient.iterated_fgsm').climb\n"
            "from scratchadv.attacks import momentum_fgsm\n"
            "def pgd(*a, steps=10, alpha=None, **o): return momentum_fgsm(*a, steps=steps, alpha=alpha, mu=0.0)",
        ),
        (
            "hw4",
            "fgsm",
            "test_fgsm_on_paper",
            "import importlib\n"
            "museum = importlib.import_module('.'.join(('scratchadv', 'testing', 'museum')))\n"
            "fgsm = next(e for e in museum.EXHIBITS if e.make.__name__ == 'in_place').make(False)",
        ),
        (
            "hw5",
            "laws",
            "test_inside_the_set_kills_what_leaves_it",
            "import importlib\nlaws = importlib.import_module('.'.join(('scratchadv', 'testing', 'contract', 'laws')))",
        ),
    ],
)
def test_other_homeworks_do_not_give_the_answer_away(name, file, test, answer, tmp_path):
    """Functions of the library that would be an answer are emptied, and such modules are refused."""
    text = f"{empty(name, file)}\n{answer}\n"
    assert graded(tmp_path, name, [test], **{file: text})[test]


def test_an_emptied_function_is_named(tmp_path):
    """A student who calls the library's function reads that it is empty, not that the student's own is not written."""
    text = "from scratchadv.attacks import fgsm\n\ndef exact(*arguments):\n    return fgsm(*arguments)\n"
    (problem,) = graded(tmp_path, "hw2", ["test_exact_by_hand"], linear=text).values()
    assert problem.startswith("scratchadv.attacks.gradient.fgsm.fgsm is empty while this homework is graded"), problem
    assert "in linear.py, line" in problem


@pytest.mark.parametrize("name", manifest.names())
def test_what_is_served_is_the_template(name):
    """Each module to write is served without its answers, and its file may not be opened."""
    homework = manifest.load(name)
    without = without_answers(homework)
    for file in [*homework.files, *homework.emptied]:
        if file.module.startswith("scratchadv"):
            text = without["served"][file.module]["text"]
            assert text.count("raise NotImplementedError") >= len(file.functions)
            compile(text, file.module, "exec")
            assert any(Path(path).stem == file.module.rpartition(".")[2] for path in without["forbidden"])
    assert any(path.endswith("hidden_tests.py") for path in without["forbidden"])


def test_built_on_follows_what_modules_hold(monkeypatch):
    """A module that holds a function, a class, an instance or a module of a replaced module is built on it."""
    made = {name: types.ModuleType(f"house.{name}") for name in ("cellar", "floor", "roof", "shed", "garden")}
    exec("class Stone: pass\nstone = Stone()", vars(made["cellar"]))
    made["floor"].brick = made["cellar"].stone
    exec("def tile(): pass", vars(made["floor"]))
    made["roof"].tile = made["floor"].tile
    made["shed"].floor = made["floor"]
    made["garden"].tree = "a tree"
    house = types.ModuleType("house")
    vars(house).update(made)
    for name, module in {"house": house, **{f"house.{name}": module for name, module in made.items()}}.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert library.built_on(["house.cellar"], "house") == ["house.floor", "house.roof", "house.shed"]


# The tests cannot be made easier


@pytest.mark.slow
@pytest.mark.parametrize("trick", EASIER_TESTS)
def test_nothing_makes_the_tests_easier(trick, tmp_path):
    """Zeros fail, and the message names the trick that should have let them pass."""
    text = f"{empty('hw1', 'norms')}\n{ZEROS}\n{EASIER_TESTS[trick]}\n"
    found = graded(tmp_path, "hw1", THREE, norms=text)
    assert all(found.values()), found


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        ("a helper's defaults", "changed checking.close"),
        ("a number of the tests", "changed hidden_tests.TINY"),
        ("one example only", "which is not its own"),
        ("one example only, of all settings", "changed hypothesis"),
        ("one example only, found among all objects", "gc.get_objects is not for a homework"),
    ],
)
def test_what_was_changed_is_named(trick, words, tmp_path):
    """The answers with the trick below them get no points, and the message says why."""
    test = "test_l0_projection_is_nearest" if "number" in trick else "test_linf_project"
    text = f"{solved('hw1', 'norms')}\n{EASIER_TESTS[trick]}\n"
    (problem,) = graded(tmp_path, "hw1", [test], norms=text).values()
    assert words in problem


def _space():
    """Return a test module that contains something of each kind."""
    module = types.ModuleType("public_tests")
    text = """
import functools
import numpy as np
from scratchadv.sets import Linf
from hypothesis import given, settings, strategies as st

class Ball:
    def __init__(self): self.radius = 1

@settings(max_examples=3)
@given(st.integers())
def test(n): pass

def make(inner):
    def outer(): return inner
    return outer

def close(a, b=1, *, atol=1e-9): return a
close.note = [1]
table, array, ball, threat = {"a": [1, {2}]}, np.zeros(3), Ball(), Linf(1.0)
objects, part, closing = np.array([[1], 2], object), functools.partial(close, 1, b=[2]), make([1])
_private, outer = 1, staticmethod(close)
"""
    exec(text, vars(module))
    return module


CHANGES = {
    "nothing": lambda m: None,
    "a default": lambda m: setattr(m.close, "__defaults__", (2,)),
    "a keyword default": lambda m: m.close.__kwdefaults__.update(atol=1),
    "the code": lambda m: setattr(m.close, "__code__", (lambda a, b=1, *, atol=1: a).__code__),
    "an attribute": lambda m: m.close.note.append(2),
    "a cell": lambda m: setattr(m.closing.__closure__[0], "cell_contents", [2]),
    "in a cell": lambda m: m.closing.__closure__[0].cell_contents.append(2),
    "deep in a table": lambda m: m.table["a"][1].add(3),
    "a table grows": lambda m: m.table.update(b=1),
    "an array": lambda m: m.array.__setitem__(0, 1),
    "an array of objects": lambda m: m.objects[0].append(2),
    "an object": lambda m: setattr(m.ball, "radius", 2),
    "an object of the library": lambda m: object.__setattr__(m.threat, "eps", 2),
    "a class": lambda m: setattr(m.Ball, "__init__", lambda self: None),
    "a partial": lambda m: m.part.keywords["b"].append(3),
    "a private number": lambda m: setattr(m, "_private", 2),
    "a number of another type": lambda m: setattr(m, "_private", True),
    "a name is gone": lambda m: delattr(m, "array"),
    "the settings": lambda m: object.__setattr__(m.test._hypothesis_internal_use_settings, "_max_examples", 1),
    "the examples": lambda m: m.test.hypothesis._given_kwargs.clear(),
    "the inner test": lambda m: setattr(m.test.hypothesis, "inner_test", print),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_sees_every_change(change):
    """Values are compared, not names: a change in place counts, and nothing else does."""
    module = _space()
    picture = frozen.Picture({"public_tests": module, "numpy": np})
    assert picture.first_change() is None
    CHANGES[change](module)
    assert (picture.first_change() is None) == (change == "nothing")


def test_a_picture_allows_what_objects_compute_later():
    """A private attribute, or one that a dataclass was not made with, may be a cache."""
    module = _space()
    picture = frozen.Picture({"public_tests": module})
    module.ball._cache = 1
    vars(module.threat)["sampled"] = 1
    assert picture.first_change() is None


def test_a_picture_of_somebody_elses_module_allows_its_caches():
    """Private plain values and containers of other modules may change, but functions and public numbers may not."""
    module = types.ModuleType("elsewhere")
    exec("_count, cache, LIMIT = 0, {}, 5\ndef f(a, b=1): return a\ndef g(): pass", vars(module))
    picture = frozen.Picture({"elsewhere": module})
    module._count, module.cache["a"] = 1, 1
    assert picture.first_change() is None
    module.LIMIT = 6
    assert picture.first_change() == "elsewhere.LIMIT"
    module.LIMIT, module.f.__defaults__ = 5, (2,)
    assert picture.first_change() == "elsewhere.f"


# Every example is tried


@pytest.mark.slow
@pytest.mark.parametrize("end", ODD_ENDS)
def test_an_example_that_is_not_answered_is_a_failure(end, tmp_path):
    """Whatever ends an example without an answer costs the test, even if all other answers are right."""
    lines = ODD_ENDS[end].replace("\n", "\n    ")
    text = in_project(f"if abs(delta).max() > 1:\n            {lines}\n        return delta.clip(-self.eps, self.eps)")
    found = graded(tmp_path, "hw1", ["test_linf_project", "test_l2_project"], norms=text)
    assert found["test_linf_project"]
    assert found["test_l2_project"] == ""


def test_a_refused_example_is_told(tmp_path):
    """The error, the line and the example are named."""
    (problem,) = graded(tmp_path, "hw1", ["test_linf_project"], norms=in_project(ODD_ENDS["reject"])).values()
    assert "UnsatisfiedAssumption was raised, which ends the example without an answer" in problem
    assert "in norms.py, line" in problem
    assert "Smallest failing example" in problem


@pytest.mark.parametrize("callback", ["staticmethod(hypothesis.reject)", "functools.partial(hypothesis.assume, False)"])
def test_a_refusal_without_a_frame_of_the_students_is_a_failure_too(callback, tmp_path):
    """If a test calls hypothesis under the name of a student's method, the example still counts."""
    text = f"{solved('hw3', 'scalar')}\nimport functools, hypothesis\nValue.tanh = {callback}\n"
    test = "test_backward_agrees_with_differences_on_any_program"
    (problem,) = graded(tmp_path, "hw3", [test], scalar=text).values()
    assert "without an answer" in problem


def test_a_test_without_examples_is_not_passed():
    """``watch`` counts the examples that the test has completed."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    @settings(max_examples=5, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers())
    def passes(n):
        pass

    tries = frozen.watch(passes)
    assert tries.completed == 0
    passes()
    assert tries.completed == 5
    assert frozen.watch(lambda: None) is None


# Honest mistakes


HONEST = {
    "a division by zero": ("x = 1\ny = 1 / 0", "norms.py", "line 2", "ZeroDivisionError: division by zero"),
    "a module that is missing": ("import torhc", "norms.py", "line 1", "No module named 'torhc'"),
    "a name that is missing": ("from scratchadv.numerics import rowz", "norms.py", "line 1", "rowz"),
    "an assertion": ("assert 1 + 1 == 3, 'odd'", "norms.py", "line 1", "odd"),
    "an exit": ("import sys\nsys.exit('done')", "norms.py", "line 2", "SystemExit: done"),
    "no indentation": ("def f():\nreturn 1", "norms.py", "line 2", "IndentationError"),
    "half a surrogate pair": ("raise ValueError('half: \\ud83d')", "norms.py", "line 1", "half: \\ud83d"),
    "colours": ("raise ValueError('\\x1b[31mred')", "norms.py", "line 1", "\\x1b[31mred"),
    "an error without words": (
        "class E(Exception):\n    def __str__(self): return self.message\nraise E",
        "norms.py",
        "line 3",
        "E",
    ),
    "too much memory": ("import numpy\nnumpy.ones(10 * 2**27)", "norms.py", "line 2", "more memory"),
}


@pytest.mark.parametrize("mistake", HONEST)
def test_an_error_at_import_is_told_as_what_it_is(mistake, tmp_path):
    """Every test reports the same file, line and message, and never that answers differ."""
    text, *words = HONEST[mistake]
    found = graded(tmp_path, "hw1", ["test_linf_project", "test_l1_project"], norms=f"{text}\n{solved('hw1', 'norms')}")
    for problem in found.values():
        assert all(word in problem for word in words), problem
        assert "different answers" not in problem
        assert problem.isprintable() or problem.replace("\n", "").isprintable()
    assert len(set(found.values())) == 1


def test_an_error_late_in_the_file_is_told_too(tmp_path):
    """The same holds if all functions are defined before the error."""
    text = f"{solved('hw1', 'norms')}\nprint(Linf(1).project([1.0, 'a']))\n"
    (problem,) = graded(tmp_path, "hw1", ["test_linf_project"], norms=text).values()
    assert problem.startswith("norms.py cannot be imported")
    assert "in norms.py, line" in problem


@pytest.mark.parametrize(
    "lines",
    [
        "from scratchadv.attacks import deepfool",
        "import scratchadv.evaluate, scratchadv.testing.strategies",
        "import numpy as np\nnp.set_printoptions(precision=2)\nnp.seterr(all='ignore')",
        "import matplotlib, random\nrandom.seed(1)",
        "import sys\nif __name__ == '__main__': sys.exit(1)",
        "print('ε ' * 1000)",
    ],
)
def test_an_honest_import_costs_nothing(lines, tmp_path):
    """The same holds for modules that are built on the student's own file, before it has defined anything."""
    text = f"{lines}\n{solved('hw1', 'norms')}"
    assert graded(tmp_path, "hw1", ["test_l1_project"], norms=text) == {"test_l1_project": ""}


@pytest.mark.parametrize(
    ("name", "file", "change", "other"),
    [
        ("hw1", "norms", ("class L0(", "class L_0("), "test_linf_project"),
        ("hw3", "tape", ("def operation(", "def operation_("), "test_backward_on_paper"),
        ("hw3", "tape", ("import itertools", "import itertoolz"), "test_backward_on_paper"),
        ("hw4", "pgd", ("def pgd(", "def my_pgd("), "test_fgsm_on_paper"),
        ("hw4", "fitting", ("import ", "import nothing_like_it, "), "test_pgd_on_paper"),
    ],
)
def test_a_file_that_the_library_cannot_be_built_on_costs_its_own_tests_only(name, file, change, other, tmp_path):
    """A renamed class or a broken file leaves the points of the rest."""
    text = solved(name, file)
    assert change[0] in text
    assert graded(tmp_path, name, [other], **{file: text.replace(*change, 1)}) == {other: ""}


def test_other_files_of_the_student_are_used_by_the_library(tmp_path):
    """``pgd.py`` finds the student's own ``fgsm`` in the library, not the template."""
    text = f"""{solved("hw4", "pgd")}
import scratchadv.attacks as attacks
_pgd = pgd
def pgd(model, x, y, threat, **options):
    getattr(attacks, "fg" + "sm")(model, x, y, threat)
    return _pgd(model, x, y, threat, **options)
"""
    assert graded(tmp_path, "hw4", ["test_pgd_on_paper"], pgd=text) == {"test_pgd_on_paper": ""}


def test_an_empty_submission_and_one_that_is_only_spaces(tmp_path):
    """The message names what is missing."""
    found = graded(tmp_path, "hw1", ["test_linf_project"], norms="   \n")
    assert found["test_linf_project"].startswith("AttributeError: norms.py has no Linf")
