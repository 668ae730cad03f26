"""The tables of an experiment, and the numbers of papers that stand in them."""

from typing import NamedTuple

from ..support.tables import escape
from ..support.tables import markdown as table

# How a published number is known: read in the slides or printed by a public rerun of the same code (seen), read in the
# paper's abstract, read in someone else's text or code (quoted), or from memory (recalled).
MARKS = ("seen", "abstract", "quoted", "recalled")


class Published(NamedTuple):
    """A published number, in words, and how it is known.

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
    """A table: its title, its header, its rows of cells, and what is said above it.

    Attributes
    ----------
    title : str
    header : list of str
    rows : list of list of str
    notes : dict of str to str
        Printed as a list above the table.
    """

    title: str
    header: list
    rows: list
    notes: dict | None = None


def page(setting, tables, level=1):
    """Return tables in Markdown, the first of them under the whole setting of the experiment.

    Parameters
    ----------
    setting : dict
        Everything that the numbers depend on.
    tables : list of Table
    level : int
        The level of the titles: 1 for ``# Title``.

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
    return f"{'#' * level} {escape(one.title)}\n\n" + table(one.notes or {}, one.header, one.rows)
