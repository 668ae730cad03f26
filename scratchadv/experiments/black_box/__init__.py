"""``scratchadv reproduce black_box``: attacks on the tutorial's CNN that see only its outputs."""

from ..about import About

ABOUT = About(
    name="black_box",
    eps=0.3,
    summary="attacks that see only logits, probabilities or labels: success, queries, size",
    description="Square, NES, SPSA, GenAttack, one pixel, HopSkipJump, Boundary and a substitute on the CNN of "
    "'reproduce networks', with curves over queries and other figures. The CNN is trained first if it is not in the "
    "cache.",
    quick="the same with little data, in about a minute",
)
