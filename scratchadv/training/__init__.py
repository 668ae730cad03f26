"""Training: minibatches, optimisers and schedules, checkpoints that resume, and a cache of trained models.

Read ``fitting.py`` (``fit``, ordinary and adversarial training), then ``optim.py``; ``checkpoint.py`` saves and resumes
a run, and ``zoo.py`` keeps trained models.
"""

from .fitting import History, fit

__all__ = ["History", "fit"]
