"""``scratchadv reproduce transformation``: networks that learn to attack the slides' networks."""

from ..about import About

ABOUT = About(
    name="transformation",
    eps=0.1,
    summary="networks that learn to attack: success, size, transfer, cost",
    description="Adversarial transformation networks (ATNs) against the tutorial's networks: success and size of the "
    "change over β compared with the paper, for each target, trained on one network, several networks or a substitute, "
    "and the cost per image compared with PGD. --eps is the radius of PGD in ℓ∞; an ATN has none.",
    quick="the same with little data, in about a minute and a half",
)
