"""Adversarial machine learning from scratch in NumPy, to be read beside the lecture slides.

Read in this order:

1. ``sets/``: the perturbation sets Δ, their projections and their best points
2. ``losses.py``: what a model is trained on and an attack climbs
3. ``models/protocol.py``, ``models/logistic.py``: what an attack knows of a model; the linear one
4. ``attacks/linear.py``: the linear chapter in one line
5. ``attacks/gradient/fgsm.py``, ``attacks/gradient/pgd.py``: up the loss inside Δ
6. ``robust_logistic/``: the min-max problem of the slides, solved with a certificate
7. ``training/fitting.py``, ``evaluate/judging.py``, ``evaluate/worst.py``: adversarial training; judging by prediction
8. ``experiments/linear/``: the slides' linear experiment, ``scratchadv reproduce linear``
9. ``engine/scalar.py``, ``engine/tape.py``, ``engine/ops.py``: automatic differentiation, first on one page
10. ``layers.py``, ``kernels/conv.py``, ``models/network.py``: gradients by hand; ``testing/gradients/`` checks them
11. ``experiments/networks/``: the slides' networks, ``scratchadv reproduce networks``
12. ``attacks/gradient/apgd.py``, ``attacks/constrained/``, ``attacks/ensemble.py``: no step size, no ε, and both
13. ``testing/contract/``, ``testing/museum/``: the laws of an attack, the bugs they kill, ``scratchadv museum``
14. ``attacks/black_box/``, ``attacks/one_for_all/``, ``attacks/unrecognisable/``: the rest of the second deck
15. ``evaluate/transfer.py``: what is made on one model and fools another
"""

__version__ = "0.1.0"
