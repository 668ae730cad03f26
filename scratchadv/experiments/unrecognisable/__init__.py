"""``scratchadv reproduce unrecognisable``: images that mean nothing to people, and that a CNN is certain about."""

from ..about import About

ABOUT = About(
    name="unrecognisable",
    eps=0.1,
    summary="images that mean nothing to people, and that the networks are certain about",
    description="MAP-Elites with two encodings, and gradient ascent, make an unrecognisable image for each class. The "
    "images are made for the CNN and for the robust CNN, and each network also classifies those for the other. --eps "
    "is the radius with which the robust CNN was trained.",
    quick="the same with little data, in about a minute",
)
