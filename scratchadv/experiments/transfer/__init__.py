"""``scratchadv reproduce transfer``: what transfers between models, between techniques, and between tasks."""
