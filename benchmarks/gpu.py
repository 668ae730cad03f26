"""PGD and training on one GPU: this library with CuPy arrays against PyTorch's eager loop on the same card.

    pip install -e '.[gpu,peers]' && python benchmarks/gpu.py [--rounds 5] [--kernels]

PGD       40 steps of 0.01 without random start on the tutorial's CNN, all 10,000 test images of MNIST, ‖δ‖∞ ≤ 0.1 in
          [0, 1]
training  one epoch of SGD over the 60,000 training images, batches of 100, plain and against FGSM

PyTorch runs twice: in float32 throughout, as we do, and with its own defaults, by which its convolutions round to TF32.
Its PGD runs at its best batch size. All contestants run in turn, and medians are printed. GPU.md has the results.
"""

import argparse
from functools import partial

import cupy
import numpy as np
import peers
import torch
from attacks import EPS, THREAT, seconds_of, trained
from race import HEADER, race, timings
from record import shown

from scratchadv import datasets
from scratchadv.attacks import fgsm, pgd
from scratchadv.backend import to_device, to_host
from scratchadv.models import CNN
from scratchadv.training import fit
from scratchadv.training.optim import SGD

STEPS = 40
ALPHA = 0.01
BATCHES = 1000, 2000, 5000, 10_000


def main():
    """Run both races and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kernels", action="store_true", help="also show which of our kernels take the most time")
    arguments = parser.parse_args()
    card = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{card}, CuPy {cupy.__version__}, NumPy {np.__version__}, PyTorch {torch.__version__}\n")
    data = datasets.load("mnist")
    for contestants, title in ((attacks(data), "PGD-40 on 10,000 images"), *trainings(data)):
        rows = timings(race(contestants, arguments.rounds), "scratchadv")
        print(shown({"title": title, "header": HEADER, "rows": rows}), "\n", flush=True)
        if arguments.kernels:
            print(kernels(contestants["scratchadv"]), flush=True)


def attacks(data):
    """Return PGD of this library and of PyTorch, and print the losses that they reach."""
    model = trained(CNN(), data)
    x, y = data.x_test, data.y_test
    there = [to_device(thing) for thing in (model, x, y)]

    def ours():
        return x + to_host(pgd(*there, THREAT, steps=STEPS, alpha=ALPHA))

    net = peers.torch_twin(torch, model).eval().cuda()
    tx, ty = (a.cuda() for a in peers.to_torch(torch, x, y))
    run = peers.eager(torch, net, EPS, ALPHA, STEPS)

    def theirs(batch, tf32):
        with precision(tf32):
            found = [run(a, b) for a, b in zip(tx.split(batch), ty.split(batch), strict=True)]
            return torch.cat(found).permute(0, 2, 3, 1).cpu().numpy()

    def loss(x):
        return model.loss.value(model.logits(x), y).mean()

    contestants = {"scratchadv": ours}
    reached = loss(ours())
    for name, tf32 in (("PyTorch eager", False), ("PyTorch eager, TF32", True)):
        best = min(BATCHES, key=lambda batch: seconds_of(partial(theirs, batch, tf32)))
        print(f"{name}: batches of {best}, attacked loss {loss(theirs(best, tf32)):.5f} (ours {reached:.5f})")
        contestants[name] = partial(theirs, best, tf32)
    return contestants


def trainings(data):
    """Yield the contestants that train for one epoch, each time with the title of the race."""
    x, y = data.x_train, data.y_train
    on_card = to_device(x), to_device(y)
    for title, attack, eps in (
        ("One epoch of training", None, None),
        ("One epoch against FGSM", partial(fgsm, threat=THREAT), EPS),
    ):

        def ours(attack=attack):
            model = to_device(CNN())
            fit(model, *on_card, epochs=1, optimizer=SGD(0.1), attack=attack, progress=False)
            return to_host(model)

        epoch = peers.training(CNN(), x, y, 100, eps, device="cuda")

        def theirs(tf32, epoch=epoch):
            with precision(tf32):
                epoch()
                torch.cuda.synchronize()

        yield (
            {
                "scratchadv": ours,
                "PyTorch eager": partial(theirs, False),
                "PyTorch eager, TF32": partial(theirs, True),
            },
            f"{title} on {len(x):,} images, batches of 100",
        )


def precision(tf32):
    """Return a context in which PyTorch's convolutions may round to TF32 (its default) or not."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32)


def kernels(run):
    """Return a table of the kernels that took the most time on the card."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        run()
        torch.cuda.synchronize()
    return profile.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=70)


if __name__ == "__main__":
    main()
