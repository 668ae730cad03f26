"""The figures of ``scratchadv reproduce linear``."""

import numpy as np

from ... import robust_logistic
from ...attacks import exact
from ...models.protocol import predict
from ...numerics import softplus
from ...sets import Linf
from ...support import plots
from ...support.progress import progress
from .training import BOX, NAMES, attacked_error


def figures(setup, measured):
    """Draw the figures, and return them by file name."""
    theta = setup.models["plain"].params["theta"]
    return {
        "psi": draw_psi(setup),
        "delta_star": draw_delta_star(theta, setup.eps),
        "weights": plots.signed_images(
            [model.params["theta"] for model in setup.models.values()],
            [f"θ, {name}" for name in NAMES.values()],
        ),
        "digits": draw_digits(setup),
        "error_over_eps": draw_error_over_eps(setup),
    }


def draw_psi(setup):
    """Draw Ψ, and the test margins of the plain model before and after the attack (slide "Linear Models")."""
    data = setup.data
    model = setup.models["plain"]
    theta, theta0 = model.params["theta"], model.params["theta0"]
    figure, axes = plots.figure_with_axes(1, 2, size=(4.8, 3.4))
    m = np.linspace(-4, 4, 200)
    axes[0, 0].plot(m, softplus(-m), color="#2166ac", lw=2)
    axes[0, 0].set(xlabel="m = y (θᵀx + θ0)", title="Ψ(m) = log(1 + exp(−m)) decreases", ylim=(0, None), xlim=(-4, 4))
    shifts = {"clean": (0.0, plots.RIGHT), f"under δ*, ε = {setup.eps:g}": (setup.eps, plots.WRONG)}
    for label, (eps, color) in shifts.items():
        margins = robust_logistic.worst_margin(theta, theta0, data.x_test, data.y_test, Linf(eps))
        axes[0, 1].hist(margins, bins=60, color=color, alpha=0.6, label=label)
    axes[0, 1].axvline(0, color="0.4", lw=1)
    axes[0, 1].set(xlabel="margin m of the test images (SGD)", title="the attack moves every margin by −ε‖θ‖₁")
    axes[0, 1].legend(fontsize=9, frameon=False)
    for axis in axes[0]:
        axis.grid(alpha=0.25)
    return figure


def draw_delta_star(theta, eps):
    """Draw the optimal perturbation for each class, amplified (slide "MNIST Example")."""
    figure, axes = plots.figure_with_axes(1, 2, size=(3.0, 3.2))
    for axis, y, digit in zip(axes[0], (1, -1), (0, 1), strict=True):
        plots.show_image(axis, -y * eps * np.sign(theta), (-eps, eps))
        axis.set_title(f"δ* = −y ε sign(θ) for images of {digit}", fontsize=10)
    figure.suptitle(f"white adds {eps:g} to a pixel, black subtracts it (contrast amplified)", fontsize=9)
    return figure


def draw_digits(setup, n=8):
    """Draw the first test digits before and after the attack, with the prediction of each model."""
    data = setup.data
    ball = Linf(setup.eps)
    x, y = data.x_test[:n], data.y_test[:n]

    def line(title, model, delta):
        label = predict(model, x + delta)
        return title, x + delta, [data.class_names[0 if k > 0 else 1] for k in label], label == y

    plain, optimum = setup.models["plain"], setup.models["optimum"]
    boxed = ball.within(*BOX)
    rows = [
        line("SGD\nclean", plain, 0 * x),
        line("SGD\nunder δ*", plain, exact(plain, x, y, ball)),
        line("SGD\nδ* in the box", plain, exact(plain, x, y, boxed)),
        line("exact robust\nunder δ*", optimum, exact(optimum, x, y, ball)),
    ]
    figure = plots.before_and_after(rows, (-setup.eps, 1 + setup.eps))
    figure.suptitle(f"the first {n} test images and their predictions, ε = {setup.eps:g}", fontsize=10)
    return figure


def draw_error_over_eps(setup):
    """Draw the attacked test error over ε for the three models, without (solid) and with the box (dashed)."""
    data = setup.data
    grid = np.linspace(0, max(0.5, 1.25 * setup.eps), 51)
    colors = {"plain": plots.WRONG, "robust": "#2166ac", "optimum": plots.RIGHT}
    lines = []
    for key, box in progress([(key, box) for key in NAMES for box in ("", ", box")], "attacks over ε"):
        balls = (Linf(eps).within(*BOX) if box else Linf(eps) for eps in grid)
        errors = [attacked_error(setup.models[key], data.x_test, data.y_test, ball) for ball in balls]
        lines.append((NAMES[key] + box, errors, {"color": colors[key], "ls": "--" if box else "-"}))
    return plots.curves(grid, lines, "ε (ℓ∞)", "test error under δ*", (setup.eps, f"trained at ε = {setup.eps:g}"))
