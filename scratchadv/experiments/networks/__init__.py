"""``scratchadv reproduce networks``: the slides' networks under FGSM and PGD, and adversarial training."""

from ..about import About

ABOUT = About(
    name="networks",
    eps=0.1,
    summary="networks on ten digits under FGSM and PGD, and adversarial training",
    description="The tutorial's two MLPs and its CNN under FGSM and PGD, and the CNN after adversarial training. "
    "Prints how long it will take and then a table, and writes the table with its figures. Trained models are kept in "
    "the cache.",
    quick="the same with less data, in about two minutes",
)
