"""``scratchadv reproduce networks``: the slides' networks under FGSM and PGD, and trained against them."""

from ..about import About

ABOUT = About(
    name="networks",
    eps=0.1,
    summary="networks on ten digits under FGSM and PGD, and trained against them",
    description="The tutorial's two MLPs and its CNN under FGSM and PGD, and the CNN trained against them. Prints how "
    "long it will take, then a table; writes it with its figures. Trained models are kept in the cache.",
    quick="all of it on less data, in about two minutes",
)
