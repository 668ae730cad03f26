"""Errors in words for the student: the message, the line in which it happened, and the smallest example."""

import linecache
import re
import traceback


class RefusedError(Exception):
    """A file is not run, or did not run to its end; the message is complete."""


class OddEndError(Exception):
    """The student's code ended an example in a way that hypothesis would not count as a failure."""


def in_words(error, files):
    """Return the error in plain words.

    Parameters
    ----------
    error : BaseException
    files : collection of str
        The names of the student's files, with ``.py``.

    Returns
    -------
    str
    """
    kind, said = type(error).__name__, message(error)
    code, line = last_line(error.__cause__ if isinstance(error, OddEndError) else error, files)
    where = f"\nin {code.co_filename}, line {line}: {linecache.getline(code.co_filename, line).strip()}" if code else ""
    if isinstance(error, RefusedError):
        return said
    if isinstance(error, SyntaxError) and error.filename in files:
        return f"{error.filename}, line {error.lineno}: {kind}: {error.msg}"
    if isinstance(error, AssertionError):
        words = said or "a law does not hold"
    elif isinstance(error, NotImplementedError) and (emptied := in_a_template(error)):
        words = f"{emptied} is empty while this homework is graded"
    elif isinstance(error, NotImplementedError) and code:
        words, where = f"{code.co_qualname} is not written yet ({code.co_filename}, line {line})", ""
    elif isinstance(error, MemoryError):
        words = "the code asked for more memory than there is"
    elif isinstance(error, OddEndError):
        words = said
    elif "Flaky" in kind:
        words = "the same arguments gave different answers at different times"
    else:
        words = f"{kind}: {said}" if said else kind
    return words + where + smallest(getattr(error, "__notes__", []))


def at_import(error, name, files):
    """Return in plain words why a student's file could not be executed to its end.

    Parameters
    ----------
    error : BaseException
    name : str
        The name of the file, with ``.py``.
    files : collection of str
        The names of all files of the student.

    Returns
    -------
    str
    """
    told = in_words(error, files)
    whole = isinstance(error, RefusedError) or (isinstance(error, SyntaxError) and error.filename in files)
    return told if whole else f"{name} cannot be imported: {told}"


def message(error):
    """Return the message of the error, or an empty one if it cannot be printed."""
    try:
        return str(error)
    except BaseException:
        return ""


def last_line(error, files):
    """Return where in the student's files the error happened: the code of the function, and the line."""
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return next(((code, line) for code, line in reversed(frames) if code.co_filename in files), (None, None))


def in_a_template(error):
    """Return the name of the emptied library function that raised the error, or None."""
    code = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    module = re.fullmatch(r"<template of (.*)>", code.co_filename)
    return module and f"{module[1]}.{code.co_qualname}"


def smallest(notes):
    """Return hypothesis's example without its frame."""
    for note in notes:
        if found := re.fullmatch(r"[^\n]*: test_\w+\(\n(.*)\n\)", note, re.DOTALL):
            lines = [line.partition("  # or any other")[0].strip() for line in found[1].splitlines()]
            return "\nSmallest failing example: " + " ".join(lines).rstrip(",")
    return ""
