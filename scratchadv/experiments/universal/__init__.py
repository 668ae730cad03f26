"""``scratchadv reproduce universal``: one perturbation for a class, for several, for all, on images it never saw."""

from ..about import About

ABOUT = About(
    name="universal",
    eps=0.3,
    summary="one perturbation for one class, for several, for all",
    description="Universal perturbations of the CNN, by the paper's algorithm and by gradients, for groups of 1, 2, 5 "
    "and 10 classes: fooling rate on the images that they were made for and on unseen ones, beside noise as "
    "large.",
    quick="all of it on little data, in about a minute",
)
