"""The strength of the attacks: the accuracy that the same weights keep under this library and under its peers.

    pip install -e '.[peers]'
    python benchmarks/strength.py [--images 1000] [--standard 50] [--seeds 10] [--only TITLE] [--record]

Two CNNs of the tutorial are trained on 12,000 MNIST images for 2 epochs, plainly and against FGSM with random start.
All attacks get the same images, threat and steps. This library predicts the images that they return, and a change
outside the ball or the pixel range does not count as a success. The lower the accuracy, the stronger the attack.

Random search depends on its seed, so its rows are means over seeds, with the lowest and the highest value. It attacks
only the images that a gradient attack of this table fools; all the others count as correctly classified.
"""

import argparse
from functools import partial

import numpy as np
import peers
from record import Race

from scratchadv import datasets
from scratchadv.attacks import apgd, fgsm_random_start, pgd, square, standard
from scratchadv.evaluate import judge
from scratchadv.losses import dlr
from scratchadv.models import CNN
from scratchadv.sets import L2, Linf
from scratchadv.training import fit
from scratchadv.training.optim import Adam

THREATS = Linf(0.1), L2(1.0)
STEPS = 40
QUERIES = 1000
LABELS = "PGD", "APGD, cross-entropy", "APGD, DLR", "Square", "standard"


def main():
    """Train and attack the models, and print a table for each model and threat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--standard", type=int, default=50, help="number of images for AutoAttack (0: none)")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds of random search; others use seed 0")
    parser.add_argument("--only", default="", metavar="TITLE", help="only these tables, such as 'robust CNN, ‖δ‖₂'")
    parser.add_argument("--record", action="store_true", help="store the tables and show them in RESULTS.md")
    arguments = parser.parse_args()
    results = Race("strength", arguments.record)
    data = datasets.load("mnist")
    many, few = ((data.x_test[:n], data.y_test[:n]) for n in (arguments.images, arguments.standard))
    for name, attack in {"plain": None, "robust": partial(fgsm_random_start, threat=Linf(0.1))}.items():
        titles = {ball: f"{name} CNN, {ball.within(0, 1)}" for ball in THREATS}
        wanted = [ball for ball, title in titles.items() if arguments.only in title]
        model = trained(data, attack) if wanted else None
        for ball in wanted:
            rows = compare(model, ball, many, few, arguments.seeds)
            results.add(titles[ball], ["attack", "images", "library", "accuracy left"], rows)
    results.close()


def compare(model, ball, many, few, seeds):
    """Return the rows of the table: gradient attacks, random search where one of them succeeds, and AutoAttack."""
    threat = ball.within(0, 1)
    fooled = np.zeros(len(many[1]), dtype=bool)
    rows = []
    attacks = ours(model, threat) | theirs(model, ball)
    for label, library in sorted(attacks, key=lambda row: LABELS.index(row[0])):
        run = attacks[label, library]
        x, y = few if label == "standard" else many
        if not len(x):
            continue
        asked = fooled if label == "Square" and fooled.any() else np.ones(len(x), dtype=bool)
        left = []
        for seed in range(seeds if label == "Square" else 1):
            delta = run(x[asked], y[asked], seed).astype(x.dtype)
            success = judge(model, x[asked], y[asked], delta, threat).success
            left.append(100 - 100 * success.sum() / len(x))
        if label not in ("Square", "standard"):
            fooled |= success
        spread = f" ({min(left):.1f} to {max(left):.1f})" if len(left) > 1 else ""
        rows.append([label, f"{len(x):,}", library, f"{np.mean(left):.1f} %{spread}"])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def trained(data, attack):
    """Return the CNN after two epochs on 12,000 images."""
    model = CNN()
    rng = np.random.default_rng(0)
    x, y = data.x_train[:12_000], data.y_train[:12_000]
    attack = attack and partial(attack, rng=rng)
    fit(model, x, y, epochs=2, optimizer=Adam(1e-3), attack=attack, rng=rng, progress=False)
    return model


def ours(model, threat):
    """Return the attacks of this library by (label, library), as functions of images, labels and a seed to δ."""
    attacks = {
        "PGD": partial(pgd, steps=STEPS),
        "APGD, cross-entropy": partial(apgd, steps=STEPS),
        "APGD, DLR": partial(apgd, steps=STEPS, loss=dlr),
        "Square": partial(square, queries=QUERIES),
        "standard": standard,
    }

    def delta_of(attack, x, y, seed):
        return attack(model, x, y, threat, rng=np.random.default_rng(seed))

    return {(label, "scratchadv"): partial(delta_of, attack) for label, attack in attacks.items()}


def theirs(model, ball):
    """Return the attacks of the peers by (label, library), as functions of images, labels and a seed to δ."""
    import torch

    net = peers.torch_twin(torch, model).eval()

    def delta_of(attack, x, y, seed):
        torch.manual_seed(seed)  # Foolbox draws from the global generator
        tx, ty = peers.to_torch(torch, x, y)
        found = [attack(a, b, seed).detach() for a, b in zip(tx.split(100), ty.split(100), strict=True)]
        return torch.cat(found).permute(0, 2, 3, 1).numpy() - x

    return {row: partial(delta_of, attack) for row, attack in attacks_of_peers(net, ball).items()}


def attacks_of_peers(net, ball):
    """Return functions of images, labels and a seed that return the attacked images."""
    import foolbox
    import torchattacks

    norm = {Linf: "Linf", L2: "L2"}[type(ball)]
    eps = ball.eps
    fmodel = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    climb = {"Linf": foolbox.attacks.LinfPGD, "L2": foolbox.attacks.L2PGD}[norm](steps=STEPS)

    def of_torchattacks(kind, **options):
        return lambda x, y, seed: kind(net, norm=norm, eps=eps, seed=seed, **options)(x, y)

    attacks = {
        ("PGD", "Foolbox"): lambda x, y, seed: climb.run(fmodel, x, y, epsilon=eps),
        ("APGD, cross-entropy", "torchattacks"): of_torchattacks(torchattacks.APGD, steps=STEPS, loss="ce"),
        ("APGD, DLR", "torchattacks"): of_torchattacks(torchattacks.APGD, steps=STEPS, loss="dlr"),
        ("Square", "torchattacks"): of_torchattacks(torchattacks.Square, n_queries=QUERIES),
        ("standard", "torchattacks"): of_torchattacks(torchattacks.AutoAttack),
    }
    try:
        from pyautoattack import AutoAttack
    except ImportError:
        print("(pyautoattack is not installed)")
        return attacks

    def auto(x, y, seed):
        return AutoAttack(net, norm=norm, eps=eps, seed=seed).run_standard_evaluation(x, y)[0]

    return attacks | {("standard", "pyautoattack"): auto}


if __name__ == "__main__":
    main()
