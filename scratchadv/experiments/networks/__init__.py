"""``scratchadv reproduce networks``: the slides' networks under FGSM and PGD, and trained against them."""
