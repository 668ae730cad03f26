"""Text for people: a letter that the terminal's encoding does not have is replaced, so that no run is lost for it."""

import sys


def say(text=""):
    """Print the text; what the output's encoding does not have becomes ``?``.

    Parameters
    ----------
    text : str
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def replace_what_cannot_be_written(stream):
    """Make a text stream write ``?`` for what its encoding does not have, instead of raising an error.

    Parameters
    ----------
    stream : file
        A stream that cannot be changed, such as that of a notebook, stays as it is.
    """
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
