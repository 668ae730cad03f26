"""The experiments of the slides, each a command: ``scratchadv reproduce NAME``."""
