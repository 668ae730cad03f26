"""The random numbers of an example, under their old name."""

from ...seeded import _irrational, normal, pieces, seeds_of, signs, spread, uniform, words  # noqa: F401
