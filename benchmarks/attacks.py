"""PGD races on a CPU: this library against PyTorch eager, Foolbox, torchattacks and ART.

    pip install -e '.[peers]' && python benchmarks/attacks.py [--rounds 5] [--images 400]

The same trained weights, the same threat (ℓ∞, ε = 0.1, pixels in [0, 1]), 10 steps of 0.02 without random start. Every
peer runs at the batch size that is best for it, found first; then all run in turn. A contestant counts only if its
attacked loss is ours to 1e-4.
"""

import argparse
import platform
import time

import numpy as np
from race import race, table

from scratchadv import datasets, parallel
from scratchadv.attacks import pgd
from scratchadv.balls import Linf
from scratchadv.layers import Conv, Dense
from scratchadv.models import CNN, MLP
from scratchadv.optim import SGD
from scratchadv.training import fit

EPS, STEPS, ALPHA = 0.1, 10, 0.02
BATCHES = (50, 100, 200, 400)


def main():
    """Run the races and print their tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--images", type=int, default=400)
    arguments = arguments.parse_args()
    print(f"{platform.machine()}, {platform.system()}, NumPy {np.__version__}; median of {arguments.rounds} runs\n")
    data = datasets.load("mnist")
    models = {"CNN of the tutorial": (CNN(), 1), "MLP 784-200-10": (MLP((784, 200, 10)), 10)}
    for name, (model, more) in models.items():
        fit(model, data.x_train[:6000], data.y_train[:6000], epochs=1, optimizer=SGD(0.1), rng=np.random.default_rng(0))
        n = arguments.images * more
        x, y = data.x_test[:n], data.y_test[:n]
        print(f"## PGD-{STEPS} on the {name}, {n} images\n")
        seconds = race(contestants(model, x, y), arguments.rounds)
        print(table(seconds, "scratchadv"))
        print(f"\nthe products alone, at this machine's sgemm rate: {floor(model, x):.3f} s\n", flush=True)


def contestants(model, x, y):
    """All that are installed, each at its best batch size and checked to find what we find."""
    ours = model.loss.value(model.logits(x + attack(model, x, y)), y).mean()
    runs = {"scratchadv": lambda: attack(model, x, y)}
    for name, peer in peers(model, x, y).items():
        best = min(BATCHES, key=lambda batch: seconds_of(peer, batch))
        found = model.loss.value(model.logits(peer(best).astype(x.dtype)), y).mean()
        print(f"{name}: batches of {best}, attacked loss {found:.5f} (ours {ours:.5f})")
        assert abs(found - ours) <= 1e-4 * max(1, ours), f"{name} does not run the same attack"
        runs[name] = lambda peer=peer, best=best: peer(best)
    print()
    return runs


def attack(model, x, y):
    """The contestant of this library."""
    return pgd(model, x, y, Linf(EPS).within(0, 1), steps=STEPS, alpha=ALPHA)


def peers(model, x, y):
    """The peers by name: functions of a batch size that give the attacked images, ours in layout."""
    import torch

    net = torch_twin(torch, model).eval()
    tx, ty = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)

    def batched(attack):
        def run(batch):
            found = [attack(a, b) for a, b in zip(tx.split(batch), ty.split(batch), strict=True)]
            return torch.cat(found).permute(0, 2, 3, 1).numpy()

        return run

    def eager(x, y):
        delta = torch.zeros_like(x, requires_grad=True)
        for _ in range(STEPS):
            (g,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x + delta), y, reduction="sum"), delta)
            step = (delta.detach() + ALPHA * g.sign()).clamp(-EPS, EPS)
            delta = ((x + step).clamp(0, 1) - x).requires_grad_()
        return (x + delta).detach()

    runs = {"PyTorch eager loop": batched(eager)}
    for make in (foolbox_attack, torchattacks_attack, art_attack):
        try:
            runs[make.__doc__] = batched(make(torch, net))
        except ImportError:
            print(f"({make.__doc__} is not installed)")
    return runs


def foolbox_attack(torch, net):
    """Foolbox"""
    import foolbox

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=ALPHA, steps=STEPS, random_start=False)
    return lambda x, y: attack.run(model, x, y, epsilon=EPS)


def torchattacks_attack(torch, net):
    """torchattacks"""
    import torchattacks

    return torchattacks.PGD(net, eps=EPS, alpha=ALPHA, steps=STEPS, random_start=False)


def art_attack(torch, net):
    """ART"""
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    options = {"eps": EPS, "eps_step": ALPHA, "max_iter": STEPS, "num_random_init": 0, "batch_size": 10_000}
    attack = ProjectedGradientDescentPyTorch(classifier, verbose=False, **options)
    return lambda x, y: torch.from_numpy(attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()]))


def torch_twin(torch, model):
    """The same network in PyTorch; images there are NCHW, so the first dense layer's rows are reordered."""
    layers, image, shape = [], None, model.shape
    for i, layer in enumerate(model.layers):
        shape = layer.initial(shape, np.random.default_rng(0), np.float32)[1]
        if isinstance(layer, Conv | Dense):
            weight, bias = model.params[f"{i}.weight"], model.params[f"{i}.bias"]
        if isinstance(layer, Conv):
            twin = torch.nn.Conv2d(weight.shape[2], layer.features, layer.size, layer.stride, layer.padding)
            weight, image = weight.transpose(3, 2, 0, 1), shape
        elif isinstance(layer, Dense):
            twin = torch.nn.Linear(*weight.shape)
            if image:
                weight, image = weight.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(weight.shape), None
            weight = weight.T
        else:
            twin = {"ReLU": torch.nn.ReLU, "Flatten": torch.nn.Flatten}[type(layer).__name__]()
        if isinstance(layer, Conv | Dense):
            twin.weight.data, twin.bias.data = torch.from_numpy(np.ascontiguousarray(weight)), torch.from_numpy(bias)
        layers.append(twin)
    return torch.nn.Sequential(*layers)


def floor(model, x):
    """Seconds that the products of the attack would take at the rate of one large product on all cores."""
    a = np.ones((3000, 3000), np.float32)
    laps = [time.perf_counter()]
    for _ in range(5):
        a @ a
        laps.append(time.perf_counter())
    rate = 2 * 3000**3 / min(np.diff(laps))
    flops, shape = 0, model.shape
    for layer in model.layers:
        params, after = layer.initial(shape, np.random.default_rng(0), np.float32)
        if isinstance(layer, Conv):
            flops += 2 * params["weight"].size * after[0] * after[1]
        elif isinstance(layer, Dense):
            flops += 2 * params["weight"].size
        shape = after
    return 2 * flops * STEPS * len(x) / rate


def seconds_of(peer, batch):
    """Seconds of the second of two runs."""
    peer(batch)
    began = time.perf_counter()
    peer(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    with parallel.limit():
        main()
