"""Attacks that go up the gradient of the loss inside a set Δ."""
