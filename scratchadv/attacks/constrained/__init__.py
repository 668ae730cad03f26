"""Attacks that look for the smallest change that fools the model; they take no ε."""
