"""The parent's side of one test: run a child with a deadline, and leave nothing of it behind."""

import ctypes
import json
import os
import pwd
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

CHILD = (Path(__file__).parent / "child.py").read_text(encoding="utf-8")
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
MOST_BYTES = 1 << 16
MOST_PROCESSES = 64
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


def adopt_orphans():
    """Become the parent of processes that a child leaves behind, so that they can be found (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def run_child(task, seconds, user=None):
    """Let a child do the task, and believe only the verdict that follows the secret.

    Parameters
    ----------
    task : dict
        The task for ``child.py``, which can be written as JSON.
    seconds : float
        Processor time; the deadline by the clock is twice as long, because we may have only half a core.
    user : str, optional
        Run as this user, for which the grader must be root.

    Returns
    -------
    dict
        ``passed`` and ``problem``.
    """
    secret = secrets.token_hex(32)
    before = descendants()
    ours, theirs = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if user is not None:
            os.chmod(folder, 0o777)
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs,),
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
            **_identity(user),
        )
        try:
            os.close(theirs)
            task = {**task, "secret": secret, "pipe": theirs, "processes": processes_allowed(user)}
            ended = _finish(child, json.dumps(task).encode(), 2 * seconds)
        finally:
            end_all(child.pid, before)
            child.wait()
    os.set_blocking(ours, False)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        said = pipe.read(MOST_BYTES) or b""
    return _believe(said, secret, _how_it_ended(ended, child.returncode, seconds))


def _environment(folder):
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPATH", "SCRATCHADV_DATA") if key in os.environ}
    own = {"HOME": folder, "TMPDIR": folder, "MPLCONFIGDIR": folder, "PYTHONHASHSEED": "0"}
    return {**kept, **own, **ONE_THREAD, "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}


def _identity(user):
    """Return the arguments that make ``Popen`` change to the user."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _finish(child, text, seconds):
    """Return whether the child ended before the deadline."""
    try:
        child.communicate(text, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    except BrokenPipeError:
        child.wait(seconds)
    return True


def _how_it_ended(ended, code, seconds):
    if not ended or code == -signal.SIGXCPU:
        return f"no answer after {seconds:g} seconds: an endless loop?"
    if code < 0:
        return f"the program was ended by the system ({signal.Signals(-code).name}): too much memory or time?"
    return f"the program ended itself (exit status {code}) before the test did"


def _believe(said, secret, otherwise):
    """Return the verdict that follows the secret; without the secret, the test has failed."""
    with suppress(ValueError, KeyError, TypeError):
        text = said.decode()
        if text.startswith(secret):
            verdict = json.loads(text.removeprefix(secret))
            return {"passed": verdict["passed"] is True, "problem": readable(str(verdict["problem"]))}
    return {"passed": False, "problem": otherwise}


def readable(text):
    """Return the text with characters that a terminal cannot show, such as escapes, in Python's notation."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def processes_allowed(user):
    """Return how many threads the user may have in all; the system counts those that already run."""
    return MOST_PROCESSES if user is not None else _threads_of(os.getuid()) + MOST_PROCESSES


def _threads_of(uid):
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.stat().st_uid == uid:
                count += len(os.listdir(process / "task"))
    return count


def descendants():
    """Return the processes that descend from this one (on Linux; elsewhere none is known)."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            parents[int(stat.parent.name)] = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    found = set()
    new = {os.getpid()}
    while new:
        new = {process for process, parent in parents.items() if parent in new} - found
        found |= new
    return found


def end_all(group, before, patience=10):
    """Kill the child's group, and every descendant of this process that is not in ``before``."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + patience
    while (left := descendants() - before) and time.monotonic() < deadline:
        for kind in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: a stopped process starts no new ones
            for process in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process, kind)
        for process in left - {group}:
            with suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        if left == {group}:  # it has ended, and the caller waits for it
            break
