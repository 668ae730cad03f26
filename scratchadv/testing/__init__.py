"""Tools to test attacks with, for this library's own tests and for anyone's (needs ``hypothesis``)."""
