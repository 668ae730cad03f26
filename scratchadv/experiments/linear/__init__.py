"""``scratchadv reproduce linear``: the slides' linear chapter, digits 0 against 1, attacked and defended exactly."""
