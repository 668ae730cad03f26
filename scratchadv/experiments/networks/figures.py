"""The figures of ``scratchadv reproduce networks``."""

from functools import partial

import numpy as np

from ...attacks import fgsm, pgd
from ...evaluate import accuracy_over_eps
from ...losses import cross_entropy
from ...models import MLP
from ...models.protocol import predict
from ...sets import L2, Linf
from ...support import plots
from ...training import fit
from ...training.optim import SGD
from .training import NAMES


def figures(setup, measured, steps, alpha):
    """Draw the figures, and return them by file name."""
    return {
        "digits": draw_digits(setup, steps, alpha),
        "loss_over_steps": draw_loss_over_steps(setup, steps, alpha),
        "steps_in_the_ball": draw_steps_in_the_ball(setup.seed),
        "loss_surface": draw_loss_surface(setup),
        "accuracy_over_eps": draw_accuracy_over_eps(setup, steps),
    }


def draw_digits(setup, steps, alpha, n=8, magnified=5):
    """Draw test digits before and after PGD on both CNNs with the predictions, and the magnified changes."""
    x, y = setup.data.x_test[:n], setup.data.y_test[:n]
    threat = Linf(setup.eps).within(0, 1)
    names = setup.data.class_names
    rows = []

    def line(title, model, image):
        label = predict(model, image)
        return title, image, [names[k] for k in label], label == y

    for key in ("CNN", "robust CNN"):
        model = setup.models[key]
        delta = pgd(model, x, y, threat, steps=steps, alpha=alpha)
        rows.append(line(f"{key}\nclean", model, x))
        rows.append((f"δ × {magnified}\nto the {key}", 0.5 + magnified * delta, [""] * n, [True] * n))
        rows.append(line(f"{key}\nunder PGD", model, x + delta))
    figure = plots.before_and_after(rows, (0, 1))
    figure.suptitle(f"the first {n} test images, ε = {setup.eps:g}, 0 ≤ x + δ ≤ 1", fontsize=10)
    return figure


def draw_loss_over_steps(setup, steps, alpha, n=3, restarts=10):
    """Draw the loss of single images over the steps of PGD, from several starts, on both CNNs."""
    x, y = setup.data.x_test[:n], setup.data.y_test[:n]
    figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 3.4))
    for axis, key in zip(axes[0], ("CNN", "robust CNN"), strict=True):
        losses = np.zeros((restarts, steps + 1, n))

        def keep(iterate, losses=losses):
            losses[iterate.restart, iterate.step] = iterate.loss

        options = {"steps": steps, "alpha": alpha, "restarts": restarts, "rng": np.random.default_rng(setup.seed)}
        pgd(setup.models[key], x, y, Linf(setup.eps).within(0, 1), callback=keep, **options)
        for i, color in enumerate(("#2166ac", "#b2182b", "#1b7837")):
            axis.plot(losses[:, :, i].T, color=color, lw=0.8, alpha=0.7)
            axis.plot([], color=color, label=f"test image {i}, a {setup.data.class_names[y[i]]}")
        axis.set(title=key, xlabel="step of PGD", ylabel=f"loss, {restarts} random starts")
        axis.grid(alpha=0.25)
        axis.legend(fontsize=8, frameon=False)
    return figure


def draw_steps_in_the_ball(seed):
    """Draw, for a network of two inputs, its loss, its decision boundary, and plain and normalised steps of PGD."""
    model = toy(np.random.default_rng(seed))
    point = np.array([[0.45, 0.1]])
    label = np.array([0])
    figure, axes = plots.figure_with_axes(1, 4, size=(3.0, 3.2))
    grid = np.linspace(-1, 1, 200)
    plane = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    z = model.logits(plane)
    loss = cross_entropy.value(z, np.zeros(len(plane), dtype=int)).reshape(200, 200)
    cases = [(ball, normalized) for ball in (L2(0.45), Linf(0.35)) for normalized in (False, True)]
    for axis, (ball, normalized) in zip(axes[0], cases, strict=True):
        axis.contourf(grid, grid, loss, levels=24, cmap="Greys", alpha=0.7)
        axis.contour(grid, grid, (z[:, 0] - z[:, 1]).reshape(200, 200), levels=[0], colors="#2166ac", linewidths=2)
        path = []
        alpha = 0.12 if normalized else 0.25
        options = {"steps": 8, "alpha": alpha, "normalized": normalized}
        pgd(model, point, label, ball, callback=lambda iterate, path=path: path.append(iterate.delta[0]), **options)
        path = point + np.array(path)
        edge = boundary(ball) + point
        axis.plot(*edge.T, color="#1b7837", lw=1.5)
        axis.plot(*path.T, "o-", color=plots.WRONG, ms=4, lw=1.2)
        kind = f"normalised steps, α = {alpha}" if normalized else f"plain steps, α = {alpha}"
        axis.set_title(f"{ball}\n{kind}", fontsize=9)
        axis.set(xticks=[], yticks=[], aspect="equal", xlim=(-1, 1), ylim=(-1, 1))
    figure.suptitle("loss (dark: high), decision boundary (blue), Δ(x) (green) and the steps of PGD (red)", fontsize=10)
    return figure


def toy(rng, n=400):
    """Return a small network that separates two rings of points."""
    angle = rng.uniform(0, 2 * np.pi, n)
    y = rng.integers(0, 2, n)
    radius = np.where(y == 0, 0.35, 0.8) + 0.08 * rng.standard_normal(n)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    model = MLP((2, 32, 2), "tanh", rng=rng, dtype=float)
    fit(model, x, y, epochs=200, batch_size=50, optimizer=SGD(0.2, momentum=0.9), rng=rng, progress=False)
    return model


def boundary(ball, n=400):
    """Return n points on the boundary of a ball in the plane, in all directions, ``(n, 2)``."""
    angle = np.linspace(0, 2 * np.pi, n)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return direction * (ball.radius / ball.norm(direction))[:, None]


def draw_loss_surface(setup, n=41):
    """Draw the loss of both CNNs around one test image, along the sign of the gradient and along a random sign."""
    x, y = setup.data.x_test[:1], setup.data.y_test[:1]
    grid = np.linspace(-2 * setup.eps, 2 * setup.eps, n, dtype=x.dtype)
    random = np.random.default_rng(setup.seed).choice(np.array([-1, 1], x.dtype), x.shape)
    figure, axes = plots.figure_with_axes(1, 2, size=(4.6, 3.8))
    for axis, key in zip(axes[0], ("CNN", "robust CNN"), strict=True):
        model = setup.models[key]
        ahead = fgsm(model, x, y, Linf(1.0))
        a, b = np.meshgrid(grid, grid)
        images = x + a.reshape(-1, 1, 1, 1) * ahead + b.reshape(-1, 1, 1, 1) * random
        loss = cross_entropy.value(model.logits(images), np.repeat(y, n * n)).reshape(n, n)
        picture = axis.contourf(grid, grid, loss, levels=30, cmap="viridis")
        figure.colorbar(picture, ax=axis, label="loss")
        eps = setup.eps
        axis.plot([-eps, eps, eps, -eps, -eps], [-eps, -eps, eps, eps, -eps], color="white", lw=1.2)
        axis.plot(0, 0, "o", color="white", ms=5)
        axis.set(title=f"{key}, test image 0", xlabel="along sign(∇L)", ylabel="along a random sign", aspect="equal")
    figure.suptitle("the loss around an image; white: ε in both directions (no box)", fontsize=10)
    return figure


def draw_accuracy_over_eps(setup, steps):
    """Draw the accuracy under PGD over ε for all networks, with the box."""
    x, y = (part[: setup.plan.curve] for part in (setup.data.x_test, setup.data.y_test))
    grid = np.linspace(0, max(0.3, 2 * setup.eps), 9)
    threats = [Linf(eps).within(0, 1) for eps in grid]
    colors = dict(zip(NAMES, ("#f4a582", plots.WRONG, "#2166ac", plots.RIGHT), strict=True))
    lines = []
    for key, model in setup.models.items():
        accuracy = accuracy_over_eps(model, x, y, threats, [partial(_tenths, steps=steps)]).accuracy
        lines.append((NAMES[key], accuracy, {"color": colors[key], "marker": "o", "ms": 3}))
    label = f"PGD-{steps} accuracy, {len(x):,} images, box"
    return plots.curves(grid, lines, "ε (ℓ∞)", label, (setup.eps, f"ε = {setup.eps:g}"))


def _tenths(model, x, y, threat, steps):
    """Run PGD with steps of a tenth of the radius."""
    return pgd(model, x, y, threat, steps=steps, alpha=threat.radius / 10)
