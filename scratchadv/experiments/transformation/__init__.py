"""``scratchadv reproduce transformation``: networks that learn to attack the slides' networks."""
