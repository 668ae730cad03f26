"""``scratchadv reproduce universal``: one perturbation for a class, for several, for all, on images it never saw."""
