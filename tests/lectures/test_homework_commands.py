"""The homework's commands under bad conditions: interrupts, full memory or disks, pipes, terminals without ε."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2] / "lectures" / "homework"), str(Path(__file__).parent)]

from grading import command, manifest, processes  # noqa: E402
from grading.hand_out import hand_out  # noqa: E402
from grading.package import package  # noqa: E402
from homework_desk import LECTURES, empty, run, submit  # noqa: E402

COMMAND = [sys.executable, str(LECTURES / "homework.py")]
FAST = "import os; os._exit(3)"  # a submission that is graded quickly


def alive(pid):
    """Return whether the process runs; a zombie does not."""
    stat_file = Path("/proc", pid, "stat")
    return stat_file.exists() and stat_file.read_text().rpartition(")")[2].split()[0] != "Z"


def test_an_interrupt_ends_everything_with_one_line(tmp_path):
    """Ctrl-C during ``grade``: exit status 130, no traceback, and the student's endless loop is over."""
    pid = tmp_path / "pid"
    text = f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\nwhile True: pass\n"
    folder = submit(tmp_path / "hw", "hw1", norms=text)
    grader = subprocess.Popen([*COMMAND, "grade", "hw1", folder], stdout=-1, stderr=-1, text=True)
    try:
        while not (pid.exists() and pid.read_text()) and grader.poll() is None:
            time.sleep(0.05)
        grader.send_signal(signal.SIGINT)
        said, complained = grader.communicate(timeout=60)
    finally:
        grader.kill()
    assert (grader.returncode, said, complained) == (130, "", "stopped\n")
    assert not alive(pid.read_text())


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (MemoryError(), 2, "not enough memory"),
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(errno.ENOSPC, "No space left"), 2, "No space left"),
        (ValueError("half: \ud83d"), 2, "half: "),
    ],
)
def test_an_error_is_one_line_and_a_status(error, status, words, monkeypatch, capsys):
    """No traceback reaches the lecturer."""

    def fails(name):
        raise error

    monkeypatch.setattr(manifest, "load", fails)
    assert command.main(["package", "hw1"]) == status
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


def test_nobody_reads_on(tmp_path):
    """A closed pipe ends the command without a traceback, and the results are written nevertheless."""
    folder = submit(tmp_path / "hw", "hw1", norms=FAST)
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [*COMMAND, "grade", "hw1", folder, "--results", tmp_path / "results.json"]
    told = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (told.returncode, told.stderr) == (141, "")
    assert json.loads((tmp_path / "results.json").read_text())["score"] == 0


@pytest.mark.parametrize(
    "encoding", ["cp1252", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ascii", "utf-8"))]
)
def test_a_terminal_of_another_encoding_loses_nothing(encoding, tmp_path):
    """Characters that the terminal does not have are written as their numbers."""
    folder = submit(tmp_path / "hw", "hw1", norms=empty("hw1", "norms")[:0] + "raise ValueError('ε \\ud83d')")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    told = subprocess.run([*COMMAND, "grade", "hw1", folder], env=environment, capture_output=True, check=False)
    assert told.returncode == 0, told.stderr
    text = told.stdout.decode(encoding)
    assert "Total: 0 of 100 points" in text
    assert ("ε" if encoding == "utf-8" else "\\u03b5") in text
    assert "\\ud83d" in text


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("fails_at", ["write", "move"])
def test_new_leaves_all_or_nothing(there, fails_at, tmp_path, monkeypatch):
    """On a full disk the folder and those above it stay as they were."""
    folder = tmp_path / "a" / "hw"
    if there:
        folder.mkdir(parents=True)
    calls = iter(range(100))

    def fails(real):
        def call(*arguments, **options):
            if next(calls) == 3:
                raise OSError(errno.ENOSPC, "No space left")
            return real(*arguments, **options)

        return call

    place, name = (Path, "write_text") if fails_at == "write" else (os, "replace")
    monkeypatch.setattr(place, name, fails(getattr(place, name)))
    with pytest.raises(OSError, match="No space left"):
        hand_out(manifest.load("hw2"), folder)
    monkeypatch.undo()
    assert folder.exists() == there
    assert not there or not list(folder.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == (["a"] if there else [])


def test_new_writes_nothing_beside_its_files(tmp_path):
    """No temporary folder is left."""
    hand_out(manifest.load("hw2"), tmp_path / "hw")
    names = {path.name for path in (tmp_path / "hw").iterdir()}
    assert names == {"README.md", "public_tests.py", "checking.py", "conftest.py", "linear.py", "risk.py"}


def test_package_leaves_the_old_zip_where_it_fails(tmp_path, monkeypatch):
    """An error in the middle leaves the old file, and no part of the new one."""
    target = tmp_path / "hw1.zip"
    target.write_text("old")

    def fails(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(zipfile.ZipFile, "write", fails)
    with pytest.raises(OSError, match="No space left"):
        package(manifest.load("hw1"), target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["hw1.zip"]


def test_package_into_a_pipe_and_through_a_link(tmp_path):
    """A pipe stays a pipe and delivers the whole zip file, while messages go elsewhere; a link stays a link."""
    out = subprocess.run([*COMMAND, "package", "hw1", "--out", "/dev/stdout"], capture_output=True, check=False)
    assert out.returncode == 0
    assert b"written" in out.stderr
    (tmp_path / "a.zip").write_bytes(out.stdout)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen([*COMMAND, "package", "hw1", "--out", pipe], stdout=subprocess.DEVNULL)
    (tmp_path / "b.zip").write_bytes(pipe.read_bytes())
    assert writer.wait(60) == 0
    assert pipe.is_fifo()
    (tmp_path / "target.zip").write_text("old")
    link = tmp_path / "c.zip"
    link.symlink_to(tmp_path / "target.zip")
    package(manifest.load("hw1"), link)
    assert link.is_symlink()
    for name in ("a.zip", "b.zip", "target.zip"):
        with zipfile.ZipFile(tmp_path / name) as packed:
            assert packed.testzip() is None
            assert "run_autograder" in packed.namelist()


def test_package_on_a_full_device(tmp_path):
    """The command prints one line and exits with status 2, and the device is still a device."""
    told = run("package", "hw1", "--out", "/dev/full")
    assert told.returncode == 2
    assert "No space left" in told.stderr
    assert "Traceback" not in told.stderr
    assert not Path("/dev/full").is_file()


def test_results_into_a_pipe(tmp_path):
    """``--results`` writes through a pipe, and the marks in words are printed as usual."""
    folder, pipe = submit(tmp_path / "hw", "hw1", norms=FAST), tmp_path / "pipe"
    os.mkfifo(pipe)
    grader = subprocess.Popen([*COMMAND, "grade", "hw1", folder, "--results", pipe], stdout=-1, text=True)
    assert json.loads(pipe.read_text())["score"] == 0
    assert "Total: 0 of 100 points" in grader.communicate(timeout=60)[0]
    assert grader.returncode == 0
    assert pipe.is_fifo()


@pytest.mark.parametrize("path", ["", "hw/norms.py/results.json"])
def test_results_that_cannot_be_written_are_told_before_the_work(path, tmp_path):
    """A folder, and a path through a file."""
    folder = submit(tmp_path / "hw", "hw1", norms="while True: pass")
    told = run("grade", "hw1", folder, "--results", tmp_path / path)
    assert told.returncode == 2
    assert str(tmp_path) in told.stderr
    assert told.stdout == ""


def test_results_that_cannot_be_written_after_the_work_lose_no_marks(tmp_path):
    """The words are printed even if the file cannot be written."""
    told = run("grade", "hw1", submit(tmp_path / "hw", "hw1", norms=FAST), "--results", "/dev/full")
    assert told.returncode == 2
    assert "Total: 0 of 100 points" in told.stdout
    assert "No space left" in told.stderr


def test_readable_text_is_left_alone():
    """Only characters that a terminal should not receive are written in Python's notation."""
    assert processes.readable("‖δ‖ ≤ ε\n  ok") == "‖δ‖ ≤ ε\n  ok"
    assert processes.readable("\x1b[2J\ud800\u202e\0") == "\\x1b[2J\\ud800\\u202e\\x00"
