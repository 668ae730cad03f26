"""How the exact robust logistic regression is computed; what it is stands in ``robust_logistic.py``."""
