"""Attacks that look for the smallest change that fools: no ε, a size to be found."""
