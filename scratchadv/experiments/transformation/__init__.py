"""``scratchadv reproduce transformation``: networks that learn to attack the slides' networks."""

from ..about import About

ABOUT = About(
    name="transformation",
    eps=0.1,
    summary="networks that learn to attack: success, size, transfer, cost",
    description="Adversarial transformation networks against the tutorial's networks: success and size of the change "
    "over β beside the paper's, for each target, trained on one network, several or a substitute, and an image's "
    "cost beside PGD. --eps is that of PGD's ℓ∞ row; an ATN has none.",
    quick="all of it on little data, in about a minute and a half",
)
