"""The solvers of the exact robust logistic regression that ``risk.py`` defines."""
