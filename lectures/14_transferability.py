# %% [markdown]
# # 14. Transferability
#
# An adversarial example is made on one model, and it also fools another model whose weights the attacker never saw.
# This chapter measures how often that happens, and what the number tells us.
#
# **You will learn**
#
# - what a transfer matrix is, which examples it counts, and why it needs a control;
# - why adversarial examples transfer at all: for two linear models the answer is a formula;
# - the slide's three kinds of transfer: between models, between techniques, between tasks;
# - how to attack a decision tree exactly, and nearest neighbours by smoothing, although they have no gradient;
# - when "it transfers" only means "anything works".
#
# It goes with the second deck's slide "Transferability".

# %%
import numpy as np

from scratchadv import datasets
from scratchadv.attacks import exact, leaves, pgd, tree_attack
from scratchadv.evaluate.transfer import (
    Transfer,
    matrix,
    noise_like,
    over_seeds,
    predictions,
    tabulate,
)
from scratchadv.experiments.transfer.experiment import PAPER, measure_matrix
from scratchadv.experiments.transfer.figures import heat_maps
from scratchadv.experiments.transfer.training import QUICK, TASKS, prepared, share
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import Linf
from scratchadv.support import plots, show

data = datasets.load("auto")
print(data.source)
x, y = data.x_test[: QUICK.test], data.y_test[: QUICK.test]
eps = 0.15
threat = Linf(eps).within(0, 1)
shares = [share(data, QUICK.train, i) for i in range(QUICK.seeds)]
groups = prepared(shares, QUICK, 0, None, print)
setting = f"{QUICK.test} test images, ‖δ‖∞ ≤ {eps}, 0 ≤ x + δ ≤ 1"
print(f"networks: {QUICK.seeds} seeds, each with its own {QUICK.train:,} training images; Adam, {QUICK.epochs} epochs")

# %% [markdown]
# ## Transferability
#
# The slide says that adversarial examples made to fool one model can be used to fool others. Below, PGD computes its
# perturbations on a *linear* model, and then networks classify the images. The networks started from other random
# weights and were trained on other images. The last row is a control: random noise with the same size as the
# perturbation in every pixel.

# %%
(first, _), (second, _) = groups["models"]
right = np.flatnonzero(np.all([predict(m, x) == y for m in (first["linear"], *second.values())], axis=0))
chosen = [int(right[y[right] == k][0]) for k in range(10) if (y[right] == k).any()]
digits, labels = x[chosen], y[chosen]
delta = pgd(first["linear"], digits, labels, threat)
noise = noise_like(delta, digits, threat, np.random.default_rng(0))


def row(title, images, model):
    """Return a row of the figure: the images with the labels that the model predicts."""
    said = predict(model, images)
    return title, images, [data.class_names[k] for k in said], said == labels


rows = [row("linear:\nmade on it", digits + delta, first["linear"])]
rows += [row(f"{name},\nother data", digits + delta, model) for name, model in second.items()]
rows.append(row("noise,\nCNN", digits + noise, second["CNN"]))
figure = plots.before_and_after(rows, (0, 1))
figure.suptitle(f"one δ for each digit, made on a linear model, ‖δ‖∞ ≤ {eps}; several models' predictions", fontsize=10)
show.figure(
    figure, "14_one_delta", "The same perturbed digits with the labels that several models predict; noise below"
)

# %% [markdown]
# ## Between two linear models
#
# Why does this work? Take two linear models with one logit, $z = \theta^T x + \theta_0$ and
# $z' = \theta'^T x + \theta'_0$. The exact attack on the first is $\delta^* = -y \epsilon\, \mathrm{sign}(\theta)$.
# On the second it moves the logit by
#
# $$\langle \theta', \delta^* \rangle = -y\, \epsilon\, \langle \theta', \mathrm{sign}(\theta) \rangle .$$
#
# Nothing else matters. The shift hurts the second model if the large weights of θ' have the same *signs* as those of
# θ; then it adds up over all pixels. Random signs do not add up: they move $z'$ by zero on average, with standard
# deviation $\epsilon \lVert \theta' \rVert_2$.

# %%
rng = np.random.default_rng(0)
shared = rng.normal(size=784)
lines = []
for own in (0.0, 1.0, 3.0):
    theta, other = (shared + own * rng.normal(size=784) for _ in range(2))
    image = np.zeros((1, 784))
    found = exact(LogisticRegression(theta), image, np.array([1]), Linf(eps))
    shift = LogisticRegression(other).logits(found)[0]
    agree = (np.sign(theta) == np.sign(other)).mean()
    worst, random = eps * abs(other).sum(), eps * np.linalg.norm(other)
    lines.append([f"{100 * agree:.0f} %", f"{shift:.1f}", f"{-eps * other @ np.sign(theta):.1f}"])
    lines[-1] += [f"{-worst:.1f}", f"± {random:.1f}"]
show.table(["signs that agree", "shift of z'", "the formula", "the worst possible", "random signs"], lines)

# %% [markdown]
# **Exercise 14.1.** $\theta = (1, 1)$, $\theta' = (1, -2)$, no intercepts, $\epsilon = 1$, $y = +1$. Compute the
# shift of $z'$ under the attack on θ. Does it hurt the second model? Check your answer.

# %% tags=["answer"]
source, target = LogisticRegression(np.array([1.0, 1.0])), LogisticRegression(np.array([1.0, -2.0]))
point = np.array([[1.0, 0.25]])
change = exact(source, point, np.array([1]), Linf(1.0))
assert (change == -1).all()
assert target.logits(point + change)[0] - target.logits(point)[0] == 1.0  # <θ', sign θ> = −1: the logit rises

# %% [markdown]
# **Exercise 14.2.** Show that random signs move $z'$ by $\pm \epsilon \lVert \theta' \rVert_2$ (one standard
# deviation). Show also that, for normally distributed weights and P pixels, the exact attack on $\theta'$ itself is
# $\sqrt{2 P / \pi}$ times as strong. How much is that for MNIST?

# %% [markdown] tags=["answer"]
# The signs $s_j$ are independent with variance 1, so the variance of $\epsilon \sum_j \theta'_j s_j$ is
# $\epsilon^2 \sum_j \theta'^2_j$. For normal weights $\lVert \theta' \rVert_1 \approx P \sqrt{2 / \pi}\, \sigma$ and
# $\lVert \theta' \rVert_2 \approx \sqrt P\, \sigma$. With P = 784 the quotient is 22: the exact direction is that
# many times stronger than a random one.

# %% tags=["answer"]
theta = np.random.default_rng(1).normal(size=784)
shifts = np.random.default_rng(2).choice([-eps, eps], (4000, 784)) @ theta
assert abs(shifts.std() / (eps * np.linalg.norm(theta)) - 1) < 0.05
assert abs(abs(theta).sum() / np.linalg.norm(theta) / np.sqrt(2 * 784 / np.pi) - 1) < 0.1

# %% [markdown]
# ## What is counted
#
# The rows $s$ of the matrix are the models on which the attack was **made**, and its columns $t$ are the models on
# which it is **tested**. An example that a model misclassifies from the start tells us nothing. So a cell counts only
# those clean examples that both models classify correctly:
#
# $$M_{st} = \frac{1}{|R_{st}|} \left|\left\{n \in R_{st} : f_t(x_n + \delta_n^{(s)}) \neq y_n\right\}\right|, \qquad
# R_{st} = \{n : f_s(x_n) = y_n,\ f_t(x_n) = y_n\}.$$
#
# δ is computed once on each source. We ask the target only for labels, so it may be any classifier. And every cell
# has a control: noise with the size of $\delta_n$, for each example. In a box even noise is not neutral, because a
# black pixel can only become brighter.

# %%
show.source(Transfer.counted.fget, Transfer.success.fget, Transfer.control.fget, noise_like)

# %% [markdown]
# ## Transferability between different models
#
# This is the slide's first kind. The attacks are made on the models of one seed and tested on those of another, which
# had another start, another order of the data, and other training images. "Itself" is the white-box attack on the
# same model on which it was made.

# %%
between_models = measure_matrix("models", "pgd", groups["models"], x, y, eps, 0, pgd).transfers
show.table(*tabulate(between_models))
print(f"PGD-40, {setting}; per cent, mean ± standard deviation over {QUICK.seeds} seeds, noise in brackets")

# %%
figure = heat_maps({f"PGD, ε = {eps}": between_models}, "Made on one seed, tested on another")
show.figure(
    figure, "14_between_models", "Transfer between linear model, MLPs and CNN as a heat map, and the noise beside it"
)

# %% [markdown]
# The networks share neither weights nor data, only the task. Noise of the same size does little, so what they have in
# common is the *direction*. As with two linear models, the signs agree.
#
# **Exercise 14.3.** The success above counts all examples that both models have right. `carried` counts only those
# that fooled their source. Which is larger? Why must it be so if most examples that fool the target have also fooled
# their source?

# %% tags=["answer"]
one = between_models[0]
assert (one.carried >= one.success - 0.05).all()
fooled = (one.fooled & one.counted).sum()
both = (one.fooled & one.counted & one.fell[:, None]).sum()
print(f"{100 * both / fooled:.0f} % of the examples that fool the target have fooled their source")
# so the numerator hardly changes, and the denominator becomes smaller

# %% [markdown]
# **Exercise 14.4.** A single surrogate may be unusual. Attack two models at once: write a model whose logits are the
# mean of the logits of the 2-layer and the 4-layer network, run PGD on it, and test on the CNN of the other seed.


# %% tags=["answer"]
class Mean:
    """A model whose logits are the mean of the logits of several models."""

    def __init__(self, *models):
        self.models, self.loss, self.params = models, models[0].loss, {}

    def logits(self, x):
        """Return the logits, shape ``(N, K)``."""
        return self.vjp_x(x)[0]

    def vjp_x(self, x):
        """Return the logits and the mean of the pullbacks."""
        parts = [model.vjp_x(x) for model in self.models]
        n = len(parts)
        return sum(z for z, _ in parts) / n, lambda dz: sum(pull(dz / n) for _, pull in parts)


sources = {name: first[name] for name in ("2-layer", "4-layer")}
sources["both"] = Mean(*sources.values())
found = matrix(sources, {"CNN": second["CNN"]}, x, y, threat, pgd)
lines = zip(sources, found.success[:, 0].round(3), found.control[:, 0].round(3), strict=True)
show.table(["made on", "share that fools the CNN", "noise"], list(lines))
assert found.success[2, 0] > found.control[2, 0]

# %% [markdown]
# ## Transferability between different machine learning techniques
#
# This is the second kind. A decision tree has no gradient, because its output is constant on boxes. That makes an
# exact attack easy. Each **leaf** is a box, $a_j < x_j \leq b_j$ for the pixels on its path. The nearest point of a
# box is $x$ clipped to it, in every norm. And the smallest change that fools the tree is the smallest over the leaves
# of other classes.

# %%
show.source(tree_attack, leaves)

# %% [markdown]
# Nearest neighbours are smoothed: every training example votes with weight $e^{-\lVert x - x_i \rVert^2 / T}$, and
# PGD climbs the loss of that vote. The *real* neighbours decide about success. Logistic regression and the linear SVM
# are attacked through their scores. (This part needs scikit-learn: `pip install 'scratchadv[techniques]'`.)

# %%
if "techniques" in groups:
    between_techniques = measure_matrix("techniques", "own_attacks", groups["techniques"], x, y, eps, 0, pgd).transfers
    show.table(*tabulate(between_techniques))
    print(f"each by its own attack, {QUICK.techniques:,} training images; {setting}; per cent, noise in brackets")
    figure = heat_maps({f"each by its own attack, ε = {eps}": between_techniques}, "Between techniques")
    show.figure(figure, "14_between_techniques", "Transfer between network, linear techniques, tree and neighbours")

# %% [markdown]
# Read the column of the decision tree together with its control. Many examples "transfer" to the tree, but the
# *noise* fools it on many of them too. Without the control we would call all of this transferability. A tree tests
# one pixel at a time, and a threshold may be only a few grey levels above black. Nothing has to add up over the
# pixels to cross it.
#
# Read the row of the tree too. Its exact attack moves one or a few pixels by a little, so no other model is affected.

# %%
if "techniques" in groups:
    (fitted, own), _ = groups["techniques"]
    tree = fitted["decision tree"]
    change = own["decision tree"](tree, x, y, threat)
    fooled = predictions(tree, x + change) != y
    sizes, pixels = threat.norm(change[fooled]), (change[fooled] != 0).sum(axis=(1, 2, 3))
    print(f"the tree's smallest change: median ‖δ‖∞ {np.median(sizes):.4f} (a grey level is {1 / 255:.4f})")
    print(f"and it moves {np.median(pixels[sizes > 0]):.0f} pixels (median)")

# %% [markdown]
# **Exercise 14.5.** Which share of the tree's thresholds lies below ten grey levels, where noise on black pixels
# crosses them? What could we do to the images before the tree sees them? Try it.

# %% tags=["answer"]
if "techniques" in groups:
    cuts = tree.tree_.threshold[tree.tree_.children_left >= 0]
    print(f"{100 * (cuts < 10 / 255).mean():.0f} % of the thresholds are below ten grey levels")
    noisy = x + noise_like(np.full_like(x, eps), x, threat, np.random.default_rng(0))
    for name, images in (("noise", noisy), ("noise, rounded to black, grey, white", np.rint(2 * noisy) / 2)):
        print(f"{name}: {100 * (predictions(tree, images) != y).mean():.0f} % wrong")

# %% [markdown]
# ## Transferability between models that perform different tasks
#
# This is the third kind. The images are the same, but the questions differ: which digit, even or odd, five or more.
# The attack is made on the network of one task, with the labels of that task. It succeeds on the network of another
# task if that network then answers its own question wrongly.

# %%
labels_of = {name: labels(y) for name, (_, labels) in TASKS.items()}
between_tasks = measure_matrix("tasks", "pgd", groups["tasks"], x, labels_of, eps, 0, pgd).transfers
show.table(*tabulate(between_tasks))
print(f"PGD-40 on MLPs 784-200-K, {setting}; per cent, mean ± deviation over {QUICK.seeds} seeds, noise in brackets")

# %%
figure = heat_maps({f"PGD, ε = {eps}": between_tasks}, "Made for one question, tested on another")
show.figure(figure, "14_between_tasks", "Transfer between three tasks on the same images, and the noise beside it")

# %% [markdown]
# Compare each cell with the diagonal, and with the noise in the same cell. To make an even digit look odd, one has to
# make it look like another digit, so the tasks have directions in common. But they do not share all of them: if a
# digit turns into another one, the answer to the other question may stay the same. And where noise does as much as
# the attack, nothing has been transferred.
#
# **Exercise 14.6.** Suppose the attack turns each digit into one of the nine others, each equally likely. In what
# share of cases does the answer to "even or odd" change? What is the share for "5 or more"?

# %% tags=["answer"]
for name in ("even or odd", "5 or more"):
    answer = TASKS[name][1](np.arange(10))
    changed = np.mean([answer[a] != answer[b] for a in range(10) for b in range(10) if a != b])
    assert abs(changed - 5 / 9) < 1e-12

# %% [markdown]
# ## What a transferred attack proves
#
# A model that a transferred attack fools is not robust. For a model that it does not fool, nothing is proved: the
# model must pass the white-box test, the column "itself". For the attacker, transfer is a tool when the model is
# hidden (chapter 12). For the defender, a transferred attack that beats the white-box attack is a sign of **masked
# gradients** (chapter 9).

# %%
mean, _ = over_seeds(between_models)
itself, _ = over_seeds(between_models, "itself")
masked = [name for i, name in enumerate(second) if mean[:, i].max() > itself[i]]
print(f"models that a transferred attack fools more often than a white-box attack: {', '.join(masked) or 'none'}")

# %% [markdown]
# ## The slides' numbers beside today's
#
# The slide gives no numbers. The paper that made the second kind known does (Papernot et al. 2016, as others quote
# it; the 37 from SVM to logistic regression is from memory). It attacked its own models on MNIST, with 50,000
# training images and ε = 0.3. Our models are smaller, and our numbers have a control.

# %%
if "techniques" in groups:
    today, control = over_seeds(between_techniques)[0], over_seeds(between_techniques, "control")[0]
    cells = [
        [
            name,
            *(f"{paper:.0f} / {100 * t:.0f} ({100 * c:.0f})" for paper, t, c in zip(PAPER[name], *both, strict=True)),
        ]
        for name, *both in zip(PAPER, today, control, strict=True)
    ]
    show.table(["made on ↓, tested on →", *PAPER], cells)
    print(f"per cent: paper / today (noise); today: {setting}, tested on the models of another seed")
