"""Laws of files: they are written completely or not at all, also into pipes, and read only if they are regular."""

import errno
import os
import stat
import threading

import numpy as np
import pytest

from scratchadv.support import archive, files, plots

CONTENT = "‖δ‖∞ ≤ ε\n"


def write_archive(path):
    archive.write(path, "model", {"why": CONTENT}, {"theta": np.arange(5.0)})


def write_figure(path):
    plots.save(plots.figure_with_axes(size=(0.5, 0.5))[0], path)


WRITERS = {
    "text": lambda path: files.write_text(path, CONTENT),
    "archive": write_archive,
    "figure": write_figure,
}
each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and links of POSIX")


def expected(write, tmp_path):
    """The bytes that the writer writes to a plain file."""
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere" / "file")
    return (tmp_path / "elsewhere" / "file").read_bytes()


@posix
@each_writer
def test_a_pipe_stays_a_pipe_and_gets_the_content(write, tmp_path):
    """A pipe receives what a file would contain, and still exists afterwards"""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe)
    with open(reader, "rb") as file:
        got = file.read()
    assert pipe.is_fifo()
    assert got == expected(write, tmp_path)


@posix
@each_writer
def test_a_device_stays_a_device(write):
    """The end of a terminal and /dev/null are written to, not replaced"""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    threading.Thread(target=lambda: os.read(ours, 10**6), daemon=True).start()
    files.write_text(name, "x")
    write(os.devnull)
    for device in (name, os.devnull):
        assert stat.S_ISCHR(os.stat(device).st_mode)


@posix
@each_writer
@pytest.mark.parametrize("there", [True, False], ids=["of a file", "dangling"])
def test_a_link_stays_a_link_and_its_target_is_written(write, there, tmp_path):
    """Through links, also to links, in another folder, absolute or relative, the file at the end gets the content"""
    content = expected(write, tmp_path)
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "target"
    (tmp_path / "second").symlink_to(target)
    (tmp_path / "first").symlink_to("second")
    if there:
        target.write_text("old")
    write(tmp_path / "first")
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert not target.is_symlink()
    assert target.read_bytes() == content
    assert [p.name for p in (tmp_path / "far").iterdir()] == ["target"]


@posix
@each_writer
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_the_permissions_of_a_file_stay(write, mode, tmp_path):
    """A private file stays private; a new file has the usual permissions of a new file"""
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_text("old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    other.write_text("made by open")
    write(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode == other.stat().st_mode


@posix
def test_a_private_file_is_private_while_it_is_written(tmp_path):
    """Nobody else may read the partial file"""
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    with files.whole(path) as file:
        (part,) = set(tmp_path.iterdir()) - {path}
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        file.write("new")


def full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


@each_writer
@pytest.mark.parametrize("old", [None, b"the old content"], ids=["new", "old"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(write, old, tmp_path, monkeypatch):
    """If there is no room for the content or for its last bytes, an OSError is raised and the folder does not change"""
    path = tmp_path / "file"
    if old:
        path.write_bytes(old)
    for where in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, where, full)
            with pytest.raises(OSError, match="No space left"):
                write(path)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == ({"file": old} if old else {})


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    """If anything is raised after half was written, the old file, or the target of a link, is complete"""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")

    def half(path, error):
        with files.whole(path) as file:
            file.write("half")
            raise error

    for name, error in (("file", OSError(errno.ENOSPC, "full")), ("link", KeyboardInterrupt()), ("file", ValueError())):
        with pytest.raises(type(error)):
            half(tmp_path / name, error)
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]


@each_writer
def test_two_that_write_the_same_file_at_once_do_not_meet(write, tmp_path, monkeypatch):
    """A second run may begin and end before the first has replaced the file: no error, and the file is complete"""
    path, fsync, begun = tmp_path / "file", os.fsync, []

    def meanwhile(number):
        begun.append(number)
        if len(begun) == 1:
            write(path)
            assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".part")] == ["file"]
        fsync(number)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write(path)
    assert len(begun) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == expected(write, tmp_path)


@pytest.mark.parametrize("name", ["x" * 255, "ε" * 127, "a b", ".hidden", "no.ending."])
def test_any_name_that_the_system_takes_can_be_written(name, tmp_path):
    """The longest names are possible, since the name of the partial file is no longer"""
    files.check_writable(tmp_path / name)
    files.write_text(tmp_path / name, CONTENT)
    assert (tmp_path / name).read_text(encoding="utf-8") == CONTENT


def test_text_that_utf_8_cannot_say_is_written_with_a_question_mark(tmp_path):
    """Half a surrogate pair, as in undecodable file names, becomes one question mark"""
    files.write_text(tmp_path / "file", "a\udcffb ε")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "a?b ε"


# Checks before long work


def unwritable(tmp_path):
    """Paths that cannot be written, each with a word of the reason."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("here")
    (tmp_path / "round").symlink_to("round")
    return {
        "a folder": (tmp_path / "folder", "it is a folder"),
        "no folder": (tmp_path / "no" / "file", "no is missing"),
        "below a file": (tmp_path / "file" / "x", "Not a directory"),
        "a long name": (tmp_path / ("x" * 300), "too long"),
        "a circle of links": (tmp_path / "round", "symbolic links"),
        "nothing": ("", "it is a folder"),
    }


CASES = ["a folder", "no folder", "below a file", "a long name", "a circle of links", "nothing"]


@posix
@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_written_is_refused_before_and_while_writing(case, tmp_path):
    """check_writable and whole agree; the message names the path, and the folder does not change"""
    path, why = unwritable(tmp_path)[case]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match="cannot be written: .*" + why) as caught:
        files.check_writable(path)
    assert str(path) in str(caught.value)
    with pytest.raises(OSError):
        files.write_text(path, "x")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a file system that takes no files")
def test_a_folder_that_takes_no_files_is_refused():
    """/proc is a folder in which no file can be made"""
    with pytest.raises(OSError, match=r"/proc/report\.html cannot be written"):
        files.check_writable("/proc/report.html")


@posix
def test_what_can_be_written_is_left_as_it_is(tmp_path):
    """Files, links, a pipe without a reader and a device are accepted; nothing changes and nothing waits"""
    (tmp_path / "old").write_text("content")
    (tmp_path / "link").symlink_to("old")
    (tmp_path / "dangling").symlink_to("new")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    for name in ("old", "link", "dangling", "pipe", "new"):
        files.check_writable(tmp_path / name)
    files.check_writable(os.devnull)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old").read_text() == "content"


# Reading


@posix
def test_only_regular_files_are_read(tmp_path):
    """A pipe without a writer, a folder and a device are refused without waiting; links are followed"""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for path in (tmp_path / "pipe", tmp_path, os.devnull):
        with pytest.raises(OSError, match="is not a regular file"):
            files.read_bytes(path)
    assert files.read_bytes(str(tmp_path / "link")) == b"content"
    with pytest.raises(FileNotFoundError):
        files.read_bytes(tmp_path / "missing")
