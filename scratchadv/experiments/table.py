"""The tables of an experiment, and the published numbers in them."""

from typing import NamedTuple

from ..support.tables import escape, with_setting

# The source of a published number: the slides or a public rerun of the same code (seen), the abstract of the paper,
# a text or code by others (quoted), or memory (recalled).
MARKS = ("seen", "abstract", "quoted", "recalled")


class Published(NamedTuple):
    """A published number, as text, and its source.

    Attributes
    ----------
    text : str
    mark : {"seen", "abstract", "quoted", "recalled"}
    """

    text: str
    mark: str

    @property
    def marked(self):
        """The number with its mark in brackets."""
        return f"{self.text} ({self.mark})"


class Table(NamedTuple):
    """A table with a title and notes.

    Attributes
    ----------
    title : str
    header : list of str
    rows : list of list of str
    notes : dict of str to str, optional
        Printed as a list above the table.
    """

    title: str
    header: list
    rows: list
    notes: dict | None = None


def page(setting, tables, level=1):
    """Return tables in Markdown; the setting of the experiment is printed above the first of them.

    Parameters
    ----------
    setting : dict
        Everything that the numbers depend on.
    tables : list of Table
    level : int
        The level of the titles, 1 for ``# Title``.

    Returns
    -------
    str
    """
    first, *rest = tables
    first = first._replace(notes=setting | (first.notes or {}))
    return "\n".join(markdown(each, level) for each in (first, *rest))


def markdown(one, level=1):
    """Return one table in Markdown, with its title and its notes.

    Parameters
    ----------
    one : Table
    level : int

    Returns
    -------
    str
    """
    return f"{'#' * level} {escape(one.title)}\n\n" + with_setting(one.notes or {}, one.header, one.rows)
