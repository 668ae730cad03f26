"""Images that mean nothing to us and everything to the model: they start from nothing and keep no distance."""
