# %% [markdown]
# # 7. Adversarial training
#
# Until now the model was trained first and attacked afterwards. Now the attack moves into training: the model learns
# from the worst examples that it can be given.
#
# **You will learn**
#
# - the empirical adversarial risk, a min-max problem, and why a robust model ignores some features;
# - Danskin's theorem: how to differentiate a maximum, and what remains true when the maximiser is only approximate;
# - the training loop of the slides, as the library implements it;
# - what adversarial training does to a CNN: to its error, its accuracy over ε, and its gradients;
# - why a model must be tested with a stronger attack than the one it was trained against.
#
# It goes with the slides "Adversarial training" of the first deck, with the last number of its "MNIST example", and
# with "Adversarial training" among the defences of the second.

# %%
from functools import partial

import numpy as np
from matplotlib.patches import Rectangle

from scratchadv import datasets, robust_logistic, training
from scratchadv.attacks import exact, fgsm, fgsm_random_start, pgd
from scratchadv.evaluate import accuracy_over_eps, judge
from scratchadv.experiments.networks.training import quick
from scratchadv.losses import logistic
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import loss_and_gradient, predict
from scratchadv.numerics import rows
from scratchadv.sets import L2, Linf
from scratchadv.support import plots, show
from scratchadv.training import fitting
from scratchadv.training.optim import SGD, Adam

data = datasets.load("auto")
print(data.source)


def error(model, x, y, delta=0):
    """Return the share of the points x + δ that the model misclassifies."""
    return float((predict(model, x + delta) != y).mean())


# %% [markdown]
# ## Adversarial training
#
# Ordinary training makes the mean loss small. Adversarial training makes the mean of the *worst* losses small: each
# example may first be moved within its set $\Delta(x)$. This is the **empirical adversarial risk**,
#
# $$\min_\theta \mathcal{R}_{adv}(\theta) = \min_\theta \frac1N \sum_{i=1}^N \max_{\delta \in \Delta(x^{(i)})}
# L(y^{(i)}, f(x^{(i)} + \delta \mid \theta)).$$
#
# With $\Delta = \{0\}$ it is the ordinary risk. An example with two features shows what changes. In the first feature
# the classes are far apart, with much noise. In the second they are close together, with little noise. An ordinary
# model uses both. An attacker who may move each feature by ε can reverse the second one, so a robust model does not
# use it.

# %%
eps = 0.2
rng = np.random.default_rng(0)
y = np.repeat([1, -1], 60)
x = np.stack([0.8 * y + 0.5 * rng.standard_normal(120), 0.15 * y + 0.04 * rng.standard_normal(120)], axis=1)
inner = partial(exact, threat=Linf(eps))
settings = {"ordinary": (None, 20.0), "adversarial": (inner, 1.0)}
models = {name: LogisticRegression(np.zeros(2)) for name in settings}
figure, axes = plots.figure_with_axes(1, 2, size=(5.0, 3.6), sharey=True)
for axis, (name, (attack, alpha)) in zip(axes[0], settings.items(), strict=True):
    model = models[name]
    training.fit(model, x, y, epochs=500, optimizer=SGD(alpha), attack=attack, progress=False)
    grid = np.stack(np.meshgrid(np.linspace(-2.1, 2.1, 200), np.linspace(-0.6, 0.6, 200)), axis=-1)
    z = model.logits(grid.reshape(-1, 2)).reshape(200, 200)
    axis.contourf(*grid.T, z.T, levels=[-1e9, 0, 1e9], colors=["#fddbc7", "#d1e5f0"])
    for label, colour in ((1, "#2166ac"), (-1, "#b2182b")):
        axis.scatter(*x[y == label].T, s=9, color=colour)
    for a, b in x[::20] - eps:
        axis.add_patch(Rectangle((a, b), 2 * eps, 2 * eps, fill=False, color="0.3", lw=0.8))
    attacked = error(model, x, y, exact(model, x, y, Linf(eps)))
    axis.set_title(f"{name}: error {error(model, x, y):.2f}, under δ* {attacked:.2f}", fontsize=10)
    axis.set_xlabel("feature 1: far apart, much noise")
axes[0, 0].set_ylabel("feature 2: close, little noise")
figure.suptitle(f"Two classes, the sets Δ(x) of some points, ‖δ‖∞ ≤ {eps:g}, no box", fontsize=10)
description = (
    "Two clouds of points with squares around some; the ordinary boundary cuts the squares, the robust one does not"
)
show.figure(figure, "07_two_features", description)

# %% [markdown]
# **Exercise 7.1.** Show that $\mathcal{R}_{adv}(\theta) \geq \mathcal{R}(\theta)$ for every θ if $0 \in \Delta(x)$.
# Show that any attack whose δ lie in Δ(x) gives a lower bound on $\mathcal{R}_{adv}$. Which attack attains the
# maximum here?

# %% [markdown] tags=["answer"]
# A maximum over Δ(x) is at least the value at any δ in Δ(x). For δ = 0 that value is the ordinary loss, and for an
# attack it is the loss that the attack reaches; then take means. `exact` attains the maximum, because the logit is
# linear in δ and Ψ decreases.

# %% tags=["answer"]
model = models["ordinary"]
risk = robust_logistic.objective(model.params["theta"], float(model.params["theta0"]), x, y, Linf(eps))
reached = [
    logistic.value(model.logits(x + delta), y).mean()
    for delta in (np.zeros_like(x), Linf(eps).sample(rng, x), exact(model, x, y, Linf(eps)))
]
assert max(reached) <= risk + 1e-12
assert abs(reached[-1] - risk) < 1e-12

# %% [markdown]
# ## Danskin's theorem
#
# SGD needs $\nabla_\theta$ of a maximum. Let
# $\varphi(\theta) = \max_{\delta \in \Delta} L(\theta, \delta)$, with Δ compact, and $L$ and $\nabla_\theta L$
# continuous in both. Then, for every direction $d$,
#
# $$\varphi'(\theta; d) = \max_{\delta^* \in \arg\max_\delta L(\theta, \delta)}
# \langle \nabla_\theta L(\theta, \delta^*), d \rangle.$$
#
# If there is only one maximiser $\delta^*$, this says $\nabla \varphi(\theta) = \nabla_\theta L(\theta, \delta^*)$:
# **find the worst δ, hold it fixed, and differentiate with respect to θ.** It does not matter that δ* itself depends
# on θ.
#
# The picture has one weight and one example: $L(\theta, \delta) = \Psi(\theta (x + \delta))$. Each grey curve belongs
# to one δ, and φ is their upper envelope. The tangent of the curve of δ* is the tangent of φ. The tangent of another
# curve lies lower and has a different slope.


# %%
def psi(z):
    """Return the slides' Ψ."""
    return np.log1p(np.exp(-z))


def phi(theta):
    """Return the maximum over δ."""
    return psi(theta * one - reach * abs(theta))


one = 1.0
reach = 0.6
theta = np.linspace(-1.5, 3, 300)
at = 1.5
figure, axes = plots.figure_with_axes(size=(7.0, 3.8))
axis = axes[0, 0]
for delta in np.linspace(-reach, reach, 9):
    axis.plot(theta, psi(theta * (one + delta)), color="0.75", lw=0.8)
axis.plot(theta, phi(theta), color="#b2182b", lw=2.5, label="φ(θ), the maximum over δ")
for delta, colour, name in ((-reach, "#b2182b", "δ*"), (0.2, "#2166ac", "another δ")):
    z = at * (one + delta)
    slope = -(one + delta) / (1 + np.exp(z))
    axis.plot(theta, psi(z) + slope * (theta - at), "--", color=colour, lw=1.2, label=f"tangent with {name}")
    axis.plot(at, psi(z), "o", color=colour)
axis.set(xlabel="θ", ylabel="loss", ylim=(-0.2, 2.0), xlim=(theta[0], theta[-1]))
axis.set_title(f"Ψ(θ (x + δ)) for x = 1, |δ| ≤ {reach:g}: grey, one curve for each δ", fontsize=10)
axis.legend(fontsize=9, frameon=False)
show.figure(figure, "07_danskin", "Grey curves of the loss for single δ, their upper envelope in red, and two tangents")

# %% [markdown]
# For a linear model we know the exact maximiser, and the library has a function for the gradient that the theorem
# gives. It is the gradient of the logistic loss at the attacked examples:

# %%
show.source(robust_logistic.gradient)

# %% [markdown]
# Now we test the theorem: we compare central differences of the true robust objective with the gradient at δ* and at
# other δ.

# %%
eps = 0.2
ball = Linf(0.2)
pair = data.only(0, 1)
x, y = pair.x_train[:2000].astype(float), pair.y_train[:2000]
rng = np.random.default_rng(0)
model = LogisticRegression(rng.normal(0, 0.05, x.shape[1:]))
theta = model.params["theta"]
direction = rng.standard_normal(theta.shape)
direction /= np.linalg.norm(direction)
step = 1e-6 * direction
rise = (
    robust_logistic.objective(theta + step, 0.0, x, y, ball) - robust_logistic.objective(theta - step, 0.0, x, y, ball)
) / 2e-6
worst = exact(model, x, y, ball)
inner = {"δ*, exact": worst, "δ*/2": worst / 2, "a random point of Δ": ball.sample(rng, x), "0": np.zeros_like(x)}
lines, slopes = [], {}
for name, delta in inner.items():
    z, pull = model.vjp_theta(x + delta)
    g = pull(logistic.grad(z, y) / len(x))["theta"]
    slopes[name] = float((g * direction).sum())
    lines.append([name, f"{logistic.value(z, y).mean():.4f}", f"{slopes[name]:+.8f}"])
show.table(
    ["inner maximiser", "loss it reaches", "slope along one random direction"],
    [*lines, ["central difference of the true risk", "–", f"{rise:+.8f}"]],
)
print(f"0 against 1, {len(x):,} images, {ball}, no box, random θ (seed 0)")

# %% [markdown]
# What remains true for an approximate maximiser? Its loss is a lower bound on the risk, and its gradient is only a
# direction: nothing guarantees that the risk falls along it. For linear models we know the true risk, so we can
# watch. Four training runs differ only in the inner δ, and each is judged by the exact robust objective. The black
# line is a proved lower bound (chapter 3).

# %%
epochs = 60
maximisers = {
    "δ*, exact": lambda model, x, y: exact(model, x, y, ball),
    "δ*/2": lambda model, x, y: exact(model, x, y, ball) / 2,
    "a random point of Δ": partial(lambda rng, model, x, y: ball.sample(rng, x), np.random.default_rng(0)),
    "0 (ordinary training)": None,
}
figure, axes = plots.figure_with_axes(size=(7.0, 3.8))
axis = axes[0, 0]
for name, attack in maximisers.items():
    model = LogisticRegression(np.zeros(x.shape[1:]))
    shuffle = np.random.default_rng(0)
    risks = []
    for _ in range(epochs):
        training.fit(model, x, y, epochs=1, attack=attack, rng=shuffle, progress=False)
        risks.append(robust_logistic.objective(model.params["theta"], float(model.params["theta0"]), x, y, ball))
    axis.semilogy(range(1, epochs + 1), risks, label=f"inner δ: {name}")
optimum = robust_logistic.fit(x, y, ball)
axis.axhline(optimum.lower_bound, color="k", lw=1, label="proved lower bound")
axis.set(xlabel="epoch", ylabel="true robust objective", xlim=(1, epochs), xticks=[1, 20, 40, 60])
axis.set_title(f"0 against 1, {len(x):,} images, SGD step 0.1, {ball}, no box, seed 0", fontsize=10)
axis.legend(fontsize=9, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
description = "Only training with the exact maximiser comes near the bound; weaker ones leave the true risk higher"
show.figure(figure, "07_weak_maximisers", description)

# %% [markdown]
# > **Beside the slide.** "Danskin's theorem does not longer hold" (slide "Projected gradient descent") leaves
# > something out. The theorem does not require a linear model. It requires the exact inner maximiser, and for a
# > network nobody has one: PGD finds some δ of high loss, and the gradient there is a direction that usually works.
# > (With ReLUs $\nabla_\theta L$ has jumps too, but only on a set of measure zero.)
#
# **Exercise 7.2.** At θ = 0 in the picture every δ is a maximiser. What are the one-sided slopes of φ there? Which of
# the $\nabla_\theta L(0, \delta)$ are subgradients?

# %% [markdown] tags=["answer"]
# $\nabla_\theta L(0, \delta) = -(x + \delta)/2$. By the theorem the slope to the right is the largest of these
# values, $-(x - \epsilon)/2$, and the slope to the left (direction −1) is the smallest, $-(x + \epsilon)/2$. So φ has
# a kink. Because each $L(\cdot, \delta)$ is convex and touches φ from below at 0, every one of these values is a
# subgradient.

# %% tags=["answer"]
assert abs((phi(1e-6) - phi(0)) / 1e-6 + (one - reach) / 2) < 1e-5
assert abs((phi(0) - phi(-1e-6)) / 1e-6 + (one + reach) / 2) < 1e-5

# %% [markdown]
# **Exercise 7.3.** Repeat the test of the theorem for the ℓ2 ball with ε = 1, with `robust_logistic.gradient`.

# %% tags=["answer"]
g, _ = robust_logistic.gradient(theta, 0.0, x, y, L2(1.0))
up, down = (robust_logistic.objective(theta + s, 0.0, x, y, L2(1.0)) for s in (step, -step))
assert abs((up - down) / 2e-6 - (g * direction).sum()) < 1e-6

# %% [markdown]
# ## The training loop
#
# For each minibatch of size $m$, the slides' loop attacks the model *as it is now*,
#
# $$\delta^*(x^{(i)}) = \arg\max_{\delta \in \Delta(x^{(i)})} L(y^{(i)}, f(x^{(i)} + \delta \mid \theta^{[t]})),$$
#
# and then takes a step with the perturbations held fixed,
#
# $$\theta^{[t+1]} = \theta^{[t]} - \alpha \frac1m \sum_{i=1}^m \nabla_\theta
# L(y^{(i)}, f(x^{(i)} + \delta^*(x^{(i)}) \mid \theta^{[t]})).$$
#
# In `training.fit` the attack is an argument: any function `attack(model, x, y)` that returns δ. Ordinary training is
# the case without an attack.

# %%
show.source(fitting.training_step, fitting.attacked_examples, fitting.loss_and_gradients)

# %% [markdown]
# **Exercise 7.4.** Write the loop yourself, in ten lines, for logistic regression and the exact attack. Draw the order
# of each epoch with `rng.permutation(len(x))`, and compare θ with that of `training.fit`.


# %% tags=["answer"]
def my_fit(model, x, y, threat, epochs, alpha, m, rng):
    """Run the training loop of the slides."""
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for i in range(0, len(x), m):
            xb, yb = x[order[i : i + m]], y[order[i : i + m]]
            z, pull = model.vjp_theta(xb + exact(model, xb, yb, threat))
            grads = pull(logistic.grad(z, yb) / len(xb))
            model.params = {name: p - alpha * grads[name] for name, p in model.params.items()}


mine = LogisticRegression(np.zeros(x.shape[1:]))
theirs = LogisticRegression(np.zeros(x.shape[1:]))
my_fit(mine, x, y, ball, epochs=2, alpha=0.1, m=100, rng=np.random.default_rng(0))
attack = partial(exact, threat=ball)
training.fit(theirs, x, y, epochs=2, attack=attack, rng=np.random.default_rng(0), progress=False)
np.testing.assert_allclose(mine.params["theta"], theirs.params["theta"], atol=1e-12)

# %% [markdown]
# ## A network that was trained against attacks
#
# Here are two CNNs of the tutorial's shape, trained on little data: one as usual, the other against FGSM with a
# random start. Both are judged on test images by predicting again.

# %%
networks = {"plain CNN": quick(data, "CNN"), "robust CNN": quick(data, "robust CNN")}
x, y = data.x_test[:100], data.y_test[:100]
free, boxed = Linf(0.1), Linf(0.1).within(0, 1)
attacks = {"FGSM, no box": (fgsm, free), "PGD-40, no box": (pgd, free), "PGD-40, box": (pgd, boxed)}
measured = {}
for name, model in networks.items():
    fooled = {key: judge(model, x, y, attack(model, x, y, s), s).success for key, (attack, s) in attacks.items()}
    measured[name] = {"clean": error(model, x, y)} | {key: float(f.mean()) for key, f in fooled.items()}
    _, g = loss_and_gradient(model, model.loss, x, y)
    measured[name]["median ‖∇x L‖₁"] = float(np.median(abs(rows(g)).sum(axis=1)))
header = ["test error", *measured["plain CNN"]]
show.table(header, [[name, *(f"{v:.3f}" for v in numbers.values())] for name, numbers in measured.items()])
print(f"ε = {free.radius:g} in ℓ∞, {len(x)} test images, 5,000 training images, 5 epochs, PGD from δ = 0, seed 0")

# %% [markdown]
# The last column shows what FGSM can gain: to first order the loss rises by $\epsilon \lVert \nabla_x L \rVert_1$.
# One radius gives one point of a curve. Here is the whole curve:

# %%
grid = [0, 0.05, 0.1, 0.15, 0.2, 0.3]
threats = [Linf(eps).within(0, 1) for eps in grid]
short = partial(pgd, steps=20)
lines = [
    (name, accuracy_over_eps(model, x, y, threats, [short]).accuracy, {"marker": "o"})
    for name, model in networks.items()
]
figure = plots.curves(grid, lines, "ε", "accuracy", mark=(0.1, "ε of training"))
figure.axes[0].set_title(f"PGD-20 from δ = 0, ‖δ‖∞ ≤ ε, 0 ≤ x + δ ≤ 1, {len(x)} test images", fontsize=10)
show.figure(
    figure, "07_accuracy_over_eps", "Accuracy falls as ε grows, much sooner for the plain CNN than for the robust one"
)

# %% [markdown]
# What has changed inside? Look at the gradient of the loss with respect to the pixels, the direction in which an
# attacker moves. For a plain network it spreads over the whole picture, even over the empty background. For a robust
# network it tends to stay at the strokes, their ends and their gaps: to fool that network, an attacker has to draw.

# %%
first = [int(np.flatnonzero(y == k)[0]) for k in range(6)]
figure, axes = plots.figure_with_axes(3, len(first), size=(1.35, 1.4))
for j, i in enumerate(first):
    plots.show_image(axes[0, j], x[i])
for line, (name, model) in zip(axes[1:], networks.items(), strict=True):
    _, g = loss_and_gradient(model, model.loss, x[first], y[first])
    for axis, image in zip(line, g, strict=True):
        top = float(abs(image).max()) or 1.0
        plots.show_image(axis, image, (-top, top), cmap="RdBu_r")
    line[0].set_ylabel(name, fontsize=10)
axes[0, 0].set_ylabel("x", fontsize=10)
figure.suptitle("Gradient of the loss in the pixels (red: up), each scaled to its largest entry", fontsize=10)
show.figure(
    figure, "07_gradients", "Six digits, and below each the gradient in its pixels, for the plain and the robust CNN"
)

# %% [markdown]
# **Exercise 7.5.** Goodfellow, Shlens and Szegedy trained on half the clean and half the attacked loss. `fit` has no
# option for this and needs none. Write an attack that does it, on average, in one line. Train the model of exercise
# 7.4.

# %% tags=["answer"]
rng = np.random.default_rng(0)


def half(model, x, y):
    """Return δ* for a random half of the batch and 0 for the other half."""
    return exact(model, x, y, ball) * rng.integers(0, 2, (len(x), 1, 1, 1))


x01, y01 = pair.x_train[:2000].astype(float), pair.y_train[:2000]
mixed = LogisticRegression(np.zeros(x01.shape[1:]))
history = training.fit(mixed, x01, y01, epochs=5, attack=half, progress=False)
assert history.loss[-1] < history.loss[0]

# %% [markdown]
# ## Trained against one attack, tested by another
#
# A model learns to resist the attack that it sees. The table trains a small MLP against each attack (rows) and tests
# it with each (columns). Read along the rows: what does resistance to noise say about resistance to FGSM, and
# resistance to FGSM about resistance to PGD?

# %%
x_train = data.x_train[:2000]
y_train = data.y_train[:2000]
boxed = Linf(0.2).within(0, 1)


def noise(model, x, y, threat, rng):
    """Return a random point of Δ(x)."""
    return threat.sample(rng, x)


def attacks_with(rng):
    """Return the attacks by name; the random ones draw from rng."""
    return {
        "nothing": lambda model, x, y: np.zeros_like(x),
        "noise": partial(noise, threat=boxed, rng=rng),
        "FGSM": partial(fgsm, threat=boxed),
        "FGSM, random start": partial(fgsm_random_start, threat=boxed, rng=rng),
        "PGD-7": partial(pgd, threat=boxed, steps=7),
    }


tests = attacks_with(np.random.default_rng(1)) | {"PGD-40": partial(pgd, threat=boxed)}
x_many, y_many = data.x_test[:300], data.y_test[:300]
lines = []
for name, attack in attacks_with(np.random.default_rng(0)).items():
    model = MLP((784, 200, 10), rng=np.random.default_rng(0))
    training.fit(model, x_train, y_train, epochs=8, optimizer=Adam(2e-3), attack=attack, progress=False)
    lines.append(
        [name, *(f"{error(model, x_many, y_many, test(model, x_many, y_many)):.3f}" for test in tests.values())]
    )
show.table(["trained against", *tests], lines)
print(f"test error of an MLP 784-200-10, {boxed}, {len(x_train):,} training and {len(x_many):,} test images,")
print("Adam with step 0.002, batches of 100, 8 epochs; PGD from δ = 0; seed 0")

# %% [markdown]
# With larger ε and longer training, training against FGSM alone can fail suddenly. Within one epoch the error under
# FGSM falls to almost zero and the error under PGD rises to almost one, because the network has learnt to distort the
# one gradient that FGSM uses. This is **catastrophic overfitting** (Wong, Rice and Kolter, 2020), and the reason for
# a random start. Chapter 9 shows how to tell such a model from a robust one.
#
# **Exercise 7.6.** Train an MLP with random points of Δ(x), for any ε that you like, in place of attacks. Does it
# become robust? Why is noise so much weaker than FGSM in 784 dimensions?

# %% [markdown] tags=["answer"]
# Hardly. To first order noise δ changes the logit by $\langle g, \delta \rangle$. FGSM reaches
# $\epsilon \lVert g \rVert_1$; uniform noise has mean 0 and standard deviation
# $\epsilon \lVert g \rVert_2 / \sqrt 3$. With $p$ entries of equal size
# $\lVert g \rVert_1 = \sqrt p\, \lVert g \rVert_2$, so the change by FGSM is about $\sqrt{3p}$ times larger.

# %% tags=["answer"]
g = np.random.default_rng(0).standard_normal((1, 784))
sample = Linf(0.1).sample(np.random.default_rng(1), np.repeat(g, 4000, axis=0))
ratio = Linf(0.1).support(g)[0] / (sample @ g[0]).std()
assert 0.7 < ratio / np.sqrt(3 * 784) < 0.9  # √(2/π) = 0.8 for normal entries

# %% [markdown]
# ## The slides' numbers beside today's
#
# The slides train logistic regression on 0 against 1, and the tutorial trains a CNN on ten digits. The linear numbers
# are computed here in full. Our CNN was trained on little data, so its numbers are shown beside the tutorial's but
# cannot be compared with them.

# %%
x, y, xt, yt = pair.x_train, pair.y_train, pair.x_test, pair.y_test
rng = np.random.default_rng(0)
ball = Linf(0.2)
start = LogisticRegression.initial(x.shape[1:], rng).params
plain, robust = (LogisticRegression(start["theta"], float(start["theta0"])) for _ in range(2))
training.fit(plain, x, y, epochs=10, optimizer=SGD(1.0), rng=np.random.default_rng(0), progress=False)
attack = partial(exact, threat=ball)
training.fit(robust, x, y, epochs=20, attack=attack, rng=np.random.default_rng(0), progress=False)
optimum = robust_logistic.fit(x, y, ball)
best = LogisticRegression(optimum.theta.astype(x.dtype), optimum.theta0)
today = [error(m, xt, yt, d) for m in (plain, robust) for d in (0, exact(m, xt, yt, ball))]
today.append(error(best, xt, yt, exact(best, xt, yt, ball)))
here = measured["robust CNN"]
show.table(
    ["test error", "slides or tutorial", "today"],
    [
        ["0 against 1, ordinary: clean", "0.0004", f"{today[0]:.4f}"],
        ["0 against 1, ordinary: under δ*", "0.845", f"{today[1]:.4f}"],
        ["0 against 1, adversarial: clean", "0.0038 (public rerun)", f"{today[2]:.4f}"],
        ["0 against 1, adversarial: under δ*", "0.025", f"{today[3]:.4f}"],
        ["0 against 1, the exact robust optimum: under δ*", "–", f"{today[4]:.4f}"],
        ["robust CNN: clean", "0.011 (recalled)", f"{here['clean']:.3f} (quick)"],
        ["robust CNN: PGD-40", "0.028 (recalled)", f"{here['PGD-40, no box']:.3f} (quick)"],
    ],
)
print(f"0 against 1: {len(x):,} training and {len(xt):,} test images, {ball}, no box, batches of 100, seed 0;")
print("SGD 10 epochs with step 1, adversarial 20 with step 0.1. CNN: ε = 0.1, no box; quick: 5,000 and 100 images.")
