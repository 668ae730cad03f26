"""``scratchadv reproduce unrecognisable``: images that mean nothing to us, and convince a CNN."""
