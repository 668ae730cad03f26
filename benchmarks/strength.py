"""How strong the attacks are: accuracy that the same weights keep under this library and under its peers.

    pip install -e '.[peers]' && python benchmarks/strength.py [--images 1000] [--standard 50] [--only TITLE] [--seed 0]

Two CNNs of the tutorial, trained on 12,000 MNIST images for 2 epochs, plainly and against FGSM with random start. All
attacks get the same images, threat and steps; what counts is this library's own prediction on the images that they
return, and a change outside the ball or the pixel range does not count. The lower, the stronger.
"""

import argparse
from functools import partial

import numpy as np
import peers

from scratchadv import datasets
from scratchadv.attacks import apgd, fgsm_random_start, pgd, square, standard
from scratchadv.balls import L2, Linf
from scratchadv.evaluate import judge
from scratchadv.losses import dlr
from scratchadv.models import CNN
from scratchadv.optim import Adam
from scratchadv.training import fit

THREATS = Linf(0.1), L2(1.0)
STEPS, QUERIES = 40, 1000


def main():
    """Train, attack, print a table for each model and threat."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--standard", type=int, default=50, help="images for the four of AutoAttack, which take long")
    parser.add_argument("--seed", type=int, default=0, help="of the attacks; the networks' is 0")
    parser.add_argument("--only", default="", metavar="TITLE", help="such as 'robust CNN, ‖δ‖₂'")
    arguments = parser.parse_args()
    data = datasets.load("mnist")
    few, many = ((data.x_test[:n], data.y_test[:n]) for n in (arguments.standard, arguments.images))
    for name, attack in {"plain": None, "robust": partial(fgsm_random_start, threat=Linf(0.1))}.items():
        titles = {ball: f"{name} CNN, {ball.within(0, 1)}" for ball in THREATS}
        wanted = [ball for ball, title in titles.items() if arguments.only in title]
        model = trained(data, attack) if wanted else None
        for ball in wanted:
            threat = ball.within(0, 1)
            print(f"## {titles[ball]}\n\n| attack | images | library | accuracy left |\n| --- | ---: | --- | ---: |")
            for x, y in (many, few):
                runs = ours(model, x, y, threat, arguments.seed) | theirs(model, x, y, ball, arguments.seed)
                these = {key: run for key, run in runs.items() if (key[0] == "standard") == (x is few[0])}
                for (label, library), run in these.items():
                    left = 1 - judge(model, x, y, run().astype(x.dtype), threat).success.mean()
                    print(f"| {label} | {len(x):,} | {library} | {100 * left:.1f} % |", flush=True)
            print()


def trained(data, attack):
    """The CNN after two epochs on 12,000 images."""
    model, rng, x, y = CNN(), np.random.default_rng(0), data.x_train[:12_000], data.y_train[:12_000]
    attack = attack and partial(attack, rng=rng)
    fit(model, x, y, epochs=2, optimizer=Adam(1e-3), attack=attack, rng=rng, progress=False)
    return model


def ours(model, x, y, threat, seed):
    """This library's attacks by (name, library): functions that give δ."""
    setting = {"steps": STEPS, "rng": np.random.default_rng(seed)}
    runs = {
        "PGD": partial(pgd, **setting),
        "APGD, cross-entropy": partial(apgd, **setting),
        "APGD, DLR": partial(apgd, loss=dlr, **setting),
        "Square": partial(square, queries=QUERIES, rng=np.random.default_rng(seed)),
        "standard": partial(standard, rng=np.random.default_rng(seed)),
    }
    return {(name, "scratchadv"): partial(run, model, x, y, threat) for name, run in runs.items()}


def theirs(model, x, y, ball, seed):
    """The peers' attacks by (name, library): functions that give δ."""
    import torch

    net, (tx, ty) = peers.torch_twin(torch, model).eval(), peers.to_torch(torch, x, y)

    def delta_of(attack):
        found = [attack(a, b).detach() for a, b in zip(tx.split(100), ty.split(100), strict=True)]
        return torch.cat(found).permute(0, 2, 3, 1).numpy() - x

    return {name: partial(delta_of, run) for name, run in attacks_of_peers(torch, net, ball, seed).items()}


def attacks_of_peers(torch, net, ball, seed):
    """Functions of images and labels that give the attacked images."""
    import foolbox
    import torchattacks

    norm, eps = {Linf: "Linf", L2: "L2"}[type(ball)], ball.eps
    fmodel = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    climb = {"Linf": foolbox.attacks.LinfPGD, "L2": foolbox.attacks.L2PGD}[norm](steps=STEPS)
    setting = {"norm": norm, "eps": eps, "seed": seed}
    runs = {
        ("PGD", "Foolbox"): lambda x, y: climb.run(fmodel, x, y, epsilon=eps),
        ("APGD, cross-entropy", "torchattacks"): torchattacks.APGD(net, steps=STEPS, loss="ce", **setting),
        ("APGD, DLR", "torchattacks"): torchattacks.APGD(net, steps=STEPS, loss="dlr", **setting),
        ("Square", "torchattacks"): torchattacks.Square(net, n_queries=QUERIES, **setting),
        ("standard", "torchattacks"): torchattacks.AutoAttack(net, **setting),
    }
    try:
        from pyautoattack import AutoAttack
    except ImportError:
        print("(pyautoattack is not installed)")
        return runs
    auto = AutoAttack(net, **setting)
    return runs | {("standard", "pyautoattack"): lambda x, y: auto.run_standard_evaluation(x, y)[0]}


if __name__ == "__main__":
    main()
