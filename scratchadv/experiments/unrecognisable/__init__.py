"""``scratchadv reproduce unrecognisable``: images that mean nothing to us, and convince a CNN."""

from ..about import About

ABOUT = About(
    name="unrecognisable",
    eps=0.1,
    summary="images that mean nothing to us and of which the networks are certain",
    description="MAP-Elites with two encodings and gradient ascent make an image for each class from nothing; the CNN "
    "and the robust CNN are searched, and each is asked about the other's images. --eps is the radius that the "
    "robust CNN was trained with.",
    quick="all of it on little data, in about a minute",
)
