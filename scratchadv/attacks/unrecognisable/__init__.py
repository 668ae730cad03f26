"""Unrecognisable images, which mean nothing to us but which the model classifies with high confidence."""
