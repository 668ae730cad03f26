"""What the command line says about an experiment. This file loads nothing, so that ``--help`` answers at once."""

from typing import NamedTuple


class About(NamedTuple):
    """The short description of an experiment.

    Attributes
    ----------
    name : str
        The name of its folder and of its command, ``scratchadv reproduce NAME``.
    eps : float
        The default radius ε.
    summary : str
        The line in the list of experiments.
    description : str
        The text of ``--help``.
    quick : str, optional
        What ``--quick`` does; None if there is only the full run.
    """

    name: str
    eps: float
    summary: str
    description: str
    quick: str | None = None
