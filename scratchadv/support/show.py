"""What a lecture shows: in a notebook it is displayed; in a plain script it is printed or saved as a file."""

import inspect
import io
import re
import sys
import textwrap
from pathlib import Path

from .console import say
from .plots import save
from .tables import markdown

FOLDER = Path("results") / "lectures"

# The part of a docstring that a lecture does not repeat: from its first numpydoc section to its source or its end.
_SECTIONS = re.compile(
    r"\n\s*\n *(?:Parameters|Attributes|Returns|Raises|Warns|Examples)\n *-{4,}\n.*?"
    r'(?=\n\s*\n *Source:|\n *""")',
    re.DOTALL,
)


def source(*functions):
    """Show the library's source of functions, classes or methods, one after the other.

    The sections on arguments and results are left out of the docstrings, since they are in the documentation.

    Parameters
    ----------
    *functions : function or class
    """
    whole = "\n\n".join(textwrap.dedent(inspect.getsource(f)).rstrip() for f in functions)
    code = _SECTIONS.sub("", whole)
    if display := _notebook():
        display.display(display.Markdown(f"```python\n{code}\n```"))
    else:
        say(code)


def table(header, rows):
    """Show a table.

    Parameters
    ----------
    header : list of str
    rows : list of list
        Cells that are not strings are shown as by ``str``.
    """
    text = markdown(header, rows)
    if display := _notebook():
        display.display(display.Markdown(text))
    else:
        say(text)


def figure(drawn, name, description):
    """Show a figure; a plain script writes it to ``results/lectures/NAME.png``.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
    name : str
        The name of the file without its ending.
    description : str
        What the figure shows, for readers who cannot see it.
    """
    if display := _notebook():
        picture = io.BytesIO()
        drawn.savefig(picture, format="png", dpi=150)
        display.display(display.Image(picture.getvalue(), alt=description, metadata={"alt": description}))
    else:
        FOLDER.mkdir(parents=True, exist_ok=True)
        save(drawn, FOLDER / f"{name}.png")
        say(f"({FOLDER / name}.png: {description})")


def _notebook():
    """Return IPython's display in a notebook, else None."""
    if "IPython" not in sys.modules:
        return None
    from IPython import display, get_ipython

    return display if getattr(get_ipython(), "kernel", None) else None
