"""What a lecture shows: it appears in a notebook; in a plain script it is printed, or saved as a file."""

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

# what a lecture need not repeat of a docstring: from its first table of arguments to its source or its end
_SECTIONS = re.compile(
    r"\n\s*\n *(?:Parameters|Attributes|Returns|Raises|Warns|Examples)\n *-{4,}\n.*?"
    r'(?=\n\s*\n *Source:|\n *""")',
    re.DOTALL,
)


def source(*functions):
    """The library's own source of functions, classes or methods, one after the other.

    Docstrings without their sections on arguments and results: these stand in the documentation.

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
    """A table.

    Parameters
    ----------
    header : list of str
    rows : list of list
        What is not a string is printed as ``str`` does.
    """
    text = markdown({}, header, [[str(cell) for cell in row] for row in rows])
    if display := _notebook():
        display.display(display.Markdown(text))
    else:
        say(text)


def figure(drawn, name, description):
    """A figure; a plain script writes ``results/lectures/NAME.png``.

    Parameters
    ----------
    drawn : matplotlib.figure.Figure
    name : str
        The file's name without its ending.
    description : str
        What is to be seen, for those who cannot see it.
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
    """IPython's display where a notebook runs, else None."""
    if "IPython" not in sys.modules:
        return None
    from IPython import display, get_ipython

    return display if getattr(get_ipython(), "kernel", None) else None
