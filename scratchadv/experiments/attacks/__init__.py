"""``scratchadv reproduce attacks``: the white-box attacks of the slides, and today's, on the tutorial's networks."""
