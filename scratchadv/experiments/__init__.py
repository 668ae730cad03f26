"""The experiments of the slides, each a folder and a command: ``scratchadv reproduce NAME``.

In the folder of an experiment are its light description (``__init__.py``), what it measures (``experiment.py``), its
pictures (``figures.py``), and its results (``README.md``, made from the ``result.json`` beside it).
"""

from importlib import import_module

# In the order in which they are read.
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
    """Return the light description of an experiment; this loads neither NumPy nor matplotlib.

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
