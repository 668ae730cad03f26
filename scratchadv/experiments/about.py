"""What the command line says of an experiment; it loads nothing, so that ``--help`` answers at once."""

from typing import NamedTuple


class About(NamedTuple):
    """The light facts of an experiment.

    Attributes
    ----------
    name : str
        That of its folder, and of its command: ``scratchadv reproduce NAME``.
    eps : float
        The default radius ε.
    summary : str
        Its line in the list of experiments.
    description : str
        What ``--help`` says.
    quick : str, optional
        What ``--quick`` does; None where there is only the full run.
    """

    name: str
    eps: float
    summary: str
    description: str
    quick: str | None = None
