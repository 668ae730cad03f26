# %% [markdown]
# # 13. Images of nothing
#
# An adversarial example begins with a real image and changes it a little. Here there is no image to begin with and no
# distance to keep: the only wish is that the model be *certain*. What comes out means nothing to us.
#
# **You will learn**
#
# - how evolution finds images of which a network is certain, from its outputs alone (MAP-Elites)
# - two ways to write an image down: pixel by pixel, and as a small network that draws it (CPPN)
# - gradient ascent on the posterior, with a penalty, and its exact answer on a linear model
# - why a high confidence says little about an image that is far from all training images
#
# It goes with the slide "Adversarial Examples" of the first deck that shows 8 images unrecognisable to humans.

# %%
import numpy as np

from scratchadv import datasets
from scratchadv.attacks.black_box.queries import oracle
from scratchadv.attacks.unrecognisable.encodings import CPPN, FUNCTIONS, INPUTS, Direct, polynomial
from scratchadv.attacks.unrecognisable.gradient_ascent import gradient_ascent
from scratchadv.attacks.unrecognisable.map_elites import log_probabilities, map_elites, offspring, select
from scratchadv.experiments.networks.experiment import quick
from scratchadv.experiments.unrecognisable import experiment as unrecognisable
from scratchadv.losses import margin
from scratchadv.models import LogisticRegression
from scratchadv.support import plots, show

data = datasets.load("auto")
names, shape = data.class_names, (28, 28, 1)
print(data.source)
model, other = quick(data, "CNN"), quick(data, "2-layer")
print("the CNN and the MLP 784-200-10, trained on 5,000 images; the CNN is searched, the MLP is asked afterwards")

# %% [markdown]
# ## Unrecognisable to humans
#
# The slide shows eight pictures, static and stripes, each of which a network for ImageNet names with more than 99 %
# confidence. Nguyen, Yosinski and Clune made them in 2015. Formally, for each class $k$,
#
# $$\max_{x \in [0, 1]^P}\ p_k(x), \qquad p_k(x) = \frac{e^{z_k(x)}}{\sum_j e^{z_j(x)}}.$$
#
# No δ, no ε, no true label. A person who sees the result has no label for it either, and that is the point. What does
# the CNN say of things that are no digit?

# %%
rng = np.random.default_rng(0)
things = {
    "black": np.zeros((1, *shape), np.float32),
    "white": np.ones((1, *shape), np.float32),
    "grey": np.full((1, *shape), 0.5, np.float32),
    "uniform noise": rng.random((200, *shape), dtype=np.float32),
    "test images": data.x_test[:200],
}
rows = []
for name, x in things.items():
    p = np.exp(log_probabilities(oracle(model), x))
    common = np.bincount(p.argmax(axis=1)).argmax()
    rows.append([name, names[common], f"{(p.argmax(axis=1) == common).mean():.2f}", f"{np.median(p.max(axis=1)):.3f}"])
print("CNN; 200 images each of noise and of the test set")
show.table(["thing", "its most frequent class", "share", "median confidence in the class that it says"], rows)

# %% [markdown]
# Softmax has no way to say "none of these". It must divide one unit of probability among ten digits.

# %% [markdown]
# ## MAP-Elites
#
# Evolution needs only $p$, so the model is a black box. One image is kept for each class, its **elite**. In each
# generation some elites are drawn, copied and mutated, and all children are asked about in one batch. A child becomes
# the elite of *every* class that is surer of it than of the present elite:
#
# $$x_k \leftarrow \arg\max_{x \in \{x_k\} \cup \text{children}} p_k(x), \qquad k = 1, \dots, K.$$
#
# A child of a "3" may turn out to be the best "8" so far. That is how the search leaves dead ends.

# %%
show.source(offspring, select)

# %% [markdown]
# Two laws follow: the confidence of an elite never falls, and it is the largest $p_k$ of all images that were ever
# asked about. Comparing $\log p_k$ gives the same elites as comparing $p_k$, until $p_k$ rounds.

# %% [markdown]
# **Exercise 13.1.** Let float32 logits of two classes be $(0, -20)$ for one child and $(0, -30)$ for another. Which is
# the better image of the first class? Compare the probabilities, and then their logarithms, in float32.


# %% tags=["answer"]
class Two:
    """A model whose second logit is its input."""

    def logits(self, x):
        """Z = (0, x)."""
        return np.concatenate([0 * x, x], axis=1)


log_p = log_probabilities(oracle(Two()), np.array([[-20], [-30]], np.float32))[:, 0]
assert np.exp(log_p)[0] == np.exp(log_p)[1] == 1
assert log_p[0] < log_p[1] < 0
print("p:", np.exp(log_p), " log p:", log_p)

# %% [markdown]
# ## The direct encoding
#
# The genome is the image: 784 numbers, at first uniform noise. A mutation picks each pixel with probability 0.1 (halved
# every 1,000 generations) and moves it by a *polynomial* step, mostly small and sometimes large:
#
# $$s(u) = \begin{cases} (2u)^{1/(\eta+1)} - 1 & u < \frac12 \\ 1 - (2(1-u))^{1/(\eta+1)} & u \geq \frac12 \end{cases}
# \qquad \text{with the density} \qquad \frac{\eta + 1}{2} (1 - |s|)^\eta.$$

# %%
show.source(polynomial, Direct.rate_at, Direct.mutate)

# %%
direct = map_elites(model, Direct(shape), generations=100, children=150, rng=np.random.default_rng(0))


def gallery(x, title, name, description):
    """Ten images with their confidence above, and what the MLP says below."""
    p, q = (np.exp(log_probabilities(oracle(network), x)) for network in (model, other))
    figure, axes = plots.figure_with_axes(2, 5, size=(1.6, 2.35))
    for k, axis in enumerate(axes.ravel()):
        plots.show_image(axis, x[k])
        axis.set_title(f"{names[k]}: {unrecognisable.percent(p[k, k])}", fontsize=10)
        said = q[k].argmax()
        color = plots.WRONG if said == k else plots.RIGHT
        axis.set_xlabel(f"MLP: {names[said]}, {100 * q[k, said]:.0f} %", fontsize=9, color=color)
    figure.suptitle(title, fontsize=11)
    show.figure(figure, name, description)


gallery(
    direct.x,
    f"direct encoding, 100 generations of 150, {direct.queries:,} queries\n"
    "above: the CNN's confidence; below: the MLP, red where it agrees",
    "13_direct",
    "One image of noise for each digit, with the confidence of the CNN",
)

# %% [markdown]
# Static. Nobody would call it a digit. `scratchadv reproduce unrecognisable` takes the network of the whole training
# set and the paper's 200 generations; the doubt goes on falling as in the curve further down.

# %% [markdown]
# **Exercise 13.2.** Let $\eta = 1$. Compute $s(1/8)$, $s(1/2)$ and $s(7/8)$. Then show that $E|s| = 1/(\eta + 2)$, and
# check it for $\eta = 15$ with a million numbers.

# %% [markdown] tags=["answer"]
# $(2/8)^{1/2} - 1 = -1/2$, then $0$ and $1/2$. With $a = |s|$ of the density $(\eta + 1)(1 - a)^\eta$ on $[0, 1]$,
# $E(1 - a) = (\eta + 1)/(\eta + 2)$, so $E a = 1/(\eta + 2)$: about 0.06 for 15.

# %% tags=["answer"]
assert np.allclose(polynomial(np.array([1 / 8, 1 / 2, 7 / 8]), 1), [-1 / 2, 0, 1 / 2])
steps = polynomial(np.random.default_rng(0).random(1_000_000), 15)
assert abs(abs(steps).mean() - 1 / 17) < 0.001

# %% [markdown]
# ## The indirect encoding
#
# A **compositional pattern-producing network** is asked for each pixel in turn. It reads the pixel's place $x, y$, the
# distance from the centre, and a constant, and its nodes are sines, sigmoids, Gaussians and lines:
#
# $$h_j = f_j\Big(\sum_{i < j} w_{ij} h_i\Big), \qquad (h_0, h_1, h_2, h_3) = (x, y, \sqrt{x^2 + y^2}, 1),
# \qquad \text{pixel} = |h_{\text{out}}|.$$
#
# A Gaussian of $x$ is a vertical bar and symmetric, a sine repeats. So such images are regular. Networks begin without
# hidden nodes; mutations change weights and functions and add or remove connections and nodes (NEAT, Picbreeder).

# %%
show.source(CPPN.images)

# %%
encoding = CPPN(shape)
rng = np.random.default_rng(4)
genomes = encoding.random(rng, 8)
rows = []
for age in range(3):
    rows.append((f"{8 * age} mutations", encoding.images(genomes), [""] * 8, [True] * 8))
    for generation in range(8):
        genomes = encoding.mutate(rng, genomes, generation)
figure = plots.before_and_after(rows, (0, 1))
figure.suptitle("eight CPPNs (columns): at first without hidden nodes, then mutated without selection")
show.figure(figure, "13_cppn", "What compositional pattern-producing networks draw before and after mutations")

# %%
indirect = map_elites(model, encoding, generations=100, children=150, rng=np.random.default_rng(0))
gallery(
    indirect.x,
    f"CPPN encoding, 100 generations of 150, {indirect.queries:,} queries\n"
    "above: the CNN's confidence; below: the MLP, red where it agrees",
    "13_indirect",
    "One regular pattern for each digit, with the confidence of the CNN",
)

# %% [markdown]
# Some of these borrow from a digit what is enough to tell it from the nine others: a bar for one, a ring for zero.
# That is all that a *discriminative* model has to learn.

# %%
figure, axes = plots.figure_with_axes(size=(7.0, 3.6))
for found, name, color in ((direct, "direct", "#2166ac"), (indirect, "CPPN", "#b35806")):
    doubt = -np.expm1(found.history.astype(float))
    axes[0, 0].plot(doubt.clip(1e-9), color=color, lw=0.6, alpha=0.5)
    axes[0, 0].plot(np.median(doubt, axis=1).clip(1e-9), color=color, lw=2.5, label=f"{name}, median of the classes")
for level in (1e-2, 1e-4):
    axes[0, 0].axhline(level, color="0.5", ls="--", lw=0.8)
    axes[0, 0].text(99, level, f"{100 - 100 * level:g} %", fontsize=9, ha="right", va="bottom", color="0.3")
title = "CNN, MAP-Elites, 150 children a generation, one thin line a class"
axes[0, 0].set(xlabel="generation", ylabel="1 − confidence", yscale="log", xlim=(0, 100), ylim=(1e-8, 2), title=title)
axes[0, 0].grid(alpha=0.25)
axes[0, 0].legend(fontsize=9, frameon=False, loc="lower left")
show.figure(figure, "13_confidence", "How the doubt of the CNN falls over the generations, for both encodings")

# %% [markdown]
# **Exercise 13.3.** Draw a ring with a CPPN without hidden nodes: choose a function for the output and its four
# weights.

# %% tags=["answer"]
ring = encoding.random(np.random.default_rng(0), 1)
ring["functions"][0, -1] = list(FUNCTIONS).index("Gaussian")
ring["weights"][0, : len(INPUTS), -1] = [0, 0, 6, -3]  # exp(−(6 r − 3)²): bright where r = 1/2
image = encoding.images(ring)[0, :, :, 0]
y, x = np.meshgrid(np.linspace(-1, 1, 28), np.linspace(-1, 1, 28), indexing="ij")
assert np.allclose(image, np.exp(-((6 * np.hypot(x, y) - 3) ** 2)), atol=1e-5)
p = np.exp(log_probabilities(oracle(model), image[None, :, :, None]))[0]
print(f"the CNN says {names[p.argmax()]} with {unrecognisable.percent(p.max())}")

# %% [markdown]
# ## Gradient ascent
#
# Who has the gradient needs no evolution. From noise, climb
#
# $$\log p_k(x) - \frac{\lambda}{2} \lVert x \rVert_2^2 \quad \text{over } x \in [0, 1]^P, \qquad
# x \leftarrow \mathrm{clip}\big(x + \alpha(\nabla_x \log p_k(x) - \lambda x)\big).$$
#
# The paper climbs $p_k$ itself. It points the same way, $\nabla p = p \nabla \log p$, but where the network is sure of
# *another* class, $p_k$ is almost zero, and so is that slope.

# %%
noise = np.repeat(np.random.default_rng(0).random((1, *shape), dtype=np.float32), 10, axis=0)
rows = []
for penalty in (0, 0.003, 0.03, 0.3):
    x = gradient_ascent(model, noise, np.arange(10), penalty=penalty)
    p = np.exp(log_probabilities(oracle(model), x)).diagonal()
    rows.append((f"λ = {penalty:g}", x, [unrecognisable.percent(value) for value in p], p >= 0.99))
figure = plots.before_and_after(rows, (0, 1))
for line in figure.axes:
    line.title.set_fontsize(8)
figure.suptitle("CNN, gradient ascent, 200 steps of 1 from the same noise, towards 0 to 9 (green: at least 99 %)")
show.figure(figure, "13_gradient", "Images found by gradient ascent for each digit with four penalties")

# %% [markdown]
# With a larger λ the image grows darker and confidence is the price. The penalty also takes away the noise, which the
# network did not need: what is left are the few strokes that tell this digit from the nine others.

# %% [markdown]
# **Exercise 13.4.** For a linear model with the logit $z = \theta^T x + \theta_0$, find the maximum of
# $y z - \frac{\lambda}{2} \lVert x \rVert^2$ over $[0, 1]^P$ by hand. Then let `gradient_ascent` climb it
# (`loss=margin`) and compare.

# %% tags=["answer"]
theta = np.array([1.5, -2.0, 0.5, 4.0])
linear = LogisticRegression(theta, -1.0)
x = gradient_ascent(linear, np.zeros((1, 4)), np.array([1]), penalty=2.0, alpha=0.3, loss=margin)
assert np.allclose(x, [np.clip(theta / 2, 0, 1)])
print(x)

# %% [markdown] tags=["answer"]
# The objective is a sum over components, $y \theta_j x_j - \frac{\lambda}{2} x_j^2$, each a parabola with its top at
# $y \theta_j / \lambda$; the box cuts it off. So $x^* = \mathrm{clip}(y \theta / \lambda, 0, 1)$.

# %% [markdown]
# ## Why it is so easy
#
# A linear model shows it. $p = \tau(\theta^T x + \theta_0)$ grows with the distance from the boundary, and the image
# furthest on one side of the boundary is a corner of the box, $x_j = [\theta_j > 0]$: white where the weight is
# positive. No digit looks like it, and no other image in the box has a larger confidence. A network has more
# boundaries, but the same habit: it divides *all* of $[0, 1]^{784}$ among ten classes, also where there never was an
# image. It has learned $p(y \mid x)$ and knows nothing of $p(x)$.

# %%
pair = data.only(0, 1)
few = slice(0, 1000)
x_two, y_two = pair.x_train[few], pair.y_train[few]
theta = (x_two[y_two == 1].mean(axis=0) - x_two[y_two == -1].mean(axis=0)).astype(float)
middle = (x_two[y_two == 1].mean(axis=0) + x_two[y_two == -1].mean(axis=0)) / 2
linear = LogisticRegression(theta, -float((theta * middle).sum()))
real = linear.logits(x_two.astype(float))[y_two == 1]
corner = linear.logits((theta > 0).astype(float)[None])[0]
print("a linear model of 0 against 1 (its boundary halves the way between the class means): the logit of class 0")
rows = [["1,000 training images, the zeros: median", f"{np.median(real):.1f}"]]
rows += [["the surest of them", f"{real.max():.1f}"], ["the corner [θ > 0]", f"{corner:.1f}"]]
show.table(["image", "z"], rows)

# %% [markdown]
# **Exercise 13.5.** Does MAP-Elites find that corner? Search the linear model with θ = (3, −2, 1.5, −4) in 4
# dimensions.

# %% tags=["answer"]
theta = np.array([3.0, -2.0, 1.5, -4.0])
found = map_elites(LogisticRegression(theta), Direct((4,)), generations=300, children=30, rng=np.random.default_rng(0))
assert np.allclose(found.x, [theta < 0, theta > 0])  # the rows are the classes −1 and +1
print(found.x)

# %% [markdown]
# **Exercise 13.6.** The obvious cure is an eleventh class, "rubbish", trained on such images. Why is it no cure?

# %% [markdown] tags=["answer"]
# The new network again divides all of the cube, now among eleven classes, and has seen only the rubbish of one search.
# The search is run again, against the new network. The paper did that on MNIST, round after round, and found new
# images each time. The same happens to every defence that is trained against yesterday's attack.

# %% [markdown]
# ## The slides' numbers beside today's
#
# `scratchadv reproduce unrecognisable` makes the full table, on the networks of the whole training set,
# with five runs of 200 generations, and asks a robust CNN about the same images. Here: the small CNN and the runs
# above.

# %%
mnist = data.source.startswith("MNIST")
rows = []
for name, found in (("direct", direct), ("CPPN", indirect)):
    p = np.exp(found.history)
    cells = [f"{unrecognisable.percent(np.median(p[t]))}, {unrecognisable.percent(p[t].min())}" for t in (50, 100)]
    rows.append([name, unrecognisable.PUBLISHED[name] if mnist else "–", *cells])
print("confidence in the class that the image was made for: median and least of the ten classes")
print("today: CNN trained on 5,000 images, one run, 150 children a generation, seed 0; the paper: LeNet on MNIST")
show.table(["encoding", "paper", "today, generation 50", "today, generation 100"], rows)
slide = sum((np.exp(found.history[-1]) >= 0.99).sum() for found in (direct, indirect))
print(f"the slide: 8 images above 99 % on ImageNet; here {slide} of 20 at the end")
