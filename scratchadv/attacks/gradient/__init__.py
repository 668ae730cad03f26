"""Attacks that climb the loss inside a perturbation set, along its gradient in x."""
