"""How the exact robust logistic regression is computed; ``risk.py`` says what it is."""
