"""Text output that replaces letters missing from the terminal's encoding, so that no run fails because of them."""

import sys


def say(text=""):
    """Print the text, with ``?`` for each letter that the output's encoding does not have.

    Parameters
    ----------
    text : str
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))


def replace_what_cannot_be_written(stream):
    """Make a text stream write ``?`` for each letter that its encoding does not have, instead of raising an error.

    Parameters
    ----------
    stream : file
        A stream that cannot be changed, such as that of a notebook, is left as it is.
    """
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
