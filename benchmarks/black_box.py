"""Black-box attacks on a CPU: this library against Foolbox, ART and torchattacks, in seconds per query.

    pip install -e '.[peers]' && python benchmarks/black_box.py [RACE ...] [--rounds 3] [--images 100]
        [--record]

All contestants get the same trained weights, pixels in [0, 1] and the ℓ∞ norm. They run in turn, and the median of the
seconds is divided by the queries of a run, which are the images that the network saw, counted inside it. Every peer
runs at its best batch size, which is found first.

genattack  targeted, ε = 0.3, 20 generations of 6 members, the mutations of Foolbox (adaptive, ρ = 0.1, α = 0.15)
square     untargeted, ε = 0.1, 100 queries
spsa       untargeted, ε = 0.1, 2 steps of 25 pairs
success    the success of our attacks and their median queries, beside those of the papers (no peers)
"""

import argparse
import statistics
from functools import partial

import numpy as np
import peers
from attacks import seconds_of, trained
from race import race
from record import Race

from scratchadv import datasets
from scratchadv.attacks import square
from scratchadv.attacks.black_box.genattack import genattack
from scratchadv.attacks.black_box.gradient_estimates import nes, spsa
from scratchadv.attacks.black_box.one_pixel import one_pixel
from scratchadv.attacks.black_box.queries import LogitOracle
from scratchadv.evaluate import judge
from scratchadv.models import CNN, MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, Linf

WIDE = Linf(0.3).within(0, 1)
NARROW = Linf(0.1).within(0, 1)
BATCHES = (10, 25, 50, 100)


def main():
    """Run the requested races and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    races = {"genattack": race_genattack, "square": race_square, "spsa": race_spsa, "success": measure_success}
    parser.add_argument("races", nargs="*", metavar="RACE", help=f"one of {', '.join(races)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--networks", nargs="+", default=["MLP", "CNN"])
    parser.add_argument("--record", action="store_true", help="store the tables and show them in RESULTS.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.races) - set(races):
        parser.error(f"no race named {', '.join(sorted(unknown))}")
    data = datasets.load("mnist")
    x = data.x_test[: arguments.images]
    y = data.y_test[: arguments.images]
    models = {
        network: trained(CNN() if network == "CNN" else MLP((784, 200, 10)), data) for network in arguments.networks
    }
    for name in arguments.races or races:
        results = Race(name, arguments.record)
        for network, model in models.items():
            races[name](results, network, model, x, y, arguments.rounds)
        results.close()


def race_genattack(results, network, model, x, y, rounds):
    """Run GenAttack with a population and a number of generations that Foolbox supports too."""
    target = targets_of(y)
    options = {"population": 6, "rho": 0.1, "alpha": 0.15, "temperature": 0.3, "adaptive": True}

    def ours(model, x, y, threat):
        return genattack(model, x, y, threat, target=target, queries=1 + 6 + 19 * 5, rng=rng(), **options)

    contest(results, "GenAttack", network, (model, x, y, WIDE), ours, {"Foolbox": foolbox_genattack}, rounds, target)


def race_square(results, network, model, x, y, rounds):
    """Run Square, which Foolbox does not have."""
    theirs = {"ART": art_square, "torchattacks": torchattacks_square}
    ours = partial(square, queries=100, rng=rng())
    contest(results, "Square", network, (model, x, y, NARROW), ours, theirs, rounds)


def race_spsa(results, network, model, x, y, rounds):
    """Run SPSA with so few steps that all contestants run to the end."""
    ours = partial(spsa, queries=1 + 2 * 51, rng=rng())
    contest(results, "SPSA", network, (model, x, y, NARROW), ours, {"torchattacks": torchattacks_spsa}, rounds)


def contest(results, attack, network, problem, ours, theirs, rounds, target=None):
    """Add the table of the seconds per 1,000 queries of all contestants on a problem (model, x, y, threat)."""
    import torch

    model, x, y, threat = problem
    counters = {"scratchadv": LogitOracle(model)}
    runs = {"scratchadv": lambda: ours(counters["scratchadv"], x, y, threat)}
    tx, ty = peers.to_torch(torch, x, y if target is None else target)
    for name, make in theirs.items():
        counters[name] = counted(torch, peers.torch_twin(torch, model).eval())
        peer = partial(in_batches, make(torch, counters[name], threat.radius), tx, ty)
        best = min((b for b in BATCHES if b <= len(x)), key=lambda batch, peer=peer: seconds_of(partial(peer, batch)))
        runs[name] = partial(peer, best)
        counters[name].asked = 0
        print(f"{name}: batches of {best}")
    seconds = race(runs, rounds)
    rows = []
    by_query = {name: [1e3 * s * (rounds + 1) / counters[name].asked for s in times] for name, times in seconds.items()}
    reference = statistics.median(by_query["scratchadv"])
    for name, times in by_query.items():
        queries = counters[name].asked / (rounds + 1) / len(x)
        median = statistics.median(times)
        spread = f"{min(times):.3f} to {max(times):.3f}"
        rows.append([name, f"{queries:.0f}", f"{median:.3f}", spread, f"{median / reference:.2f}"])
    header = ["contestant", "queries an image", "seconds by 1,000 queries", "minimum to maximum", "ratio"]
    results.add(f"{attack} on the {network}, {len(x)} images", header, rows)


def counted(torch, net):
    """Return the network with a counter of the images that it has seen."""

    class Counted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net
            self.asked = 0

        def forward(self, x):
            self.asked += len(x)
            return self.net(x)

    return Counted().eval()


def in_batches(attack, tx, ty, batch):
    """Attack one batch after the other."""
    for x, y in zip(tx.split(batch), ty.split(batch), strict=True):
        attack(x, y)


def foolbox_genattack(torch, net, eps):
    """Return an attack that takes targets as labels and goes on until all images of a batch have reached them."""
    import foolbox

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.GenAttack(steps=20, population=6)
    return lambda x, target: attack.run(model, x, foolbox.criteria.TargetedMisclassification(target), epsilon=eps)


def art_square(torch, net, eps):
    """Return an attack on the logits, like the others."""
    from art.attacks.evasion import SquareAttack
    from art.estimators.classification import PyTorchClassifier

    loss = torch.nn.CrossEntropyLoss()
    classifier = PyTorchClassifier(net, loss, (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu")
    attack = SquareAttack(classifier, eps=eps, max_iter=99, batch_size=10_000, verbose=False)
    return lambda x, y: attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()])


def torchattacks_square(torch, net, eps):
    """Return the code of the authors of Square."""
    import torchattacks

    return torchattacks.Square(net, eps=eps, n_queries=100)


def torchattacks_spsa(torch, net, eps):
    """Return an attack with two steps of Adam."""
    import torchattacks

    return torchattacks.SPSA(net, eps=eps, nb_iter=2, nb_sample=25)


def measure_success(results, network, model, x, y, rounds):
    """Measure the success and the median queries of successful attacks, beside the numbers of the papers."""
    right = predict(model, x) == y
    x, y = x[right], y[right]
    rows = []
    gen = "996 (MNIST, a small CNN; recalled)"
    for name, attack, threat, queries, aimed, paper in (
        ("GenAttack, targeted", genattack, WIDE, 10_000, True, gen),
        ("GenAttack", genattack, NARROW, 5000, False, "–"),
        ("Square", square, NARROW, 5000, False, "–"),
        ("NES", nes, NARROW, 5000, False, "–"),
        ("SPSA", spsa, NARROW, 5000, False, "–"),
        ("one pixel", one_pixel, L0(1).within(0, 1), 4001, False, "–"),
        ("5 pixels", one_pixel, L0(5).within(0, 1), 4001, False, "–"),
    ):
        box = LogitOracle(model)
        target = targets_of(y) if aimed else None
        delta = attack(box, x, y, threat, queries=queries, target=target, rng=rng())
        fell = judge(model, x, y, delta, threat, target=target).success
        median = f"{np.median(box.counts[fell]):,.0f}" if fell.any() else "–"
        rows.append([name, threat, f"{queries:,}", f"{fell.mean():.0%}", median, paper])
    header = ["attack", "set", "most queries", "success", "median queries", "paper"]
    results.add(f"What ours reach on the {network}, the {len(x)} images that it knows", header, rows)


def targets_of(y):
    """Return a random wrong class for each image."""
    return (y + rng().integers(1, 10, len(y))) % 10


def rng():
    """Return a generator with the same seed at each call."""
    return np.random.default_rng(0)


if __name__ == "__main__":
    main()
