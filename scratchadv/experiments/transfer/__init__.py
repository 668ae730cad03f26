"""``scratchadv reproduce transfer``: transfer between models, between techniques, and between tasks."""

from ..about import About

ABOUT = About(
    name="transfer",
    eps=0.1,
    summary="attacked on one model, tested on another",
    description="Transferability between networks and linear models, between techniques (with scikit-learn), and "
    "between tasks: matrices with deviations over seeds, and with noise of the same size as a control.",
    quick="the same with less data, in about a minute",
)
