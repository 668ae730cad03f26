"""``scratchadv reproduce linear``: the slides' linear chapter, digits 0 against 1, attacked and defended exactly."""

from ..about import About

ABOUT = About(
    name="linear",
    eps=0.2,
    summary="linear models, digits 0 against 1, attacked and solved exactly",
    description="Linear models on the digits 0 and 1: the slides' two runs of SGD, the exact robust optimum and the "
    "exact attack. Prints a table, and writes it with its figures.",
)
