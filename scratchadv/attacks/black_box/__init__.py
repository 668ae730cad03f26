"""Attacks that see only what the model puts out."""
