# %% [markdown]
# # 12. Black boxes
#
# Every attack so far took the model's gradient. Now the model stands behind a counter: we hand in images and get
# answers, and each answer is counted.
#
# **You will learn**
#
# - three levels of knowledge (logits, probabilities, labels) and what a budget of queries is;
# - evolution: GenAttack and one-pixel, and the simpler random search Square;
# - gradients from differences of scores (NES, SPSA), and how good they are for n questions;
# - how a single label still gives the normal of the boundary (Boundary attack, HopSkipJump);
# - how to learn a substitute from labels alone and attack that instead.
#
# It goes with "Blackbox attacks" on the second deck's slides "Methods for creating adversarial examples".

# %%
from functools import partial

import numpy as np

from scratchadv import datasets, training
from scratchadv.attacks import fab, fgsm
from scratchadv.attacks import hopskipjump as hopskipjump_file
from scratchadv.attacks.black_box.boundary import boundary, stepped_aside
from scratchadv.attacks.black_box.genattack import fitness, genattack
from scratchadv.attacks.black_box.hopskipjump import hopskipjump
from scratchadv.attacks.black_box.one_pixel import one_pixel
from scratchadv.attacks.black_box.queries import BudgetError, LabelOracle, LogitOracle, ProbabilityOracle
from scratchadv.attacks.black_box.substitution import augmented, substitute
from scratchadv.experiments.black_box import experiment as blackbox
from scratchadv.experiments.black_box.figures import draw_sizes, draw_success
from scratchadv.experiments.networks.experiment import quick
from scratchadv.losses import margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import loss_and_gradient, predict
from scratchadv.numerics import rows
from scratchadv.sets import L0, L2, Linf
from scratchadv.support import plots, show
from scratchadv.training.optim import Adam

data = datasets.load("auto")
print(data.source)
model = quick(data, "2-layer")
plan = blackbox.Plan(None, images=20, fewer=20, queries=2000, pixel_queries=801, rounds=5, epochs=10, substitute="")
experiment = blackbox.begin(model, data, plan, 0.15, 0)
x, y, threat = experiment.x, experiment.y, experiment.threat
print(f"an MLP 784-200-10 trained on 5,000 images; the first {len(x)} test images that it classifies rightly; {threat}")

# %% [markdown]
# ## Blackbox attacks
#
# The slide: "involve only access to the output of a target model, and not its internals". How much output?
#
# | level | what is seen | who can do with it |
# | --- | --- | --- |
# | logits | $z$ | Square, SPSA |
# | probabilities | $p = \mathrm{softmax}(z)$ | GenAttack, one pixel, NES |
# | labels | $\arg\max_k z_k$ | Boundary, HopSkipJump, a substitute |
#
# An oracle in the library is a model that shows one level and hides the rest, and that counts. A budget is kept before
# the question is asked: an attack that wants more gets an error, not an answer.

# %%
box = LabelOracle(model, queries=2)
print("labels:", box.predict(x[:3], np.arange(3)), "asked so far:", box.asked)
for forbidden in ("logits", "vjp_x"):
    try:
        getattr(box, forbidden)
    except AttributeError as error:
        print(error)
try:
    box.predict(np.repeat(x[:1], 2, axis=0), np.zeros(2, int))
except BudgetError as error:
    print("BudgetError:", error)

# %% [markdown]
# **Exercise 12.1.** Logits are probabilities up to what? Show that no difference of two logits is lost in the softmax,
# so that the margin can be had from probabilities. When is it lost all the same?

# %% [markdown] tags=["answer"]
# $\log p_k = z_k - \log \sum_j e^{z_j}$: a shift, the same for all k. In float32 a probability below $10^{-45}$ is 0:
# then a difference is gone, though the logits had it.

# %% tags=["answer"]
z, scores = LogitOracle(model).scores(x), ProbabilityOracle(model).scores(x)
assert abs(margin.value(z, y) - margin.value(scores, y)).max() < 1e-2
assert abs((z - scores) - (z - scores)[:, :1]).max() < 1e-2

# %% [markdown]
# ## Evolutionary algorithms
#
# "Include a variety of optimization methods such as evolutionary algorithms": keep a population of changes, let the fit
# ones have children. **GenAttack** (Alzantot et al., 2019) takes the log-odds of the target as fitness:
#
# $$F(\delta) = \log p_t - \log \sum_{k \neq t} p_k, \qquad
# P(\delta_i \text{ is a parent}) \propto e^{F(\delta_i)/\tau}.$$
#
# A child takes each pixel from one of two parents, some mutate, and the result is cut to Δ. The fittest lives on.
# The search ends as soon as the label is the target.

# %%
show.source(fitness)
digit, label, target = x[:1], y[:1], (y[:1] + 1) % 10
wide = Linf(0.3).within(0, 1)
shown = [digit]
budgets = [50, 200, 800, 3000]
for queries in budgets:
    shown.append(
        digit + genattack(model, digit, label, wide, target=target, queries=queries, rng=np.random.default_rng(1))
    )
figure, axes = plots.figure_with_axes(1, len(shown), size=(1.7, 2.0))
for axis, image, queries in zip(axes[0], shown, [0, *budgets], strict=True):
    p = ProbabilityOracle(model).probabilities(image)[0, target[0]]
    plots.show_image(axis, image[0])
    axis.set_title(f"{queries} queries: a {predict(model, image)[0]}\nP({target[0]}) = {p:.3f}", fontsize=9)
figure.suptitle(f"GenAttack from a {label[0]} to a {target[0]}: population 4, {wide}, seed 1", fontsize=10)
show.figure(figure, "12_genattack", "A digit under GenAttack with growing budgets; the probability of the target grows")

# %% [markdown]
# **One pixel** (Su, Vargas and Sakurai, 2019) evolves a place and a value, by differential evolution: a child is
# $v_{r_1} + F (v_{r_2} - v_{r_3})$ for three random members, and replaces its parent where the loss is larger. Most
# CIFAR-10 images fell that way. Digits on a black ground are harder, so here are three pixels beside one. With
# `solver="scipy"` the search is `scipy.optimize.differential_evolution`, one image after the other.

# %%
for k in (3, 1):
    delta = one_pixel(model, x, y, L0(k).within(0, 1), queries=1601, population=200, rng=np.random.default_rng(0))
    fell = predict(model, x + delta) != y
    print(f"pixels: {k}; {fell.sum()} of {len(x)} images fall, population 200, 8 generations")

# %% [markdown]
# **Exercise 12.2.** One pixel can be tried out: black and white at each of the 784 places are 1,568 questions. Which
# images fall? Can differential evolution fool an image that this does not?


# %% tags=["answer"]
def every_pixel(model, image):
    """All images with one pixel black or white, ``(2 P, H, W, 1)``."""
    tried = np.repeat(image.reshape(1, -1), 2 * image.size, axis=0)
    place = np.arange(image.size)
    tried[2 * place, place], tried[2 * place + 1, place] = 0, 1
    return tried.reshape(-1, *image.shape)


falls = np.array([(predict(model, every_pixel(model, image)) != k).any() for image, k in zip(x, y, strict=True)])
print(f"{falls.sum()} of {len(x)} images fall to one black or white pixel")
# a grey value may do what black and white do not, but hardly ever: most logits are almost linear in one pixel
assert (fell & ~falls).sum() <= 1

# %% [markdown]
# ## Other search-based heuristics
#
# Evolution without crossover and with a population of one is random search. **Square** (Andriushchenko et al., 2020)
# moves a random window of pixels to ±ε and keeps it if the loss grew. That the corners of the ℓ∞ ball are tried, and
# windows instead of pixels, makes it the strongest of them. It is the last of the four attacks in `standard`.
#
# ## Gradients from differences
#
# A derivative along $u$ costs two questions, $\frac{1}{2\sigma}[L(x + \sigma u) - L(x - \sigma u)]$. **NES** averages
# over Gaussian directions, **SPSA** over corners of a cube:
#
# $$g = \frac{1}{2 \sigma n} \sum_{i=1}^n [L(x + \sigma u_i) - L(x - \sigma u_i)]\, u_i, \qquad
# \mathbb{E}\, g \approx \mathbb{E}[u u^T]\, \nabla L = \nabla L.$$
#
# Then PGD goes on as if $g$ were the gradient. How good is it? For n directions in P dimensions the cosine with the
# true gradient is about $\sqrt{n / (n + P)}$: a tenth of the dimensions is enough for 0.3, which is enough to climb.

# %%
_, g_true = loss_and_gradient(model, margin, x[:1].astype(float), y[:1])
rng, sigma = np.random.default_rng(0), 1e-3
counts = [5, 20, 80, 320, 1280]
cosines = {"NES, normal": [], "SPSA, signs": []}
for n in counts:
    for name, draw in (("NES, normal", rng.standard_normal), ("SPSA, signs", lambda s: rng.choice([-1.0, 1.0], s))):
        u = draw((n, 784)).reshape(n, *x.shape[1:])
        up, down = (margin.value(model.logits(x[:1] + side * sigma * u), np.repeat(y[:1], n)) for side in (1, -1))
        g = ((up - down)[:, None] * rows(u)).sum(axis=0)
        cosines[name].append(g @ g_true.ravel() / np.linalg.norm(g) / np.linalg.norm(g_true))
figure, axes = plots.figure_with_axes(size=(5.6, 3.4))
axis = axes[0, 0]
for name, values in cosines.items():
    axis.plot(counts, values, "o-", label=name)
fine = np.geomspace(5, 1280, 100)
axis.plot(fine, np.sqrt(fine / (fine + 784)), "k--", lw=1, label="√(n / (n + 784))")
axis.set(xscale="log", xlabel="directions n (2 n questions)", ylabel="cosine with the gradient", ylim=(0, 1))
axis.legend(fontsize=9, frameon=False)
axis.set_title("margin at a test image, MLP 784-200-10, σ = 0.001", fontsize=10)
show.figure(figure, "12_estimates", "The cosine of estimated and true gradient grows with the number of directions")

# %% [markdown]
# **Exercise 12.3.** On a linear model with $L = \langle \theta, x \rangle$, what is $g$ exactly, and why does σ drop
# out? Why must it not be tiny on a float32 network?

# %% [markdown] tags=["answer"]
# $g = \frac1n \sum_i u_i \langle u_i, \theta \rangle$: the difference is $2 \sigma \langle u_i, \theta \rangle$, and σ
# cancels. A float32 logit has about seven digits, so a difference of size $10^{-6}$ is rounding.

# %% tags=["answer"]
theta, u = rng.standard_normal(6), rng.standard_normal((50, 6))
for sigma in (1e-3, 10.0):
    up, down = ((side * sigma * u) @ theta for side in (1, -1))
    g = ((up - down)[:, None] * u).mean(axis=0) / (2 * sigma)
    np.testing.assert_allclose(g, u.T @ (u @ theta) / 50)

# %% [markdown]
# ## Only the label
#
# With labels alone there is no loss to climb: nearly everywhere a small step changes nothing. But **on the boundary**
# a small step changes everything. Decision-based attacks begin at an image that is wrong already (noise will do), go
# straight towards x until the label turns, and then move along the boundary towards x.
#
# The **Boundary attack** (Brendel et al., 2018) steps at random: aside on the sphere around x, then towards x. If both
# still fool, it stays there. The two step sizes follow their success.

# %%
show.source(stepped_aside)

# %% [markdown]
# **HopSkipJump** (Chen et al., 2020) asks which way the boundary faces. Around a point on it, about half of all
# directions $u_b$ fool, $\varphi_b = +1$, and half do not, $\varphi_b = -1$. Their difference points along the normal:
#
# $$g = \frac1B \sum_{b=1}^B (\varphi_b - \bar\varphi)\, u_b.$$
#
# Then it jumps along $g$ and halves the way back to x until it is on the boundary again. In the plane we can watch.


# %%
class Seen:
    """A model of the plane that shows labels, and keeps the questions."""

    def __init__(self, model):
        self.model, self.points = model, []

    def predict(self, x):
        """The labels."""
        self.points.extend(x)
        return predict(self.model, x)


rng = np.random.default_rng(0)
centres = np.array([[0.0, 1.0], [-1.0, -0.7], [1.0, -0.7]])
plane_y = np.repeat(np.arange(3), 80)
plane_x = centres[plane_y] + 0.35 * rng.standard_normal((240, 2))
plane = MLP((2, 24, 3), "tanh", rng=rng, dtype=np.float64)
training.fit(plane, plane_x, plane_y, epochs=150, optimizer=Adam(0.02), progress=False)
point, start = np.array([[-0.15, 0.75]]), np.array([[1.35, -0.2]])
side = np.linspace(-1.6, 1.6, 401)
grid = np.stack(np.meshgrid(side, side), axis=-1)
regions = predict(plane, grid.reshape(-1, 2)).reshape(401, 401)
attacks = {
    "Boundary attack": partial(boundary, queries=150),
    "HopSkipJump": partial(hopskipjump, queries=150, directions=12, gamma=0.3),
}
figure, axes = plots.figure_with_axes(1, 2, size=(4.6, 4.3))
for axis, (name, attack) in zip(axes[0], attacks.items(), strict=True):
    seen = Seen(plane)
    delta = attack(seen, point, np.array([0]), box=None, start=start, rng=np.random.default_rng(4))
    asked = np.array(seen.points)
    axis.contourf(side, side, regions, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#d1e5f0", "#fddbc7", "#d9f0d3"])
    axis.scatter(*asked.T, c=np.arange(len(asked)), cmap="Greys", s=10, vmin=-60, zorder=2)
    axis.plot(*point[0], "ko", label="x")
    axis.plot(*start[0], "k^", mfc="none", label="start")
    axis.plot(*(point + delta)[0], "*", color=plots.WRONG, ms=12, label=f"x + δ, ‖δ‖₂ = {L2(1).norm(delta)[0]:.3f}")
    axis.set(xticks=[], yticks=[], aspect="equal", title=f"{name}: {len(asked)} questions, later ones darker")
    axis.legend(fontsize=9, loc="lower left")
nearest = L2(1).norm(fab(plane, point, np.array([0]), box=None))[0]
figure.suptitle(f"labels only, three classes in the plane; the nearest boundary is at {nearest:.3f} (FAB, white box)")
show.figure(figure, "12_labels_in_the_plane", "All questions of the two attacks: along the boundary, and in hops")

# %%
show.source(hopskipjump_file.estimate)

# %% [markdown]
# **Exercise 12.4.** On a linear model take a point on the boundary and estimate its normal from 50, 500 and 5,000
# labels in 20 dimensions. How does the cosine grow? What happens if the point is *not* on the boundary?

# %% tags=["answer"]
theta = np.random.default_rng(1).standard_normal(20)
line, at = LogisticRegression(theta), np.random.default_rng(2).standard_normal((1, 20))
at = at - (line.logits(at) / (theta @ theta))[:, None] * theta
found = []
for directions in (50, 500, 5000):
    u = np.random.default_rng(3).standard_normal((directions, 20))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    phi = predict(line, at + 0.01 * u)
    g = ((phi - phi.mean())[:, None] * u).mean(axis=0)
    found.append(g @ theta / np.linalg.norm(g) / np.linalg.norm(theta))
print("cosines for 50, 500, 5,000 labels:", np.round(found, 3))
assert found[0] < found[1] < found[2]
off = predict(line, at + 0.1 * theta + 0.01 * u)
assert (off == 1).all()  # all labels alike: φ − mean φ = 0, and nothing is learnt

# %% [markdown]
# ## How many queries?
#
# One question is one image handed in. All attacks with ε run on the same images; a curve says which share has fallen
# after so many questions. The style of a line says what its attack sees.

# %%
lines = blackbox.attacks(experiment)
chosen = [attack for attack in lines if attack.name != "one pixel"]
measured = [blackbox.measure(experiment, attack, lambda line: None) for attack in chosen]
show.table(
    ["attack", "sees", "set", "success", "median queries", "mean size"],
    [[cell for i, cell in enumerate(blackbox.cells(row)) if i in (0, 1, 2, 4, 5, 6)] for row, _, _ in measured],
)
print(f"MLP 784-200-10, {plan.images} test images, at most {plan.queries:,} queries an image, 0 ≤ x + δ ≤ 1, seed 0")
figure = draw_success(experiment, measured)
figure.axes[0].set_title(f"{threat}; MLP 784-200-10", fontsize=10)
show.figure(
    figure, "12_success_over_queries", "Shares of fallen images over queries, for six attacks that see less and less"
)

# %%
figure = draw_sizes(experiment, measured)
figure.axes[0].set_title("smallest change, 0 ≤ x + δ ≤ 1, 20 images, MLP 784-200-10", fontsize=10)
show.figure(figure, "12_size_over_queries", "The ℓ2 size of the best change over queries, for two attacks on labels")

# %% [markdown]
# HopSkipJump's curve has stairs: it pays for an estimate, and then it hops. The white-box line is what the gradient
# is worth.
#
# ## A substitute
#
# Papernot et al. (2017) ask no questions about the image that is attacked at all. They let the victim label a few
# inputs, train a network of their own on them, and ask about more where its output changes fastest:
#
# $$S_{\rho+1} = S_\rho \cup \{x + \lambda\, \mathrm{sgn}(J_F(x)[\tilde y(x)]) : x \in S_\rho\}.$$
#
# Then the substitute is attacked with gradients, and the change is handed to the victim. The victim may be anything
# that answers. Here it is a classifier without any gradient: the class of the nearest of 2,000 training images.


# %%
class Nearest:
    """One nearest neighbour: it has nothing but ``predict``."""

    def __init__(self, x, y):
        self.x, self.y = rows(x), y

    def predict(self, x):
        """The labels."""
        distance = (self.x**2).sum(axis=1) - 2 * rows(x) @ self.x.T
        return self.y[distance.argmin(axis=1)]


show.source(augmented)
victim = Nearest(data.x_train[:2000], data.y_train[:2000])
test_x, test_y = data.x_test[:200], data.y_test[:200]
first = data.x_test[np.random.default_rng(0).choice(np.arange(200, len(data.x_test)), 150, replace=False)]
train = partial(training.fit, epochs=10, optimizer=Adam(1e-3), progress=False)
learned = {}
for step in (0.1, -0.1):
    own = MLP((784, 100, 10), rng=np.random.default_rng(1))
    learned[step] = substitute(victim, own, first, train, rounds=5, step=step)
seen = victim.predict(test_x)
lines = []
for step, found in learned.items():
    delta = fgsm(found.model, test_x, seen, Linf(0.3).within(0, 1))
    agrees = (predict(found.model, test_x) == seen).mean()
    transfer = (victim.predict(test_x + delta) != seen).mean()
    lines.append([f"λ = {step:+g}", found.sizes, found.queries, f"{agrees:.2f}", f"{transfer:.2f}"])
noise = 0.3 * np.sign(np.random.default_rng(0).standard_normal(test_x.shape)).astype(test_x.dtype)
chance = (victim.predict(np.clip(test_x + noise, 0, 1)) != seen).mean()
lines.append(["random signs", "–", "–", "–", f"{chance:.2f}"])
show.table(["substitute", "points in each round", "queries", "agrees with the victim", "victim fooled"], lines)
print(
    "victim: nearest of 2,000 images; substitute: MLP 784-100-10 from 150 images; FGSM, ε = 0.3, box; 200 test images"
)

# %% [markdown]
# With λ > 0, as in the paper, points move to where the substitute is surer of the label. With λ < 0 they cross its
# boundaries, where it is not sure and a label says more.
#
# With doubling, the queries double too. **Reservoir sampling** stops that: after σ rounds only κ points of S, drawn at
# random, are moved.
#
# **Exercise 12.5.** How many queries do 150 points, 9 rounds, σ = 3 and κ = 400 cost, and how many without sampling?
# Check your formula with `substitute`.

# %% tags=["answer"]
small, brief = MLP((784, 20, 10), rng=np.random.default_rng(0)), partial(train, epochs=2)
found = substitute(victim, small, first, brief, rounds=9, sigma=3, kappa=400, rng=np.random.default_rng(0))
expected = [150, 300, 600, 1200, *(1200 + 400 * k for k in range(1, 6))]
print(found.sizes, "instead of", 150 * 2**8)
# a point that is moved twice in the same way is there already and costs nothing, which is rare
assert all(0.95 * most <= size <= most for size, most in zip(found.sizes, expected, strict=True))
assert found.queries == found.sizes[-1] < 150 * 2**8

# %% [markdown]
# ## The slides' numbers beside today's
#
# The papers attack networks of their own. GenAttack's number is for targets at ε = 0.3 (recalled); the substitute's is
# from the paper's abstract, for a network behind a web service.

# %%
wide = blackbox.BlackBoxes(model, data, x, y, plan, 0.3, 0)
aimed = next(attack for attack in blackbox.attacks(wide) if attack.targeted)
row, _, _ = blackbox.measure(wide, aimed, lambda line: None)
asked = learned[0.1].queries
show.table(
    ["attack", "paper", "today"],
    [
        [
            "GenAttack, targeted, ε = 0.3",
            blackbox.PAPERS["GenAttack, targeted"],
            f"{100 * row['success']:.0f} %, median {row['median queries']:,.0f} queries of at most {plan.queries:,}",
        ],
        [
            "substitute, λ = 0.1, ε = 0.3",
            blackbox.PAPERS["substitute, step +0.1"],
            f"{100 * float(lines[0][-1]):.0f} % of a nearest-neighbour classifier after {asked:,} queries",
        ],
    ],
)
print("MLP 784-200-10 on 5,000 training images; `scratchadv reproduce black_box` has the tutorial's CNN")
