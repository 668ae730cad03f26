"""The peers in the races: the same network in PyTorch, attacked by other libraries."""

from functools import partial

import numpy as np

from scratchadv.layers import Conv, Dense


def torch_twin(torch, model):
    """Return the same network in PyTorch, where images are NCHW, so that the rows of the first dense layer move."""
    layers, image, shape = [], None, model.shape
    for i, layer in enumerate(model.layers):
        shape = layer.initial(shape, np.random.default_rng(0), np.float32)[1]
        if isinstance(layer, Conv | Dense):
            weight, bias = model.params[f"{i}.weight"], model.params[f"{i}.bias"]
        if isinstance(layer, Conv):
            twin = torch.nn.Conv2d(weight.shape[2], layer.features, layer.size, layer.stride, layer.padding)
            weight = weight.transpose(3, 2, 0, 1)
            image = shape
        elif isinstance(layer, Dense):
            twin = torch.nn.Linear(*weight.shape)
            if image:
                weight = weight.reshape(*image, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
                image = None
            weight = weight.T
        else:
            twin = {"ReLU": torch.nn.ReLU, "Flatten": torch.nn.Flatten}[type(layer).__name__]()
        if isinstance(layer, Conv | Dense):
            weight = np.array(weight, order="C")  # a copy: training one twin must not train the other
            twin.weight.data = torch.from_numpy(weight)
            twin.bias.data = torch.from_numpy(bias.copy())
        layers.append(twin)
    return torch.nn.Sequential(*layers)


def to_torch(torch, x, y):
    """Return the images as NCHW tensors, and the labels."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)


def eager(torch, net, eps, alpha, steps, restarts=None):
    """PyTorch eager loop"""
    cross_entropy = torch.nn.functional.cross_entropy

    def run(x, y):
        delta = torch.zeros_like(x)
        if restarts:
            delta = (x + delta.uniform_(-eps, eps)).clamp(0, 1) - x
        for _ in range(steps):
            delta.requires_grad_()
            (g,) = torch.autograd.grad(cross_entropy(net(x + delta), y, reduction="sum"), delta)
            step = (delta.detach() + alpha * g.sign()).clamp(-eps, eps)
            delta = (x + step).clamp(0, 1) - x
        return x + delta

    return _repeated(torch, net, run, restarts)


def foolbox(torch, net, eps, alpha, steps, restarts=None):
    """Foolbox"""
    import foolbox

    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=alpha, steps=steps, random_start=bool(restarts))
    attack = attack.repeat(restarts) if restarts else attack
    if not restarts:
        return lambda x, y: attack.run(model, x, y, epsilon=eps)
    return lambda x, y: attack(model, x, y, epsilons=eps)[1]


def torchattacks(torch, net, eps, alpha, steps, restarts=None):
    """torchattacks"""
    import torchattacks

    def attack():
        return torchattacks.PGD(net, eps=eps, alpha=alpha, steps=steps, random_start=bool(restarts))

    return torchattacks.MultiAttack([attack() for _ in range(restarts)]) if restarts else attack()


def art(torch, net, eps, alpha, steps, restarts=None):
    """ART"""
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    options = {"eps": eps, "eps_step": alpha, "max_iter": steps, "num_random_init": restarts or 0}
    attack = ProjectedGradientDescentPyTorch(classifier, verbose=False, batch_size=10_000, **options)
    return lambda x, y: torch.from_numpy(attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()]))


PEERS = torchattacks, eager, foolbox, art  # the fastest first; a docstring is the name in the tables


def attacks(model, x, y, **setting):
    """Return the installed peers by name, as functions of a batch size that return the attacked images, NHWC."""
    import torch

    net = torch_twin(torch, model).eval()
    tx, ty = to_torch(torch, x, y)
    runs = {}
    for make in PEERS:
        try:
            runs[make.__doc__] = partial(_nhwc, torch, make(torch, net, **setting), tx, ty)
        except ImportError:
            print(f"({make.__doc__} is not installed)")
    return runs


def standard(model, x, y, eps, steps):
    """Return the four attacks of AutoAttack by name, as functions that return the attacked images, NHWC."""
    import torch
    import torchattacks

    net = torch_twin(torch, model).eval()
    tx, ty = to_torch(torch, x, y)
    setting = {"norm": "Linf", "eps": eps, "seed": 0}
    four = [
        torchattacks.APGD(net, loss="ce", steps=steps, **setting),
        torchattacks.APGDT(net, n_classes=10, steps=steps, **setting),
        torchattacks.FAB(net, multi_targeted=True, n_classes=10, steps=steps, **setting),
        torchattacks.Square(net, n_queries=5000, **setting),
    ]
    runs = {f"torchattacks MultiAttack, {steps} steps": torchattacks.MultiAttack(four)}
    if steps == 10:
        runs["torchattacks AutoAttack, as it comes"] = torchattacks.AutoAttack(net, **setting)
    return {name: partial(_nhwc, torch, attack, tx, ty, 200) for name, attack in runs.items()}


def smallest(model, x, y, target):
    """Return a dict of peers, like that of ``attacks`` but without batch sizes, for each smallest-change attack.

    Carlini–Wagner runs with the searches and steps of ``scratchadv.attacks.carlini_wagner``.
    """
    import foolbox
    import torch
    import torchattacks
    from art.attacks.evasion import SaliencyMapMethod
    from art.estimators.classification import PyTorchClassifier

    net = torch_twin(torch, model).eval()
    tx, ty = to_torch(torch, x, y)
    fmodel = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    probabilities = torch.nn.Sequential(net, torch.nn.Softmax(dim=1))
    classifier = PyTorchClassifier(
        probabilities, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
    )
    jsma = SaliencyMapMethod(classifier, theta=1.0, gamma=0.145, batch_size=len(x), verbose=False)
    carlini = foolbox.attacks.L2CarliniWagnerAttack(9, steps=200, stepsize=0.05, initial_const=0.01)
    deepfool = foolbox.attacks.L2DeepFoolAttack()

    def by_foolbox(attack):
        return _nhwc(torch, lambda x, y: attack.run(fmodel, x, y), tx, ty, 100)

    def by_art():
        aim = np.eye(10, dtype=np.float32)[target]
        return jsma.generate(tx.numpy(), aim).transpose(0, 2, 3, 1)

    return {
        "DeepFool": {
            "Foolbox": partial(by_foolbox, deepfool),
            "torchattacks": partial(_nhwc, torch, torchattacks.DeepFool(net), tx, ty, 100),
        },
        "Carlini–Wagner": {"Foolbox": partial(by_foolbox, carlini)},
        "JSMA, targeted": {"ART": by_art},
    }


def _nhwc(torch, attack, tx, ty, batch):
    found = [attack(a, b).detach() for a, b in zip(tx.split(batch), ty.split(batch), strict=True)]
    return torch.cat(found).permute(0, 2, 3, 1).numpy()


def training(model, x, y, batch_size, epsilon=None, device="cpu"):
    """Return one epoch of SGD on the PyTorch twin, with ``epsilon`` of FGSM-adversarial training."""
    import torch

    cross_entropy = torch.nn.functional.cross_entropy
    tx, ty = (a.to(device) for a in to_torch(torch, x, y))

    def epoch():
        net = torch_twin(torch, model).train().to(device)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for rows in torch.randperm(len(tx)).split(batch_size):
            a, b = tx[rows], ty[rows]
            if epsilon:
                delta = torch.zeros_like(a, requires_grad=True)
                (g,) = torch.autograd.grad(cross_entropy(net(a + delta), b), delta)
                a = (a + epsilon * g.sign()).clamp(0, 1)
            optimizer.zero_grad()
            cross_entropy(net(a), b).backward()
            optimizer.step()

    return epoch


def _repeated(torch, net, run, restarts):
    """Return an attack that keeps, for each image, a restart that fools the network, else the clean image."""
    if not restarts:
        return run

    def worst(x, y):
        found = x.clone()
        for _ in range(restarts):
            tried = run(x, y)
            with torch.no_grad():
                fooled = net(tried).argmax(1) != y
            found[fooled] = tried[fooled]
        return found

    return worst
