"""Laws of the command line: help, exit status, one-line errors before any work, and no progress bar in a pipe."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scratchadv import __version__, cli, datasets, experiments
from scratchadv.experiments import experiment as shared
from scratchadv.support.optional import MissingPackageError
from scratchadv.support.progress import progress


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    def load(*args, **options):
        raise AssertionError("data were loaded before the arguments were checked")

    monkeypatch.setattr(datasets, "load", load)


def leave(argv):
    """The exit status that argparse ends with."""
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    return caught.value.code


@pytest.mark.parametrize("argv", [["--help"], ["reproduce", "--help"], ["reproduce", "linear", "--help"]])
def test_help_shows_examples_that_the_parser_accepts(argv, capsys):
    """--help exits with 0 and shows the examples, each of which is a command line that can be parsed"""
    assert leave(argv) == 0
    out = capsys.readouterr().out
    assert cli.EXAMPLES.strip() in out
    lines = [line.split("  ") for line in cli.EXAMPLES.splitlines()[1:]]
    commands = [next(part for part in line if part.strip()).split() for line in lines]
    assert len(commands) >= 3
    for command in commands:
        command = command[command.index("scratchadv") + 1 :]
        command = command[: command.index("reads")] if "reads" in command else command
        assert cli.parser().parse_args(command).run


def test_the_help_of_the_experiment_states_its_defaults(capsys):
    """Every option of ``reproduce linear`` and its default appear in its help"""
    leave(["reproduce", "linear", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    defaults = vars(cli.parser().parse_args(["reproduce", "linear"]))
    assert {name: value for name, value in defaults.items() if name != "run"} == {
        "data": "auto",
        "eps": 0.2,
        "seed": 0,
        "out": Path("results/linear"),
    }
    for name, value in defaults.items():
        if name != "run":
            assert f"--{name}" in out
            assert f"default: {value}" in out


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_command_has_the_defaults_of_the_experiment(name):
    """ε is the experiment's own, every run has data and seed, --quick exists where there is a quick plan"""
    arguments = vars(cli.parser().parse_args(["reproduce", name]))
    run, experiment = inspect.signature(shared.run).parameters, experiments.load(name)
    assert arguments["eps"] == experiment.about.eps
    assert {key: arguments[key] for key in ("data", "seed")} == {key: run[key].default for key in ("data", "seed")}
    assert ("quick" in arguments) == (experiment.quick is not None)


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_help_of_an_experiment_is_its_own_description(name, capsys):
    """The text of --help, the line in the list, and the effect of --quick are those of the experiment"""
    about = experiments.about_of(name)
    leave(["reproduce", name, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert about.description in told
    assert (about.quick or "") in told
    leave(["reproduce", "--help"])
    assert about.summary in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [["--help"], ["reproduce", "--help"], ["reproduce", "transfer", "--help"]])
def test_help_loads_neither_numpy_nor_matplotlib(arguments):
    """The help is fast, because slow imports wait until an experiment runs"""
    code = "import sys\nfrom scratchadv import cli\ntry:\n    cli.main(sys.argv[1:])\nfinally:\n    print(*sys.modules)"
    loaded = set(python("-c", code, *arguments).stdout.split())
    assert {"scratchadv.cli", "scratchadv.experiments.linear"} <= loaded
    assert not loaded & {"numpy", "scipy", "matplotlib", "scratchadv.datasets"}


def test_version(capsys):
    """--version is the package's, exit status 0"""
    assert leave(["--version"]) == 0
    assert capsys.readouterr().out == f"scratchadv {__version__}\n"


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["reproduce", "quadratic"], "quadratic"),
        (["destroy"], "destroy"),
        ([], "required"),
        (["reproduce"], "required"),
        (["reproduce", "linear", "--eps", "big"], "big"),
        (["reproduce", "linear", "--seed", "1.5"], "1.5"),
        (["reproduce", "linear", "--data", "imagenet"], "imagenet"),
        (["reproduce", "linear", "--epsilon", "1"], "--epsilon"),
    ],
)
def test_a_command_line_that_makes_no_sense_exits_with_two(argv, word, capsys, nothing_is_loaded):
    """Exit status 2, and the error stream names what was wrong"""
    assert leave(argv) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--eps", "-1"], "eps = -1.0 must be finite and >= 0"),
        (["--eps=-0.1"], "eps = -0.1 must be finite and >= 0"),
        (["--eps", "nan"], "eps = nan must be finite and >= 0"),
        (["--eps", "inf"], "eps = inf must be finite and >= 0"),
        (["--seed", "-1"], "seed = -1 must be >= 0"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_status_one_before_any_work(
    option, message, tmp_path, capsys, nothing_is_loaded
):
    """One line that names the value, without a traceback; no data are loaded, no folder is made"""
    assert cli.main(["reproduce", "linear", *option, "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr() == ("", f"scratchadv: error: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said_before_any_work(tmp_path, capsys, nothing_is_loaded):
    """--out inside a file: exit status 1, one line with the path"""
    (tmp_path / "file").write_text("")
    assert cli.main(["reproduce", "linear", "--out", str(tmp_path / "file" / "out")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("scratchadv: error: ")
    assert str(tmp_path / "file") in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", experiments.NAMES)
@pytest.mark.parametrize("place", ["file", "file/below", "folder"])
def test_every_experiment_refuses_a_folder_that_cannot_be_written_before_any_work(
    name, place, tmp_path, capsys, nothing_is_loaded
):
    """A file in the way, a file above, a folder with the name of the table: exit status 1, one line with the path"""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "table.md").mkdir(parents=True)
    assert cli.main(["reproduce", name, "--out", str(tmp_path / place)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("scratchadv: error: ")
    assert str(tmp_path / place) in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", experiments.NAMES)
def test_every_experiment_refuses_bad_values_before_any_work(name, tmp_path, capsys, nothing_is_loaded):
    """ε < 0: exit status 1, and no data are loaded and no folder is made"""
    assert cli.main(["reproduce", name, "--eps", "-2", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr() == ("", "scratchadv: error: eps = -2.0 must be finite and >= 0\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("bad"), 1, "scratchadv: error: bad"),
        (TypeError("bad"), 1, "scratchadv: error: bad"),
        (datasets.DatasetUnavailableError("no data"), 1, "scratchadv: error: no data"),
        (FloatingPointError("NaN"), 1, "scratchadv: error: NaN"),
        (MemoryError("3 GiB"), 1, "scratchadv: error: there is not enough memory: 3 GiB"),
        (MissingPackageError("tea needs water"), 1, "scratchadv: error: tea needs water"),
        (KeyboardInterrupt(), 130, "scratchadv: stopped"),
    ],
    ids=repr,
)
def test_what_goes_wrong_is_one_line_and_an_exit_status(error, status, line, monkeypatch, capsys):
    """Errors caused by the user, and Ctrl-C, show no traceback"""

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(shared, "run", fail)
    assert cli.main(["reproduce", "linear"]) == status
    assert capsys.readouterr() == ("", line + "\n")


def test_an_error_of_our_making_is_not_hidden(monkeypatch):
    """A RuntimeError passes through with its traceback"""

    def fail(*args, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(shared, "run", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["reproduce", "linear"])


def test_the_arguments_arrive(monkeypatch, tmp_path):
    """--data, --eps, --seed, --out and --quick reach the run of the experiment; exit status 0"""
    seen = []
    monkeypatch.setattr(shared, "run", lambda experiment, **given: seen.append((experiment.about.name, given)))
    argv = ["--data", "strokes", "--eps", "0.1", "--seed", "3", "--out", str(tmp_path)]
    assert cli.main(["reproduce", "linear", *argv]) == 0
    assert cli.main(["reproduce", "networks", *argv, "--quick"]) == 0
    given = {"data": "strokes", "eps": 0.1, "seed": 3, "out": tmp_path}
    assert seen == [("linear", given), ("networks", given | {"quick": True})]


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)


def test_python_m_scratchadv_is_the_command():
    """python -m scratchadv exits with what main returns: 0 for --version, 1 for a bad value, 2 for no command"""
    done = python("-m", "scratchadv", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"scratchadv {__version__}\n", "")
    done = python("-m", "scratchadv", "reproduce", "linear", "--eps", "-1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "scratchadv: error: eps = -1.0 must be finite and >= 0\n"
    assert python("-m", "scratchadv").returncode == 2


# Output that cannot be written

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

# a command that prints three lines
LINES = """
import sys
from scratchadv import cli
from scratchadv.experiments import experiment as shared
def run(experiment, **given):
    for line in ("first", "second" * 10**5, "third"):
        print(line, flush=sys.argv[1] == "flushed")
shared.run = run
sys.exit(cli.main(["reproduce", "linear"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "command",
    [["-c", LINES, "flushed"], ["-c", LINES, "buffered"], ["-m", "scratchadv", "--help"]],
    ids=["while it works", "at the end", "help"],
)
def test_a_reader_that_goes_away_ends_the_command_in_silence(command):
    """As with ``| head``: exit status 141, as for other commands, and nothing on the error stream"""
    ours, theirs = os.pipe()
    os.close(ours)
    with subprocess.Popen([sys.executable, *command], stdout=theirs, stderr=subprocess.PIPE, env=BUFFERED) as process:
        os.close(theirs)
        told = process.stderr.read()
    assert (process.returncode, told) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("command", [["-c", LINES, "buffered"], ["-m", "scratchadv", "--version"]])
def test_output_that_cannot_be_written_is_one_line_and_exit_status_one(command):
    """If the disk is full there is no traceback, neither at once nor when Python exits"""
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, *command], stdout=full, stderr=subprocess.PIPE, text=True, env=BUFFERED)
    assert done.returncode == 1
    assert done.stderr == "scratchadv: error: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_one_line_and_exit_status_130():
    """SIGINT while an experiment runs: no traceback"""
    code = LINES.replace("    for line", "    import os, signal; os.kill(os.getpid(), signal.SIGINT)\n    for line")
    done = python("-c", code, "buffered")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "scratchadv: stopped\n")


# Progress

# the whole command on a few digits, with bars that appear without the delay of two seconds
RUN = """
import dataclasses, sys, tqdm
tqdm.tqdm = lambda *args, patient=tqdm.tqdm, **options: patient(*args, **options | {"delay": 0})
from scratchadv import cli, datasets
from scratchadv.experiments.linear import experiment as linear
few = datasets.load("strokes", n_train=120, n_test=60)
datasets.load = lambda name: few
linear.EXPERIMENT = dataclasses.replace(linear.EXPERIMENT, figures=lambda setup, measured: {})
sys.exit(cli.main(["reproduce", "linear", "--data", "strokes", "--out", sys.argv[1]]))
"""


def test_a_pipe_sees_no_bar(tmp_path):
    """If the error stream is not a terminal, nothing is written to it; the table goes to the output"""
    done = python("-c", RUN, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith((tmp_path / "table.md").read_text(encoding="utf-8"))
    assert "\r" not in done.stdout


def test_a_terminal_sees_a_bar(tmp_path):
    """If the error stream is a terminal, the same run shows its progress and removes it at the end"""
    pty, termios = (pytest.importorskip(name, reason="no pseudo-terminals here") for name in ("pty", "termios"))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    with subprocess.Popen([sys.executable, "-c", RUN, tmp_path], stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # on Linux, the error for a closed other end
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert process.returncode == 0
    assert b"training:" in shown
    assert b"SGD from other seeds:" in shown


@pytest.mark.parametrize("items", [range(3), [], iter("ab")])
def test_progress_hands_out_the_same_items_and_is_silent_in_a_pipe(items, capsys):
    """list(progress(items)) = list(items)"""
    expected = [0, 1, 2] if isinstance(items, range) else [] if items == [] else ["a", "b"]
    assert list(progress(items, "working")) == expected
    assert capsys.readouterr() == ("", "")
