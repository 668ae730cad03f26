"""``scratchadv reproduce black_box``: attacks on the tutorial's CNN that only see what it puts out."""
