"""``scratchadv reproduce attacks``: white-box attacks, from the slides and newer, on the tutorial's networks."""

from ..about import About

ABOUT = About(
    name="attacks",
    eps=0.1,
    summary="every white-box attack on those networks: success, size of the change, cost",
    description="The attacks of the second deck and their successors on the networks of 'reproduce networks': "
    "success, size of the change, queries, gradients, seconds and figures. The networks are trained first if they are "
    "not in the cache.",
    quick="the same with little data, in a few minutes",
)
