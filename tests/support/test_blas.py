"""Laws of BLAS on one thread: nesting, threads, Ctrl-C at any line, and forks while threads run attacks."""

import contextlib
import linecache
import os
import subprocess
import sys
import threading
import traceback

import pytest

from scratchadv.support import blas
from scratchadv.support.blas import one_blas_thread


class Library:
    """A stand-in for a BLAS library with the two attributes that ``blas`` uses."""

    num_threads = 4

    def set_num_threads(self, n):
        self.num_threads = n


@pytest.fixture
def library(monkeypatch):
    """The only BLAS library, with four threads."""
    library = Library()
    monkeypatch.setattr(blas, "_libraries", lambda: [library])
    return library


def test_one_thread_inside_and_as_before_after(library):
    """The threads are 4, 1, 4, also after an exception; a number that is set by hand later is kept"""
    for outside in (4, 3):
        library.num_threads = outside
        with one_blas_thread():
            assert library.num_threads == 1
        assert library.num_threads == outside
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert library.num_threads == outside


def test_blocks_nest(library):
    """The end of the inner block changes nothing, and that of the outer block restores the threads"""
    with one_blas_thread():
        with one_blas_thread(), one_blas_thread():
            pass
        assert library.num_threads == 1
    assert library.num_threads == 4


def test_the_last_of_several_threads_restores(library):
    """If A begins, B begins, A ends, B ends, there is one thread until B ends"""
    first, second = one_blas_thread(), one_blas_thread()
    for step, left in ((first.__enter__, 1), (second.__enter__, 1), (first.__exit__, 1), (second.__exit__, 4)):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
        assert library.num_threads == left


# Ctrl-C


def lines_of(run):
    """The number of calls and lines of ``blas`` that the function ``run`` executes."""
    return interrupted(run, -1)


def interrupted(run, at):
    """Run with a KeyboardInterrupt at the given call or line of ``blas``, and return the number of calls and lines.

    Python looks for signals at calls and between lines, but not when a function returns, nor between the body of
    ``with lock`` and the release of the lock.
    """
    seen, entered = 0, set()

    def trace(frame, event, arg):
        nonlocal seen
        if event == "return":
            return trace
        if frame.f_code.co_filename != blas.__file__ and frame.f_code.co_name not in ("add", "discard", "__len__"):
            return trace
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        place = frame, frame.f_lineno
        if event == "line" and line.strip().startswith("with ") and place in entered:
            return trace
        entered.add(place)
        seen += 1
        if seen - 1 == at:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
        entered.clear()
    return seen


def one_block():
    with one_blas_thread():
        pass


def nested():
    with one_blas_thread(), one_blas_thread():
        pass


def one_inside_and_one_after():
    with one_blas_thread():
        one_block()
    one_block()


@pytest.mark.parametrize("run", [one_block, nested, one_inside_and_one_after])
def test_ctrl_c_at_any_line_leaves_blas_as_it_was_after_the_next_block(library, run):
    """After an interrupt at any call or line of the beginning or end the next complete block restores the threads"""
    for at in range(lines_of(run)):
        with pytest.raises(KeyboardInterrupt):
            interrupted(run, at)
        with one_blas_thread():
            assert library.num_threads == 1
        assert library.num_threads == 4, f"interrupted at {at}"
    assert lines_of(run) > 10


def test_ctrl_c_is_late_only_before_the_first_instruction_of_the_end(library):
    """Elsewhere, an interrupt restores the threads of BLAS at once"""
    places = []
    for at in range(lines_of(one_block)):
        try:
            interrupted(one_block, at)
        except KeyboardInterrupt as error:
            place = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        if library.num_threads != 4:
            places.append(place[-2])
        one_block()
    assert set(places) <= {"__exit__"}


def test_an_interrupt_does_not_end_the_block_of_another_thread(library):
    """If A is interrupted at any line while B is inside, there is one thread until B ends, and then four"""
    for at in range(lines_of(one_block)):
        entered, leave = threading.Event(), threading.Event()

        def hold(entered=entered, leave=leave):
            with one_blas_thread():
                entered.set()
                leave.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        assert entered.wait(60)
        with contextlib.suppress(KeyboardInterrupt):  # there are fewer lines while another thread is inside
            interrupted(one_block, at)
        assert library.num_threads == 1
        leave.set()
        thread.join(60)
        assert not thread.is_alive()
        one_block()
        assert library.num_threads == 4


# Forks

UNDER_LOAD = """
import os, sys, threading, time
import numpy as np
from scratchadv.attacks import pgd
from scratchadv.sets import Linf
from scratchadv.models import MLP
from scratchadv.parallel import limit
from scratchadv.training import fit
from threadpoolctl import threadpool_info

x = np.random.default_rng(0).random((24, 64), dtype=np.float32)
model, threat = MLP((64, 100, 10)), Linf(0.1).within(0, 1)
y = model.logits(x).argmax(axis=1)

def attack():
    with limit(2, 6):
        return pgd(model, x, y, threat, steps=2)

def train():
    fit(MLP((64, 8, 10)), x, y, epochs=1)

def again_and_again(work):
    while not stop:
        work()

def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

before, expected, stop = blas_threads(), attack(), False
threads = [threading.Thread(target=again_and_again, args=(work,)) for work in (attack, attack, train)]
for thread in threads:
    thread.start()
wrong = []
for i in range(FORKS):
    time.sleep(0.003 * (i % 5))
    child = os.fork()
    if child == 0:
        same = np.array_equal(attack(), expected)
        train()
        os._exit(0 if same and blas_threads() == before else 1)
    deadline, ended = time.monotonic() + 60, 0
    while not ended and time.monotonic() < deadline:
        time.sleep(0.005)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, 9)
        os.waitpid(child, 0)
    wrong += [] if ended and status == 0 else [(i, status if ended else "hangs")]
stop = True
for thread in threads:
    thread.join()
assert blas_threads() == before, (blas_threads(), before)
assert not wrong, wrong
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_while_threads_attack_and_train_can_attack_and_train():
    """The child computes the δ of the parent, BLAS has its threads back there, and no child hangs"""
    program = UNDER_LOAD.replace("FORKS", "40")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


INSIDE = """
import multiprocessing, threading
import numpy
from threadpoolctl import threadpool_info
from scratchadv.support.blas import one_blas_thread

def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

def child(queue):
    with one_blas_thread():
        inside = blas_threads()
    queue.put((inside, blas_threads()))

def forked():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    found = queue.get(timeout=60)
    process.join(60)
    return found

before, entered, leave = blas_threads(), threading.Event(), threading.Event()
assert before

def hold():
    with one_blas_thread():
        entered.set()
        leave.wait(60)

thread = threading.Thread(target=hold)
thread.start()
entered.wait(60)
assert forked() == ({1}, before)  # the block of the other thread is not in the child
leave.set()
thread.join()
with one_blas_thread():
    assert forked() == ({1}, {1})  # the block of this thread is in the child too
assert blas_threads() == before
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_blocks_of_other_threads_do_not_count_in_a_forked_process():
    """A block of another thread ends with the child's next block; a block of the forking thread goes on in the child"""
    done = subprocess.run([sys.executable, "-c", INSIDE], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
