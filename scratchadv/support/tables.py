"""Tables in Markdown."""

import re

# What Markdown does not show literally: the border of a cell, the end of a line, HTML, and the escaping backslash.
SPECIAL = re.compile(r"\\|\||\r\n|\r|\n|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
ESCAPED = {"\\": "\\\\", "|": "\\|", "\r\n": "<br>", "\r": "<br>", "\n": "<br>", "<": "&lt;", "&": "&amp;"}


def escape(text):
    """Return Markdown that shows the text literally in one cell or on one line, with ``<br>`` for the end of a line.

    Parameters
    ----------
    text : object

    Returns
    -------
    str
    """
    return SPECIAL.sub(lambda found: ESCAPED[found[0]], str(text))


def markdown(header, rows):
    """Return a table in Markdown, one line for each row; all text is escaped.

    Parameters
    ----------
    header : sequence of str
    rows : list of list
        Cells that are not strings are shown as by ``str``.

    Returns
    -------
    str
    """
    cells = [[escape(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def with_setting(setting, header, rows):
    """Return a table in Markdown below a list of its settings, each a name and a value."""
    head = [f"- {escape(key)}: {escape(value)}\n" for key, value in setting.items()]
    return "".join([*head, "\n", markdown(header, rows)])
