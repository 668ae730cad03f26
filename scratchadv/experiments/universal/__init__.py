"""``scratchadv reproduce universal``: one perturbation for one class, for several or for all, on unseen images."""

from ..about import About

ABOUT = About(
    name="universal",
    eps=0.3,
    summary="one perturbation for one class, for several, or for all",
    description="Universal perturbations by the paper's algorithm and by gradients, for groups of 1, 2, 5 and 10 "
    "classes: fooling rate on the images that they were made for and on unseen images, compared with noise of the same "
    "size.",
    quick="the same with little data, in about a minute",
)
