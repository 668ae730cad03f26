"""Attacks and training on a CPU: this library against PyTorch eager, Foolbox, torchattacks and ART.

    pip install -e '.[peers]' && python benchmarks/attacks.py [RACE ...] [--rounds 5] [--images N] [--against NAME]
        [--record]

All contestants get the same trained weights and the same threat (ℓ∞, ε = 0.1, pixels in [0, 1]). They run in turn, and
medians are printed. Every peer runs at its best batch size, which is found first.

pgd         10 steps of 0.02 without random start, attacked loss equal to 1e-4
training    one epoch of SGD on 6,000 images, plain and against FGSM
scale       PGD-40 on 500 and on all test images: seconds per image, and the peak memory of a separate process
worst-case  PGD-40 (steps of 0.01) with 10 random restarts in each library's own loop, the error equal to 1 %
standard    the four attacks of AutoAttack, on 1,000 images
smallest    DeepFool, Carlini–Wagner and JSMA, on 100 images
"""

import argparse
import multiprocessing
import re
import time
from functools import partial
from pathlib import Path

import numpy as np
import peers
from race import HEADER, race, timings
from record import Race

from scratchadv import datasets
from scratchadv.attacks import carlini_wagner, deepfool, fgsm, jsma, pgd, standard
from scratchadv.evaluate import worst_case
from scratchadv.layers import Conv, Dense
from scratchadv.models import CNN, MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import L0, L2, Linf
from scratchadv.training import fit
from scratchadv.training.optim import SGD, Adam

EPS = 0.1
STEPS = 10
ALPHA = 0.02
THREAT = Linf(EPS).within(0, 1)
BATCHES = (50, 100, 200, 400)


def main():
    """Run the requested races and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    races = {
        "pgd": race_pgd,
        "training": race_training,
        "scale": measure_scale,
        "worst-case": race_worst_case,
        "standard": race_standard,
        "smallest": race_smallest,
    }
    parser.add_argument("races", nargs="*", metavar="RACE", help=f"one of {', '.join(races)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, help="number of test images in the last three races")
    parser.add_argument("--against", default="", metavar="NAME", help="only these peers, in worst-case and standard")
    parser.add_argument("--record", action="store_true", help="store the tables and show them in RESULTS.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.races) - set(races):
        parser.error(f"no race named {', '.join(sorted(unknown))}")
    data = datasets.load("mnist")
    for name in arguments.races or races:
        results = Race(name, arguments.record)
        races[name](data, arguments, results)
        results.close()


def race_pgd(data, arguments, results):
    """Run PGD-10 on the CNN and the MLP of the tutorial."""
    for name, model, n in (("CNN", CNN(), 400), ("MLP 784-200-10", MLP((784, 200, 10)), 4000)):
        model = trained(model, data)
        x = data.x_test[:n]
        y = data.y_test[:n]
        rows = timings(race(pgd_contestants(model, x, y), arguments.rounds), "scratchadv")
        rows.append(["the products alone, at this machine's sgemm rate", f"{floor(model, x):.3f}", "", "", ""])
        results.add(f"PGD-{STEPS} on the {name}, {n} images", HEADER, rows)


def pgd_contestants(model, x, y):
    """Return the installed contestants, each at its best batch size and checked to reach the loss that we reach."""

    def ours():
        return x + pgd(model, x, y, THREAT, steps=STEPS, alpha=ALPHA)

    def loss(x):
        return model.loss.value(model.logits(x.astype(np.float32)), y).mean()

    runs = {"scratchadv": ours}
    reached = loss(ours())
    for name, peer in peers.attacks(model, x, y, eps=EPS, alpha=ALPHA, steps=STEPS).items():
        best = min(BATCHES, key=lambda batch: seconds_of(partial(peer, batch)))
        found = loss(peer(best))
        print(f"{name}: batches of {best}, attacked loss {found:.5f} (ours {reached:.5f})")
        assert abs(found - reached) <= 1e-4 * max(1, reached), f"{name} does not run the same attack"
        runs[name] = partial(peer, best)
    print()
    return runs


def race_training(data, arguments, results):
    """Train the CNN for one epoch, without and with an attack."""
    x = data.x_train[:6000]
    y = data.y_train[:6000]
    for name, attack, eps in (("", None, None), ("FGSM-adversarial ", partial(fgsm, threat=THREAT), EPS)):

        def ours(attack=attack):
            fit(CNN(), x, y, epochs=1, optimizer=SGD(0.1), attack=attack, rng=np.random.default_rng(0), progress=False)

        runs = {"scratchadv": ours, "PyTorch": peers.training(CNN(), x, y, 100, eps)}
        title = f"One epoch of {name}training of the CNN, {len(x):,} images in batches of 100"
        results.add(title, HEADER, timings(race(runs, arguments.rounds), "scratchadv"))


def measure_scale(data, arguments, results):
    """Measure the seconds per image of PGD-40 for few and for many images, and its memory."""
    model = trained(CNN(), data)
    rows = []
    for n in (500, len(data.x_test)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(pgd_40, (model, data.x_test[:n], data.y_test[:n]))
        rows.append([f"{n:,}", f"{seconds:.1f}", f"{1e3 * seconds / n:.2f}", f"{memory:.0f}"])
    header = ["images", "seconds", "ms an image", "peak memory of the process, MB"]
    results.add("PGD-40 on the CNN, by the number of images", header, rows)


def pgd_40(model, x, y):
    """Return the seconds of PGD-40 and the peak memory of this process in MB (Linux)."""
    pgd(model, x[:100], y[:100], THREAT, steps=1)
    seconds = seconds_of(lambda: pgd(model, x, y, THREAT, steps=40, alpha=0.01), warm=True)
    peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())  # getrusage also counts the parent
    return seconds, int(peak[1]) / 1024


def race_worst_case(data, arguments, results):
    """Measure the error of the CNN under ten restarts, once for each contestant, since it takes minutes."""
    model = trained(CNN(), data)
    n = arguments.images or len(data.x_test)
    x, y = data.x_test[:n], data.y_test[:n]
    setting = {"eps": EPS, "alpha": 0.01, "steps": 40, "restarts": 10}

    def ours():
        attacks = [partial(pgd, steps=40, alpha=0.01, rng=np.random.default_rng(i)) for i in range(10)]
        return x + worst_case(model, x, y, THREAT, attacks).delta

    runs = {"scratchadv": ours} | {
        name: partial(peer, 100)
        for name, peer in peers.attacks(model, x, y, **setting).items()
        if arguments.against in name
    }
    title = f"Worst case over PGD-40 with 10 restarts, CNN, {n:,} images, once each"
    errors = once(results, title, runs, model, x, y)
    assert np.ptp(errors) <= 0.01, "the contestants find different errors"


def race_standard(data, arguments, results):
    """Run the four attacks of AutoAttack with the 100 steps of its paper, and with the 10 that torchattacks uses."""
    model = trained(CNN(), data)
    n = arguments.images or 1000
    x, y = data.x_test[:n], data.y_test[:n]

    def ours(steps):
        return x + standard(model, x, y, THREAT, rng=np.random.default_rng(0), steps=steps)

    title = f"AutoAttack's four, CNN, {THREAT}, {n:,} images, 5,000 queries of Square, once each"
    for steps in (100, 10):
        runs = {f"scratchadv, {steps} steps": partial(ours, steps)}
        theirs = peers.standard(model, x, y, EPS, steps)
        if theirs := {name: run for name, run in theirs.items() if arguments.against in name}:
            once(results, f"{title}, {steps} steps", runs | theirs, model, x, y)


def race_smallest(data, arguments, results):
    """Run the attacks that look for the smallest change, each in its own norm."""
    model = trained(CNN(), data)
    n = arguments.images or 100
    x, y = data.x_test[:n], data.y_test[:n]
    target = (y + 1) % 10
    ours = {
        "DeepFool": lambda: deepfool(model, x, y),
        "Carlini–Wagner": lambda: carlini_wagner(model, x, y),
        "JSMA, targeted": lambda: jsma(model, x, y, target=target, of="probabilities"),
    }
    theirs = peers.smallest(model, x, y, target)
    for name, attack in ours.items():
        title = f"{name}, CNN, {n:,} images, once each"
        norm, aim = (L0, target) if "JSMA" in name else (L2, None)
        runs = {"scratchadv": lambda attack=attack: x + attack()} | theirs[name]
        once(results, title, runs, model, x, y, norm=norm, target=aim)


def once(results, title, runs, model, x, y, *, norm=None, target=None):
    """Add a table of what each run reaches, its mean size if a norm is given, and its seconds; return the errors."""
    columns = ["error" if target is None else "target reached", *([f"mean {norm.name}"] if norm else []), "seconds"]
    rows, errors, reference = [], [], None
    for name, run in runs.items():
        began = time.perf_counter()
        found = run().astype(np.float32)
        seconds = time.perf_counter() - began
        label = predict(model, found)
        fooled = label != y if target is None else label == target
        moved = fooled & (predict(model, x) == y)
        size = [f"{norm.norm((found - x)[moved]).mean():.3f}"] if norm else []
        reference = reference or seconds
        errors.append(fooled.mean())
        rows.append([name, f"{errors[-1]:.4f}", *size, f"{seconds:.1f}", f"{seconds / reference:.2f}"])
        print(*rows[-1], sep=" | ", flush=True)
    results.add(title, ["contestant", *columns, "ratio"], rows)
    return errors


def trained(model, data):
    """Return the model after one epoch on 6,000 images."""
    x, y = data.x_train[:6000], data.y_train[:6000]
    fit(model, x, y, epochs=1, optimizer=Adam(1e-3), rng=np.random.default_rng(0), progress=False)
    return model


def floor(model, x):
    """Return the seconds that the products of the attack would take at the rate of one large product on all cores."""
    a = np.ones((3000, 3000), np.float32)
    rate = 2 * 3000**3 / min(seconds_of(lambda: a @ a, warm=True) for _ in range(5))
    flops, shape = 0, model.shape
    for layer in model.layers:
        params, after = layer.initial(shape, np.random.default_rng(0), np.float32)
        if isinstance(layer, Conv):
            flops += 2 * params["weight"].size * after[0] * after[1]
        elif isinstance(layer, Dense):
            flops += 2 * params["weight"].size
        shape = after
    return 2 * flops * STEPS * len(x) / rate


def seconds_of(run, warm=False):
    """Return the seconds of a run, by default after a warm-up run that does not count."""
    if not warm:
        run()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
