"""The experiments of the slides, each a folder and a command: ``scratchadv reproduce NAME``.

The folder of an experiment contains its short description (``__init__.py``), its measurements and tables
(``experiment.py``), its figures (``figures.py``), and its results (``README.md``, made from ``result.json``).
"""

from importlib import import_module

# In the order in which they should be read.
NAMES = (
    "linear",
    "networks",
    "attacks",
    "universal",
    "transformation",
    "black_box",
    "transfer",
    "unrecognisable",
)


def about_of(name):
    """Return the short description of an experiment, without loading NumPy or matplotlib.

    Parameters
    ----------
    name : str
        One of ``NAMES``.

    Returns
    -------
    About
    """
    return import_module(f".{name}", __name__).ABOUT


def load(name):
    """Return an experiment, ready to run.

    Parameters
    ----------
    name : str
        One of ``NAMES``.

    Returns
    -------
    Experiment
    """
    return import_module(f".{name}.experiment", __name__).EXPERIMENT
