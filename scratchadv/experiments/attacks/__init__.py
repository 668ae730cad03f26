"""``scratchadv reproduce attacks``: the white-box attacks of the slides, and today's, on the tutorial's networks."""

from ..about import About

ABOUT = About(
    name="attacks",
    eps=0.1,
    summary="every white-box attack on those networks: success, size of the change, cost",
    description="The attacks of the second deck and their successors on the networks of 'reproduce networks': "
    "success, size of the change, queries, gradients and seconds, and pictures. Trains the networks first where "
    "they are not in the cache.",
    quick="all of it on little data, in a few minutes",
)
