"""Bridges to the models of other libraries."""
