"""Adversarial machine learning from scratch in NumPy, to be read along with the lecture slides.

Read in this order:

1. ``sets/``: perturbation sets Δ, with their projections and the maximum of a linear function over them
2. ``losses.py``: the losses, which training minimises and attacks increase
3. ``models/protocol.py``, ``models/logistic.py``: what an attack knows about a model; the linear model
4. ``attacks/linear.py``: the exact attack on linear models, in one line
5. ``attacks/gradient/fgsm.py``, ``attacks/gradient/pgd.py``: gradient ascent on the loss inside Δ
6. ``robust_logistic/``: the min-max problem of the slides, solved exactly with a certificate
7. ``training/fitting.py``, ``evaluate/judging.py``, ``evaluate/worst.py``: adversarial training and evaluation
8. ``experiments/linear/``: the slides' linear experiment, ``scratchadv reproduce linear``
9. ``engine/scalar.py``, ``engine/tape.py``, ``engine/ops.py``: automatic differentiation, first on one page
10. ``layers.py``, ``kernels/conv.py``, ``models/network.py``: gradients by hand; ``testing/gradients/`` checks them
11. ``experiments/networks/``: the slides' networks, ``scratchadv reproduce networks``
12. ``attacks/gradient/apgd.py``, ``attacks/constrained/``, ``attacks/ensemble.py``: attacks without a step size or
    without ε, and the worst case over several attacks
13. ``testing/contract/``, ``testing/museum/``: the laws of attacks, and bugs that break them, ``scratchadv museum``
14. ``attacks/black_box/``, ``attacks/one_for_all/``, ``attacks/unrecognisable/``: the other attacks of the second deck
15. ``evaluate/transfer.py``: perturbations that are made on one model and fool another
"""

__version__ = "0.1.0"
