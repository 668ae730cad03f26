"""Laws of the homework's templates and of its grader, which must not be fooled, hang or fall."""

import ast
import json
import os
import re
import stat
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2] / "lectures" / "homework"), str(Path(__file__).parent)]

from grading import checking, manifest, results  # noqa: E402
from grading.grade import grade  # noqa: E402
from grading.hand_out import files, hand_out  # noqa: E402
from grading.package import package  # noqa: E402
from grading.template import template  # noqa: E402
from homework_desk import (  # noqa: E402
    DEADLINE,
    LECTURES,
    empty,
    in_project,
    only,
    problems,
    run,
    solved,
    submit,
)
from homework_submissions import AT_IMPORT, IN_A_FUNCTION, MISTAKES  # noqa: E402

each_homework = pytest.mark.parametrize("name", manifest.names())


def elsewhere(homework, folder):
    """Return the homework with its tests copied to another folder."""
    folder.mkdir()
    for name in ("public_tests.py", "hidden_tests.py"):
        (folder / name).write_text((homework.folder / name).read_text(encoding="utf-8"))
    return replace(homework, tests=tuple(replace(t, source=folder / t.source.name) for t in homework.tests))


# What is handed out


@each_homework
def test_points_and_tests(name):
    """There are 8 to 14 tests with 100 points, some of them visible."""
    homework = manifest.load(name)
    assert homework.points == 100
    assert 8 <= len(homework.tests) <= 14
    assert {test.visibility for test in homework.tests} == {"visible", "hidden"}


@each_homework
def test_template_is_the_solution_without_bodies(name):
    """Outside the listed functions nothing changes; inside them the docstring stays and the rest is removed."""
    homework = manifest.load(name)
    modules = [file.module for file in homework.files]
    for file in homework.files:
        text = template(file, modules)
        compile(text, file.name, "exec")
        before, after = (functions(tree) for tree in (ast.parse(solved(name, file.name)), ast.parse(text)))
        gone = {function for function in before if function.split(".")[0] in file.removed}
        assert set(before) - set(after) == gone
        for function, node in after.items():
            same = ast.dump(node) == ast.dump(before[function])
            assert same == (function not in file.functions)
            assert ast.get_docstring(node) == ast.get_docstring(before[function])
            if not same:
                assert ast.unparse(node.body[-1]) == "raise NotImplementedError"
                assert len(node.body) == 1 + (ast.get_docstring(node) is not None)
        assert "from ." not in text


def functions(tree, prefix=""):
    found = {prefix + node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= functions(node, f"{prefix}{node.name}.")
    return found


@each_homework
def test_handed_out_files_are_whole(name, tmp_path):
    """The template imports, ruff finds no error in it, and the README has the points of every test."""
    homework = manifest.load(name)
    hand_out(homework, tmp_path / "hw")
    modules = [file.name for file in homework.files]
    code = f"import checking, {', '.join(modules)}"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "hw", check=False).returncode == 0
    ruff = ["ruff", "check", "--isolated", "--no-cache", "--select", "E9,F63,F7,F82", "."]
    assert subprocess.run(ruff, cwd=tmp_path / "hw", check=False).returncode == 0
    text = (tmp_path / "hw" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{test.name}`" in text for test in homework.tests)
    assert "<!-- points -->" not in text
    assert not (tmp_path / "hw" / "hidden_tests.py").exists()


def test_new_refuses_what_is_not_empty(tmp_path):
    """No file of a student is overwritten."""
    (tmp_path / "norms.py").write_text("mine")
    told = run("new", "hw1", tmp_path)
    assert told.returncode == 2
    assert "not an empty folder" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["norms.py"]
    assert run("new", "hw0", tmp_path / "other").returncode == 2


@pytest.mark.parametrize(("answers", "status"), [(True, 0), (False, 1)])
def test_students_run_the_public_tests(answers, status, tmp_path):
    """``pytest public_tests.py`` in the folder passes with the answers, and fails without them."""
    hand_out(manifest.load("hw1"), tmp_path / "hw", solved=answers)
    pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "public_tests.py"]
    assert subprocess.run(pytest_run, cwd=tmp_path / "hw", capture_output=True, check=False).returncode == status


# Points for whom they belong to


@pytest.mark.slow
@each_homework
def test_empty_template_has_no_points(name, tmp_path):
    """Every test fails and says what is not written yet; the answers beside the file do not help."""
    homework = manifest.load(name)
    hand_out(homework, tmp_path / "hw")
    (tmp_path / "hw" / "solution").mkdir()
    for file, text in files(homework, solved=True).items():
        (tmp_path / "hw" / "solution" / file).write_text(text, encoding="utf-8")
        (tmp_path / file).write_text(text, encoding="utf-8")
    marks = grade(homework, tmp_path / "hw")
    assert marks.score == 0
    assert all("not written yet" in mark.problem for mark in marks.marks), problems(marks)


@pytest.mark.slow
@each_homework
def test_solution_has_all_points(name, tmp_path):
    """The library's own file gets full marks, within half of the usual five minutes."""
    marks = grade(manifest.load(name), submit(tmp_path / "hw", name))
    assert marks.score == 100, problems(marks)
    assert marks.seconds < 150


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name in MISTAKES for mistake in MISTAKES[name]])
def test_each_mistake_costs_points(name, mistake, tmp_path):
    """A plausible mistake fails the tests that were written for it, in plain words."""
    file, right, wrong, tests = MISTAKES[name][mistake]
    text = solved(name, file)
    assert right in text
    text = text.replace(right, wrong)
    found = problems(grade(only(name, *tests), submit(tmp_path / "hw", name, **{file: text})))
    assert set(found) == set(tests)
    for problem in found.values():
        assert problem
        assert "endless" not in problem
        assert not re.match(r"\w*Error", problem), problem


@pytest.mark.parametrize(
    "line", ["from scratchadv.testing import assert_attack_contract", "import scratchadv.testing.museum"]
)
def test_a_law_of_ones_own_is_not_the_contract(line, tmp_path):
    """hw5 refuses a file that imports the contract or the museum."""
    folder = submit(tmp_path / "hw", "hw5", laws=f"{line}\n{solved('hw5', 'laws')}")
    found = problems(grade(only("hw5", "test_inside_the_set_kills_what_leaves_it"), folder))
    assert "would be the answer" in found["test_inside_the_set_kills_what_leaves_it"]


def test_an_error_costs_only_the_tests_of_its_file(tmp_path):
    """A syntax error in linear.py leaves the points of risk.py."""
    folder = submit(tmp_path / "hw", "hw2", linear="def exact(:\n")
    found = problems(grade(only("hw2", "test_exact_by_hand", "test_objective_by_hand"), folder))
    assert "linear.py, line 1: SyntaxError" in found["test_exact_by_hand"]
    assert found["test_objective_by_hand"] == ""


def test_a_missing_function_is_named(tmp_path):
    """The message names what is missing."""
    text = solved("hw2", "risk").replace("def gradient(", "def gradiant(")
    found = problems(
        grade(
            only("hw2", "test_objective_by_hand", "test_gradient_in_theta"),
            submit(tmp_path / "hw", "hw2", risk=text),
        )
    )
    assert found["test_objective_by_hand"] == ""
    assert "risk.py has no gradient" in found["test_gradient_in_theta"]


def test_a_wrong_answer_is_told_with_the_smallest_example(tmp_path):
    """The message says what was asked, what the answer was, and for which arguments."""
    folder = submit(tmp_path / "hw", "hw1", norms=in_project("return delta"))
    (problem,) = problems(grade(only("hw1", "test_linf_project"), folder)).values()
    assert problem.startswith("Linf(0).project([[0.125]]) should be [[0]], but is [[0.125]]")
    assert "Smallest failing example: eps=0.0, v=array([[0.125]])" in problem


# What a grader must survive


@pytest.mark.slow
@pytest.mark.parametrize("trick", AT_IMPORT)
def test_nothing_at_import_gains_points(trick, tmp_path):
    """Not one point for an empty template, and no test hangs."""
    folder = submit(tmp_path / "hw", "hw1", norms=f"{AT_IMPORT[trick]}\n{empty('hw1', 'norms')}")
    (tmp_path / "hw" / "helper.py").write_text(solved("hw1", "norms"))
    begun = time.monotonic()
    marks = grade(only("hw1", hanging=["test_l1_projection_is_nearest"]), folder)
    assert time.monotonic() - begun < 2 * DEADLINE + 15
    assert marks.score == 0
    assert all(problem for problem in problems(marks).values())


@pytest.mark.slow
@pytest.mark.parametrize("trick", IN_A_FUNCTION)
def test_nothing_in_a_function_gains_points(trick, tmp_path):
    """It costs the test of that function, but not the test of another."""
    folder = submit(tmp_path / "hw", "hw1", norms=in_project(IN_A_FUNCTION[trick]))
    begun = time.monotonic()
    found = problems(grade(only("hw1", "test_l2_project", hanging=["test_linf_project"]), folder))
    assert time.monotonic() - begun < 2 * (2 * DEADLINE + 15)
    assert found["test_linf_project"]
    assert found["test_l2_project"] == ""


@pytest.mark.parametrize(
    ("trick", "words"),
    [
        ("an endless loop", "endless loop"),
        ("_exit", "ended itself (exit status 0)"),
        ("a syntax error", "norms.py, line 1: SyntaxError"),
        ("10 GB", "more memory"),
        ("the helpers replaced", "which is not its own"),
        ("a watcher", "sys.settrace"),
        ("the module to replace", "norms.py imports scratchadv.sets.norms"),
        ("the module to replace, from a neighbour", "norms.py imports scratchadv.sets.norms"),
    ],
)
def test_the_reason_is_said(trick, words, tmp_path):
    """The message is plain, also for someone who meant no harm: the answers with the trick on top get no points."""
    folder = submit(tmp_path / "hw", "hw1", norms=f"{AT_IMPORT[trick]}\n{solved('hw1', 'norms')}")
    hangs = "loop" in trick
    homework = only("hw1", hanging=["test_l1_project"]) if hangs else only("hw1", "test_l1_project")
    (problem,) = problems(grade(homework, folder)).values()
    assert words in problem


def test_files_that_are_no_files(tmp_path):
    """A link, a pipe, a folder, a huge file, bytes and a missing file are named, and nothing hangs."""
    folder, answers = submit(tmp_path / "hw", "hw1", norms=None), tmp_path / "answers.py"
    answers.write_text(solved("hw1", "norms"))
    file = folder / "norms.py"
    making = {
        "missing": lambda: None,
        "cannot be read": lambda: file.symlink_to(answers),
        "not an ordinary file": lambda: os.mkfifo(file),
        "bytes, more than": lambda: file.write_bytes(b"#" * (2 << 20)),
        "not a text": lambda: file.write_bytes(b"\xff\xfe\x00"),
    }
    for words, make in making.items():
        file.unlink(missing_ok=True)
        make()
        (problem,) = problems(grade(only("hw1", "test_l1_project"), folder)).values()
        assert words in problem
    file.unlink()
    file.mkdir()
    (problem,) = problems(grade(only("hw1", "test_l1_project"), folder)).values()
    assert "norms.py" in problem


@pytest.mark.slow
def test_files_beside_the_submission_shadow_nothing(tmp_path):
    """Files named like the grader's, Python's or NumPy's, and a folder named like the module, change nothing."""
    folder = submit(tmp_path / "hw", "hw1", norms=empty("hw1", "norms"))
    passing = "def __getattr__(name): return lambda *a, **k: lambda f: lambda: None\n"
    for name in ("numpy", "hypothesis", "checking", "public_tests", "hidden_tests", "json", "conftest", "scratchadv"):
        (folder / f"{name}.py").write_text(passing)
    (folder / "sitecustomize.py").write_text("import os; os._exit(0)\n")
    (folder / "norms").mkdir()
    (folder / "norms" / "__init__.py").write_text(solved("hw1", "norms"))
    told = run("grade", "hw1", folder, cwd=folder, env={**os.environ, "PYTHONPATH": ""})
    assert "Total: 0 of 100 points" in told.stdout
    (folder / "norms.py").write_text(solved("hw1", "norms"))
    assert grade(only("hw1", "test_l1_project"), folder).score == 8


def test_the_tests_are_not_in_reach_and_cannot_be_replaced(tmp_path):
    """The folder of the test process is empty; code that finds the tests on the disk writes too late."""
    homework = only("hw1", "test_linf_project", "test_l1_project", "test_l1_projection_is_nearest")
    homework, tests = elsewhere(homework, tmp_path / "tests"), tmp_path / "tests"
    trick = f"""
import os, sys
from pathlib import Path
seen = [str(p) for p in Path.cwd().rglob("*")] + sys.argv[1:]
seen += [p for p in sys.path if p.startswith({str(LECTURES)!r})]
Path({str(tmp_path / "seen")!r}).write_text(repr(seen))
for name in ("public_tests.py", "hidden_tests.py"):
    Path({str(tests)!r}, name).write_text(
        "def test_linf_project(): pass\\ntest_l1_project = test_l1_projection_is_nearest = test_linf_project")
"""
    folder = submit(tmp_path / "hw", "hw1", norms=trick + empty("hw1", "norms"))
    assert grade(homework, folder).score == 0
    assert (tests / "hidden_tests.py").read_text().startswith("def test_linf_project(): pass")
    assert (tmp_path / "seen").read_text() == "[]"


def test_nothing_is_left_running(tmp_path):
    """Children in sessions of their own, which hold the pipe, and sixty-four busy children end with the test."""
    trick = f"""
import os, time
for each in range(6):
    os.fork()
os.setsid() if os.getpid() != os.getsid(0) else None
open({str(tmp_path / "pids")!r}, "a").write(f"{{os.getpid()}}\\n")
while True: pass
"""
    folder = submit(tmp_path / "hw", "hw1", norms=trick)
    begun = time.monotonic()
    assert grade(only("hw1", hanging=["test_l1_project"]), folder).score == 0
    assert time.monotonic() - begun < 2 * DEADLINE + 15
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) > 1
    assert not [pid for pid in pids if alive(pid)]


def test_a_child_in_the_background_costs_nothing_and_ends(tmp_path):
    """With the right answers and a forgotten process the points count, the process ends, and nobody waits for it."""
    trick = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists({str(tmp_path / "pid")!r}): time.sleep(0.01)
"""
    folder = submit(tmp_path / "hw", "hw1", norms=trick + solved("hw1", "norms"))
    assert grade(only("hw1", "test_l1_project"), folder).score == 8
    assert not alive((tmp_path / "pid").read_text())


def alive(pid):
    """Return whether the process runs; a zombie does not."""
    stat_file = Path("/proc", pid, "stat")
    return stat_file.exists() and stat_file.read_text().rpartition(")")[2].split()[0] != "Z"


def nobody_may_run_python():
    command = [sys.executable, "-c", "import numpy, hypothesis, scratchadv"]
    try:
        return subprocess.run(command, user="nobody", cwd="/", check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not nobody_may_run_python(), reason="only for root, with a Python that nobody may run")
def test_another_user_has_no_rights(tmp_path):
    """With --user the student's code can read neither tests nor submissions, and cannot end the grader."""
    homework = elsewhere(only("hw1", "test_l1_project"), tmp_path / "tests")
    (tmp_path / "tests").chmod(0o700)
    trick = f"""
import os, signal
def read(): open({str(tmp_path / "tests" / "hidden_tests.py")!r})
def end(): os.kill(os.getppid(), signal.SIGTERM)
for act in (read, end):
    try: act()
    except PermissionError: continue
    os._exit(0)
"""
    folder = submit(tmp_path / "hw", "hw1", norms=trick + solved("hw1", "norms"))
    assert grade(homework, folder, user="nobody").score == 8


# results.json, for Gradescope


@pytest.mark.slow
@pytest.mark.parametrize("text", ["solved", "empty"])
def test_results_are_gradescopes(text, tmp_path):
    """Scores within their limits that add up, a status and words for each test, and the exit status 0."""
    folder = submit(
        tmp_path / "hw", "hw1", norms=solved("hw1", "norms") if text == "solved" else "import os; os._exit(3)"
    )
    told = run("grade", "hw1", folder, "--results", tmp_path / "out" / "results.json")
    assert told.returncode == 0
    assert told.stderr == ""
    check_results(tmp_path / "out" / "results.json", 100 if text == "solved" else 0)
    assert f"Total: {100 if text == 'solved' else 0} of 100 points" in told.stdout


def check_results(path, score):
    """The results have the format that Gradescope's documentation gives."""
    table = json.loads(path.read_text(encoding="utf-8"))
    assert table["score"] == score == sum(test["score"] for test in table["tests"])
    assert set(table) == {"score", "execution_time", "output", "visibility", "tests"}
    assert table["execution_time"] > 0
    for test in table["tests"]:
        assert set(test) == {"name", "score", "max_score", "status", "output", "visibility"}
        assert 0 <= test["score"] <= test["max_score"]
        assert test["status"] == ("passed" if test["score"] else "failed")
        assert test["output"]
    assert [path.name] == [other.name for other in path.parent.iterdir()]


def test_results_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """If writing fails, the old file stays."""
    marks = grade(only("hw1"), submit(tmp_path / "hw", "hw1"))
    target = tmp_path / "out" / "results.json"
    results.write(marks, target)
    before = target.read_text()
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        results.write(marks, target)
    assert target.read_text() == before
    assert [path.name for path in target.parent.iterdir()] == ["results.json"]


def test_output_is_bounded(tmp_path):
    """A message of a hundred megabytes is cut off."""
    folder = submit(tmp_path / "hw", "hw1", norms="raise ValueError('x' * 10**8)")
    (problem,) = problems(grade(only("hw1", "test_l1_project"), folder)).values()
    assert 1000 < len(problem) < 5000


@pytest.mark.slow
def test_package_grades_as_gradescope_does(tmp_path):
    """Unpacked into a folder laid out like /autograder, it grades answers and an empty template."""
    homework = manifest.load("hw1")
    archive = package(homework, tmp_path / "autograder.zip")
    folder = tmp_path / "autograder"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / "source")
        modes = {about.filename: about.external_attr >> 16 for about in packed.infolist()}
    assert all(modes[script] & stat.S_IXUSR for script in ("setup.sh", "run_autograder"))
    assert (folder / "source" / "scratchadv" / "scratchadv" / "sets" / "norms.py").exists()
    (folder / "results").mkdir()
    for solved_, score in ((True, 100), (False, 0)):
        submission = folder / "submission"
        for old in submission.glob("*"):
            old.unlink()
        submission.mkdir(exist_ok=True)
        for file, text in files(homework, solved=solved_).items():
            (submission / file).write_text(text, encoding="utf-8")
        variables = {"AUTOGRADER": str(folder), "PYTHON": sys.executable, "STUDENT": ""}
        script = ["bash", str(folder / "source" / "run_autograder")]
        told = subprocess.run(script, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        check_results(folder / "results" / "results.json", score)
    assert subprocess.run(["bash", "-n", str(folder / "source" / "setup.sh")], check=False).returncode == 0


# Helpers of the tests


def test_answers_are_plain_arrays():
    """array_of accepts floats in the right shape, and nothing that only looks like them."""
    import numpy as np

    assert checking.array_of(np.ones((1, 2), np.float32), (1, 2)).dtype == float
    assert checking.array_of(2, ()) == 2
    for value in (
        None,
        [1.0],
        np.ones(2, int),
        np.ones(3),
        np.array([np.nan, 1]),
        np.ones(2, object),
        np.ones(2).view(np.matrix),
    ):
        with pytest.raises(AssertionError):
            checking.array_of(value, (2,))


def test_arguments_must_not_change():
    """answer() passes copies of the arguments and checks them afterwards."""
    import numpy as np

    def clear(v):
        v[...] = 0
        return v

    v = np.ones((1, 2))
    with pytest.raises(AssertionError, match="changed in place"):
        checking.answer(clear, v, shape=(1, 2))
    assert v.all()
