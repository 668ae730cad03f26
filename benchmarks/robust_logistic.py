"""The exact robust optimum against the methods that it replaces, on MNIST 0 against 1 (12,665 images, 784 pixels).

    python benchmarks/robust_logistic.py [--rounds 5] [--record]

The contestants are ``fit`` to a certified gap of 1e-6; the slides' 20 epochs of SGD in this library and, if it is
installed, in PyTorch; and SciPy's L-BFGS-B on θ = p − q with p, q >= 0. A last table shows how the time of ``fit``
grows with the number of examples.
"""

import argparse
from functools import partial

import numpy as np
from race import HEADER, race, timings
from record import Race
from scipy.optimize import minimize

from scratchadv import datasets, robust_logistic
from scratchadv.attacks import exact
from scratchadv.models import LogisticRegression
from scratchadv.numerics import sigmoid, softplus
from scratchadv.sets import Linf
from scratchadv.training import fit
from scratchadv.training.optim import SGD


def main():
    """Run the races and print their tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--record", action="store_true", help="store the tables and show them in RESULTS.md")
    options = arguments.parse_args()
    rounds = options.rounds
    data = datasets.load("mnist").only(0, 1)
    x, y = data.x_train, data.y_train
    results = Race("robust_logistic", options.record)
    for eps in (0.1, 0.2, 0.3):
        exactly = robust_logistic.fit(x, y, Linf(eps))
        title = f"ε = {eps}: objective {exactly.objective:.6f}, relative gap {exactly.gap:.0e}"
        results.add(title, HEADER, timings(race(contestants(x, y, eps), rounds), "fit, gap 1e-6"))
    copies = {n: (np.concatenate([x] * n), np.concatenate([y] * n)) for n in (1, 2, 4)}
    seconds = race({f"{n} × 12,665": partial(robust_logistic.fit, *xy, Linf(0.2)) for n, xy in copies.items()}, rounds)
    results.add("fit at ε = 0.2 on more examples (the images repeated)", HEADER, timings(seconds, "1 × 12,665"))
    results.close()


def contestants(x, y, eps):
    """Return the runs for one radius by name."""
    runs = {
        "fit, gap 1e-6": lambda: robust_logistic.fit(x, y, Linf(eps)),
        "SGD, 20 epochs, scratchadv": lambda: sgd(x, y, eps),
        "L-BFGS-B, split variables": lambda: split_lbfgs(x, y, eps),
    }
    try:
        import torch
    except ImportError:
        print("(PyTorch is not installed: pip install -e '.[peers]')\n")
    else:
        tensors = torch.tensor(x.reshape(len(x), -1)), torch.tensor(y.astype(np.float32))
        runs["SGD, 20 epochs, PyTorch"] = lambda: torch_sgd(torch, *tensors, eps)
    return runs


def sgd(x, y, eps):
    """Train as the slides do, with step size 0.1 and batches of 100."""
    rng = np.random.default_rng(0)
    model = LogisticRegression.initial(x.shape[1:], rng)
    fit(model, x, y, epochs=20, optimizer=SGD(0.1), rng=rng, attack=partial(exact, threat=Linf(eps)), progress=False)


def torch_sgd(torch, x, y, eps):
    """Train likewise with PyTorch's autograd on Ψ(y z − ε‖θ‖₁)."""
    torch.manual_seed(0)
    model = torch.nn.Linear(x.shape[1], 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        for batch in torch.randperm(len(x)).split(100):
            margin = y[batch] * model(x[batch])[:, 0] - eps * model.weight.norm(1)
            optimizer.zero_grad()
            torch.nn.functional.softplus(-margin).mean().backward()
            optimizer.step()


def split_lbfgs(x, y, eps):
    """Minimise over θ = p − q with p, q >= 0, which makes ‖θ‖₁ = Σ p + q smooth, until the value is within 1e-6."""
    x = x.reshape(len(x), -1).astype(float)
    n, d = x.shape
    goal = robust_logistic.fit(x, y, Linf(eps), tol=1e-8).lower_bound * (1 + 1e-6)

    def value_and_gradient(v):
        p, q, theta0 = v[:d], v[d:-1], v[-1]
        margin = y * (x @ (p - q) + theta0) - eps * (p + q).sum()
        a = sigmoid(-margin) / n
        data = (a * y) @ x
        return softplus(-margin).mean(), np.concatenate([eps * a.sum() - data, eps * a.sum() + data, [-(a @ y)]])

    def stop(intermediate_result):
        if intermediate_result.fun <= goal:
            raise StopIteration

    start = np.zeros(2 * d + 1)
    bounds = [(0, None)] * (2 * d) + [(None, None)]
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 0, "gtol": 0}
    minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, callback=stop, options=options)


if __name__ == "__main__":
    main()
