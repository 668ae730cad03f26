"""``scratchadv reproduce transfer``: what transfers between models, between techniques, and between tasks."""

from ..about import About

ABOUT = About(
    name="transfer",
    eps=0.1,
    summary="attacked on one model, tested on another",
    description="Transferability between networks and linear models, between techniques (scikit-learn), between "
    "tasks: matrices with deviations over seeds, and noise of the same size as the control.",
    quick="all of it on less data, in about a minute",
)
